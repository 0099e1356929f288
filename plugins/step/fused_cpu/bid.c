/* What step fused_cpu covers: it bids on just that, and says what is missing otherwise. */
#include <stdio.h>

#include "fused.h"

#define MOST_VOCAB 512
#define MOST_POSITIONS 4096 /* a step; more are better spread over cores */
#define SCORE 100
/* Of walks. Products take as long as those of the composed step, in a third of its memory or less:
 * that is for who asks for it. Composed bids the same and comes first by name. A bid that depended
 * on threads would let results depend on them. */
#define WALK_SCORE 1

/* Has nothing in it settings that are newer than this module? */
static bool known(const struct mgpt_step_spec *spec)
{
    const struct mgpt_model *m = spec->model;
    const struct mgpt_precision_plan *plan = spec->precision;

    return mgpt_rest_is_zero(spec, spec->size, sizeof *spec) &&
           mgpt_rest_is_zero(m, m->size, sizeof *m) &&
           mgpt_rest_is_zero(plan, plan->size, sizeof *plan);
}

static bool plain_f32(const struct mgpt_precision_plan *plan)
{
    return plan->master == MGPT_F32 && plan->activation == MGPT_F32 && plan->product == MGPT_F32 &&
           !plan->tf32 && !plan->scale_interval;
}

/* What backend cpu has kernels for, where its device says so. */
static bool plain_bf16(const struct mgpt_step_spec *spec)
{
    const struct mgpt_precision_plan *plan = spec->precision;

    return plan->master == MGPT_F32 && plan->activation == MGPT_BF16 &&
           plan->product == MGPT_BF16 && !plan->tf32 && !plan->scale_interval &&
           spec->caps->formats >> MGPT_BF16 & 1;
}

/* Host memory, and a device that is not there for the sake of double precision. */
static bool host_memory(const struct mgpt_step_spec *spec)
{
    const struct mgpt_backend_api *api = spec->backend;

    return MGPT_HAS(api, map) && api->map && (spec->caps->flags & MGPT_CAPS_HOST) &&
           !(spec->caps->formats & 1u << MGPT_F64) &&
           (!spec->p.buffer || api->map(spec->device, spec->p.buffer));
}

static uint64_t positions(const struct mgpt_step_spec *spec)
{
    return (uint64_t)spec->rows * spec->micro_batches * spec->columns;
}

const char *fused_micro_needs(const struct mgpt_step_spec *spec)
{
    const struct mgpt_model *m = spec->model;
    const struct mgpt_optimizer_api *o = spec->optimizer;
    const struct {
        bool holds;
        const char *needs;
    } conditions[] = {
        {known(spec) && mgpt_rest_is_zero(o, o->size, sizeof *o),
         "a model, a step, a precision and an optimizer without settings that are newer than it"},
        {host_memory(spec), "a device that computes in F32 on memory of the host"},
        {plain_f32(spec->precision), "everything in F32, without loss scaling"},
        {spec->ranks <= 1, "one rank"},
        {m->embd == 16 || m->embd == 32, "[model] embd 16 or 32"},
        {m->layers <= MICRO_LAYERS, "at most 4 layers"},
        {m->context <= MICRO_CONTEXT && spec->columns <= m->context, "a context of at most 32"},
        {m->vocab <= MOST_VOCAB, "a vocabulary of at most 512"},
        {m->mlp % 16 == 0 && m->mlp <= 512, "an mlp of 16, 32, ... 512"},
        {m->heads == m->kv_heads, "kv_heads = heads"},
        {m->norm == MGPT_NORM_RMS && !m->norm_gain && !m->norm_bias, "norm rms, no gain, no bias"},
        {m->activation == MGPT_ACT_RELU2, "activation relu2"},
        {m->bias == 0, "no biases"},
        {!(m->dropout > 0), "no dropout"},
        {o->rule && o->rule->f32 && spec->n_state <= MGPT_MAX_STATE, "an optimizer with a rule"},
        {positions(spec) <= MOST_POSITIONS, "at most 4096 positions a step"},
    };

    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++)
        if (!conditions[i].holds)
            return conditions[i].needs;
    return NULL;
}

/* What the walk lacks, or NULL. */
static const char *walk_needs(const struct mgpt_step_spec *spec)
{
    if (!known(spec))
        return "a model, a step and a precision without settings that are newer than it";
    if (!host_memory(spec))
        return "a device that computes in F32 on memory of the host";
    if (!plain_f32(spec->precision) && !plain_bf16(spec))
        return "everything in F32, or in BF16 where the processor has it, without loss scaling";
    return NULL;
}

static void bid_micro(const struct mgpt_step_spec *spec, struct mgpt_bid *out)
{
    out->score = SCORE;
    out->covers = spec->places ? MGPT_COVERS_FBC : MGPT_COVERS_FBCUS;
    snprintf(out->reason, sizeof out->reason, "%s in cache, on one core",
             spec->places ? "all but the update, of whole tensors," : "the whole step");
}

static void bid_walk(const struct mgpt_step_spec *spec, struct mgpt_bid *out)
{
    uint64_t bytes = walk_bytes(spec);

    if (MGPT_HAS(out, bytes))
        out->bytes = bytes;
    out->score = WALK_SCORE;
    out->covers = MGPT_COVERS_FB;
    snprintf(out->reason, sizeof out->reason,
             "forward and backward, %lld sequences at a time, on %u threads; %.3g MB",
             (long long)walk_chunk(spec->columns), walk_threads(spec), (double)bytes * 1e-6);
}

void fused_bid(const struct mgpt_step_spec *spec, struct mgpt_bid *out)
{
    const char *small = fused_micro_needs(spec), *needs = walk_needs(spec);

    if (!small) {
        bid_micro(spec, out);
    } else if (!needs) {
        bid_walk(spec, out);
    } else {
        out->score = 0;
        out->covers = MGPT_COVERS_FB;
        snprintf(out->reason, sizeof out->reason, "needs %s", needs);
    }
}
