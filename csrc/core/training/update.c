/* update.c - one optimizer step: schedules and clipping, then the update rule for every parameter.
 * Large parameters are divided among the threads. */
#include "update.h"
#include "../base/array.h"
#include "../kernels/isa.h"
#include "../kernels/tables.h"
#include <math.h>
#include <string.h>

/* CHUNK:      elements per task, fixed so that results do not depend on the number of threads
 * SERIAL:     fewer elements than this are processed on the calling thread
 * MAX_PARTS:  maximum number of partial sums
 * RECORDED:   elements updated at a time when changes are recorded */
enum { CHUNK = 16384, SERIAL = 2 * CHUNK, MAX_PARTS = 64, RECORDED = 1024 };

/* The name of state k in a list of names, from *name to the returned end; NULL if there is none. */
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

/* ---- norm of all gradients ------------------------------------------------------------------- */
typedef struct { const pn_segment *s; size_t chunk; double part[MAX_PARTS]; } norm_task;

static void norm_part(void *context, size_t i)
{
    norm_task *n = context;
    const size_t start = i * n->chunk;
    n->part[i] = pn_power_sum(n->s->dtype, pn_min(n->s->n - start, n->chunk),
                              (const char *)n->s->g + start * pn_size(n->s->dtype), 2);
}

static double squared_norm(const pn_segment *s)
{
    const size_t share = (s->n + MAX_PARTS - 1) / MAX_PARTS;
    norm_task n = { .s = s, .chunk = s->n / MAX_PARTS < CHUNK ? CHUNK : share };
    const size_t parts = (s->n + n.chunk - 1) / n.chunk;
    double sum = 0;
    if (s->n < SERIAL) for (size_t i = 0; i < parts; i++) norm_part(&n, i);
    else pn_parallel(parts, norm_part, &n);
    for (size_t i = 0; i < parts; i++) sum += n.part[i];
    return sum;
}

/* The factor by which clipping by norm scales a gradient: at most 1, computed as in PyTorch's
 * clip_grad_norm_. */
static double clip_scale(double limit, double norm)
{
    const double scale = limit / (norm + 1e-6);
    return scale > 1 ? 1 : scale;
}

/* The norm when squares exceed the range of a double: divides by the largest magnitude first. */
static double scaled_norm(const pn_group *groups, size_t n)
{
    double most = 0, sum = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < groups[i].n; j++) {
            const pn_segment *s = &groups[i].segments[j];
            const double norm = pn_power_sum(s->dtype, s->n, s->g, INFINITY);
            if (norm > most || isnan(norm)) most = norm;
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
    int clips = 0;
    for (size_t i = 0; i < n; i++) clips |= groups[i].settings->clip_norm > 0;
    for (size_t i = 0; i < n && clips; i++)
        for (size_t j = 0; j < groups[i].n; j++) sum += squared_norm(&groups[i].segments[j]);
    return !clips || (sum > 0x1p-900 && sum < INFINITY) ? sqrt(sum) : scaled_norm(groups, n);
}

/* ---- update rule ----------------------------------------------------------------------------- */
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
    size_t chunk;
    double (*recorded)[3];
} span_task;

/* Updates n elements from start on in small pieces and records their changes while they are in
 * cache. */
static void update_recording(const span_task *t, size_t start, size_t n, double *sums)
{
    double before[RECORDED];
    for (size_t at = start, m; at < start + n; at += m) {
        m = start + n - at < RECORDED ? start + n - at : RECORDED;
        const pn_update_args a = arguments(t->s, t->group->settings, t->norm, at, m);
        memcpy(before, a.p, m * pn_size(t->s->dtype));
        t->f(&a);
        pn_kernels_now()->of[t->s->dtype].probe->sum_changes(m, before, a.p, a.g, sums);
    }
}

static void span_part(void *context, size_t i)
{
    const span_task *t = context;
    const size_t start = i * t->chunk, n = pn_min(t->s->n - start, t->chunk);
    if (t->recorded) {
        update_recording(t, start, n, t->recorded[i]);
        return;
    }
    const pn_update_args a = arguments(t->s, t->group->settings, t->norm, start, n);
    t->f(&a);
}

static void add_change(pn_change *change, const double *sums)
{
    change->gradient += sums[0];
    change->update += sums[1];
    change->weight += sums[2];
}

static void update_span(const pn_group *group, const pn_segment *s, double norm, pn_change *change)
{
    double recorded[MAX_PARTS][3];
    span_task t = { group,
                    s,
                    norm,
                    pn_kernels_now()->of[s->dtype].updates[group->optimizer],
                    s->n < SERIAL ? s->n : CHUNK,
                    NULL };
    if (change) {
        while ((s->n + t.chunk - 1) / t.chunk > MAX_PARTS) t.chunk *= 2;
        t.recorded = recorded;
    }
    const size_t parts = (s->n + t.chunk - 1) / t.chunk;
    if (change) memset(recorded, 0, parts * sizeof *recorded);
    if (parts == 1) span_part(&t, 0);
    else pn_parallel(parts, span_part, &t);
    for (size_t i = 0; change && i < parts; i++) add_change(change, recorded[i]);
}

static void update_tensor(const pn_group *group, const pn_segment *s, const double *hyper,
                         double norm, pn_change *change, void *buffer)
{
    const pn_typed_kernels *k = &pn_kernels_now()->of[s->dtype];
    const pn_update_args a = arguments(s, group->settings, norm, 0, s->n);
    if (change) memcpy(buffer, s->p, s->n * pn_size(s->dtype));
    k->adjust(&a, group->work);
    k->tensor_rules[group->optimizer - pn_optimizer_first_tensor_rule()].update(
        s, group->work, hyper, (char *)group->work + pn_round_to_line(s->n * pn_size(s->dtype)));
    if (a.average) k->average(&a);
    if (!change) return;
    double sums[3] = { 0 };
    k->probe->sum_changes(s->n, buffer, s->p, s->g, sums);
    add_change(change, sums);
}

size_t pn_update_work(const pn_group *group)
{
    size_t most = 0;
    if (group->optimizer < pn_optimizer_first_tensor_rule()) return 0;
    for (size_t j = 0; j < group->n; j++) {
        const pn_segment *s = &group->segments[j];
        const size_t rule = group->optimizer - pn_optimizer_first_tensor_rule();
        const size_t bytes = pn_round_to_line(s->n * pn_size(s->dtype)) +
                             pn_kernels_now()->of[s->dtype].tensor_rules[rule].work(s);
        most = pn_max(most, bytes);
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
        /* an earlier segment whose h may be reused */
        const pn_segment *previous = NULL;
        for (size_t j = 0; j < group->n; j++, change = change ? change + 1 : NULL) {
            pn_segment *s = &group->segments[j];
            ++*s->number[0];
            if (!s->n) continue;
            if (group->optimizer >= pn_optimizer_first_tensor_rule()) {
                update_tensor(group, s, hyper, norm, change, changes ? changes->buffer : NULL);
                continue;
            }
            if (previous && !s->number[1] && *previous->number[0] == *s->number[0])
                memcpy(s->h, previous->h, sizeof s->h);
            else pn_optimizer_prepare(group->optimizer, hyper, s->number, *s->number[0], s->h);
            previous = s;
            update_span(group, s, norm, change);
        }
    }
}

/* An update always runs to completion, even if a signal has stopped the call. */
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
