/* Stopping on request. */
#include <config.h>

#include "base/stop.h"

#include <signal.h>
#include <string.h>

static volatile sig_atomic_t stop_signal;

static void on_signal(int number)
{
    if (stop_signal) {
        /* Blocked while we are here, so it strikes when this function returns. */
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    stop_signal = number;
}

/* Even where the parent had SIGINT ignored, as shells do for `microgpt train &` in a script:
 * whoever sends a signal to a training run wants it saved and stopped. SA_RESTART, so that no read
 * or write fails because of a signal that is answered later. */
void mgpt_stop_install(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action, before;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    stop_signal = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sigaction(numbers[i], &action, &before);
        if (numbers[i] == SIGHUP && before.sa_handler == SIG_IGN)
            signal(SIGHUP, SIG_IGN); /* nohup */
    }
}

int mgpt_stop_requested(void)
{
    return stop_signal != 0;
}

int mgpt_stop_signal(void)
{
    return stop_signal;
}
