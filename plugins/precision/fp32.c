/* Precision fp32: every number is an IEEE 754 binary32. */
#include <microgpt/precision.h>

static enum mgpt_status plan(const struct mgpt_host *host, const struct mgpt_config *config,
                             const struct mgpt_caps *caps, struct mgpt_precision_plan *plan,
                             struct mgpt_error *error)
{
    (void)host, (void)config;
    if (!(caps->formats & 1u << MGPT_F32))
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "fp32 needs a device with F32, which %s does not have", caps->name);
    plan->master = plan->activation = plan->product = MGPT_F32;
    plan->tf32 = 0;
    plan->scale_interval = 0;
    plan->scale_initial = plan->scale_growth = plan->scale_backoff = 1;
    return MGPT_OK;
}

static const struct mgpt_precision_api api = {
    .size = sizeof api,
    .plan = plan,
};

static const struct mgpt_component fp32 = {
    .size = sizeof fp32,
    MGPT_NO_OPTIONS,
    .kind = MGPT_KIND_PRECISION,
    .name = "fp32",
    .summary = "32 bits everywhere",
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.precision.fp32", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &fp32)
