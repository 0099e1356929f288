/* Precision my-name: activations in 16 bits where the device has such a format, everything else in
 * 32 (Micikevicius et al. 2018). A plan, no kernels: steps and ops read it. */
#include <string.h>

#include <microgpt/precision.h>

static int has(const struct mgpt_caps *caps, uint32_t format)
{
    return caps->formats >> format & 1;
}

/* The format wanted for activations; 0: the device lacks it. */
static uint32_t choose(const char *wish, const struct mgpt_caps *caps)
{
    if (strcmp(wish, "bf16") == 0)
        return has(caps, MGPT_BF16) ? MGPT_BF16 : 0;
    if (strcmp(wish, "f16") == 0)
        return has(caps, MGPT_F16) ? MGPT_F16 : 0;
    return has(caps, MGPT_BF16) ? MGPT_BF16 : has(caps, MGPT_F16) ? MGPT_F16 : MGPT_F32;
}

static enum mgpt_status plan(const struct mgpt_host *host, const struct mgpt_config *config,
                             const struct mgpt_caps *caps, struct mgpt_precision_plan *plan,
                             struct mgpt_error *error)
{
    const char *wish = host->get_text(config, "activation");
    uint32_t format = choose(wish, caps);

    if (!has(caps, MGPT_F32))
        return mgpt_fail(error, MGPT_UNSUPPORTED, "my-name needs F32, which %s does not have",
                         caps->name);
    if (!format)
        return mgpt_fail(error, MGPT_UNSUPPORTED, "activation = %s: %s does not have that format",
                         wish, caps->name);
    plan->master = MGPT_F32;
    plan->activation = plan->product = format;
    plan->tf32 = 0;
    /* F16 has few small numbers, so the loss, and with it every gradient, is scaled up. */
    plan->scale_interval = format == MGPT_F16 ? 2000 : 0;
    plan->scale_initial = format == MGPT_F16 ? 65536 : 1;
    plan->scale_growth = 2;
    plan->scale_backoff = 0.5;
    return MGPT_OK;
}

static const char *const formats[] = {"auto", "bf16", "f16", NULL};

/* key, default, help, unit, least, most (both 0: no limit), choices, type, 0 */
static const struct mgpt_option options[] = {
    {"activation", "auto", "format of activations; auto: 16 bits where the device has them", NULL,
     0, 0, formats, MGPT_OPTION_ENUM, 0},
};

static const struct mgpt_precision_api api = {.size = sizeof api, .plan = plan};

static const struct mgpt_component component = {
    .size = sizeof component,
    .n_options = sizeof options / sizeof options[0],
    .option_size = sizeof options[0],
    .kind = MGPT_KIND_PRECISION,
    .name = "my-name",
    .summary = "activations in 16 bits where the device has them",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.example.my-name", "0.1.0", "LicenseRef-none-yet", "YOUR NAME", NULL,
                   &component)
