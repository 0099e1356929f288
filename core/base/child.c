/* A function in a process of its own. */
#include <config.h>

#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define MOST_SAID 65536
#define MOST_OUTPUT 2048

/* The child: a group of its own, no core dump, dies with its parent, reads and prints nothing. */
static _Noreturn void play(void (*body)(void *context, int report), void *context,
                           const int pipes[4])
{
    struct rlimit none = {0, 0};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setrlimit(RLIMIT_CORE, &none);
    for (int i = 1; i < NSIG; i++)
        (void)signal(i, SIG_DFL);
    if (null >= 0) {
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
    }
    (void)dup2(pipes[3], STDERR_FILENO);
    close(pipes[0]);
    close(pipes[2]);
    body(context, pipes[1]);
    _exit(0);
}

/* Reads what is there; false at the end of the pipe. */
static bool drain(int fd, struct mgpt_string *to, size_t most, bool keep_end)
{
    char bytes[4096];
    ssize_t n = read(fd, bytes, sizeof bytes);

    if (n < 0)
        return errno == EINTR;
    for (ssize_t i = 0; i < n; i++)
        if (bytes[i] == '\0')
            bytes[i] = ' ';
    if (to->size + (size_t)n <= most || keep_end)
        mgpt_string_add(to, bytes, (size_t)n);
    if (keep_end && to->size > 2 * most) {
        memmove(to->data, to->data + to->size - most, most + 1);
        to->size = most;
    }
    return n > 0;
}

static bool has_ended(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

/* Until both pipes are closed, or time is up; or the child has ended and all is read: what it
 * started and left behind may hold the pipes. */
static void listen_to(struct mgpt_child *child, pid_t pid, const int fds[2], double until)
{
    enum { PATIENCE = 50 }; /* ms, until the child is looked at */
    struct pollfd ends[2] = {{fds[0], POLLIN, 0}, {fds[1], POLLIN, 0}};

    while (ends[0].fd >= 0 || ends[1].fd >= 0) {
        double left = until - mgpt_seconds();
        if (left <= 0) {
            child->timed_out = !has_ended(pid);
            return;
        }
        bool ended = has_ended(pid);
        int ready = poll(ends, 2,
                         ended                    ? 0
                         : left * 1000 < PATIENCE ? (int)(left * 1000) + 1
                                                  : PATIENCE);
        if (ready == 0 && ended)
            return;
        if (ready <= 0)
            continue;
        for (int i = 0; i < 2; i++)
            if (ends[i].fd >= 0 && ends[i].revents &&
                !drain(ends[i].fd, i ? &child->output : &child->said, i ? MOST_OUTPUT : MOST_SAID,
                       i == 1))
                ends[i].fd = -1;
    }
}

/* Ends it, should it still be there, with all that it started. */
static void reap(struct mgpt_child *child, pid_t pid, double until)
{
    int state = 0;
    pid_t ended;

    while (!child->timed_out && (ended = waitpid(pid, &state, WNOHANG)) == 0) {
        struct timespec pause = {0, 2000000};
        child->timed_out = mgpt_seconds() > until; /* it closed its pipes, and goes on */
        (void)nanosleep(&pause, NULL);
    }
    (void)kill(-pid, SIGKILL);
    (void)kill(pid, SIGKILL);
    if (child->timed_out)
        while (waitpid(pid, &state, 0) < 0 && errno == EINTR)
            ;
    if (!child->timed_out && WIFSIGNALED(state))
        child->signal = WTERMSIG(state);
    if (!child->timed_out && WIFEXITED(state))
        child->exited = WEXITSTATUS(state);
}

enum mgpt_status mgpt_child_run(struct mgpt_child *child, double seconds,
                                void (*body)(void *context, int report), void *context,
                                struct mgpt_error *error)
{
    int pipes[4]; /* report: read, write; stderr: read, write */
    double begun = mgpt_seconds();

    if (pipe2(pipes, O_CLOEXEC) != 0)
        return mgpt_fail(error, MGPT_INTERNAL, "cannot make a pipe: %s", strerror(errno));
    if (pipe2(pipes + 2, O_CLOEXEC) != 0) {
        close(pipes[0]);
        close(pipes[1]);
        return mgpt_fail(error, MGPT_INTERNAL, "cannot make a pipe: %s", strerror(errno));
    }
    (void)fflush(NULL); /* or the child would print it again */
    pid_t pid = fork();
    if (pid == 0)
        play(body, context, pipes);
    close(pipes[1]);
    close(pipes[3]);
    if (pid > 0) {
        (void)setpgid(pid, pid);
        listen_to(child, pid, (const int[]){pipes[0], pipes[2]}, begun + seconds);
        reap(child, pid, begun + seconds);
    }
    close(pipes[0]);
    close(pipes[2]);
    child->seconds = mgpt_seconds() - begun;
    return pid > 0 ? MGPT_OK
                   : mgpt_fail(error, MGPT_INTERNAL, "cannot make a process: %s", strerror(errno));
}

void mgpt_child_finish(struct mgpt_child *child)
{
    mgpt_string_finish(&child->said);
    mgpt_string_finish(&child->output);
}
