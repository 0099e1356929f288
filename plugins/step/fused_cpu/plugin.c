/* Step "fused_cpu": the whole training step of a small model as one program on one core; no
 * allocation, no barrier, no op calls. micro.h says how; for what it does not cover it bids 0. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#if defined __SSE2__
#include <immintrin.h>
#endif

#include "micro.h"

#define MOST_VOCAB 512
#define MOST_POSITIONS 4096 /* a step; more are better spread over cores */
#define SCORE 100

/* A run of parameters of one group. */
struct group {
    int64_t from, to; /* elements of the whole buffers */
    uint32_t decays;
};

struct mgpt_step {
    struct mgpt_step_spec spec;
    const struct micro_kernels *kernels;
    mgpt_rule_f32 rule;
    struct micro micro;
    struct mgpt_step_state *state;
    float *p, *g, *opt[MGPT_MAX_STATE];
    float *memory; /* of all activations */
    struct group *groups;
    uint32_t n_groups, n_results;
    struct mgpt_step_result results[MGPT_STEP_RING];
};

/* ---- the bid ---- */

/* Is what lies behind the part that we know all zeros? */
static bool known(const void *data, size_t size, size_t ours)
{
    const unsigned char *bytes = data;

    for (size_t i = ours; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

static bool plain_f32(const struct mgpt_precision_plan *plan)
{
    return plan->master == MGPT_F32 && plan->activation == MGPT_F32 && plan->product == MGPT_F32;
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

/* What is missing, or NULL. */
static const char *obstacle(const struct mgpt_step_spec *spec)
{
    const struct mgpt_model *m = spec->model;
    const struct mgpt_optimizer_api *o = spec->optimizer;
    const struct {
        bool holds;
        const char *needs;
    } conditions[] = {
        {known(spec, spec->size, sizeof *spec) && known(m, m->size, sizeof *m) &&
             known(o, o->size, sizeof *o),
         "a model, a step and an optimizer without settings that are newer than it"},
        {host_memory(spec), "a device that computes in F32 on memory of the host"},
        {plain_f32(spec->precision), "everything in F32"},
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

static void bid(const struct mgpt_step_spec *spec, struct mgpt_bid *out)
{
    const char *needs = obstacle(spec);

    out->score = needs ? 0 : SCORE;
    out->covers = MGPT_COVERS_FBCUS;
    if (needs)
        snprintf(out->reason, sizeof out->reason, "small models only; needs %s", needs);
    else
        snprintf(out->reason, sizeof out->reason, "the whole step in cache, on one core");
}

/* ---- life ---- */

/* One program a document of up to 8 positions has shorter vectors than one of many. */
static const struct micro_kernels *choose_kernels(const struct micro *m)
{
#if FUSED_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
        return m->stride == 8 ? &fused_micro_avx512_8 : &fused_micro_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &fused_micro_avx2;
#endif
    (void)m;
    return &fused_micro_base;
}

/* The rule that is compiled along with the kernels, when it is the same, word for word. */
static mgpt_rule_f32 choose_rule(const struct mgpt_rule *ours, const struct mgpt_rule *rule)
{
    bool same = strcmp(ours->name, rule->name) == 0 && strcmp(ours->state, rule->state) == 0 &&
                strcmp(ours->scalars, rule->scalars) == 0 && strcmp(ours->body, rule->body) == 0;

    return same ? ours->f32 : rule->f32;
}

static enum mgpt_status find_weight(const struct mgpt_step *s, struct micro_weight *out,
                                    struct mgpt_error *error, const char *format, ...)
    MGPT_PRINTF(4, 5);
static enum mgpt_status find_weight(const struct mgpt_step *s, struct micro_weight *out,
                                    struct mgpt_error *error, const char *format, ...)
{
    char name[64];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(name, sizeof name, format, args);
    va_end(args);
    for (uint32_t i = 0; i < s->spec.n_params; i++)
        if (strcmp(s->spec.params[i].name, name) == 0) {
            size_t at = s->spec.params[i].p.offset / sizeof(float);
            *out = (struct micro_weight){s->p + at, s->g + at};
            return MGPT_OK;
        }
    return mgpt_fail(error, MGPT_INTERNAL, "step fused_cpu: the model has no parameter %s", name);
}

static enum mgpt_status find_weights(struct mgpt_step *s, struct mgpt_error *error)
{
    struct micro *m = &s->micro;
    enum mgpt_status status = find_weight(s, &m->wte, error, "wte.weight");

    if (status == MGPT_OK)
        status = find_weight(s, &m->wpe, error, "wpe.weight");
    m->head = m->wte;
    if (status == MGPT_OK && !m->tied)
        status = find_weight(s, &m->head, error, "lm_head.weight");
    for (int i = 0; i < m->layers && status == MGPT_OK; i++) {
        struct micro_layer *l = &m->layer[i];
        status = find_weight(s, &l->qkv, error, "h.%d.attn.qkv.weight", i);
        if (status == MGPT_OK)
            status = find_weight(s, &l->proj, error, "h.%d.attn.proj.weight", i);
        if (status == MGPT_OK)
            status = find_weight(s, &l->fc, error, "h.%d.mlp.fc.weight", i);
        if (status == MGPT_OK)
            status = find_weight(s, &l->out, error, "h.%d.mlp.proj.weight", i);
    }
    return status;
}

static void *mapped(const struct mgpt_step_spec *spec, const struct mgpt_tensor *t)
{
    char *base = spec->backend->map(spec->device, t->buffer);

    return base ? base + t->offset : NULL;
}

static enum mgpt_status map_all(struct mgpt_step *s, struct mgpt_error *error)
{
    const struct mgpt_step_spec *spec = &s->spec;
    bool all;

    s->p = mapped(spec, &spec->p);
    s->g = mapped(spec, &spec->g);
    s->state = mapped(spec, &spec->step_state);
    all = s->p && s->g && s->state;
    for (uint32_t k = 0; k < spec->n_state; k++) {
        s->opt[k] = mapped(spec, &spec->state[k]);
        all = all && s->opt[k];
    }
    return all ? MGPT_OK
               : mgpt_fail(error, MGPT_UNSUPPORTED,
                           "step fused_cpu: the device does not show its memory");
}

/* Gives every array of activations its place; with base NULL it only counts. Returns floats. */
static size_t place(struct micro *m, float *base)
{
    int S = m->stride, wide = 3 * m->embd > m->mlp ? 3 * m->embd : m->mlp;
    size_t used = 0;
#define PLACE(array, rows)                                                                         \
    (m->array = base ? base + used : NULL, used += (size_t)(rows) * (size_t)S)

    PLACE(x, m->embd), PLACE(norm0, m->embd), PLACE(normf, m->embd);
    PLACE(dx, m->embd), PLACE(dnorm, m->embd), PLACE(dwide, wide), PLACE(rows, wide);
    PLACE(logits, m->vocab), PLACE(dscore, m->span), PLACE(turned, 2 * m->span);
    PLACE(rstd0, 2), PLACE(rstdf, 2); /* 2: a multiple of 64 bytes */
    for (int i = 0; i < m->layers; i++) {
        PLACE(layer[i].norm1, m->embd), PLACE(layer[i].mix, 3 * m->embd);
        PLACE(layer[i].att, m->embd), PLACE(layer[i].norm2, m->embd);
        PLACE(layer[i].prob, m->heads * m->span);
        PLACE(layer[i].relu, m->mlp), PLACE(layer[i].hidden, m->mlp);
        PLACE(layer[i].rstd1, 2), PLACE(layer[i].rstd2, 2);
    }
#undef PLACE
    return used;
}

static void set_shape(struct mgpt_step *s)
{
    const struct mgpt_model *model = s->spec.model;
    struct micro *m = &s->micro;
    bool alone = (uint64_t)s->spec.rows * s->spec.micro_batches == 1;
    bool usual = model->mlp == 4 * model->embd; /* short tiles are compiled for this alone */

    *m = (struct micro){.layers = (int)model->layers,
                        .heads = (int)model->heads,
                        .embd = (int)model->embd,
                        .mlp = (int)model->mlp,
                        .vocab = (int)model->vocab,
                        .context = (int)model->context,
                        .span = model->context <= 8    ? 8
                                : model->context <= 16 ? 16
                                                       : 32,
                        .tied = model->tied != 0,
                        .embed_norm = model->embed_norm != 0,
                        .final_norm = model->final_norm != 0,
                        .eps = (float)model->norm_eps};
    m->stride = m->span > 8 ? m->span : alone && usual ? 8 : 16;
}

/* The runs of parameters that decay alike. */
static enum mgpt_status find_groups(struct mgpt_step *s, struct mgpt_error *error)
{
    const struct mgpt_step_spec *spec = &s->spec;

    s->groups = calloc(spec->n_params, sizeof *s->groups);
    if (!s->groups)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory opening step fused_cpu");
    for (uint32_t i = 0; i < spec->n_params; i++) {
        const struct mgpt_param *param = &spec->params[i];
        int64_t at = (int64_t)(param->p.offset / sizeof(float));
        if (i == 0 || s->groups[s->n_groups - 1].decays != param->decays)
            s->groups[s->n_groups++] = (struct group){.from = at, .decays = param->decays};
        s->groups[s->n_groups - 1].to = i + 1 < spec->n_params
                                            ? (int64_t)(param[1].p.offset / sizeof(float))
                                            : mgpt_tensor_count(&spec->p);
    }
    return MGPT_OK;
}

static void close_step(struct mgpt_step *s)
{
    if (!s)
        return;
    free(s->groups);
    free(s->memory);
    free(s);
}

static enum mgpt_status fill(struct mgpt_step *s, struct mgpt_error *error)
{
    size_t bytes;
    enum mgpt_status status = map_all(s, error);

    set_shape(s);
    s->kernels = choose_kernels(&s->micro);
    s->rule = choose_rule(s->kernels->adamw, s->spec.optimizer->rule);
    if (status == MGPT_OK)
        status = find_weights(s, error);
    if (status == MGPT_OK)
        status = find_groups(s, error);
    bytes = (place(&s->micro, NULL) * sizeof(float) + 63) / 64 * 64;
    s->memory = status == MGPT_OK ? aligned_alloc(64, bytes) : NULL;
    if (status == MGPT_OK && !s->memory)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory opening step fused_cpu");
    if (s->memory) {
        memset(s->memory, 0, bytes);
        place(&s->micro, s->memory);
    }
    return status;
}

static enum mgpt_status open_step(const struct mgpt_host *host, const struct mgpt_config *config,
                                  const struct mgpt_step_spec *spec, struct mgpt_step **out,
                                  struct mgpt_error *error)
{
    struct mgpt_step *s = calloc(1, sizeof *s);
    enum mgpt_status status;

    (void)host;
    (void)config;
    if (!s)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory opening step fused_cpu");
    s->spec = *spec;
    status = fill(s, error);
    if (status != MGPT_OK) {
        close_step(s);
        return status;
    }
    *out = s;
    return MGPT_OK;
}

/* ---- a step ---- */

static enum mgpt_status check_batch(const struct mgpt_step *s, const struct mgpt_batch *b,
                                    struct mgpt_error *error)
{
    int32_t vocab = s->micro.vocab;

    if (b->columns > (uint32_t)s->micro.context)
        return mgpt_fail(error, MGPT_INVALID, "a batch of %u columns, the context is %d",
                         b->columns, s->micro.context);
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
    state->step = input->step;
    state->inv_targets = 1.0 / (double)input->targets;
    forward_backward(s, input);
    clip(s);
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
    .bid = bid,
    .open = open_step,
    .close = close_step,
    .run = run,
    .fence = fence,
    .adopt = adopt,
};

static const struct mgpt_component component = {
    .size = sizeof component,
    MGPT_NO_OPTIONS,
    .kind = MGPT_KIND_STEP,
    .name = "fused_cpu",
    .summary = "the whole step of a small model in cache, on one core",
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.step.fused_cpu", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
