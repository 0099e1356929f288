/* Work that may crash or hang, in a process of its own. */
#include <config.h>

#include "base/apart.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

/* What the child writes, whole, when it has an answer. */
struct answer {
    struct mgpt_error error;
};

static _Noreturn void run_child(int pipe,
                                enum mgpt_status (*work)(void *context, struct mgpt_error *error),
                                void *context)
{
    const struct rlimit none = {0, 0};
    struct answer answer = {{MGPT_OK, ""}};
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere >= 0)
        (void)dup2(nowhere, STDOUT_FILENO);
    (void)setrlimit(RLIMIT_CORE, &none);
    enum mgpt_status status = work(context, &answer.error);
    answer.error.status = status;
    const char *at = (const char *)&answer;
    for (size_t left = sizeof answer; left;) {
        ssize_t n = write(pipe, at, left);
        if (n < 0 && errno != EINTR)
            _exit(1);
        if (n > 0) {
            at += n;
            left -= (size_t)n;
        }
    }
    _exit(0);
}

/* Reads a whole answer; false at the end of the pipe or of the time, which *late tells apart. */
static bool read_answer(int pipe, struct answer *answer, double seconds, bool *late)
{
    const double end = mgpt_seconds() + seconds;
    size_t done = 0;
    *late = false;
    while (done < sizeof *answer) {
        struct pollfd ready = {.fd = pipe, .events = POLLIN};
        double left = end - mgpt_seconds();
        int n = left > 0 ? poll(&ready, 1, (int)(left * 1000) + 1) : 0;
        if (n == 0) {
            *late = true;
            return false;
        }
        ssize_t got = n < 0 ? -1 : read(pipe, (char *)answer + done, sizeof *answer - done);
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        done += got > 0 ? (size_t)got : 0;
    }
    return true;
}

static enum mgpt_status fail_dead(int ended, struct mgpt_error *error)
{
    if (WIFSIGNALED(ended))
        return mgpt_fail(error, MGPT_PLUGIN, "crashed (signal %d, %s)", WTERMSIG(ended),
                         strsignal(WTERMSIG(ended)));
    return mgpt_fail(error, MGPT_PLUGIN, "ended the program, with exit code %d",
                     WEXITSTATUS(ended));
}

enum mgpt_status mgpt_apart(enum mgpt_status (*work)(void *context, struct mgpt_error *error),
                            void *context, double seconds, struct mgpt_error *error)
{
    struct answer answer;
    int ends[2], ended = 0;
    bool late;
    if (pipe2(ends, O_CLOEXEC))
        return mgpt_fail(error, MGPT_INTERNAL, "cannot make a pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child == 0)
        run_child(ends[1], work, context);
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        return mgpt_fail(error, MGPT_INTERNAL, "cannot fork: %s", strerror(errno));
    }
    bool whole = read_answer(ends[0], &answer, seconds, &late);
    close(ends[0]);
    if (!whole && late)
        (void)kill(child, SIGKILL);
    while (waitpid(child, &ended, 0) < 0 && errno == EINTR)
        ;
    if (!whole)
        return late ? mgpt_fail(error, MGPT_PLUGIN, "hung: no answer in %g s", seconds)
                    : fail_dead(ended, error);
    answer.error.text[sizeof answer.error.text - 1] = '\0';
    return answer.error.status == MGPT_OK
               ? MGPT_OK
               : mgpt_fail(error, answer.error.status, "%s", answer.error.text);
}
