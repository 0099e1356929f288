/* Step latin, for tests: takes no run, and says so in another encoding than UTF-8. */
#include <stdio.h>

#include <microgpt/step.h>

static void bid(const struct mgpt_step_spec *spec, struct mgpt_bid *bid)
{
    (void)spec;
    bid->score = 0;
    (void)snprintf(bid->reason, sizeof bid->reason, "%s", "nothing for a ger\xe4t");
}

static enum mgpt_status open_step(const struct mgpt_host *host, const struct mgpt_config *config,
                                  const struct mgpt_step_spec *spec, struct mgpt_step **step,
                                  struct mgpt_error *error)
{
    (void)host, (void)config, (void)spec, (void)step;
    return mgpt_fail(error, MGPT_UNSUPPORTED, "it takes no run");
}

static void close_step(struct mgpt_step *step)
{
    (void)step;
}

static enum mgpt_status run(struct mgpt_step *step, const struct mgpt_step_input *inputs,
                            uint32_t n, struct mgpt_error *error)
{
    (void)step, (void)inputs, (void)n;
    return mgpt_fail(error, MGPT_INTERNAL, "it was never open");
}

static enum mgpt_status fence(struct mgpt_step *step, struct mgpt_step_result *results, uint32_t *n,
                              struct mgpt_error *error)
{
    (void)step, (void)results, (void)n;
    return mgpt_fail(error, MGPT_INTERNAL, "it was never open");
}

static enum mgpt_status adopt(struct mgpt_step *step, struct mgpt_error *error)
{
    (void)step;
    return mgpt_fail(error, MGPT_INTERNAL, "it was never open");
}

static const struct mgpt_step_api api = {.size = sizeof api,
                                         .bid = bid,
                                         .open = open_step,
                                         .close = close_step,
                                         .run = run,
                                         .fence = fence,
                                         .adopt = adopt};

static const struct mgpt_component component = {.size = sizeof component,
                                                MGPT_NO_OPTIONS,
                                                .kind = MGPT_KIND_STEP,
                                                .name = "latin",
                                                .summary = "for tests: ger\xe4t",
                                                .api = &api};

MGPT_PLUGIN_DEFINE("org.microgpt.test.latin", "1", "MIT", "The microgpt authors", NULL, &component)
