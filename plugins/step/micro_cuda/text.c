/* The program for one model and one optimizer: constants and the rule, then the files as they
 * are. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <microgpt/random.h>

#include "micro.h"

struct text {
    char *data;
    size_t size, room;
    bool failed;
};

static MGPT_PRINTF(2, 3) void add(struct text *t, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || t->failed) {
        t->failed = true;
    } else if (t->size + (size_t)n + 1 > t->room) {
        size_t room = 2 * (t->size + (size_t)n + 1);
        char *data = realloc(t->data, room);
        t->failed = !data;
        t->data = data ? data : t->data;
        t->room = data ? room : t->room;
    }
    if (t->failed)
        return;
    va_start(args, format);
    t->size += (size_t)vsnprintf(t->data + t->size, t->room - t->size, format, args);
    va_end(args);
}

static void add_lines(struct text *t, const char *const *lines)
{
    for (; *lines; lines++)
        add(t, "%s", *lines);
}

/* ---- the rule ---- */

/* "(m, v)" as names of the elements of an array: a structured binding. */
static void add_names(struct text *t, const char *type, const char *list, uint32_t n,
                      const char *array)
{
    size_t size = strlen(list);

    if (n == 0)
        return;
    if (size < 3 || list[0] != '(' || list[size - 1] != ')')
        t->failed = true;
    else
        add(t, "    %s &[%.*s] = %s;\n", type, (int)size - 2, list + 1, array);
}

/* rule(p, g, state, scalars) updates one element. It comes before everything that has a name: its
 * body may call its own things what it likes. */
static void add_rule(struct text *t, const struct mgpt_rule *rule)
{
    uint32_t n_state = rule ? rule->n_state : 0, n_scalars = rule ? rule->n_scalars : 0;

    add(t,
        "typedef float real;\n"
        "DEVICE void rule(real &p, const real g, real (&state_)[%u], const real (&scalars_)[%u])\n"
        "{\n",
        n_state ? n_state : 1, n_scalars ? n_scalars : 1);
    if (rule) {
        add_names(t, "auto", rule->state, n_state, "state_");
        add_names(t, "const auto", rule->scalars, n_scalars, "scalars_");
        add(t, "#line 1 \"rule %s\"\n{ %s }\n", rule->name, rule->body);
    }
    add(t, "}\nconstexpr int RULE_STATE = %u, RULE_SCALARS = %u;\n", n_state, n_scalars);
}

/* ---- offsets of parameters ---- */

/* Elements from the start of all parameters to this one; -1: the model has none of that name. */
static int64_t offset_of(const struct mgpt_step_spec *spec, const char *name)
{
    for (uint32_t i = 0; i < spec->n_params; i++)
        if (strcmp(spec->params[i].name, name) == 0)
            return (int64_t)(spec->params[i].p.offset / sizeof(float));
    return -1;
}

static void add_offset(struct text *t, const struct mgpt_step_spec *spec, const char *constant,
                       const char *name)
{
    add(t, "constexpr int %s = %lld;\n", constant, (long long)offset_of(spec, name));
}

/* Layers follow each other at one distance. */
static int64_t layer_stride(const struct mgpt_step_spec *spec)
{
    char name[64];
    int64_t first = offset_of(spec, "h.0.attn.qkv.weight"), stride = 0;

    for (uint32_t l = 1; l < spec->model->layers; l++) {
        (void)snprintf(name, sizeof name, "h.%u.attn.qkv.weight", l);
        if (l == 1)
            stride = offset_of(spec, name) - first;
        if (offset_of(spec, name) != first + l * stride)
            return -1;
    }
    return stride;
}

