/* Step "fused_cpu", in two paths. The whole training step of a small model as one program on one
 * core; no allocation, no barrier, no op calls: micro.h says how. Forward and backward of a larger
 * one, a few sequences at a time: walk.h says how. For what neither covers it bids 0. */
#include <math.h>
#include <string.h>

#if defined __SSE2__
#include <immintrin.h>
#endif

#include "fused.h"

static enum mgpt_status check_batch(const struct mgpt_step *s, const struct mgpt_batch *b,
                                    struct mgpt_error *error)
{
    int32_t vocab = (int32_t)s->spec.model->vocab;

    if (b->rows > s->spec.rows || b->columns > s->spec.columns)
        return mgpt_fail(error, MGPT_INVALID,
                         "a batch of %u rows and %u columns, at most %u and %u", b->rows,
                         b->columns, s->spec.rows, s->spec.columns);
    for (size_t i = 0; i < (size_t)b->rows * b->columns; i++)
        if (b->ids[i] < 0 || b->ids[i] >= vocab || b->targets[i] < -1 || b->targets[i] >= vocab)
            return mgpt_fail(error, MGPT_INVALID,
                             "id %d or target %d at index %zu of a batch is not in 0..%d",
                             b->ids[i], b->targets[i], i, vocab - 1);
    return MGPT_OK;
}

/* What lies behind the last target of a row changes nothing. */
static struct micro_document document_of(const struct mgpt_batch *b, uint32_t row)
{
    struct micro_document d = {(int)b->columns, b->ids + (size_t)row * b->columns,
                               b->targets + (size_t)row * b->columns};

    while (d.length && d.targets[d.length - 1] < 0)
        d.length--;
    return d;
}

/* FORWARD and BACKWARD: all documents of a step, as many to a tile as fit. */
static void forward_backward(struct mgpt_step *s, const struct mgpt_step_input *input)
{
    const struct micro *m = &s->micro;
    float scale = (float)(s->state->inv_targets * s->state->loss_scale);
    struct micro_tile tile = {0};
    bool first = true;
    double sum = 0;

    for (uint32_t i = 0; i < s->spec.micro_batches; i++)
        for (uint32_t row = 0; row < input->batches[i].rows; row++) {
            tile.document[tile.n] = document_of(&input->batches[i], row);
            tile.n += tile.document[tile.n].length > 0;
            if (tile.n < m->stride / m->span)
                continue;
            sum += s->kernels->tile(m, &tile, first, scale);
            first = false;
            tile.n = 0;
        }
    if (tile.n || first)
        sum += s->kernels->tile(m, &tile, first, scale);
    s->state->loss = sum * s->state->inv_targets;
}

/* CLIP: core/ref/clip.c has the formulas. */
static void clip(struct mgpt_step *s)
{
    struct mgpt_step_state *state = s->state;
    double sum = s->kernels->squares(s->g, (size_t)mgpt_tensor_count(&s->spec.g)), factor = 1;

    state->nonfinite = !isfinite(sum) || !isfinite(state->loss);
    state->grad_norm = sqrt(sum) / state->loss_scale;
    if (s->spec.clip > 0 && state->grad_norm > s->spec.clip)
        factor = s->spec.clip / state->grad_norm;
    state->grad_scale = factor / state->loss_scale;
}

static void update(struct mgpt_step *s, const struct mgpt_step_input *input)
{
    if (s->state->nonfinite)
        return;
    for (uint32_t i = 0; i < s->n_groups; i++) {
        const struct group *group = &s->groups[i];
        float *opt[MGPT_MAX_STATE];
        for (uint32_t k = 0; k < s->spec.n_state; k++)
            opt[k] = s->opt[k] + group->from;
        s->rule((size_t)(group->to - group->from), s->p + group->from, s->g + group->from, opt,
                input->scalars[group->decays], s->state->grad_scale);
    }
}

/* SCALER: core/ref/scaler.c explains it. */
static void scaler(struct mgpt_step *s)
{
    const struct mgpt_precision_plan *plan = s->spec.precision;
    struct mgpt_step_state *state = s->state;

    if (state->nonfinite) {
        double scale = state->loss_scale * plan->scale_backoff;
        state->skipped++;
        state->good = 0;
        if (plan->scale_interval)
            state->loss_scale = scale > 1 ? scale : 1;
    } else if (++state->good >= plan->scale_interval && plan->scale_interval) {
        state->loss_scale *= plan->scale_growth;
        state->good = 0;
    }
}

static enum mgpt_status run_one(struct mgpt_step *s, const struct mgpt_step_input *input,
                                struct mgpt_error *error)
{
    struct mgpt_step_state *state = s->state;

    for (uint32_t i = 0; i < s->spec.micro_batches; i++) {
        enum mgpt_status status = check_batch(s, &input->batches[i], error);
        if (status != MGPT_OK)
            return status;
    }
    if (s->walk) /* FB */
        return walk_run(s->walk, input, error);
    state->step = input->step;
    state->inv_targets = 1.0 / (double)input->targets;
    forward_backward(s, input);
    clip(s);
    if (s->spec.places) /* FBC: the rest is the core's, and the result, too */
        return MGPT_OK;
    update(s, input);
    scaler(s);
    s->results[s->n_results++] = (struct mgpt_step_result){.step = input->step,
                                                           .loss = state->loss,
                                                           .grad_norm = state->grad_norm,
                                                           .loss_scale = state->loss_scale,
                                                           .skipped = state->nonfinite != 0};
    return MGPT_OK;
}

/* Subnormal floats count as zero meanwhile: they are slow, and the moments of an optimizer decay
 * into them. */
static enum mgpt_status run(struct mgpt_step *s, const struct mgpt_step_input *inputs, uint32_t n,
                            struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;

    if (s->n_results + n > MGPT_STEP_RING)
        return mgpt_fail(error, MGPT_INVALID, "more than %d steps without a fence", MGPT_STEP_RING);
#if defined __SSE2__
    unsigned old = _mm_getcsr();
    _mm_setcsr(old | 0x8040u); /* results (FTZ) and operands (DAZ) */
#endif
    for (uint32_t i = 0; i < n && status == MGPT_OK; i++)
        status = run_one(s, &inputs[i], error);
#if defined __SSE2__
    _mm_setcsr(old);
#endif
    return status;
}

static enum mgpt_status fence(struct mgpt_step *s, struct mgpt_step_result *results, uint32_t *n,
                              struct mgpt_error *error)
{
    (void)error;
    memcpy(results, s->results, s->n_results * sizeof *results);
    *n = s->n_results;
    s->n_results = 0;
    return MGPT_OK;
}

/* It keeps no copies of its own. */
static enum mgpt_status adopt(struct mgpt_step *s, struct mgpt_error *error)
{
    (void)s;
    (void)error;
    return MGPT_OK;
}

static const struct mgpt_step_api api = {
    .size = sizeof api,
    .bid = fused_bid,
    .open = fused_open,
    .close = fused_close,
    .run = run,
    .fence = fence,
    .adopt = adopt,
};

static const char *const sets[] = {"auto", "base", "avx2", "avx512", NULL};

static const struct mgpt_option options[] = {
    {.key = "isa",
     .value = "auto",
     .help = "instruction set of the kernels; auto: the best that this machine has",
     .choices = sets,
     .type = MGPT_OPTION_ENUM},
};

static const struct mgpt_component component = {
    .size = sizeof component,
    MGPT_OPTIONS(options),
    .kind = MGPT_KIND_STEP,
    .name = "fused_cpu",
    .summary = "small models: the whole step in cache, on one core; others: sequence by sequence",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.step.fused_cpu", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
