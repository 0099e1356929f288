/* Plugins with one fault each: run_broken.sh compiles this file once for every name in it. Without
 * a name it is a sound scheduler, optimizer, step, sampler and tokenizer, the simplest there
 * are. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <microgpt/optimizer.h>
#include <microgpt/sampler.h>
#include <microgpt/scheduler.h>
#include <microgpt/step.h>

/* ---- loading ---- */

#if defined CONSTRUCTOR_CRASHES || defined CONSTRUCTOR_HANGS || defined CONSTRUCTOR_EXITS ||       \
    defined CONSTRUCTOR_FORKS
__attribute__((constructor)) static void start(void)
{
#ifdef CONSTRUCTOR_CRASHES
    *(volatile int *)(getpid() > 0 ? NULL : "") = 1;
#elif defined CONSTRUCTOR_HANGS
    for (;;)
        pause();
#elif defined CONSTRUCTOR_FORKS
    FILE *file = fopen(getenv("FORKED"), "w"); /* the one that is left behind says who it is */
    pid_t left = fork();
    while (left == 0)
        pause();
    fprintf(file, "%d\n", (int)left);
    fclose(file);
    abort();
#else
    _exit(0);
#endif
}
#endif

#if defined PROBE_HANGS || defined PROBE_CRASHES || defined PROBE_REFUSES
static enum mgpt_status probe(const struct mgpt_host *host, struct mgpt_error *error)
{
    (void)host;
#ifdef PROBE_HANGS
    for (;;)
        pause();
#elif defined PROBE_CRASHES
    abort();
#endif
    return mgpt_fail(error, MGPT_UNSUPPORTED, "the device is at the menders");
}
#define PROBE probe
#else
#define PROBE NULL
#endif

/* ---- scheduler ---- */

static enum mgpt_status scheduler_create(const struct mgpt_host *host,
                                         const struct mgpt_config *config,
                                         struct mgpt_scheduler **scheduler,
                                         struct mgpt_error *error)
{
    (void)host, (void)config;
#ifdef ASKS_FOR_NO_OPTION
    if (host->get_float(config, "slope") > 1)
        return mgpt_fail(error, MGPT_CONFIG, "slope: expected at most 1");
#endif
    *scheduler = malloc(64);
    return *scheduler ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "out of memory");
}

static void scheduler_destroy(struct mgpt_scheduler *scheduler)
{
#ifndef SCHEDULER_LEAKS
    free(scheduler);
#else
    (void)scheduler;
#endif
}

static double lr(const struct mgpt_scheduler *scheduler, uint64_t step, uint64_t total, double base)
{
    (void)scheduler, (void)step, (void)total;
#ifdef SCHEDULER_IS_IMPURE
    static unsigned calls;
    return base / (1 + calls++ % 7);
#elif defined SCHEDULER_GIVES_NAN
    return step == 0 ? base : (double)NAN;
#elif defined SCHEDULER_EXITS
    exit(0);
#endif
    return base;
}

static const struct mgpt_scheduler_api scheduler_api = {
#ifdef TABLE_TOO_SHORT
    offsetof(struct mgpt_scheduler_api, lr),
#else
    (uint32_t)sizeof scheduler_api,
#endif
    0, scheduler_create, scheduler_destroy,
#ifdef NULL_FUNCTION
    NULL
#else
    lr
#endif
};

static const struct mgpt_option options[] = {
    {"rise", "10", "steps that rise", "steps", 0, 1e9, NULL, MGPT_OPTION_INT, 0},
#ifdef OPTIONS_TWICE
    {"rise", "20", "the same again", NULL, 0, 1e9, NULL, MGPT_OPTION_INT, 0},
#endif
#ifdef DEFAULT_OUT_OF_RANGE
    {"floor", "1.5", "a share", NULL, 0, 1, NULL, MGPT_OPTION_FLOAT, 0},
#endif
};

#ifdef KIND_OF_THE_FUTURE
#define SCHEDULER_KIND "scheduler/2"
#else
#define SCHEDULER_KIND MGPT_KIND_SCHEDULER
#endif
static const struct mgpt_component scheduler = {(uint32_t)sizeof scheduler,
                                                MGPT_OPTIONS(options),
                                                0,
                                                SCHEDULER_KIND,
                                                "broken",
                                                "for tests: has one fault",
                                                options,
                                                PROBE,
                                                &scheduler_api};

/* ---- optimizer ---- */

/* clang-format off */
#ifdef RULE_CALLS_A_FUNCTION
#define square(x) square_of(x)
static double square_of(double x) { return x * x; }
MGPT_RULE(plain, (), (lr, decay),
    p -= lr * (g + decay * p + 0 * square_of(g));)
#elif defined RULE_HAS_A_NAKED_LITERAL
MGPT_RULE(plain, (), (lr, decay),
    p -= lr * (g + decay * p * 1.0);)
#else
MGPT_RULE(plain, (), (lr, decay),
    p -= lr * (g + decay * p);)
#endif
/* clang-format on */

static enum mgpt_status optimizer_create(const struct mgpt_host *host,
                                         const struct mgpt_config *config,
                                         struct mgpt_optimizer **optimizer,
                                         struct mgpt_error *error)
{
    (void)host, (void)config;
    *optimizer = calloc(1, sizeof(int));
    return *optimizer ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "out of memory");
}

