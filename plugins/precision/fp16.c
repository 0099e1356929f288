/* Precision fp16: activations and the operands of products are IEEE 754 binary16; all that is
 * summed or kept from step to step is F32. Small gradients would be 0 in it, so the loss is
 * multiplied with a scale, which the update divides out. A step in which something overflows is
 * skipped and the scale halved; after `scale_interval` good steps it doubles. Micikevicius et al.
 * 2018, "Mixed precision training". */
#include <math.h>
#include <stdio.h>

#include <microgpt/precision.h>

static enum mgpt_status refuse(const struct mgpt_caps *caps, struct mgpt_precision_plan *plan,
                               struct mgpt_error *error)
{
    const char *other = caps->formats & 1u << MGPT_BF16 ? "bf16 or fp32" : "fp32";

    (void)snprintf(plan->use, sizeof plan->use, "fp32");
    (void)snprintf(plan->reason, sizeof plan->reason, "%s has no F16", caps->name);
    return mgpt_fail(error, MGPT_UNSUPPORTED,
                     "fp16 needs a device with F16, and %s has none%s: use precision = %s",
                     caps->name,
                     caps->flags & MGPT_CAPS_HOST
                         ? " (backend cuda has it on a GPU; ref, on any machine, slowly)"
                         : "",
                     other);
}

static enum mgpt_status plan(const struct mgpt_host *host, const struct mgpt_config *config,
                             const struct mgpt_caps *caps, struct mgpt_precision_plan *plan,
                             struct mgpt_error *error)
{
    int exponent;

    if (!(caps->formats & 1u << MGPT_F16))
        return refuse(caps, plan, error);
    if (!(caps->formats & 1u << MGPT_F32))
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "fp16 keeps its weights in F32, which %s does not have", caps->name);
    double scale = host->get_float(config, "scale_initial");
    if (frexp(scale, &exponent) != 0.5) /* else it would round what it is multiplied with */
        return mgpt_fail(error, MGPT_CONFIG,
                         "[precision.fp16] scale_initial = %.17g: expected a power of two", scale);
    plan->master = MGPT_F32;
    plan->activation = plan->product = MGPT_F16;
    plan->tf32 = 0;
    plan->scale_interval = (uint32_t)host->get_int(config, "scale_interval");
    plan->scale_initial = scale;
    plan->scale_growth = host->get_float(config, "scale_growth");
    plan->scale_backoff = host->get_float(config, "scale_backoff");
    return MGPT_OK;
}

static const struct mgpt_option options[] = {
    {.key = "scale_initial",
     .value = "65536",
     .help = "what the loss is multiplied with at first: a power of two",
     .min = 1,
     .max = 1e30,
     .type = MGPT_OPTION_FLOAT},
    {.key = "scale_growth",
     .value = "2",
     .help = "what the scale is multiplied with after scale_interval good steps",
     .min = 1.001,
     .max = 65536,
     .type = MGPT_OPTION_FLOAT},
    {.key = "scale_backoff",
     .value = "0.5",
     .help = "what the scale is multiplied with after a step that overflowed, which is skipped",
     .min = 0.001,
     .max = 0.999,
     .type = MGPT_OPTION_FLOAT},
    {.key = "scale_interval",
     .value = "2000",
     .help = "good steps in a row after which the scale grows",
     .unit = "steps",
     .min = 1,
     .max = 4294967295.0,
     .type = MGPT_OPTION_INT},
};

static const struct mgpt_precision_api api = {
    .size = sizeof api,
    .plan = plan,
};

static const struct mgpt_component fp16 = {
    .size = sizeof fp16,
    MGPT_OPTIONS(options),
    .kind = MGPT_KIND_PRECISION,
    .name = "fp16",
    .summary = "16-bit activations and products, weights and sums in 32, the loss scaled",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.precision.fp16", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &fp16)
