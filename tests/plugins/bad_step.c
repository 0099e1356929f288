/* Step "bad", for tests: has the core's own step do all. Without a name it is sound; with one that
 * run_broken.sh defines, its bid or its work has that fault. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <microgpt/step.h>

struct mgpt_step {
    const struct mgpt_step_api *composed;
    struct mgpt_step *it;
    struct mgpt_step_spec spec;
    struct mgpt_precision_plan plan;
    struct mgpt_optimizer_api optimizer;
};

static const struct mgpt_step_api *composed_of(const struct mgpt_host *host)
{
    const struct mgpt_composed *composed = host->query(MGPT_COMPOSED);

    return composed->api;
}

/* One small model, so that the checks are quick; nothing that is newer than this file. */
static int takes(const struct mgpt_step_spec *spec)
{
    const struct mgpt_model *m = spec->model;
    const struct mgpt_precision_plan *plan = spec->precision;

    (void)plan;
    return m->embd == 6 && spec->ranks == 1 && mgpt_rest_is_zero(m, m->size, sizeof *m)
#ifndef STEP_TAKES_ANY_SPEC
           && mgpt_rest_is_zero(spec, spec->size, sizeof *spec)
#endif
#ifndef STEP_TAKES_ANY_PLAN
           && mgpt_rest_is_zero(plan, plan->size, sizeof *plan)
#endif
        ;
}

static void bid(const struct mgpt_step_spec *spec, struct mgpt_bid *bid)
{
    int can = takes(spec);

    bid->score = can ? 99 : 0;
    bid->covers = MGPT_COVERS_FBCUS;
    snprintf(bid->reason, sizeof bid->reason, can ? "as composed" : "not this model");
    if (!can)
        return;
#ifdef STEP_COVERS_NOTHING
    bid->covers = 0;
#elif defined STEP_COVERS_TOO_MUCH
    bid->covers = 5;
#elif defined STEP_TALKS_ON
    memset(bid->reason, 'x', sizeof bid->reason);
#elif defined STEP_GROWS_THE_BID
    bid->size += 8;
#endif
}

#ifdef STEP_KNOWS_TWO_RULES
/* clang-format off */
MGPT_RULE(idle, (mean), (lr, b1, decay),
    p -= (real)0 * lr * g;)
/* clang-format on */
#endif

static void close_step(struct mgpt_step *step)
{
    if (step)
        step->composed->close(step->it);
    free(step);
}

static enum mgpt_status open_step(const struct mgpt_host *host, const struct mgpt_config *config,
                                  const struct mgpt_step_spec *spec, struct mgpt_step **step,
                                  struct mgpt_error *error)
{
    struct mgpt_step *s = calloc(1, sizeof *s);

    (void)config;
    if (!s)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for step bad");
    s->composed = composed_of(host);
    s->spec = *spec;
    s->plan = *spec->precision;
    s->optimizer = *spec->optimizer;
    s->spec.precision = &s->plan;
    s->spec.optimizer = &s->optimizer;
#ifdef STEP_IGNORES_SCALING
    s->plan.scale_interval = 0;
#elif defined STEP_KNOWS_TWO_RULES
    if (s->optimizer.rule->n_scalars == 3 && s->spec.n_state == 1)
        s->optimizer.rule = &idle;
#endif
    enum mgpt_status status = s->composed->open(host, NULL, &s->spec, &s->it, error);
    if (status == MGPT_OK)
        *step = s;
    else
        free(s);
    return status;
}

static enum mgpt_status run(struct mgpt_step *step, const struct mgpt_step_input *inputs,
                            uint32_t n, struct mgpt_error *error)
{
    return step->composed->run(step->it, inputs, n, error);
}

static enum mgpt_status fence(struct mgpt_step *step, struct mgpt_step_result *results, uint32_t *n,
                              struct mgpt_error *error)
{
    return step->composed->fence(step->it, results, n, error);
}

static enum mgpt_status adopt(struct mgpt_step *step, struct mgpt_error *error)
{
    return step->composed->adopt(step->it, error);
}

static const struct mgpt_step_api api = {(uint32_t)sizeof api, 0,   bid,   open_step,
                                         close_step,           run, fence, adopt};
static const struct mgpt_component component = {(uint32_t)sizeof component,
                                                MGPT_NO_OPTIONS,
                                                0,
                                                MGPT_KIND_STEP,
                                                "bad",
                                                "for tests: the composed step, with one fault",
                                                NULL,
                                                NULL,
                                                &api};

MGPT_PLUGIN_DEFINE("org.microgpt.test.bad-step", "1.0", "MIT", "microgpt", NULL, &component)
