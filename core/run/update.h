/* Stage UPDATE as the core runs it: the optimizer's rule over the parameters, and what the
 * optimizer wrote down for those that it updates as whole tensors. */
#ifndef MGPT_RUN_UPDATE_H
#define MGPT_RUN_UPDATE_H

#include "model/params.h"

/* One op or one rule of a step. */
struct mgpt_move {
    bool is_rule;
    union {
        struct mgpt_call call;
        struct mgpt_update update;
    };
};

/* Zero-initialise; moves point into it, so it stays where it was opened. close takes any state. */
struct mgpt_updater {
    struct mgpt_machine *machine;
    struct mgpt_tensor scratch;
    double scalars[2][MGPT_MAX_SCALARS]; /* of the step at hand */
    struct mgpt_move *moves;
    uint32_t n, capacity;
};

/* Bytes that the updates of whole tensors share; buffers of the spec may be NULL. */
uint64_t mgpt_updater_scratch(const struct mgpt_step_spec *spec);
/* Floating-point operations of the products in the updates of whole tensors, as the optimizer
 * writes them down, a step; buffers of the spec may be NULL. Rules are not counted: they take as
 * long as memory does. */
double mgpt_updater_flops(const struct mgpt_step_spec *spec);
/* Everything that the machine and the spec point to lives as long. */
enum mgpt_status mgpt_updater_open(struct mgpt_updater *updater, struct mgpt_machine *machine,
                                   const struct mgpt_step_spec *spec, struct mgpt_error *error);
/* MGPT_OK when the device itself has every op that the optimizer writes down; else
 * MGPT_UNSUPPORTED, naming one. */
enum mgpt_status mgpt_updater_resident(struct mgpt_machine *machine,
                                       const struct mgpt_step_spec *spec, struct mgpt_error *error);
enum mgpt_status mgpt_updater_run(struct mgpt_updater *updater, const struct mgpt_step_input *input,
                                  struct mgpt_error *error);
void mgpt_updater_close(struct mgpt_updater *updater);

#endif
