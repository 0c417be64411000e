/* schedules.c - learning rates over time, from the table in schedules.h. */
#include "../../pynn.h"
#include <math.h>
#define PI 3.14159265358979323846
#define PN_SCHEDULE_BODIES
#include "schedules.h"

static const pn_schedule_kind kinds[] = {
#define ROW(id, ...) \
    { .name = #id, \
      .params = PN_SCHEDULE_##id(PN_VALUE_TEXT), \
      .docs = PN_SCHEDULE_##id(PN_VALUE_DOCS), \
      __VA_ARGS__ },
    PN_SCHEDULES(ROW)
#undef ROW
};
const pn_schedule_kind *pn_schedule_at(size_t i)
{
    return i < sizeof kinds / sizeof *kinds ? &kinds[i] : NULL;
}

typedef double schedule_fn(const double *v, double t, double lr, double *momentum);
static schedule_fn *const functions[] = {
#define ROW(name, ...) schedule_##name,
    PN_SCHEDULES(ROW)
#undef ROW
};

/* Indices are checked at each use, because the caller may write to the memory of the records at any
 * time. */
void pn_schedule_apply(const pn_schedule *schedules, size_t n, int64_t step, int64_t epoch,
                       double *hyper)
{
    for (size_t i = 0; i < n; i++) {
        const pn_schedule copy = schedules[i], *s = &copy;
        if (!(s->kind >= 0 && s->kind < sizeof functions / sizeof *functions &&
              s->momentum < PN_MAX_HYPER))
            continue;
        const double t = s->start + (s->counts_steps != 0 ? (double)(step - 1) : (double)epoch);
        if (t < s->from || t >= s->until) continue;
        double unused, *momentum = s->momentum < 0 ? &unused : &hyper[(size_t)s->momentum];
        hyper[0] = functions[(size_t)s->kind](s->v, t - s->from, hyper[0], momentum);
    }
}