static void optimizer_destroy(struct mgpt_optimizer *optimizer)
{
    free(optimizer);
}

static void scalars(const struct mgpt_optimizer *optimizer, const struct mgpt_tick *tick, double *h)
{
#ifdef SCALARS_REMEMBER
    int *calls = (int *)(size_t)optimizer;
    h[0] = tick->lr / (1 + ++*calls);
#else
    (void)optimizer;
    h[0] = tick->lr;
#endif
    h[1] = tick->weight_decay;
#ifdef SCALARS_OVERFLOW
    h[2] = 0;
#endif
}

static const struct mgpt_optimizer_api optimizer_api = {.size = sizeof optimizer_api,
                                                        .rule = &plain,
                                                        .create = optimizer_create,
                                                        .destroy = optimizer_destroy,
                                                        .scalars = scalars};
static const struct mgpt_component optimizer = {(uint32_t)sizeof optimizer,
                                                MGPT_NO_OPTIONS,
                                                0,
                                                MGPT_KIND_OPTIMIZER,
                                                "broken",
                                                "for tests: has one fault",
                                                NULL,
                                                NULL,
                                                &optimizer_api};

/* ---- sampler: the likeliest ---- */

static enum mgpt_status sampler_create(const struct mgpt_host *host,
                                       const struct mgpt_config *config, uint32_t vocab,
                                       struct mgpt_sampler **sampler, struct mgpt_error *error)
{
    (void)host, (void)config, (void)vocab;
    *sampler = malloc(1);
    return *sampler ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "out of memory");
}

static void sampler_destroy(struct mgpt_sampler *sampler)
{
    free(sampler);
}

static int32_t sampler_next(struct mgpt_sampler *sampler, double *logits, uint32_t n,
                            const struct mgpt_stream *stream)
{
    uint32_t best = 0;

    (void)sampler, (void)stream;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
#ifdef SAMPLER_OUT_OF_RANGE
    return (int32_t)n;
#else
    return (int32_t)best;
#endif
}

static const struct mgpt_sampler_api sampler_api = {(uint32_t)sizeof sampler_api, 0, sampler_create,
                                                    sampler_destroy, sampler_next};
static const struct mgpt_component sampler = {(uint32_t)sizeof sampler,
                                              MGPT_NO_OPTIONS,
                                              0,
                                              MGPT_KIND_SAMPLER,
                                              "broken",
                                              "for tests: has one fault",
                                              NULL,
                                              NULL,
                                              &sampler_api};

/* ---- step: says that it covers all, and does nothing ---- */

#ifdef STEP_LIES
static void bid(const struct mgpt_step_spec *spec, struct mgpt_bid *bid)
{
    (void)spec;
    bid->score = 99;
    bid->covers = MGPT_COVERS_FBCUS;
    strcpy(bid->reason, "trust me");
}

static enum mgpt_status step_open(const struct mgpt_host *host, const struct mgpt_config *config,
                                  const struct mgpt_step_spec *spec, struct mgpt_step **step,
                                  struct mgpt_error *error)
{
    (void)host, (void)config, (void)spec;
    *step = calloc(1, sizeof(uint32_t));
    return *step ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "out of memory");
}

static void step_close(struct mgpt_step *step)
{
    free(step);
}

static enum mgpt_status step_run(struct mgpt_step *step, const struct mgpt_step_input *inputs,
                                 uint32_t n, struct mgpt_error *error)
{
    (void)inputs, (void)error;
    *(uint32_t *)(void *)step = n;
    return MGPT_OK;
}

static enum mgpt_status step_fence(struct mgpt_step *step, struct mgpt_step_result *results,
                                   uint32_t *n, struct mgpt_error *error)
{
    (void)error;
    *n = *(uint32_t *)(void *)step;
    *(uint32_t *)(void *)step = 0;
    memset(results, 0, *n * sizeof *results);
    return MGPT_OK;
}

static enum mgpt_status step_adopt(struct mgpt_step *step, struct mgpt_error *error)
{
    (void)step, (void)error;
    return MGPT_OK;
}

static const struct mgpt_step_api step_api = {
    (uint32_t)sizeof step_api, 0, bid, step_open, step_close, step_run, step_fence, step_adopt};
static const struct mgpt_component step = {(uint32_t)sizeof step,
                                           MGPT_NO_OPTIONS,
                                           0,
                                           MGPT_KIND_STEP,
                                           "broken",
                                           "for tests: has one fault",
                                           NULL,
                                           NULL,
                                           &step_api};
#endif

/* ---- the descriptor ---- */

#ifdef DESCRIPTOR_IS_NULL
MGPT_EXPORT const struct mgpt_plugin *microgpt_plugin_v1(void)
{
    return NULL;
}
#elif defined STEP_LIES
MGPT_PLUGIN_DEFINE("org.microgpt.test.broken", "1.0", "MIT", "microgpt", NULL, &step)
#elif defined KIND_OF_THE_FUTURE
MGPT_PLUGIN_DEFINE("org.microgpt.test.broken", "1.0", "MIT", "microgpt", NULL, &scheduler)
#else
MGPT_PLUGIN_DEFINE("org.microgpt.test.broken", "1.0", "MIT", "microgpt", NULL, &scheduler,
                   &optimizer, &sampler)
#endif
