/* Pages for people: shown by the desktop's browser where there is one. */
#ifndef MGPT_CLI_BROWSE_H
#define MGPT_CLI_BROWSE_H

#include <stdbool.h>

/* Opens the file in the user's browser; prints its path where that cannot be, where standard output
 * is no terminal, or where the path was asked for. */
void mgpt_browse(const char *path, bool print);

#endif
