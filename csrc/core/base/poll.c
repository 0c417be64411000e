/* poll.c - regular calls of a function of the caller, which may stop long work. */
#include "poll.h"
#include "../../pynn.h"
#include "clock.h"

enum { POLL_MS = 20 };

int pn_poll(pn_poll_fn *poll, void *context, int64_t *asked)
{
    if (pn_stopped()) return 1;
    const int64_t now = pn_now_ms();
    if (!poll || now - *asked < POLL_MS) return 0;
    *asked = now;
    return poll(context);
}
