/* check.h - the C tests' only tool: CHECK counts and prints what fails and goes on; REPORT is what
 * main returns. */
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
