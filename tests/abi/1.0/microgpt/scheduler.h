/* Kind "scheduler/1": the learning rate, a pure function of the step; so a resumed run needs no
 * state. */
#ifndef MICROGPT_SCHEDULER_H
#define MICROGPT_SCHEDULER_H

#include <microgpt/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MGPT_KIND_SCHEDULER "scheduler/1"

struct mgpt_scheduler; /* the module's own */

/* Grows at the tail. */
struct mgpt_scheduler_api {
    uint32_t size, reserved;
    enum mgpt_status (*create)(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_scheduler **scheduler,
                               struct mgpt_error *error); /* [main] */
    void (*destroy)(struct mgpt_scheduler *scheduler);    /* [main] */
    /* Of step 0 <= step < total, for the base rate [train] lr > 0: finite, >= 0. Pure. [any] */
    double (*lr)(const struct mgpt_scheduler *scheduler, uint64_t step, uint64_t total,
                 double base);
};

#ifdef __cplusplus
}
#endif
#endif
