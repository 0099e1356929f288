/* Where everything of a step goes. Bytes of shared memory as in memory.cu: the program does not
 * compile when the two disagree. */
#include "micro.h"

#define FLOAT sizeof(float)
#define MOST_STAGED ((uint64_t)8 << 20) /* bytes of the data of steps */

const struct mgpt_cuda_native *micro_native(const struct mgpt_step_spec *spec)
{
    const struct mgpt_backend_api *api = spec->backend;

    return MGPT_HAS(api, query) && api->query ? api->query(spec->device, MGPT_CUDA_NATIVE) : NULL;
}

/* Floats of struct norm_rows. */
static uint64_t norm_rows(const struct mgpt_model *m, uint32_t rows)
{
    uint64_t affine = m->norm_gain || m->norm_bias ? rows : 1;

    return (rows + 2 * affine) * micro_pad(m->embd) + micro_pad(rows);
}

/* Floats of struct layer_rows. */
static uint64_t layer_rows(const struct mgpt_model *m, uint64_t T)
{
    uint32_t D = m->embd / m->heads, W = (m->heads + 2 * m->kv_heads) * D;
    uint64_t wide = micro_pad(W) + 4, C = micro_pad(m->embd), F = micro_pad(m->mlp);

    return 2 * norm_rows(m, (uint32_t)T) + T * (2 * wide + 3 * C + micro_pad(m->heads) + 2 * F);
}

/* Bytes of struct memory without parameters, gradients and state. */
static uint64_t activations(const struct mgpt_step_spec *spec, uint32_t threads)
{
    const struct mgpt_model *m = spec->model;
    uint32_t T = spec->columns, warps = threads / 32;
    uint64_t C = micro_pad(m->embd), H = micro_pad(m->heads), floats;

    floats = m->layers * layer_rows(m, T);
    floats += norm_rows(m, m->embed_norm ? T : 1) + norm_rows(m, m->final_norm ? T : 1);
    floats += 2 * T * C + T * micro_pad(m->vocab) + 2 * micro_pad(T); /* x, dx, logits, loss */
    floats += 2 * T * (C + 4 + H);                                    /* datt, delta */
    floats += warps * (2 * (uint64_t)micro_pad(T > 32 ? T : 32) + C); /* weights, row */
    return floats * FLOAT + (warps * sizeof(double) + 15) / 16 * 16 +
           2 * (micro_document_bytes(T) + 32 + 2 * MGPT_MAX_SCALARS * FLOAT);
}

static uint64_t elements(const struct mgpt_step_spec *spec)
{
    const struct mgpt_tensor *last = &spec->params[spec->n_params - 1].p;

    return last->offset / FLOAT + ((uint64_t)mgpt_tensor_count(last) + 15) / 16 * 16;
}

/* Parameters, gradients, state: in this order, as long as there is room. */
static void place(const struct mgpt_step_spec *spec, uint64_t most, struct micro_plan *plan)
{
    uint64_t one = (uint64_t)plan->elements * FLOAT, none = 4 * FLOAT;
    bool alone = plan->documents == 1;
    uint32_t n_state = alone && plan->updates ? spec->n_state : 0;
    uint64_t room, used = 0;

    if (plan->activations + 3 * none > most)
        return;
    room = most - plan->activations - 3 * none;
    plan->p_here = one <= room;
    used += plan->p_here ? one : 0;
    plan->g_here = alone && plan->p_here && used + one <= room;
    used += plan->g_here ? one : 0;
    while (plan->g_here && plan->s_here < n_state && used + one <= room) {
        plan->s_here++;
        used += one;
    }
    plan->shared = plan->activations + used + (plan->p_here ? 0 : none) +
                   (plan->g_here ? 0 : none) + (plan->s_here ? 0 : none);
}

/* What a step holds of the device's memory: plugin.c lays it out. */
static void count_global(const struct mgpt_step_spec *spec, struct micro_plan *plan)
{
    uint64_t step = micro_step_bytes(spec, plan->documents), n = MOST_STAGED / step;

    plan->capacity = n < 1 ? 1 : n > MGPT_STEP_RING ? MGPT_STEP_RING : (uint32_t)n;
    plan->global = plan->capacity * step + MGPT_STEP_RING * sizeof(struct mgpt_step_result);
    if (plan->documents > 1)
        plan->global += (uint64_t)plan->shares * (uint64_t)plan->elements * FLOAT +
                        (plan->documents + plan->slices) * sizeof(double);
}

void micro_plan_make(const struct mgpt_step_spec *spec, uint32_t threads, uint64_t most,
                     struct micro_plan *plan)
{
    uint32_t slice = threads * MICRO_SLICE;

    *plan = (struct micro_plan){.threads = threads,
                                .documents = spec->rows * spec->micro_batches,
                                .elements = (int)elements(spec),
                                .updates = !spec->places};
    plan->per_share = (plan->documents + MICRO_MOST_SHARES - 1) / MICRO_MOST_SHARES;
    plan->shares = (plan->documents + plan->per_share - 1) / plan->per_share;
    plan->slices = ((uint32_t)plan->elements + slice - 1) / slice;
    plan->activations = activations(spec, threads);
    place(spec, most, plan);
    count_global(spec, plan);
}
