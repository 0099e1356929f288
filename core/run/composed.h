/* The composed step: the core's own, op by op; any model, any device, any optimizer. It bids 1. */
#ifndef MGPT_RUN_COMPOSED_H
#define MGPT_RUN_COMPOSED_H

#include "model/tape.h"

#include "model/machine.h"

extern const struct mgpt_component mgpt_composed;
/* What modules find as MGPT_COMPOSED. */
extern const struct mgpt_composed mgpt_composed_service;

/* The model of a spec on a machine, which need not be open yet. [any] */
struct mgpt_net mgpt_composed_net(const struct mgpt_step_spec *spec, struct mgpt_machine *machine);

/* One that only does stages after BACKWARD, so it needs no activations. [main] */
enum mgpt_status mgpt_composed_open_rest(const struct mgpt_step_spec *spec, struct mgpt_step **step,
                                         struct mgpt_error *error);
/* The stages after `covers`, for a step whose earlier stages a module ran on the same device. */
enum mgpt_status mgpt_composed_rest(struct mgpt_step *composed, const struct mgpt_step_input *input,
                                    enum mgpt_covers covers, struct mgpt_error *error);

/* Plans on `machine`, whose tally counts, what the core does in a step whose stages up to `covers`
 * (0: none) are a module's. Nothing runs; the buffers of the spec serve only to tell whether the
 * host sees them. *rules: of how many parts the update by the optimizer's rule is. [main] */
enum mgpt_status mgpt_composed_count(const struct mgpt_step_spec *spec, uint32_t covers,
                                     const struct mgpt_machine *machine, uint32_t *rules,
                                     struct mgpt_error *error);

#endif