static void add_offsets(struct text *t, const struct mgpt_step_spec *spec)
{
    static const char *const names[][2] = {
        {"WTE", "wte.weight"},
        {"WPE", "wpe.weight"},
        {"LN_E_GAIN", "ln_e.weight"},
        {"LN_E_BIAS", "ln_e.bias"},
        {"LN_1_GAIN", "h.0.ln_1.weight"},
        {"LN_1_BIAS", "h.0.ln_1.bias"},
        {"QKV", "h.0.attn.qkv.weight"},
        {"QKV_BIAS", "h.0.attn.qkv.bias"},
        {"PROJ", "h.0.attn.proj.weight"},
        {"PROJ_BIAS", "h.0.attn.proj.bias"},
        {"LN_2_GAIN", "h.0.ln_2.weight"},
        {"LN_2_BIAS", "h.0.ln_2.bias"},
        {"FC", "h.0.mlp.fc.weight"},
        {"FC_BIAS", "h.0.mlp.fc.bias"},
        {"OUT", "h.0.mlp.proj.weight"},
        {"OUT_BIAS", "h.0.mlp.proj.bias"},
        {"LN_F_GAIN", "ln_f.weight"},
        {"LN_F_BIAS", "ln_f.bias"},
        {"HEAD_BIAS", "lm_head.bias"},
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        add_offset(t, spec, names[i][0], names[i][1]);
    add_offset(t, spec, "HEAD", spec->model->tied ? "wte.weight" : "lm_head.weight");
    add(t, "constexpr int LAYER = %lld;\n", (long long)layer_stride(spec));
}

/* Runs of parameters of one group: the rule gets other scalars for those that decay. */
static void add_runs(struct text *t, const struct mgpt_step_spec *spec,
                     const struct micro_plan *plan)
{
    uint32_t n = 0;

    add(t, "struct run { int from, to, decays; };\n"
           "static __device__ const run runs[] = {");
    for (uint32_t i = 0, end; i < spec->n_params; i = end, n++) {
        for (end = i + 1; end < spec->n_params; end++)
            if (spec->params[end].decays != spec->params[i].decays)
                break;
        add(t, "{%lld, %lld, %u},", (long long)(spec->params[i].p.offset / sizeof(float)),
            end < spec->n_params ? (long long)(spec->params[end].p.offset / sizeof(float))
                                 : (long long)plan->elements,
            spec->params[i].decays);
    }
    add(t, "};\nconstexpr int RUNS = %u;\n", n);
}

/* ---- the shape ---- */

static void add_model(struct text *t, const struct mgpt_step_spec *spec)
{
    const struct mgpt_model *m = spec->model;
    double from = m->dropout * 4294967296.0; /* a draw is kept when it is at least this */
    uint64_t kept_from = (uint64_t)from;

    add(t, "constexpr int L = %u, H = %u, KV = %u, C = %u, F = %u, T = %u, CONTEXT = %u, V = %u;\n",
        m->layers, m->heads, m->kv_heads, m->embd, m->mlp, spec->columns, m->context, m->vocab);
    add(t,
        "constexpr bool NORM_LAYER = %d, NORM_GAIN = %d, NORM_BIAS = %d, EMBED_NORM = %d, "
        "FINAL_NORM = %d;\n",
        m->norm == MGPT_NORM_LAYER, m->norm_gain != 0, m->norm_bias != 0, m->embed_norm != 0,
        m->final_norm != 0);
    add(t,
        "constexpr bool BIAS_QKV = %d, BIAS_PROJ = %d, BIAS_MLP = %d, BIAS_HEAD = %d, TIED = "
        "%d;\n",
        (m->bias & MGPT_BIAS_QKV) != 0, (m->bias & MGPT_BIAS_PROJ) != 0,
        (m->bias & MGPT_BIAS_MLP) != 0, (m->bias & MGPT_BIAS_HEAD) != 0, m->tied != 0);
    add(t, "constexpr int ACTIVATION = %u;\nconstexpr float EPS = (float)%.17g;\n", m->activation,
        m->norm_eps);
    add(t,
        "constexpr bool DROPOUT = %d;\nconstexpr unsigned long long SEED = %lluu, KEPT_FROM = "
        "%lluu;\nconstexpr float KEPT_SCALE = (float)%.17g;\n",
        m->dropout > 0, m->dropout > 0 ? (unsigned long long)spec->seed : 0,
        (unsigned long long)(kept_from + ((double)kept_from < from)), 1 / (1 - m->dropout));
}

static void add_plan(struct text *t, const struct mgpt_step_spec *spec,
                     const struct micro_plan *plan)
{
    add(t,
        "constexpr int THREADS = %u, N = %d, DOCUMENTS = %u, SHARES = %u, PER_SHARE = %u, "
        "SLICES = %u;\n",
        plan->threads, plan->elements, plan->documents, plan->shares, plan->per_share,
        plan->slices);
    add(t, "constexpr bool W_HERE = %d, P_HERE = %d, G_HERE = %d, UPDATES = %d;\n", plan->w_here,
        plan->p_here, plan->g_here, plan->updates);
    add(t, "constexpr int S_HERE = %u, BYTES = %llu;\nconstexpr double CLIP = %.17g;\n",
        plan->s_here, (unsigned long long)plan->shared, spec->clip);
}

static void add_formats(struct text *t, const struct mgpt_precision_plan *precision,
                        const struct micro_plan *plan)
{
    add(t, "constexpr int FORMAT = %d;\nconstexpr bool SCALING = %d;\n", plan->format,
        plan->updates && precision->scale_interval);
    add(t,
        "constexpr unsigned INTERVAL = %uu;\nconstexpr double GROWTH = %.17g, BACKOFF = %.17g;\n",
        precision->scale_interval, precision->scale_growth, precision->scale_backoff);
}

enum mgpt_status micro_text(const struct mgpt_step_spec *spec, const struct micro_plan *plan,
                            char **text, struct mgpt_error *error)
{
    struct text t = {NULL, 0, 0, false};

    if (layer_stride(spec) < 0)
        return mgpt_fail(error, MGPT_INTERNAL, "step micro_cuda: layers are not alike in memory");
    add_lines(&t, micro_kernel_head);
    add_rule(&t, plan->updates ? spec->optimizer->rule : NULL);
    add_model(&t, spec);
    add_offsets(&t, spec);
    add_runs(&t, spec, plan);
    add_plan(&t, spec, plan);
    add_formats(&t, spec->precision, plan);
    add_lines(&t, micro_kernel_body);
    if (t.failed) {
        free(t.data);
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "step micro_cuda: no memory, or the names %s %s are not understood",
                         spec->optimizer->rule->state, spec->optimizer->rule->scalars);
    }
    *text = t.data;
    return MGPT_OK;
}
