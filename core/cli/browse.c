/* A file in the user's browser, by xdg-open, where there is a desktop. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/browse.h"

#define PATIENCE 2 /* seconds, after which a browser in the foreground has opened */

/* Has the process ended well, or not at all yet? Then it is the browser itself. */
static bool goes_well(pid_t child)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    int state = 0;

    for (int tries = PATIENCE * 50; tries--; nanosleep(&pause, NULL)) {
        pid_t ended = waitpid(child, &state, WNOHANG);
        if (ended)
            return ended == child && WIFEXITED(state) && WEXITSTATUS(state) == 0;
    }
    return true;
}

static bool open_page(const char *path)
{
    pid_t child = fork();

    if (child == 0) {
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(127);
        execlp("xdg-open", "xdg-open", path, (char *)NULL);
        _exit(127);
    }
    return child > 0 && goes_well(child);
}

void mgpt_browse(const char *path, bool print)
{
    bool desktop = isatty(STDOUT_FILENO) && (getenv("DISPLAY") || getenv("WAYLAND_DISPLAY"));

    if (print || !desktop || !open_page(path)) {
        puts(path);
        (void)fflush(stdout);
    }
}
