/* The parameters of a model: a table of names, shapes, how they start and whether they decay. */
#ifndef MGPT_MODEL_PARAMS_H
#define MGPT_MODEL_PARAMS_H

#include <microgpt/model.h>
#include <microgpt/step.h>

#include "base/rng.h"
#include "model/machine.h"

/* How a tensor starts. */
enum mgpt_start { MGPT_START_GAUSS, MGPT_START_UNIFORM, MGPT_START_CONSTANT };
struct mgpt_start_value {
    enum mgpt_start how;
    double value; /* standard deviation, bound, or the constant itself */
};

/* Zero-initialise. p, g and each state lie in one buffer; see struct mgpt_step_spec. */
struct mgpt_params {
    uint32_t n, n_state;
    struct mgpt_param *items;       /* in the order in which they are drawn */
    struct mgpt_start_value *start; /* of each */
    struct mgpt_place *places;      /* of each */
    uint32_t *keeps;                /* of each: set of 1u << k, the arrays of state that it keeps */
    uint64_t count;                 /* parameters, without the gaps */
    int64_t elements;               /* of a whole buffer, gaps included */
    uint32_t dtype;
    struct mgpt_tensor p, g, state[MGPT_MAX_STATE]; /* the whole buffers, rank 1; a state that no
                                                       parameter keeps has rank 0 */
    struct mgpt_machine *machine;                   /* of the buffers; NULL before alloc */
};

/* Builds the table: names, shapes, offsets; `decay_matrices` = only tensors of two or more
 * dimensions decay. */
enum mgpt_status mgpt_params_init(struct mgpt_params *params, const struct mgpt_model *model,
                                  uint32_t dtype, bool decay_matrices, struct mgpt_error *error);
/* Does the optimizer update parameter i as a whole tensor? Then what that takes is in *needs. */
bool mgpt_optimizer_takes(const struct mgpt_optimizer_api *api,
                          const struct mgpt_optimizer *optimizer, const struct mgpt_param *param,
                          const struct mgpt_place *place, struct mgpt_needs *needs);
/* Asks it for every parameter which arrays of state to keep; without that all are kept. */
void mgpt_params_ask(struct mgpt_params *params, const struct mgpt_optimizer_api *api,
                     const struct mgpt_optimizer *optimizer);
/* Buffers on the machine: p, and for training g and n_state arrays, all zero. */
enum mgpt_status mgpt_params_alloc(struct mgpt_params *params, struct mgpt_machine *machine,
                                   bool training, uint32_t n_state, struct mgpt_error *error);
/* Draws the initial values in table order. */
enum mgpt_status mgpt_params_draw(struct mgpt_params *params, struct mgpt_rng *rng,
                                  struct mgpt_error *error);
void mgpt_params_finish(struct mgpt_params *params);

#endif
