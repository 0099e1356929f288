/* Kind "step/1": a whole training step, or part of it, as one program. Modules bid; the highest bid
 * runs, or the one that [step] use names. The core runs the stages that the winner does not cover,
 * op by op.
 *
 * Stages: FORWARD and BACKWARD once a micro-batch; then once a step REDUCE (ranks; the core's
 * alone), CLIP, UPDATE, SCALER. Gradients are summed over micro-batches, carry the loss scale, and
 * are never rewritten. CLIP always runs and only writes struct mgpt_step_state; UPDATE uses g *
 * grad_scale and does nothing when nonfinite. */
#ifndef MICROGPT_STEP_H
#define MICROGPT_STEP_H

#include <microgpt/backend.h>
#include <microgpt/dataset.h>
#include <microgpt/optimizer.h>
#include <microgpt/precision.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a component of this kind states. */
#define MGPT_KIND_STEP "step/1"

/* The stages that a module does, from the first on. */
enum mgpt_covers {
    MGPT_COVERS_FB = 1,   /* FORWARD, BACKWARD: zeroes the gradients first */
    MGPT_COVERS_FBC = 2,  /* and CLIP */
    MGPT_COVERS_FBCU = 3, /* and UPDATE */
    MGPT_COVERS_FBCUS = 4 /* and SCALER: everything */
};

/* [backend] fallback: what happens when the device lacks an op, and the host cannot see its memory.
 */
enum mgpt_fallback { MGPT_FALLBACK_WARN = 0, MGPT_FALLBACK_ERROR = 1, MGPT_FALLBACK_SILENT = 2 };

struct mgpt_step; /* an open step program; the module's own */

/* One parameter tensor. An array of state that it does not keep has rank 0 (see optimizer_instance
 * below). Frozen. */
struct mgpt_param {
    const char *name;                         /* "h.0.attn.qkv.weight" */
    struct mgpt_tensor p, g;                  /* itself, its gradient */
    struct mgpt_tensor state[MGPT_MAX_STATE]; /* the optimizer's */
    uint32_t decays;                          /* its group: 1 when weight decay applies */
    uint32_t n_state;                         /* arrays of the rule */
};

/* What a step is to compute and on what; everything lives as long as the step. Grows at the tail.
 * p, g and state of all parameters lie in one buffer each, in the order of `params`; every tensor
 * starts at a multiple of 64 bytes and the gaps stay zero. */
struct mgpt_step_spec {
    uint32_t size;
    uint32_t rows, columns;     /* of a micro-batch, at most */
    uint32_t micro_batches;     /* a step */
    uint32_t ranks, rank;       /* 1, 0 */
    uint32_t n_params, n_state; /* entries of params; arrays of state */
    uint32_t fallback;          /* enum mgpt_fallback */
    uint32_t reserved;
    uint64_t seed;                                  /* of the draws inside steps */
    double clip;                                    /* largest gradient norm; 0: none */
    const struct mgpt_host *host;                   /* services */
    const struct mgpt_backend_api *backend;         /* of the device */
    struct mgpt_device *device;                     /* open */
    const struct mgpt_caps *caps;                   /* what it can */
    const struct mgpt_model *model;                 /* the shape of the model */
    const struct mgpt_precision_plan *precision;    /* the formats */
    const struct mgpt_optimizer_api *optimizer;     /* the rule */
    const struct mgpt_param *params;                /* n_params of them */
    struct mgpt_tensor p, g, state[MGPT_MAX_STATE]; /* the whole buffers, rank 1 */
    struct mgpt_tensor step_state;                  /* struct mgpt_step_state, U8 */
    /* With an optimizer that takes parameters as whole tensors, else NULL (ABI 1.1). state[k] then
     * has only the parameters that keep it, and its offsets are not those of p. A module that does
     * not run what `record` writes down covers FBC at most. */
    const struct mgpt_optimizer *optimizer_instance;
    const struct mgpt_place *places; /* of each parameter */
};

