/* config.h - the configuration of layers. A kind of layer has one list of fields, from which come
 * the struct that its code reads, the checks of settings, and the settings of a graph's nodes.
 *
 *     #define FIELDS(FIELD, T) \
 *         FIELD(T, COUNT, axis, ANY, "axis of the sample") \
 *         FIELD(T, FLAG, bias, ANY, "whether there is a bias")
 *     PN_CONFIG(example_config, FIELDS)
 *
 * declares the struct example_config with the members axis and bias, and example_config_fields for
 * the row of the kind. */
#ifndef PN_CONFIG_H
#define PN_CONFIG_H
#include "../../pynn.h"
#include <math.h>

/* lists have at most PN_MAX_DIMS elements */
typedef struct { size_t n, at[PN_MAX_DIMS]; } pn_counts;
typedef struct { size_t n; ptrdiff_t at[PN_MAX_DIMS]; } pn_integers;
typedef struct { size_t n; double at[PN_MAX_DIMS]; } pn_numbers;

/* the member of each type of field */
typedef size_t pn_member_COUNT;
typedef ptrdiff_t pn_member_INTEGER;
typedef int pn_member_FLAG;
typedef double pn_member_NUMBER;
typedef uint64_t pn_member_SEED;
typedef int pn_member_CHOICE;               /* its index in the list of choices */
typedef size_t pn_member_ACTIVATION;        /* row of the table */
typedef size_t pn_member_ROWWISE;
typedef const pn_formula *pn_member_FORMULA;
typedef pn_counts pn_member_COUNTS;
typedef pn_integers pn_member_INTEGERS;
typedef pn_numbers pn_member_NUMBERS;

/* what a field allows */
#define ANY               .least = -INFINITY, .most = INFINITY
#define AT_LEAST(low)     .least = low, .most = INFINITY
#define FROM_TO(low, high) .least = low, .most = high
#define ONE_OF(names)     .choices = names

/* A list of choices,
 *
 *     #define MODES(CHOICE) CHOICE(ZEROS, "zeros") CHOICE(REFLECT, "reflect")
 *
 * gives constants and names:
 *
 *     enum { MODES(PN_CHOICE_CONSTANT) };
 *     static const char *const modes[] = { MODES(PN_CHOICE_NAME) NULL }; */
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

/* Fills the struct of a kind, PN_CONFIG_BYTES zero bytes. fields ends with a field without a name,
 * or is NULL for none. */
pn_status pn_config_set(const pn_config_field *fields, const pn_layer *layer, void *config,
                        pn_error *error);
/* Reads the value of one field in the form that pn_config_set accepts. */
void pn_config_get(const pn_config_field *field, const void *config, pn_setting *setting);
size_t pn_config_count(const pn_config_field *fields);

#endif
