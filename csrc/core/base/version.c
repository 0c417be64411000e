/* version.c - the version of the library. */
#include "../../pynn.h"

const char *pn_version(void) { return PN_VERSION; }
