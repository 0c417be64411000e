/* error.c - error messages. */
#include "error.h"
#include <stdarg.h>
#include <stdio.h>

pn_status pn_fail(pn_error *error, pn_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (error) vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return status;
}
