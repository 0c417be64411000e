/* settings.h - parses a layer's settings from text such as "mode=reflect before=1,2 after=0,0". */
#ifndef PN_TEST_SETTINGS_H
#define PN_TEST_SETTINGS_H
#include <stdlib.h>
#include <string.h>
#include "pynn.h"

/* SPARE: capacity for settings that a test adds */
enum { SPARE = 4, SETTINGS = PN_MAX_SETTINGS + SPARE };
typedef struct { char text[400]; size_t n; pn_setting at[SETTINGS]; } settings;

/* Parses the text after "name=": comma-separated numbers, or a name. */
static void read_value(char *text, pn_setting *s)
{
    char *end = text;
    for (s->n = 0; *text; text = end + (*end == ',')) {
        s->number[s->n++] = strtod(text, &end);
        if (end != text && (*end == ',' || !*end)) continue;
        s->n = 0;
        s->text = text;
        return;
    }
    if (s->n == 1 && s->number[0] >= 0 && s->number[0] < 0x1p32) s->seed = (uint64_t)s->number[0];
}

static const settings *read_settings(settings *all, const char *text)
{
    char *next = all->text;
    memset(all, 0, sizeof *all);
    strncpy(all->text, text, sizeof all->text - 1);
    while (*(next += strspn(next, " "))) {
        pn_setting *s = &all->at[all->n++];
        char *end = next + strcspn(next, " "), *value = next + strcspn(next, "=") + 1;
        s->name = next;
        next = *end ? end + 1 : end;
        *end = value[-1] = 0;
        read_value(value, s);
    }
    return all;
}

/* A layer of the given kind and settings that reads the previous node. */
static pn_layer simple_layer(const char *kind, const char *where, const settings *all)
{
    return (pn_layer){ .kind = kind, .where = where, .n_settings = all->n, .settings = all->at };
}

#endif
