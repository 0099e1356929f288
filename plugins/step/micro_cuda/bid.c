/* What step micro_cuda covers: it bids on just that, and says what is missing otherwise. */
#include <stdio.h>

#include "micro.h"

#define SCORE 100
/* Of models so large that a step op by op keeps more of the device busy. Composed bids the same and
 * comes first by name. */
#define LARGE_SCORE 1
#define LARGE ((uint64_t)4 << 20) /* parameters times positions that one block goes through */

/* Does the device have what the plan asks for? Its own ops would not do without. */
static bool has_formats(const struct mgpt_step_spec *spec)
{
    const struct mgpt_caps *caps = spec->caps;

    return caps->formats >> spec->precision->activation & 1 &&
           (!spec->precision->tf32 || caps->flags & MGPT_CAPS_TF32);
}

const char *micro_needs(const struct mgpt_step_spec *spec)
{
    const struct mgpt_model *m = spec->model;
    const struct mgpt_optimizer_api *o = spec->optimizer;
    enum micro_format format;
    const struct {
        bool holds;
        const char *needs;
    } conditions[] = {
        {mgpt_rest_is_zero(spec, spec->size, sizeof *spec) &&
             mgpt_rest_is_zero(m, m->size, sizeof *m) &&
             mgpt_rest_is_zero(spec->precision, spec->precision->size, sizeof *spec->precision) &&
             mgpt_rest_is_zero(o, o->size, sizeof *o),
         "a model, a step and an optimizer without settings that are newer than it"},
        {micro_native(spec), "a CUDA device (backend cuda)"},
        {micro_format_of(spec->precision, &format),
         "weights in F32, and activations and products in F32, TF32, BF16 or F16"},
        {has_formats(spec), "a device that has the formats of [precision] use"},
        {spec->ranks <= 1, "one rank"},
        {spec->places || (o->rule && spec->n_state <= MGPT_MAX_STATE), "an optimizer with a rule"},
        {spec->columns <= m->context, "no more columns than [model] context"},
        {m->activation >= MGPT_ACT_RELU && m->activation <= MGPT_ACT_GELU_TANH,
         "activation relu, relu2, gelu or gelu_tanh"},
        {m->norm == MGPT_NORM_RMS || m->norm == MGPT_NORM_LAYER, "norm rms or layer"},
    };

    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++)
        if (!conditions[i].holds)
            return conditions[i].needs;
    if (spec->params[spec->n_params - 1].p.offset > (uint64_t)1 << 32)
        return "at most 4 GB of parameters";
    return NULL;
}

static void decline(struct mgpt_bid *out)
{
    out->score = 0;
    out->covers = MGPT_COVERS_FB;
}

/* By enum micro_format: what is not F32. */
static const char *const formats[] = {"", ", products in TF32",
                                      ", activations and products in BF16",
                                      ", activations and products in F16"};

/* "parameters, gradients", and what is not there. */
static const char *what_is_here(const struct micro_plan *plan, uint32_t n_state)
{
    if (!plan->p_here && !plan->w_here)
        return "activations in it, all else in global memory";
    if (plan->documents > 1)
        return plan->w_here ? "activations and rounded weights in it, a block a document"
                            : "activations and parameters in it, a block a document";
    if (!plan->p_here)
        return "activations and rounded weights in it, all else in global memory";
    if (!plan->g_here)
        return "activations and parameters in it, gradients and state in global memory";
    if (plan->updates && plan->s_here < n_state)
        return "all in it but state of the optimizer";
    return "all of the model in it";
}

void micro_bid(const struct mgpt_step_spec *spec, struct mgpt_bid *out)
{
    const char *needs = micro_needs(spec);
    struct micro_plan plan;

    if (needs) {
        decline(out);
        snprintf(out->reason, sizeof out->reason, "needs %s", needs);
        return;
    }
    const struct mgpt_cuda_native *cuda = micro_native(spec);
    micro_plan_make(spec, MICRO_THREADS, cuda->shared_most, &plan);
    if (!plan.shared) {
        decline(out);
        snprintf(out->reason, sizeof out->reason,
                 "one document takes %llu bytes of shared memory, and a block has %u here",
                 (unsigned long long)plan.activations, cuda->shared_most);
        return;
    }
    out->score =
        (uint64_t)plan.elements * spec->columns * plan.per_share <= LARGE ? SCORE : LARGE_SCORE;
    out->covers = plan.updates ? MGPT_COVERS_FBCUS : MGPT_COVERS_FBC;
    if (MGPT_HAS(out, bytes))
        out->bytes = plan.global;
    snprintf(out->reason, sizeof out->reason,
             "%s in one launch%s, %llu of %u bytes of shared memory: %s",
             plan.updates ? "the whole step" : "all but the update, of whole tensors,",
             formats[plan.format], (unsigned long long)plan.shared, cuda->shared_most,
             what_is_here(&plan, spec->n_state));
}
