/* A function in a process of its own: whatever it does, the caller goes on. */
#ifndef MGPT_BASE_CHILD_H
#define MGPT_BASE_CHILD_H

#include <stdbool.h>

#include "base/text.h"

/* How it ended. Zero-initialise; finish frees. */
struct mgpt_child {
    bool timed_out;
    int signal; /* that ended it, or 0 */
    int exited; /* its exit code otherwise */
    double seconds;
    struct mgpt_string said;   /* what it wrote to `report` */
    struct mgpt_string output; /* the end of its stderr */
};

/* Runs body(context, report) in a child, for `seconds` at most, then kills it and all that it
 * started. Its standard output goes nowhere. It ends with exit code 0 when `body` returns. Not
 * where threads run: they are not forked. MGPT_INTERNAL: no process could be made. [main] */
enum mgpt_status mgpt_child_run(struct mgpt_child *child, double seconds,
                                void (*body)(void *context, int report), void *context,
                                struct mgpt_error *error);
void mgpt_child_finish(struct mgpt_child *child);

#endif
