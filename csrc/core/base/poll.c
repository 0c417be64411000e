/* poll.c - calls a function of the caller at intervals, which may stop long work. */
#include "poll.h"
#include "../../pynn.h"
#include "clock.h"

enum { POLL_MS = 20 };

int pn_poll(pn_poll_fn *poll, void *context, int64_t *last_poll)
{
    if (pn_stopped()) return 1;
    const int64_t now = pn_now_ms();
    if (!poll || now - *last_poll < POLL_MS) return 0;
    *last_poll = now;
    return poll(context);
}
