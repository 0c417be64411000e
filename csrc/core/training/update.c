/* update.c - one optimizer step: schedules and clipping, then the rule over every parameter, large
 * ones divided among the threads. */
#include "update.h"
#include "../base/array.h"
#include "../kernels/isa.h"
#include "../kernels/tables.h"
#include <math.h>
#include <string.h>

/* Elements of a task: a fixed number, so that results do not depend on the number of threads. Fewer
 * than SERIAL run on the caller. */
enum { CHUNK = 16384, SERIAL = 2 * CHUNK, MAX_PARTS = 64, NOTED = 1024 };

/* The name of state k of a row: from *name to the end returned; NULL when it has none. */
static const char *state_name(const char *names, size_t k, const char **name)
{
    for (; k && names; k--) names = strchr(names, ' ') ? strchr(names, ' ') + 1 : NULL;
    if (!names || !*names) return NULL;
    *name = names;
    return names + strcspn(names, " ");
}

size_t pn_state_count(size_t optimizer, size_t k, const pn_segment *s)
{
    const char *name, *end = state_name(pn_optimizer_at(optimizer)->states, k, &name),
                      *mark = end ? memchr(name, ':', (size_t)(end - name)) : NULL;
    const size_t matrices = s->n ? s->n / (s->rows * s->cols + !s->rows) : 0;
    if (!mark) return s->n;
    if (!strncmp(mark, ":flat", 5)) return s->rows ? SIZE_MAX : s->n;
    return s->rows ? matrices * (!strncmp(mark, ":rows", 5) ? s->rows : s->cols) : SIZE_MAX;
}

int pn_state_optional(size_t optimizer, size_t k)
{
    const char *name, *end = state_name(pn_optimizer_at(optimizer)->states, k, &name);
    return end && memchr(name, '?', (size_t)(end - name));
}

double pn_power_sum(pn_dtype t, size_t n, const void *x, double p)
{
    return pn_scaled_power_sum(t, n, x, p, 1);
}

double pn_scaled_power_sum(pn_dtype t, size_t n, const void *x, double p, double unit)
{
    return pn_kernels_now()->of[t].power_sum(n, x, p, unit);
}

/* ---- the norm of all gradients --------------------------------------------------------------- */
typedef struct { const pn_segment *s; size_t each; double part[MAX_PARTS]; } norm_task;

static void norm_part(void *context, size_t i)
{
    norm_task *n = context;
    const size_t start = i * n->each, left = n->s->n - start;
    n->part[i] = pn_power_sum(n->s->dtype, left < n->each ? left : n->each,
                              (const char *)n->s->g + start * pn_size(n->s->dtype), 2);
}

static double squared_norm(const pn_segment *s)
{
    norm_task n = { .s = s,
                    .each = s->n / MAX_PARTS < CHUNK ? CHUNK : (s->n + MAX_PARTS - 1) / MAX_PARTS };
    const size_t parts = (s->n + n.each - 1) / n.each;
    double sum = 0;
    if (s->n < SERIAL) for (size_t i = 0; i < parts; i++) norm_part(&n, i);
    else pn_parallel(parts, norm_part, &n);
    for (size_t i = 0; i < parts; i++) sum += n.part[i];
    return sum;
}

/* What clipping by norm leaves of a gradient: at most 1, as PyTorch's clip_grad_norm_ computes it.
 */
static double clip_scale(double limit, double norm)
{
    const double scale = limit / (norm + 1e-6);
    return scale > 1 ? 1 : scale;
}

/* The norm where squares leave the range of a double: over the largest magnitude. */
static double scaled_norm(const pn_group *groups, size_t n)
{
    double most = 0, sum = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < groups[i].n; j++) {
            const pn_segment *s = &groups[i].segments[j];
            const double its = pn_power_sum(s->dtype, s->n, s->g, INFINITY);
            if (its > most || isnan(its)) most = its;
        }
    if (!(most > 0 && most < INFINITY)) return most;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < groups[i].n; j++) {
            const pn_segment *s = &groups[i].segments[j];
            sum += pn_scaled_power_sum(s->dtype, s->n, s->g, 2, most);
        }
    return most * sqrt(sum);
}

static double total_norm(const pn_group *groups, size_t n)
{
    double sum = 0;
    int wanted = 0;
    for (size_t i = 0; i < n; i++) wanted |= groups[i].settings->clip_norm > 0;
    for (size_t i = 0; i < n && wanted; i++)
        for (size_t j = 0; j < groups[i].n; j++) sum += squared_norm(&groups[i].segments[j]);
    return !wanted || (sum > 0x1p-900 && sum < INFINITY) ? sqrt(sum) : scaled_norm(groups, n);
}

/* ---- the rule -------------------------------------------------------------------------------- */
static pn_update_args arguments(const pn_segment *s, const pn_settings *o, double norm,
                                size_t start, size_t n)
{
    const size_t bytes = start * pn_size(s->dtype);
    pn_update_args a = { .n = n,
                         .p = (char *)s->p + bytes,
                         .g = (const char *)s->g + bytes,
                         .h = s->h,
                         .clip = o->clip_value,
                         .l1 = o->l1,
                         .average = s->average ? (char *)s->average + bytes : NULL,
                         .share = 1 - o->average_decay };
    a.scale = (o->maximize != 0 ? -1 : 1) * (o->clip_norm > 0 ? clip_scale(o->clip_norm, norm) : 1);
    for (int k = 0; k < PN_MAX_STATES; k++)
        a.state[k] = s->state[k] ? (char *)s->state[k] + bytes : NULL;
    return a;
}

