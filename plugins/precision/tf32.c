/* Precision tf32: every number is an F32, and tensor cores multiply them: the operands of products
 * are rounded to 10 bits of mantissa on the way, sums stay F32. Where a device multiplies F32 as it
 * is, that is fp32. */
#include <stdio.h>

#include <microgpt/precision.h>

static enum mgpt_status plan(const struct mgpt_host *host, const struct mgpt_config *config,
                             const struct mgpt_caps *caps, struct mgpt_precision_plan *plan,
                             struct mgpt_error *error)
{
    (void)host, (void)config;
    if (!(caps->formats & 1u << MGPT_F32))
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "tf32 needs a device with F32, which %s does not have", caps->name);
    plan->master = plan->activation = plan->product = MGPT_F32;
    plan->tf32 = !!(caps->flags & MGPT_CAPS_TF32);
    plan->scale_interval = 0;
    plan->scale_initial = plan->scale_growth = plan->scale_backoff = 1;
    if (plan->tf32)
        return MGPT_OK;
    (void)snprintf(plan->use, sizeof plan->use, "fp32");
    (void)snprintf(plan->reason, sizeof plan->reason, "%s multiplies F32 as it is, without TF32",
                   caps->name);
    if (caps->flags & MGPT_CAPS_HOST)
        return MGPT_OK;
    return mgpt_fail(error, MGPT_UNSUPPORTED,
                     "tf32 needs a device with TF32, and %s has none: use precision = fp32",
                     caps->name);
}

static const struct mgpt_precision_api api = {
    .size = sizeof api,
    .plan = plan,
};

static const struct mgpt_component tf32 = {
    .size = sizeof tf32,
    MGPT_NO_OPTIONS,
    .kind = MGPT_KIND_PRECISION,
    .name = "tf32",
    .summary = "32 bits everywhere, of which products take 19",
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.precision.tf32", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &tf32)
