/* A training step of a larger model, a few sequences at a time: each chunk of sequences walks
 * through all layers and back before the next one starts, so what one op leaves is in cache when
 * the next reads it, and activations take the memory of a chunk, not of a batch.
 *
 * The kernels are those of backend cpu, each run on a device of one thread: a walker. Chunks are
 * cut into groups by the shape of the step alone. A group is a task: its gradients gather in a
 * buffer of the walker and are added to those of the step in the order of the groups. So no bit
 * depends on the number of threads. */
#ifndef MGPT_FUSED_WALK_H
#define MGPT_FUSED_WALK_H

#include <microgpt/step.h>

#include "backend/cpu/ops.h"

#define WALK_GROUPS 8 /* at most; more threads than groups have nothing to do */
#define WALK_ROWS 512 /* of a chunk: short sequences walk together */

/* Weight and bias of one thing, gain and bias of a norm; NULL where the model has none. */
struct walk_weight {
    const struct mgpt_param *weight, *bias;
};

/* The weights of a model: those that it has once, then WALK_PARTS for each layer. */
enum walk_once { WALK_WTE, WALK_WPE, WALK_LN_E, WALK_LN_F, WALK_HEAD, WALK_ONCE };
enum walk_part { WALK_LN_1, WALK_QKV, WALK_PROJ, WALK_LN_2, WALK_FC, WALK_OUT, WALK_PARTS };

/* The ops of a chunk of `batch` sequences (B) of `time` positions (T). Without `ops` it is only
 * measured. */
struct walk_tape {
    const struct mgpt_model *model;
    const struct walk_weight *weights; /* NULL: measure */
    struct mgpt_buffer *p, *g;         /* of parameters, of the gradients of a group */
    struct mgpt_buffer *state;         /* struct mgpt_step_state */
    struct mgpt_buffer *arena;         /* of the activations */
    uint64_t seed;                     /* of dropout */
    uint32_t activation; /* format of what products read and are kept for: F32 or BF16 */
    int64_t batch, time;
    uint64_t used, peak;             /* bytes of the arena */
    uint64_t layers_at, layer_bytes; /* where the activations of layers lie */
    struct mgpt_tensor ids, targets; /* (B,T) I32 */
    struct mgpt_op *ops;             /* room for as many as n was when measured */
    uint32_t n;
};

/* Writes down the ops for batch and time; sets n and peak. */
void walk_record(struct walk_tape *tape);

/* ---- the step ---- */

/* What one thread walks with. */
struct walker {
    struct mgpt_device device; /* of one thread */
    struct walk_tape tape;
    struct mgpt_buffer *arena_memory, *g_memory; /* of the backend */
    struct mgpt_buffer arena, g, state;
    struct mgpt_step_state own; /* of the step, the loss that of a group */
};

/* Sequences row .. row + rows of a micro-batch. */
struct chunk {
    const struct mgpt_batch *batch;
    uint32_t row, rows;
    int64_t first; /* sequences of the step before */
    int stoppable; /* in a later micro-batch, where the composed step gives up, too */
};

struct walk {
    struct mgpt_step_spec spec;
    const struct cpu_kernels *kernels;
    struct mgpt_device pool; /* whose threads take groups */
    struct walk_weight *weights;
    struct walker *walkers; /* a thread */
    int n_walkers;
    struct mgpt_buffer p, g;
    struct mgpt_step_state *state;
    struct chunk *chunks;
    int64_t n_chunks, n_groups;

    /* Of the groups of a step: how many were added, and what went wrong first. */
    pthread_mutex_t lock;
    pthread_cond_t turn;
    int64_t added;
    enum mgpt_status status;
    struct mgpt_error error;
};

/* Sequences of a chunk, where they have `columns` positions. */
static inline int64_t walk_chunk(int64_t columns)
{
    return columns < WALK_ROWS ? WALK_ROWS / columns : 1;
}

/* Threads that have something to do. */
uint32_t walk_threads(const struct mgpt_step_spec *spec);
/* Chunks of a full step. */
int64_t walk_chunks(const struct mgpt_step_spec *spec);
/* What an open step will hold. */
uint64_t walk_bytes(const struct mgpt_step_spec *spec);

/* After a failure, too, *walk is to be closed. */
enum mgpt_status walk_open(const struct mgpt_step_spec *spec, const struct cpu_kernels *kernels,
                           struct walk **walk, struct mgpt_error *error);
void walk_close(struct walk *walk);
/* FORWARD and BACKWARD. */
enum mgpt_status walk_run(struct walk *walk, const struct mgpt_step_input *input,
                          struct mgpt_error *error);

#endif
