/* stop.c - long calls: they release the GIL, and a signal whose handler raises stops them. */
#include "binding.h"

/* Called without the GIL; takes it to let a signal handler raise, which only the main thread does.
 */
int poll_signals(void *context)
{
    (void)context;
    PyGILState_STATE state = PyGILState_Ensure();
    int stop = PyErr_CheckSignals();
    PyGILState_Release(state);
    return stop;
}

void release(released *r, int large)
{
    r->state = NULL;
    if (!large) return;
    r->stop = (pn_stop){ .poll = poll_signals };
    r->state = PyEval_SaveThread();
    pn_stop_begin(&r->stop);
}

int retake(released *r)
{
    if (!r->state) return 0;
    const int stopped = pn_stop_end(&r->stop);
    PyEval_RestoreThread(r->state);
    return stopped;
}
