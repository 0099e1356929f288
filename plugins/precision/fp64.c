/* Precision fp64: every number is an IEEE 754 binary64. For checking, not for speed. */
#include <microgpt/precision.h>

static enum mgpt_status plan(const struct mgpt_host *host, const struct mgpt_config *config,
                             const struct mgpt_caps *caps, struct mgpt_precision_plan *plan,
                             struct mgpt_error *error)
{
    (void)host, (void)config;
    if (!(caps->formats & 1u << MGPT_F64))
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "fp64 needs a device with F64; %s has %s: use backend = ref", caps->name,
                         caps->formats & 1u << MGPT_F32 ? "F32 only" : "no F64");
    plan->master = plan->activation = plan->product = MGPT_F64;
    plan->tf32 = 0;
    plan->scale_interval = 0;
    plan->scale_initial = plan->scale_growth = plan->scale_backoff = 1;
    return MGPT_OK;
}

static const struct mgpt_precision_api api = {
    .size = sizeof api,
    .plan = plan,
};

static const struct mgpt_component fp64 = {
    .size = sizeof fp64,
    MGPT_NO_OPTIONS,
    .kind = MGPT_KIND_PRECISION,
    .name = "fp64",
    .summary = "64 bits everywhere, for checking",
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.precision.fp64", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &fp64)
