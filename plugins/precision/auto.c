/* Precision auto: what the device is good at. On the processor fp32; else bf16, which has the range
 * of F32 and needs no care; else fp16, with loss scaling; else fp32. */
#include <stdio.h>

#include <microgpt/precision.h>

static enum mgpt_status plan(const struct mgpt_host *host, const struct mgpt_config *config,
                             const struct mgpt_caps *caps, struct mgpt_precision_plan *plan,
                             struct mgpt_error *error)
{
    const struct {
        int fits;
        const char *use, *reason;
    } choices[] = {
        {!!(caps->flags & MGPT_CAPS_HOST), "fp32", "computes on the processor"},
        {!!(caps->formats & 1u << MGPT_BF16), "bf16", "has BF16"},
        {!!(caps->formats & 1u << MGPT_F16), "fp16", "has F16, and no BF16"},
        {1, "fp32", "has neither BF16 nor F16"},
    };
    int i = 0;

    (void)host, (void)config;
    if (!(caps->formats & 1u << MGPT_F32))
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "auto chooses among formats that keep weights in F32, which %s does not "
                         "have: name one, as precision = fp64",
                         caps->name);
    while (!choices[i].fits)
        i++;
    (void)snprintf(plan->use, sizeof plan->use, "%s", choices[i].use);
    (void)snprintf(plan->reason, sizeof plan->reason, "%s %s", caps->name, choices[i].reason);
    return MGPT_OK;
}

static const struct mgpt_precision_api api = {
    .size = sizeof api,
    .plan = plan,
};

static const struct mgpt_component automatic = {
    .size = sizeof automatic,
    MGPT_NO_OPTIONS,
    .kind = MGPT_KIND_PRECISION,
    .name = "auto",
    .summary = "bf16 where a GPU has it, else fp16, else fp32; fp32 on a processor",
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.precision.auto", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &automatic)
