/* config.c - checks named settings, stores them in the struct of a layer and reads them back. */
#include "config.h"
#include "../base/error.h"
#include <stdio.h>
#include <string.h>

static int is_list(pn_field_type type)
{
    return type == PN_COUNTS || type == PN_INTEGERS || type == PN_NUMBERS;
}
static int is_whole(pn_field_type type)
{
    return type == PN_COUNT || type == PN_COUNTS || type == PN_INTEGER || type == PN_INTEGERS;
}
static double lowest(const pn_field *f)
{
    const int counts = f->type == PN_COUNT || f->type == PN_COUNTS;
    return counts && !(f->least > 0) ? 0 : f->least;
}

/* ---- checks ---------------------------------------------------------------------------------- */

static int fits(const pn_field *f, double v)
{
    if (f->type == PN_FLAG) return v == 0 || v == 1;
    if (is_whole(f->type) && !(fabs(v) < 0x1p53 && v == floor(v))) return 0;
    if (isnan(v)) return lowest(f) == -INFINITY && f->most == INFINITY;
    return v >= lowest(f) && v <= f->most;
}

/* "an integer from 1 to 3" */
static void describe(const pn_field *f, char *text, size_t size)
{
    const char *what = f->type == PN_FLAG ? "0 or 1"
                     : is_whole(f->type)  ? "an integer"
                                          : "a number";
    const double low = lowest(f);
    if (f->type == PN_FLAG || (low == -INFINITY && f->most == INFINITY))
        snprintf(text, size, "%s", what);
    else if (f->most == INFINITY) snprintf(text, size, "%s of at least %.10g", what, low);
    else if (low == -INFINITY) snprintf(text, size, "%s of at most %.10g", what, f->most);
    else snprintf(text, size, "%s from %.10g to %.10g", what, low, f->most);
}

