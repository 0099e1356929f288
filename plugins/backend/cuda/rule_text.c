/* From a rule to the CUDA program that applies it: one launch for all parameters, with unscaling,
 * clipping and the guard against what is not finite in it. The program includes no headers. */
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "update.h"

#define NAMES 16
#define NAME 64

struct text {
    char *data;
    size_t size, room;
    int failed;
};

static MGPT_PRINTF(2, 3) void add(struct text *t, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || t->failed)
        t->failed = 1;
    else if (t->size + (size_t)n + 1 > t->room) {
        size_t room = 2 * (t->size + (size_t)n + 1);
        char *data = realloc(t->data, room);
        t->failed = !data;
        if (data) {
            t->data = data;
            t->room = room;
        }
    }
    if (t->failed)
        return;
    va_start(args, format);
    t->size += (size_t)vsnprintf(t->data + t->size, t->room - t->size, format, args);
    va_end(args);
}

/* "(m, v)" into names; returns how many, or -1. */
static int split(const char *list, char names[NAMES][NAME])
{
    int n = 0;

    while (*list && *list != ')') {
        size_t size = 0;
        while (*list && !isalpha((unsigned char)*list) && *list != '_' && *list != ')')
            list++;
        while (isalnum((unsigned char)list[size]) || list[size] == '_')
            size++;
        if (size == 0)
            break;
        if (n == NAMES || size >= NAME)
            return -1;
        memcpy(names[n], list, size);
        names[n++][size] = '\0';
        list += size;
    }
    return *list == ')' ? n : -1;
}

/* --- idea: optimizer --- */
static const char head[] =
    "typedef float real;\n"
    "struct state_ { unsigned long long step; double inv_targets, loss, grad_norm, grad_scale,\n"
    "    loss_scale; unsigned long long nonfinite, good, skipped; };\n"
    "struct segment_ { long long first, count; int tiles, set; };\n"
    "struct args_ { real *p; const real *g; real *s[%d]; const state_ *state;\n"
    "    int n_segments, n_tiles; const double *from[%d]; double h[%d][%d]; segment_ segment[%d]; "
    "};\n"
    "extern \"C\" __global__ void " CUDA_RULE_ENTRY "(const args_ a_)\n"
    "{\n"
    "    if (a_.state->nonfinite)\n"
    "        return;\n"
    "    const real c_ = (real)a_.state->grad_scale;\n"
    "    for (int t_ = (int)blockIdx.x; t_ < a_.n_tiles; t_ += (int)gridDim.x) {\n"
    "        int k_ = 0, above_ = a_.n_segments - 1;\n"
    "        while (k_ < above_) {\n"
    "            int middle_ = (k_ + above_) / 2;\n"
    "            if (a_.segment[middle_].tiles > t_)\n"
    "                above_ = middle_;\n"
    "            else\n"
    "                k_ = middle_ + 1;\n"
    "        }\n"
    "        const int set_ = a_.segment[k_].set;\n"
    "        const double *h_ = a_.from[set_] ? a_.from[set_] : a_.h[set_];\n"
    "        long long i_ = a_.segment[k_].first, end_ = i_ + a_.segment[k_].count;\n"
    "        i_ += (long long)(t_ - (k_ ? a_.segment[k_ - 1].tiles : 0)) * %d;\n"
    "        if (end_ > i_ + %d)\n"
    "            end_ = i_ + %d;\n";

/* --- end of idea --- */
char *cuda_rule_text(const struct mgpt_rule *rule)
{
    char scalars[NAMES][NAME], state[NAMES][NAME];
    int n_scalars = split(rule->scalars, scalars), n_state = split(rule->state, state);
    struct text t = {NULL, 0, 0, 0};

    if (n_scalars != (int)rule->n_scalars || n_state != (int)rule->n_state ||
        n_state > MGPT_MAX_STATE)
        return NULL;
    add(&t, head, MGPT_MAX_STATE, CUDA_RULE_SETS, CUDA_RULE_SETS, MGPT_MAX_SCALARS,
        CUDA_RULE_SEGMENTS, CUDA_RULE_TILE, CUDA_RULE_TILE, CUDA_RULE_TILE);
    for (int k = 0; k < n_scalars; k++)
        add(&t, "        const real %s = (real)h_[%d];\n        (void)%s;\n", scalars[k], k,
            scalars[k]);
    add(&t, "        (void)h_;\n"
            "        for (i_ += threadIdx.x; i_ < end_; i_ += blockDim.x) {\n"
            "            real p = a_.p[i_];\n"
            "            const real g = a_.g[i_] * c_;\n");
    for (int k = 0; k < n_state; k++)
        add(&t, "            real %s = a_.s[%d][i_];\n", state[k], k);
    add(&t, "#line 1 \"rule %s\"\n{ %s }\n", rule->name, rule->body);
    add(&t, "            a_.p[i_] = p;\n");
    for (int k = 0; k < n_state; k++)
        add(&t, "            a_.s[%d][i_] = %s;\n", k, state[k]);
    add(&t, "        }\n    }\n}\n");
    if (t.failed) {
        free(t.data);
        return NULL;
    }
    return t.data;
}

struct mgpt_cuda_source cuda_rule_source(const char *text)
{
    static const char *const kernels[] = {CUDA_RULE_ENTRY, NULL};
    /* No fused multiply-adds: then the rule gives the bits that its C function gives. */
    static const char *const options[] = {"--fmad=false", NULL};

    return (struct mgpt_cuda_source){.size = sizeof(struct mgpt_cuda_source),
                                     .name = "rule",
                                     .text = text,
                                     .kernels = kernels,
                                     .options = options};
}
