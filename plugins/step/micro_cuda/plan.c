/* Where everything of a step goes. Bytes of shared memory as in memory.cu: the program does not
 * compile when the two disagree. */
#include "micro.h"

#define FLOAT sizeof(float)
#define HALF sizeof(uint16_t)
#define MOST_STAGED ((uint64_t)8 << 20) /* bytes of the data of steps */

const struct mgpt_cuda_native *micro_native(const struct mgpt_step_spec *spec)
{
    const struct mgpt_backend_api *api = spec->backend;

    return MGPT_HAS(api, query) && api->query ? api->query(spec->device, MGPT_CUDA_NATIVE) : NULL;
}

bool micro_format_of(const struct mgpt_precision_plan *plan, enum micro_format *format)
{
    *format = plan->activation == MGPT_BF16  ? MICRO_BF16
              : plan->activation == MGPT_F16 ? MICRO_F16
              : plan->tf32                   ? MICRO_TF32
                                             : MICRO_F32;
    return plan->master == MGPT_F32 && plan->product == plan->activation &&
           (micro_is_short(*format) || plan->activation == MGPT_F32);
}

/* Bytes of an array of n numbers. */
static uint64_t array(uint64_t n, uint64_t size)
{
    return (n * size + 15) / 16 * 16;
}

/* Bytes of struct norm_rows; size: of what it makes. */
static uint64_t norm_rows(const struct mgpt_model *m, uint32_t rows, uint64_t size)
{
    bool affine = m->norm_gain || m->norm_bias;
    uint64_t C = micro_pad(m->embd);

    return array(rows * C, FLOAT) + array((affine || size < FLOAT ? rows : 1) * C, size) +
           array((affine ? rows : 1) * C, size) + array(micro_pad(rows), FLOAT);
}

/* Bytes of struct layer_rows; size: of what is stored for the way back. */
static uint64_t layer_rows(const struct mgpt_model *m, uint64_t T, uint64_t size)
{
    uint32_t D = m->embd / m->heads, W = (m->heads + 2 * m->kv_heads) * D;
    uint64_t wide = micro_pad(W) + 4, C = micro_pad(m->embd), F = micro_pad(m->mlp);

    return 2 * norm_rows(m, (uint32_t)T, size) + 2 * array(T * wide, size) + /* qkv, dqkv */
           array(T * C, size) + 2 * array(T * micro_pad(m->heads), FLOAT) +  /* att, most, part */
           2 * array(T * F, size) + 2 * array(T * C, FLOAT); /* pre, hidden; dproj, dout */
}

/* Bytes of struct memory without parameters, gradients and state. */
static uint64_t activations(const struct mgpt_step_spec *spec, const struct micro_plan *plan)
{
    const struct mgpt_model *m = spec->model;
    uint32_t T = spec->columns, warps = plan->threads / 32;
    uint64_t C = micro_pad(m->embd), H = micro_pad(m->heads), floats;
    uint64_t size = micro_is_short(plan->format) ? HALF : FLOAT, bytes;

    bytes = m->layers * layer_rows(m, T, size) + norm_rows(m, m->embed_norm ? T : 1, FLOAT) +
            norm_rows(m, m->final_norm ? T : 1, size);
    floats = 2 * T * C + T * micro_pad(m->vocab) + 4 * micro_pad(T); /* x, dx, logits, above, sum */
    floats += 2 * T * H + warps * 2 * C;                             /* delta, rows */
    bytes += floats * FLOAT + array(2 * T * (C + 4), size);          /* datt */
    return bytes + array(warps, sizeof(double)) +
           2 * (micro_document_bytes(T) + 48 + 2 * MGPT_MAX_SCALARS * FLOAT);
}

static uint64_t elements(const struct mgpt_step_spec *spec)
{
    const struct mgpt_tensor *last = &spec->params[spec->n_params - 1].p;

    return last->offset / FLOAT + ((uint64_t)mgpt_tensor_count(last) + 15) / 16 * 16;
}

/* Rounded weights, parameters, gradients, state: in this order, as long as there is room. Blocks
 * that share the documents only read parameters: those have no use for both of the first two. */
static void place(const struct mgpt_step_spec *spec, uint64_t most, struct micro_plan *plan)
{
    uint64_t one = (uint64_t)plan->elements * FLOAT, none = 16;
    bool alone = plan->documents == 1;
    uint32_t n_state = alone && plan->updates ? spec->n_state : 0;
    uint64_t room, used = 0;

    if (plan->activations + 4 * none > most)
        return;
    room = most - plan->activations - 4 * none;
    plan->w_here = micro_is_short(plan->format) && one / 2 <= room;
    used += plan->w_here ? one / 2 : 0;
    plan->p_here = used + one <= room && (alone || !plan->w_here);
    used += plan->p_here ? one : 0;
    plan->g_here = alone && plan->p_here && used + one <= room;
    used += plan->g_here ? one : 0;
    while (plan->g_here && plan->s_here < n_state && used + one <= room) {
        plan->s_here++;
        used += one;
    }
    plan->shared = plan->activations + used + (plan->w_here ? 0 : none) +
                   (plan->p_here ? 0 : none) + (plan->g_here ? 0 : none) +
                   (plan->s_here ? 0 : none);
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
    (void)micro_format_of(spec->precision, &plan->format); /* asked before */
    plan->per_share = (plan->documents + MICRO_MOST_SHARES - 1) / MICRO_MOST_SHARES;
    plan->shares = (plan->documents + plan->per_share - 1) / plan->per_share;
    plan->slices = ((uint32_t)plan->elements + slice - 1) / slice;
    plan->activations = activations(spec, plan);
    place(spec, most, plan);
    count_global(spec, plan);
}
