/* Precision bf16: activations and the operands of products are BF16, the upper half of an F32; all
 * that is summed or kept from step to step is F32. It has the range of F32, so no gradient
 * underflows and the loss is not scaled. Kalamkar et al. 2019, "A study of BFLOAT16 for deep
 * learning training". */
#include <stdio.h>

#include <microgpt/precision.h>

static enum mgpt_status plan(const struct mgpt_host *host, const struct mgpt_config *config,
                             const struct mgpt_caps *caps, struct mgpt_precision_plan *plan,
                             struct mgpt_error *error)
{
    const int on_host = caps->flags & MGPT_CAPS_HOST;

    (void)host, (void)config;
    if (!(caps->formats & 1u << MGPT_BF16)) {
        (void)snprintf(plan->use, sizeof plan->use, "fp32");
        (void)snprintf(plan->reason, sizeof plan->reason, "%s has no BF16", caps->name);
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "bf16 needs a device with BF16, and %s has none%s: use precision = fp32",
                         caps->name,
                         on_host ? " (a processor with AVX512_BF16 has, unless [backend.cpu] simd "
                                   "says less than that)"
                                 : "");
    }
    if (!(caps->formats & 1u << MGPT_F32))
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "bf16 keeps its weights in F32, which %s does not have", caps->name);
    plan->master = MGPT_F32;
    plan->activation = plan->product = MGPT_BF16;
    plan->tf32 = 0;
    plan->scale_interval = 0;
    plan->scale_initial = plan->scale_growth = plan->scale_backoff = 1;
    return MGPT_OK;
}

static const struct mgpt_precision_api api = {
    .size = sizeof api,
    .plan = plan,
};

static const struct mgpt_component bf16 = {
    .size = sizeof bf16,
    MGPT_NO_OPTIONS,
    .kind = MGPT_KIND_PRECISION,
    .name = "bf16",
    .summary = "16-bit activations and products with the range of 32, weights and sums in 32",
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.precision.bf16", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &bf16)
