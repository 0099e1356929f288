/* The step of a run: the bids, the winner, and the stages that it leaves to the core. */
#ifndef MGPT_RUN_STEP_H
#define MGPT_RUN_STEP_H

#include <stdbool.h>

#include <microgpt/step.h>

#include "base/text.h"
#include "conf/conf.h"
#include "plugin/registry.h"

/* The components that the core itself brings. */
enum mgpt_status mgpt_builtin_register(struct mgpt_registry *registry, struct mgpt_error *error);

/* What a step module answered. */
struct mgpt_answer {
    char name[64];
    struct mgpt_bid bid; /* score 0 with the cause where it could not even be asked */
};

/* Asks every step module that can be found; *n answers (to be freed), in the order of the names. */
enum mgpt_status mgpt_step_ask_all(struct mgpt_registry *registry,
                                   const struct mgpt_step_spec *spec, struct mgpt_answer **answers,
                                   size_t *n, struct mgpt_error *error);
/* The highest of them, the first among equals; NULL where none bids. */
const struct mgpt_answer *mgpt_step_best(const struct mgpt_answer *answers, size_t n);

/* Zero-initialise. */
struct mgpt_stepper {
    const struct mgpt_step_api *api; /* of the winner */
    struct mgpt_step *step;
    struct mgpt_step
        *rest; /* a composed step for what the winner leaves; NULL when it covers all */
    struct mgpt_step_spec spec;
    enum mgpt_covers covers;
    uint64_t bytes; /* that the winner says it takes for itself */
    char name[64];
};

/* Asks every step module that [step] allows for a bid and opens the highest, or the one that `use`
 * names. */
enum mgpt_status mgpt_stepper_open(struct mgpt_stepper *stepper, struct mgpt_conf *conf,
                                   struct mgpt_registry *registry,
                                   const struct mgpt_step_spec *spec, struct mgpt_error *error);
/* The two halves of it: who would run the step (`use`: a name, or auto), without opening anything,
 * for which the buffers of the spec may be NULL; and its opening. */
enum mgpt_status mgpt_stepper_choose(struct mgpt_stepper *stepper, const char *use,
                                     struct mgpt_registry *registry,
                                     const struct mgpt_step_spec *spec, struct mgpt_error *error);
enum mgpt_status mgpt_stepper_start(struct mgpt_stepper *stepper, struct mgpt_conf *conf,
                                    struct mgpt_error *error);
/* Once chosen: do forward and backward run op by op, by the core? */
bool mgpt_stepper_composes(const struct mgpt_stepper *stepper);
void mgpt_stepper_close(struct mgpt_stepper *stepper);

/* Runs n steps, 1 <= n <= MGPT_STEP_RING, and fences: results[0..n), in order. */
enum mgpt_status mgpt_stepper_run(struct mgpt_stepper *stepper,
                                  const struct mgpt_step_input *inputs, uint32_t n,
                                  struct mgpt_step_result *results, struct mgpt_error *error);

#endif
