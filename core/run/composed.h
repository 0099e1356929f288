/* The composed step: the core's own, op by op; any model, any device, any optimizer. It bids 1. */
#ifndef MGPT_RUN_COMPOSED_H
#define MGPT_RUN_COMPOSED_H

#include <microgpt/step.h>

extern const struct mgpt_component mgpt_composed;

/* One that only does stages after BACKWARD, so it needs no activations. [main] */
enum mgpt_status mgpt_composed_open_rest(const struct mgpt_step_spec *spec, struct mgpt_step **step,
                                         struct mgpt_error *error);
/* The stages after `covers`, for a step whose earlier stages a module ran on the same device. */
enum mgpt_status mgpt_composed_rest(struct mgpt_step *composed, const struct mgpt_step_input *input,
                                    enum mgpt_covers covers, struct mgpt_error *error);

#endif