typedef struct {
    const pn_group *group;
    const pn_segment *s;
    double norm;
    pn_update_fn *f;
    size_t each;
    double (*noted)[3];
} span_task;

/* n elements from start on, in pieces that are looked at while they are near. */
static void update_noting(const span_task *t, size_t start, size_t n, double *sums)
{
    double before[NOTED];
    for (size_t at = start, m; at < start + n; at += m) {
        m = start + n - at < NOTED ? start + n - at : NOTED;
        const pn_update_args a = arguments(t->s, t->group->settings, t->norm, at, m);
        memcpy(before, a.p, m * pn_size(t->s->dtype));
        t->f(&a);
        pn_kernels_now()->of[t->s->dtype].probe->sum_changes(m, before, a.p, a.g, sums);
    }
}

static void span_part(void *context, size_t i)
{
    const span_task *t = context;
    const size_t start = i * t->each, left = t->s->n - start, n = left < t->each ? left : t->each;
    if (t->noted) {
        update_noting(t, start, n, t->noted[i]);
        return;
    }
    const pn_update_args a = arguments(t->s, t->group->settings, t->norm, start, n);
    t->f(&a);
}

static void note(pn_change *change, const double *sums)
{
    change->gradient += sums[0];
    change->update += sums[1];
    change->weight += sums[2];
}

static void update_span(const pn_group *group, const pn_segment *s, double norm, pn_change *change)
{
    double noted[MAX_PARTS][3];
    span_task t = { group,
                    s,
                    norm,
                    pn_kernels_now()->of[s->dtype].updates[group->optimizer],
                    s->n < SERIAL ? s->n : CHUNK,
                    NULL };
    if (change) {
        while ((s->n + t.each - 1) / t.each > MAX_PARTS) t.each *= 2;
        t.noted = noted;
    }
    const size_t parts = (s->n + t.each - 1) / t.each;
    if (change) memset(noted, 0, parts * sizeof *noted);
    if (parts == 1) span_part(&t, 0);
    else pn_parallel(parts, span_part, &t);
    for (size_t i = 0; change && i < parts; i++) note(change, noted[i]);
}

static void update_whole(const pn_group *group, const pn_segment *s, const double *hyper,
                         double norm, pn_change *change, void *room)
{
    const pn_typed_kernels *k = &pn_kernels_now()->of[s->dtype];
    const pn_update_args a = arguments(s, group->settings, norm, 0, s->n);
    if (change) memcpy(room, s->p, s->n * pn_size(s->dtype));
    k->adjust(&a, group->work);
    k->tensor_rules[group->optimizer - pn_optimizer_first_tensor_rule()].update(
        s, group->work, hyper, (char *)group->work + pn_line(s->n * pn_size(s->dtype)));
    if (a.average) k->average(&a);
    if (!change) return;
    double sums[3] = { 0 };
    k->probe->sum_changes(s->n, room, s->p, s->g, sums);
    note(change, sums);
}

size_t pn_update_work(const pn_group *group)
{
    size_t most = 0;
    if (group->optimizer < pn_optimizer_first_tensor_rule()) return 0;
    for (size_t j = 0; j < group->n; j++) {
        const pn_segment *s = &group->segments[j];
        const size_t bytes = pn_line(s->n * pn_size(s->dtype)) +
                             pn_kernels_now()
                                 ->of[s->dtype]
                                 .tensor_rules[group->optimizer - pn_optimizer_first_tensor_rule()]
                                 .work(s);
        if (bytes > most) most = bytes;
    }
    return most;
}

static void update_all(const pn_group *groups, size_t n_groups, int64_t step, int64_t epoch,
                       const pn_changes *changes)
{
    const double norm = total_norm(groups, n_groups);
    pn_change *change = changes ? changes->segment : NULL;
    for (size_t i = 0; i < n_groups; i++) {
        const pn_group *group = &groups[i];
        double hyper[PN_MAX_HYPER];
        memcpy(hyper, group->settings->hyper, sizeof hyper);
        pn_schedule_apply(group->schedules, group->n_schedules, step, epoch, hyper);
        /* an earlier one whose h is this one's too */
        const pn_segment *like = NULL;
        for (size_t j = 0; j < group->n; j++, change = change ? change + 1 : NULL) {
            pn_segment *s = &group->segments[j];
            ++*s->number[0];
            if (!s->n) continue;
            if (group->optimizer >= pn_optimizer_first_tensor_rule()) {
                update_whole(group, s, hyper, norm, change, changes ? changes->room : NULL);
                continue;
            }
            if (like && !s->number[1] && *like->number[0] == *s->number[0])
                memcpy(s->h, like->h, sizeof s->h);
            else pn_optimizer_prepare(group->optimizer, hyper, s->number, *s->number[0], s->h);
            like = s;
            update_span(group, s, norm, change);
        }
    }
}

/* An update always runs to its end, even when a signal has stopped the call. */
void pn_update_recording(const pn_group *groups, size_t n_groups, int64_t step, int64_t epoch,
                      const pn_changes *changes)
{
    pn_stop *stop = pn_stop_suspend();
    update_all(groups, n_groups, step, epoch, changes);
    pn_stop_resume(stop);
}
void pn_update(const pn_group *groups, size_t n_groups, int64_t step, int64_t epoch)
{
    pn_update_recording(groups, n_groups, step, epoch, NULL);
}
