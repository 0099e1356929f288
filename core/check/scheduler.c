/* Kind scheduler: a finite rate, 0 or more, a pure function of the step. */
#include <config.h>

#include "check/bench_scheduler.h"

#include <math.h>

static const char *const warmups[] = {"0", "1", "3", "1000000000000"};
static const char *const floors[] = {"0", "1e-4", "1000"};
static const uint64_t totals[] = {1, 2, 7, 500, 1000003, UINT64_C(1) << 53, UINT64_MAX};

static void check_rates(const struct mgpt_scheduler_api *api, const struct mgpt_scheduler *s,
                        uint64_t total, double base)
{
    const uint64_t steps[] = {0, 1, 2, 3, total / 3, total / 2, total - 2, total - 1};

    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (steps[i] >= total)
            continue;
        double lr = api->lr(s, steps[i], total, base);
        check_that(isfinite(lr) && lr >= 0, "lr %g of %g at step %llu of %llu", lr, base,
                   (unsigned long long)steps[i], (unsigned long long)total);
        check_that(api->lr(s, steps[i], total, base) == lr, "a second call gives another rate");
    }
}

static void check_range(const struct mgpt_component *component)
{
    const struct mgpt_scheduler_api *api = component->api;

    for (size_t w = 0; w < sizeof warmups / sizeof warmups[0]; w++)
        for (size_t f = 0; f < sizeof floors / sizeof floors[0]; f++) {
            struct mgpt_scheduler *s = scheduler_bench_make(component, warmups[w], floors[f]);
            for (size_t t = 0; t < sizeof totals / sizeof totals[0]; t++) {
                check_rates(api, s, totals[t], 1e-2);
                check_rates(api, s, totals[t], 1e-12);
                check_rates(api, s, totals[t], 3.0);
            }
            api->destroy(s);
        }
    api->destroy(NULL);
}

static void check_warmup(const struct mgpt_component *component)
{
    const struct mgpt_scheduler_api *api = component->api;

    if (!mgpt_check_has_option(component, "warmup"))
        return;
    struct mgpt_scheduler *s = scheduler_bench_make(component, "4", "0");
    for (uint64_t step = 0; step < 4; step++)
        check_that(fabs(api->lr(s, step, 100, 0.4) - 0.1 * ((double)step + 1)) < 1e-15,
                   "lr %g at step %llu of a warmup of 4 to 0.4", api->lr(s, step, 100, 0.4),
                   (unsigned long long)step);
    api->destroy(s);
}

static void once(const struct mgpt_component *component)
{
    const struct mgpt_scheduler_api *api = component->api;
    struct mgpt_scheduler *s = scheduler_bench_make(component, "1", "0");

    (void)api->lr(s, 0, 10, 1);
    api->destroy(s);
}

static void check_left(const struct mgpt_component *component)
{
    mgpt_check_leaks(component, once);
}

static void check_made(const struct mgpt_component *component)
{
    const struct mgpt_scheduler_api *api = component->api;
    struct mgpt_config *config = mgpt_check_settings(component, NULL);
    struct mgpt_scheduler *s = NULL;

    check_ok(api->create(mgpt_host(), config, &s, error));
    api->destroy(s);
    mgpt_config_destroy(config);
}

const struct mgpt_check_case mgpt_check_scheduler[] = {
    {MGPT_CHECK_MADE, "no run could begin with it", check_made, 0},
    {"gives_finite_rates",
     "training would run at a rate that is no number, negative, or another one after a resume",
     check_range, 0},
    {"warms_up_in_equal_steps", "option warmup means: step s of w has (s + 1) / w of the rate",
     check_warmup, 0},
    {"leaves_nothing_behind", "what create takes, destroy gives back", check_left, 0},
    {NULL, NULL, NULL, 0},
};
