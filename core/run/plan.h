/* The plan of a run: what it will hold in memory and how much it will compute, known before
 * anything is allocated on the device. */
#ifndef MGPT_RUN_PLAN_H
#define MGPT_RUN_PLAN_H

#include "run/step.h"

/* Bytes, as they will be allocated. */
struct mgpt_plan {
    uint64_t parameters;        /* how many, without the gaps between tensors */
    uint64_t params, gradients; /* of one copy each */
    uint64_t state;             /* of the optimizer, and what it works in */
    uint64_t copies;            /* of weights, for products; a module's are among activations */
    uint64_t activations;       /* of training: of a micro-batch, or what the step module says */
    uint64_t validation;        /* activations of validation and of generation */
    uint64_t batches;           /* ids and targets of the steps that are prepared together */
    uint64_t spare;             /* of the above, what a device keeps only where there is memory */
    uint64_t total;             /* sum of the above; saturates at UINT64_MAX */
    uint64_t available;         /* of the device; 0: not known */
    uint64_t tokens;            /* a step, at most */
    double flops;               /* a step, at most; mgpt_step_flops */
    double update_flops;        /* of the products in a step's update */
};

/* Floating-point operations of forward and backward over `sequences` of `time` tokens each:
 *
 *   sequences * time * (6 N + 6 L H D (time + 1)),   N = weights of all linear layers and the head
 *
 * Two for each weight and token forward, four backward (Kaplan et al. 2020, section 2.1).
 * Attention: q k^T and weights times v are 2 H D each for each pair of positions, twice that
 * backward; PaLM
 * (Chowdhery et al. 2022, appendix B) counts all `time` positions of the past, 12 L H D time; here
 * a token meets only the (time + 1) / 2 on average that it may see. Look-ups, norms and activations
 * are not counted, nor the update, nor what a step recomputes. [any] */
double mgpt_step_flops(const struct mgpt_model *model, uint64_t sequences, uint64_t time);
/* Those of one op: products and attention, 2 for a multiply-add; of others 0. [any] */
double mgpt_op_flops(const struct mgpt_op *op);

/* Bytes of the copies of weights that the device keeps for the products of the plan's format: of
 * the whole buffer of parameters, or none. [any] */
uint64_t mgpt_plan_copies(const struct mgpt_step_spec *spec);

/* Would a pass count more bytes than 64 bits can say? Each token keeps at least one row of C and F
 * a layer, and at most some twenty. [any] */
bool mgpt_plan_is_absurd(const struct mgpt_step_spec *spec);

/* Plans the run of a step: `spec` with its table of parameters, whose buffers need not be there.
 * `composed`: op by op, by the core; a module that does it all has memory of its own. [main] */
enum mgpt_status mgpt_plan_make(struct mgpt_plan *plan, const struct mgpt_step_spec *spec,
                                bool composed, struct mgpt_error *error);

/* The same for a step that was chosen: what its module says that it takes counts as activations.
 * [main] */
enum mgpt_status mgpt_plan_for(struct mgpt_plan *plan, const struct mgpt_stepper *stepper,
                               struct mgpt_error *error);
/* MGPT_CONFIG with what to shrink when it needs more memory than there is. [any] */
enum mgpt_status mgpt_plan_check(const struct mgpt_plan *plan, const struct mgpt_step_spec *spec,
                                 struct mgpt_error *error);

/* Says it in messages of level INFO, with the time of `steps` steps as a short probe of the device
 * makes it: its products of one mlp matrix, as if all the rest ran at their pace. What the run
 * itself turns out to take is told later. [main] */
void mgpt_plan_say(const struct mgpt_plan *plan, const struct mgpt_step_spec *spec, uint64_t steps);

/* All of it before a run but for the words: who would run the step ([step] use), the plan, the
 * check. */
enum mgpt_status mgpt_plan_run(const struct mgpt_step_spec *spec, struct mgpt_registry *registry,
                               const char *use, struct mgpt_plan *plan, struct mgpt_error *error);

/* Appends "under a second", "3.2 s", "12 min", "4.5 h" or "3.1 days"; "1.5 GB", of 10^9 units. */
void mgpt_add_duration(struct mgpt_string *out, double seconds);
void mgpt_add_amount(struct mgpt_string *out, double value, const char *unit);

#endif