/* Grows at the tail. */
struct mgpt_bid {
    uint32_t size;
    int32_t score;   /* 0: cannot; the composed step of the core bids 1 */
    uint32_t covers; /* enum mgpt_covers; with ranks > 1 only FB */
    uint32_t reserved;
    char reason[240]; /* one line, either way */
    /* What an open step will hold besides the buffers of the spec: activations and the like; 0: it
     * does not say (ABI 1.1). */
    uint64_t bytes;
};

/* One step to do. Frozen. */
struct mgpt_step_input {
    uint64_t step;                    /* steps completed before */
    uint64_t targets;                 /* of the whole step */
    const struct mgpt_batch *batches; /* micro_batches of them; copied before `run` returns */
    /* Scalars of the rule for the group that does not decay, and the one that does. */
    double scalars[2][MGPT_MAX_SCALARS];
};

/* What a step did. Frozen. */
struct mgpt_step_result {
    uint64_t step;          /* as in its input */
    double loss, grad_norm; /* of struct mgpt_step_state, after it */
    double loss_scale;      /* after SCALER: of the next step */
    uint32_t skipped;       /* 1: nonfinite, nothing was updated */
    uint32_t reserved;
};

/* Grows at the tail. */
struct mgpt_step_api {
    uint32_t size, reserved;
    /* Pure: looks at the spec, opens nothing. Fills *bid. The buffers of the spec may be NULL.
     * [any] */
    void (*bid)(const struct mgpt_step_spec *spec, struct mgpt_bid *bid);
    enum mgpt_status (*open)(const struct mgpt_host *host, const struct mgpt_config *config,
                             const struct mgpt_step_spec *spec, struct mgpt_step **step,
                             struct mgpt_error *error); /* [main] */
    void (*close)(struct mgpt_step *step);              /* [main] */
    /* Enqueues n steps in order, n <= MGPT_STEP_RING. Each begins as those of the core do: step,
     * inv_targets (1 / targets) and loss (0) are written into the step state. A module that covers
     * less than FBCUS gets n = 1 and the core fences, or, where all is on one device in order, goes
     * on with its own ops. [step] */
    enum mgpt_status (*run)(struct mgpt_step *step, const struct mgpt_step_input *inputs,
                            uint32_t n, struct mgpt_error *error);
    /* Blocks; idempotent; returns asynchronous errors. After it parameters, state and step state
     * are canonical, gradients undefined. Writes the results of the steps since the last fence, in
     * order, to results[0..*n), at most MGPT_STEP_RING; a module that covers less than FBCUS writes
     * none. [step] */
    enum mgpt_status (*fence)(struct mgpt_step *step, struct mgpt_step_result *results, uint32_t *n,
                              struct mgpt_error *error);
    /* The core wrote canonical memory (resume, its own UPDATE): drop private and packed copies.
     * [step] */
    enum mgpt_status (*adopt)(struct mgpt_step *step, struct mgpt_error *error);
};

#define MGPT_STEP_RING 64 /* steps between two fences, at most */

/* Extension "microgpt.composed/1" of the host (`query` of struct mgpt_host, ABI 1.1): the core's
 * own step, op by op, for a module that has it run in a way of its own. Such a module opens it with
 * a copy of its spec, in which `backend` and `device` may be the module's: a table that hands calls
 * on to the device and sees them all. Within a step they come in this order: an upload to the step
 * state (the three fields that the core writes); ops; for each micro-batch uploads of its ids and
 * of its targets, from the arrays of the input, then ops; CLIP; ops and updates; a download of the
 * step state. `map` may be NULL. */
#define MGPT_COMPOSED "microgpt.composed/1"

/* What that is. Grows at the tail. */
struct mgpt_composed {
    uint32_t size, reserved;
    const struct mgpt_step_api *api; /* `config` of open may be NULL; covers FBCUS */
    /* MGPT_OK when the device of the spec runs every op of a step itself; else MGPT_UNSUPPORTED,
     * and which it does not. (Rules are for `update` of the backend to refuse.) *bytes: what the
     * open step holds besides the buffers of the spec, copies that the device keeps of its weights
     * among it. Opens nothing; those buffers may be NULL. [any] */
    enum mgpt_status (*resident)(const struct mgpt_step_spec *spec, uint64_t *bytes,
                                 struct mgpt_error *error);
};

#ifdef __cplusplus
}
#endif
#endif
