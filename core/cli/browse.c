/* A file in the user's browser, by xdg-open, where there is a desktop. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/browse.h"

static bool open_page(const char *path)
{
    int state = -1;
    pid_t child = fork();

    if (child == 0) {
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(127);
        execlp("xdg-open", "xdg-open", path, (char *)NULL);
        _exit(127);
    }
    return child > 0 && waitpid(child, &state, 0) == child && WIFEXITED(state) &&
           WEXITSTATUS(state) == 0;
}

void mgpt_browse(const char *path, bool print)
{
    bool desktop = isatty(STDOUT_FILENO) && (getenv("DISPLAY") || getenv("WAYLAND_DISPLAY"));

    if (print || !desktop || !open_page(path)) {
        puts(path);
        (void)fflush(stdout);
    }
}
