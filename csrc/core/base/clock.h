/* clock.h - the monotonic clock of the system. */
#ifndef PN_CLOCK_H
#define PN_CLOCK_H
#include <stdint.h>

int64_t pn_now_ns(void);
int64_t pn_now_ms(void);
double pn_seconds(void);

#endif
