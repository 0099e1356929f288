/* A rig for step modules: a small model with its optimizer, and the inputs of a few steps. */
#ifndef MGPT_CHECK_STEP_RIG_H
#define MGPT_CHECK_STEP_RIG_H

#include <microgpt/step.h>

#include "check/check.h"
#include "check/net.h"

#define RIG_STEPS 6
#define RIG_LONG 20 /* steps there are inputs for */
#define RIG_MICRO 2 /* micro-batches a step, at most */

/* What a rig trains with; rows of a micro-batch get fewer by one from each to the next. */
struct mgpt_rig_setup {
    const char *optimizer;
    uint32_t rows, micro;
    double clip;
    const struct mgpt_optimizer_api
        *stranger; /* a rule of the test's own, in place of it; or NULL */
};

struct mgpt_step_rig {
    struct mgpt_registry *registry;
    struct mgpt_check_net net;
    struct mgpt_optimizer *optimizer; /* of one that takes whole tensors, with its defaults */
    struct mgpt_step_spec spec;
    struct mgpt_step_input inputs[RIG_LONG];
    struct mgpt_batch batches[RIG_LONG][RIG_MICRO];
};

/* The same every time: model, draws, batches. Optimizer adamw with lr 1e-2 and decay on matrices.
 */
void mgpt_step_rig_open(struct mgpt_step_rig *rig, const char *backend,
                        const struct mgpt_model *model, uint32_t dtype);
/* The same with another optimizer (adamw, sgd, or one that takes whole tensors), other batches. */
void mgpt_step_rig_open_as(struct mgpt_step_rig *rig, const char *backend,
                           const struct mgpt_model *model, uint32_t dtype,
                           const struct mgpt_rig_setup *setup);
/* The same on a table of the caller's, with its settings. */
void mgpt_step_rig_open_on(struct mgpt_step_rig *rig, const struct mgpt_backend_api *api,
                           const struct mgpt_config *config, const struct mgpt_model *model,
                           uint32_t dtype, const struct mgpt_rig_setup *setup);
void mgpt_step_rig_close(struct mgpt_step_rig *rig);

/* Copies of all parameters and state as doubles (malloc); *n of them. */
double *mgpt_step_rig_values(struct mgpt_step_rig *rig, size_t *n);
struct mgpt_step_state mgpt_step_rig_state(struct mgpt_step_rig *rig);

#endif
