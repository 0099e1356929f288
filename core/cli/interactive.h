/* microgpt generate --interactive: a prompt a line. */
#ifndef MGPT_CLI_INTERACTIVE_H
#define MGPT_CLI_INTERACTIVE_H

#include "cli/printer.h"

/* Until the input ends. The printer's prompt, where it is not empty, is the first one. On a
 * terminal
 * Ctrl-C ends a sample and a bad prompt is only told; elsewhere both end the command.
 * MGPT_CANCELED: by a signal. */
enum mgpt_status mgpt_interactive(struct mgpt_printer *printer, struct mgpt_error *error);

#endif
