/* Work that may crash or hang, in a process of its own. */
#ifndef MGPT_BASE_APART_H
#define MGPT_BASE_APART_H

#include <microgpt/status.h>

/* Runs work(context, ...) in a forked child, whose standard output goes nowhere, and gives back
 * what it returned. A child that dies, or takes longer than `seconds` and is killed: MGPT_PLUGIN,
 * saying how. What it printed to standard error comes there when it has ended, and whatever it
 * started ends with it. Nothing else that it does is seen here. Not where threads run: they are not
 * forked. [main] */
enum mgpt_status mgpt_apart(enum mgpt_status (*work)(void *context, struct mgpt_error *error),
                            void *context, double seconds, struct mgpt_error *error);

#endif
