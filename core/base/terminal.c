/* What the terminal behind a file descriptor can do. */
#include <config.h>

#include "base/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool mgpt_terminal_moves(int fd)
{
    const char *term = getenv("TERM");
    return term && *term && strcmp(term, "dumb") != 0 && isatty(fd) == 1;
}

bool mgpt_terminal_colors(int fd)
{
    const char *no_color = getenv("NO_COLOR");
    return !(no_color && *no_color) && mgpt_terminal_moves(fd);
}
