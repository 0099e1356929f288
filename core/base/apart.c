/* Work that may crash or hang, in a process of its own. */
#include <config.h>

#include "base/apart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/child.h"

struct work {
    enum mgpt_status (*run)(void *context, struct mgpt_error *error);
    void *context;
};

/* The answer is the status as a number, then the text. */
static void answer(void *context, int report)
{
    const struct work *work = context;
    struct mgpt_error error = {MGPT_OK, ""};
    enum mgpt_status status = work->run(work->context, &error);

    (void)dprintf(report, "%d %.*s", (int)status, (int)sizeof error.text - 1, error.text);
}

static enum mgpt_status read_answer(const struct mgpt_child *child, double seconds,
                                    struct mgpt_error *error)
{
    char *text;

    if (child->said.size) {
        long status = strtol(child->said.data, &text, 10);
        return status == MGPT_OK ? MGPT_OK
                                 : mgpt_fail(error, (enum mgpt_status)status, "%s", text + 1);
    }
    if (child->timed_out)
        return mgpt_fail(error, MGPT_PLUGIN, "hung: no answer in %g s", seconds);
    if (child->signal)
        return mgpt_fail(error, MGPT_PLUGIN, "crashed (signal %d, %s)", child->signal,
                         strsignal(child->signal));
    return mgpt_fail(error, MGPT_PLUGIN, "ended the program, with exit code %d", child->exited);
}

enum mgpt_status mgpt_apart(enum mgpt_status (*work)(void *context, struct mgpt_error *error),
                            void *context, double seconds, struct mgpt_error *error)
{
    struct mgpt_child child = {0};
    struct work mine = {work, context};
    enum mgpt_status status = mgpt_child_run(&child, seconds, answer, &mine, error);

    if (status == MGPT_OK)
        status = read_answer(&child, seconds, error);
    if (child.output.size)
        (void)fwrite(child.output.data, 1, child.output.size, stderr);
    mgpt_child_finish(&child);
    return status;
}
