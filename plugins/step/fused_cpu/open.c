/* Opening step fused_cpu: where everything lies, and which kernels run. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fused.h"

static bool anywhere(void)
{
    return true;
}

#if FUSED_X86
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && has_avx2();
}
#endif

#if defined CPU_LEVELS
#define WALK_AVX512 &cpu_table_avx512
#define WALK_AVX2 &cpu_table_avx2
#else
#define WALK_AVX512 &cpu_table_baseline
#define WALK_AVX2 &cpu_table_baseline
#endif

#if defined CPU_BF16
#define WALK_BF16 &cpu_table_avx512bf16
#else
#define WALK_BF16 NULL
#endif

/* Best first. A short document alone has kernels of its own where vectors are longer than it. */
static const struct set {
    const char *name;
    bool (*here)(void);
    const struct micro_kernels *many, *one;
    const struct cpu_kernels *walk, *walk_bf16; /* NULL: none */
} sets[] = {
#if FUSED_X86
    {"avx512", has_avx512, &fused_micro_avx512, &fused_micro_avx512_8, WALK_AVX512, WALK_BF16},
    {"avx2", has_avx2, &fused_micro_avx2, &fused_micro_avx2, WALK_AVX2, NULL},
#endif
    {"base", anywhere, &fused_micro_base, &fused_micro_base, &cpu_table_baseline, NULL},
};

static enum mgpt_status choose_set(const char *isa, const struct set **set,
                                   struct mgpt_error *error)
{
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if ((strcmp(isa, "auto") == 0 || strcmp(isa, sets[i].name) == 0) && sets[i].here()) {
            *set = &sets[i];
            return MGPT_OK;
        }
    return mgpt_fail(error, MGPT_UNSUPPORTED,
                     "[step.fused_cpu] isa = %s, but this machine does not have it", isa);
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
    for (uint32_t k = 0; k < spec->n_state && !spec->places; k++) { /* else UPDATE is not ours */
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
    PLACE(logits, m->vocab), PLACE(dscore, m->heads * m->span),
        PLACE(turned, 2 * m->heads * m->span);
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
    m->stride = m->span > 8 ? m->span : alone && micro_usual(m) ? 8 : 16;
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

void fused_close(struct mgpt_step *s)
{
    if (!s)
        return;
    walk_close(s->walk);
    free(s->groups);
    free(s->memory);
    free(s);
}

static enum mgpt_status open_micro(struct mgpt_step *s, const struct set *set,
                                   struct mgpt_error *error)
{
    size_t bytes;
    enum mgpt_status status = map_all(s, error);

    set_shape(s);
    s->kernels = s->micro.stride == 8 ? set->one : set->many;
    if (status == MGPT_OK)
        status = find_weights(s, error);
    if (status == MGPT_OK)
        status = find_groups(s, error);
    bytes = (place(&s->micro, NULL) * sizeof(float) + 63) / 64 * 64;
    s->memory = status == MGPT_OK ? aligned_alloc(64, bytes) : NULL;
    if (status == MGPT_OK && !s->memory)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory opening step fused_cpu");
    if (s->memory) {
        s->rule = choose_rule(s->kernels->adamw, s->spec.optimizer->rule);
        memset(s->memory, 0, bytes);
        place(&s->micro, s->memory);
    }
    return status;
}

/* The walk's kernels for the formats of the step. */
static enum mgpt_status open_walk(struct mgpt_step *s, const struct set *set,
                                  struct mgpt_error *error)
{
    bool bf16 = s->spec.precision->activation == MGPT_BF16;
    const struct cpu_kernels *kernels = bf16 ? set->walk_bf16 : set->walk;

#if defined CPU_BF16
    if (bf16 && !__builtin_cpu_supports("avx512bf16"))
        kernels = NULL;
#endif
    if (!kernels)
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "[step.fused_cpu] isa = %s has no BF16; isa = auto takes what has, on a "
                         "processor with AVX512_BF16",
                         set->name);
    return walk_open(&s->spec, kernels, &s->walk, error);
}

enum mgpt_status fused_open(const struct mgpt_host *host, const struct mgpt_config *config,
                            const struct mgpt_step_spec *spec, struct mgpt_step **out,
                            struct mgpt_error *error)
{
    struct mgpt_step *s = calloc(1, sizeof *s);
    const struct set *set = NULL;
    enum mgpt_status status;

    if (!s)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory opening step fused_cpu");
    s->spec = *spec;
    status = choose_set(host->get_text(config, "isa"), &set, error);
    if (status == MGPT_OK)
        status = fused_micro_needs(spec) ? open_walk(s, set, error) : open_micro(s, set, error);
    if (status != MGPT_OK) {
        fused_close(s);
        return status;
    }
    *out = s;
    return MGPT_OK;
}
