/* clock.h - a clock that never goes backward. */
#ifndef PN_CLOCK_H
#define PN_CLOCK_H
#include <stdint.h>

int64_t pn_now_ns(void);
int64_t pn_now_ms(void);
double pn_seconds(void);

#endif
