/* check.h - the test framework of the C tests. CHECK counts checks, prints failures and continues.
 * REPORT is the exit status of main. */
#ifndef PN_CHECK_H
#define PN_CHECK_H
#include <stdio.h>

static int checks, failures;
#define CHECK(ok, ...) do { \
    checks++; \
    if (!(ok) && ++failures <= 50) { \
        printf("%s:%d: %s: ", __FILE__, __LINE__, #ok); \
        printf(__VA_ARGS__); \
        putchar('\n'); \
    } \
} while (0)
#define REPORT() (printf("%s: %d checks, %d failed\n", __FILE__, checks, failures), failures != 0)
#endif
