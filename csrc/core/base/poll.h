/* poll.h - calls a function of the caller at intervals, which may stop long work. */
#ifndef PN_POLL_H
#define PN_POLL_H
#include <stdint.h>

typedef int pn_poll_fn(void *context);
/* Calls poll, unless it is NULL, at most every 20 ms. *last_poll: the time of the last call, from
 * pn_now_ms. Returns whether to stop. */
int pn_poll(pn_poll_fn *poll, void *context, int64_t *last_poll);

#endif
