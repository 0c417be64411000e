/* error.h - error messages of functions that can fail. */
#ifndef PN_ERROR_H
#define PN_ERROR_H
#include "../../pynn.h"

/* Formats the text of error, unless it is NULL, and returns status. */
pn_status pn_fail(pn_error *error, pn_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
