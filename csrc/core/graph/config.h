/* config.h - the configuration of layers: one list of fields for each kind of layer, from which
 * come the struct that its code reads, the checks of what is given, and what a graph tells of it.
 *
 *     #define FIELDS(FIELD, T) \
 *         FIELD(T, COUNT, axis, ANY, "axis of the sample") \
 *         FIELD(T, FLAG, bias, ANY, "whether there is a bias")
 *     PN_CONFIG(example_config, FIELDS)
 *
 * declares the struct example_config with the members axis and bias, and example_config_fields for
 * the kind's row. */
#ifndef PN_CONFIG_H
#define PN_CONFIG_H
#include "../../pynn.h"
#include <math.h>

/* what a list holds at most is PN_MAX_DIMS */
typedef struct { size_t n, at[PN_MAX_DIMS]; } pn_counts;
typedef struct { size_t n; ptrdiff_t at[PN_MAX_DIMS]; } pn_integers;
typedef struct { size_t n; double at[PN_MAX_DIMS]; } pn_numbers;

/* the member of each type of field */
typedef size_t pn_member_COUNT;
typedef ptrdiff_t pn_member_INTEGER;
typedef int pn_member_FLAG;
typedef double pn_member_NUMBER;
typedef uint64_t pn_member_SEED;
typedef int pn_member_CHOICE;               /* its place among the choices */
typedef size_t pn_member_ACTIVATION;        /* row of the table */
typedef size_t pn_member_ROWWISE;
typedef pn_counts pn_member_COUNTS;
typedef pn_integers pn_member_INTEGERS;
typedef pn_numbers pn_member_NUMBERS;

/* what a field allows */
#define ANY               .least = -INFINITY, .most = INFINITY
#define AT_LEAST(low)     .least = low, .most = INFINITY
#define FROM_TO(low, high) .least = low, .most = high
#define ONE_OF(names)     .choices = names

/* A list of choices, #define MODES(CHOICE) CHOICE(ZEROS, "zeros") CHOICE(REFLECT, "reflect"), as
 * constants and as names: enum { MODES(PN_CHOICE_CONSTANT) };
 * static const char *const modes[] = { MODES(PN_CHOICE_NAME) NULL }; */
#define PN_CHOICE_CONSTANT(constant, text) constant,
#define PN_CHOICE_NAME(constant, text) text,

typedef struct { pn_field field; size_t offset; } pn_config_field;
enum { PN_CONFIG_BYTES = 576 };
#define PN_CONFIG_MEMBER(T, kind, member, allowed, text) pn_member_##kind member;
#define PN_CONFIG_FIELD(T, kind, member, allowed, text)                                     \
    { { .name = #member, .type = PN_##kind, .meaning = text, allowed }, offsetof(T, member) },
#define PN_CONFIG(T, FIELDS)                                                                 \
    typedef struct { FIELDS(PN_CONFIG_MEMBER, T) } T;                                        \
    _Static_assert(sizeof(T) <= PN_CONFIG_BYTES, "PN_CONFIG_BYTES is too small for " #T);    \
    static const pn_config_field T##_fields[] = { FIELDS(PN_CONFIG_FIELD, T) { { 0 }, 0 } };

/* Fills a kind's struct, of PN_CONFIG_BYTES zero bytes. fields: a list that ends with a field
 * without a name, or NULL for none. */
pn_status pn_config_set(const pn_config_field *fields, const pn_layer *layer, void *config,
                        pn_error *error);
/* One field's value, such that pn_config_set takes it. */
void pn_config_get(const pn_config_field *field, const void *config, pn_setting *setting);
size_t pn_config_count(const pn_config_field *fields);

#endif
