/* What the terminal behind a file descriptor can do. */
#ifndef MGPT_BASE_TERMINAL_H
#define MGPT_BASE_TERMINAL_H

#include <stdbool.h>

/* A terminal that knows escape sequences; TERM=dumb is what says that it does not. */
bool mgpt_terminal_moves(int fd);
/* And shall have colors: https://no-color.org, NO_COLOR set and not empty means none. */
bool mgpt_terminal_colors(int fd);

#endif
