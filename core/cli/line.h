/* A line that somebody types: with editing and history where libedit is there and the input is a
 * terminal, else as it comes. */
#ifndef MGPT_CLI_LINE_H
#define MGPT_CLI_LINE_H

#include <stdbool.h>

#include <microgpt/status.h>

struct mgpt_line;

/* History is kept in $XDG_STATE_HOME/microgpt/history; when that cannot be, a warning says so. */
enum mgpt_status mgpt_line_create(struct mgpt_line **line, struct mgpt_error *error);
void mgpt_line_destroy(struct mgpt_line *line);

/* Is somebody there? Otherwise the input is a file or a pipe, and there is no prompt. */
bool mgpt_line_terminal(const struct mgpt_line *line);

/* *text: the next line without its end, which lives until the next call; NULL at the end of the
 * input.
 * Waits. On a terminal Ctrl-C drops what was typed and begins anew; SIGTERM and SIGHUP, and
 * elsewhere
 * SIGINT, end the process. Afterwards signals do again what mgpt_stop_install says. [main] */
enum mgpt_status mgpt_line_read(struct mgpt_line *line, const char **text,
                                struct mgpt_error *error);

#endif