static pn_status check_numbers(const pn_layer *layer, const pn_field *f, const pn_setting *s,
                               pn_error *error)
{
    char expected[80];
    if (s->text || s->n > PN_MAX_DIMS || (s->n != 1 && !is_list(f->type)))
        return pn_fail(error, PN_BAD_VALUE, "%s: %s must be %s", layer->where, f->name,
                       is_list(f->type) ? "a list of at most 8 numbers" : "one number");
    for (size_t i = 0; i < s->n; i++) {
        if (fits(f, s->number[i])) continue;
        describe(f, expected, sizeof expected);
        return pn_fail(error, PN_BAD_VALUE, "%s: %s must be %s, got %.10g", layer->where, f->name,
                       expected, s->number[i]);
    }
    return PN_OK;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Choice i of a field; NULL past the end. */
static const char *choice_at(const pn_field *f, size_t i)
{
    if (f->type == PN_CHOICE) return f->choices[i];
    if (f->type == PN_ROWWISE) return pn_rowwise_at(i) ? pn_rowwise_at(i)->name : NULL;
    return pn_activation_at(i) ? pn_activation_at(i)->name : NULL;
}

static pn_status find_choice(const pn_layer *layer, const pn_field *f, const pn_setting *s,
                             size_t *found, pn_error *error)
{
    const char *name;
    for (*found = 0; s->text && (name = choice_at(f, *found)); ++*found)
        if (!strcmp(name, s->text)) return PN_OK;
    char names[120] = "";
    for (size_t i = 0, used = 0; (name = choice_at(f, i)) && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, i ? ", %s" : "%s", name);
    return pn_fail(error, PN_BAD_VALUE, "%s: %s must be one of %s%s, got %.40s", layer->where,
                   f->name, names, strlen(names) + 1 == sizeof names ? "..." : "",
                   s->text ? s->text : "a number");
}

/* ---- a field --------------------------------------------------------------------------------- */

static pn_status set_field(const pn_layer *layer, const pn_config_field *cf, const pn_setting *s,
                           char *config, pn_error *error)
{
    const pn_field *f = &cf->field;
    void *to = config + cf->offset;
    size_t choice = 0;
    pn_status status = PN_OK;
    if (f->type == PN_CHOICE || f->type == PN_ACTIVATION || f->type == PN_ROWWISE)
        status = find_choice(layer, f, s, &choice, error);
    else if (f->type == PN_FORMULA || s->formula)
        status = f->type == PN_FORMULA && s->formula
                   ? PN_OK
                   : pn_fail(error, PN_BAD_VALUE, "%s: %s must be %s", layer->where, f->name,
                             s->formula ? "a number, not a formula" : "a formula");
    else if (f->type != PN_SEED) status = check_numbers(layer, f, s, error);
    else if (s->text || s->n > 1 || (s->n && (double)s->seed != s->number[0]))
        status = pn_fail(error, PN_BAD_VALUE, "%s: %s must be an integer from 0 to 2**64 - 1",
                         layer->where, f->name);
    if (status) return status;
    switch (f->type) {
    case PN_COUNT: *(size_t *)to = (size_t)s->number[0]; break;
    case PN_INTEGER: *(ptrdiff_t *)to = (ptrdiff_t)s->number[0]; break;
    case PN_FLAG: *(int *)to = s->number[0] != 0; break;
    case PN_NUMBER: *(double *)to = s->number[0]; break;
    case PN_SEED: *(uint64_t *)to = s->seed; break;
    case PN_CHOICE: *(int *)to = (int)choice; break;
    case PN_ACTIVATION: case PN_ROWWISE: *(size_t *)to = choice; break;
    case PN_FORMULA: *(const pn_formula **)to = s->formula; break;
    case PN_COUNTS:
        ((pn_counts *)to)->n = s->n;
        for (size_t i = 0; i < s->n; i++) ((pn_counts *)to)->at[i] = (size_t)s->number[i];
        break;
    case PN_INTEGERS:
        ((pn_integers *)to)->n = s->n;
        for (size_t i = 0; i < s->n; i++) ((pn_integers *)to)->at[i] = (ptrdiff_t)s->number[i];
        break;
    case PN_NUMBERS:
        ((pn_numbers *)to)->n = s->n;
        for (size_t i = 0; i < s->n; i++) ((pn_numbers *)to)->at[i] = s->number[i];
        break;
    }
    return PN_OK;
}

void pn_config_get(const pn_config_field *cf, const void *config, pn_setting *setting)
{
    const void *from = (const char *)config + cf->offset;
    pn_setting s = { .name = cf->field.name, .n = 1 };
    switch (cf->field.type) {
    case PN_COUNT: s.number[0] = (double)*(const size_t *)from; break;
    case PN_INTEGER: s.number[0] = (double)*(const ptrdiff_t *)from; break;
    case PN_FLAG: s.number[0] = *(const int *)from; break;
    case PN_NUMBER: s.number[0] = *(const double *)from; break;
    case PN_SEED: s.seed = *(const uint64_t *)from; s.n = 0; break;
    case PN_CHOICE: s.text = cf->field.choices[*(const int *)from]; s.n = 0; break;
    case PN_ACTIVATION: case PN_ROWWISE:
        s.text = choice_at(&cf->field, *(const size_t *)from);
        s.n = 0;
        break;
    case PN_FORMULA:
        s.formula = *(const pn_formula *const *)from;
        s.n = 0;
        break;
    case PN_COUNTS:
        s.n = ((const pn_counts *)from)->n;
        for (size_t i = 0; i < s.n; i++) s.number[i] = (double)((const pn_counts *)from)->at[i];
        break;
    case PN_INTEGERS:
        s.n = ((const pn_integers *)from)->n;
        for (size_t i = 0; i < s.n; i++) s.number[i] = (double)((const pn_integers *)from)->at[i];
        break;
    case PN_NUMBERS:
        s.n = ((const pn_numbers *)from)->n;
        for (size_t i = 0; i < s.n; i++) s.number[i] = ((const pn_numbers *)from)->at[i];
        break;
    }
    *setting = s;
}

/* ---- all of them ----------------------------------------------------------------------------- */

size_t pn_config_count(const pn_config_field *fields)
{
    size_t n = 0;
    while (fields && fields[n].field.name) n++;
    return n;
}

/* Finds the only setting of that name; an error if there is none, or several. */
static const pn_setting *find_setting(const pn_layer *layer, const char *name, pn_error *error)
{
    const pn_setting *found = NULL;
    for (size_t i = 0; i < layer->n_settings; i++) {
        if (strcmp(layer->settings[i].name, name)) continue;
        if (found) {
            pn_fail(error, PN_BAD_VALUE, "%s: %s is given twice", layer->where, name);
            return NULL;
        }
        found = &layer->settings[i];
    }
    if (!found) pn_fail(error, PN_BAD_VALUE, "%s: %s is missing", layer->where, name);
    return found;
}

static pn_status unknown(const pn_config_field *fields, const pn_layer *layer, pn_error *error)
{
    char names[160] = "no settings";
    for (size_t i = 0, k = 0; i < layer->n_settings; i++) {
        for (k = 0; k < pn_config_count(fields); k++)
            if (!strcmp(fields[k].field.name, layer->settings[i].name)) break;
        if (k < pn_config_count(fields)) continue;
        for (size_t j = 0, used = 0; j < pn_config_count(fields) && used < sizeof names; j++)
            used += (size_t)snprintf(names + used, sizeof names - used, j ? ", %s" : "%s",
                                     fields[j].field.name);
        return pn_fail(error, PN_BAD_VALUE, "%s: unknown setting '%.40s'; %s takes %s",
                       layer->where, layer->settings[i].name, layer->kind, names);
    }
    return PN_OK;
}

pn_status pn_config_set(const pn_config_field *fields, const pn_layer *layer, void *config,
                        pn_error *error)
{
    const size_t n = pn_config_count(fields);
    pn_status status = PN_OK;
    for (size_t i = 0; i < n && !status; i++) {
        const pn_setting *s = find_setting(layer, fields[i].field.name, error);
        status = s ? set_field(layer, &fields[i], s, config, error) : PN_BAD_VALUE;
    }
    /* All fields have a setting, so further ones are unknown. */
    return status || layer->n_settings == n ? status : unknown(fields, layer, error);
}
