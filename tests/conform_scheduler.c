/* Kind scheduler: every module keeps the contract, and ours are what they are called. */
#include <config.h>

#include <math.h>

#include "check/bench_scheduler.h"
#include "conform.h"

START_TEST(cosine_follows_the_recipe_of_names)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_SCHEDULER, "cosine");
    const struct mgpt_scheduler_api *api = component->api;
    struct mgpt_scheduler *s = scheduler_bench_make(component, "0", "0");

    for (uint64_t step = 0; step < 500; step++)
        ck_assert_double_eq(api->lr(s, step, 500, 1e-2),
                            1e-2 * 0.5 * (1 + cos(3.14159265358979323846 * (double)step / 500)));
    api->destroy(s);
}
END_TEST

START_TEST(cosine_follows_the_recipe_of_toygpt)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_SCHEDULER, "cosine");
    const struct mgpt_scheduler_api *api = component->api;
    struct mgpt_scheduler *s = scheduler_bench_make(component, "100", "1e-4");

    ck_assert_double_eq_tol(api->lr(s, 0, 5000, 1e-3), 1e-5, 1e-18);
    ck_assert_double_eq_tol(api->lr(s, 99, 5000, 1e-3), 1e-3, 1e-18);
    ck_assert_double_eq_tol(api->lr(s, 100, 5000, 1e-3), 1e-3, 1e-18);
    ck_assert_double_eq_tol(api->lr(s, 2550, 5000, 1e-3), 5.5e-4, 1e-18);
    ck_assert_double_eq_tol(api->lr(s, 1325, 5000, 1e-3), 1e-4 + 0.9e-3 * 0.85355339059327376,
                            1e-18);
    api->destroy(s);
}
END_TEST

START_TEST(linear_is_a_straight_line)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_SCHEDULER, "linear");
    const struct mgpt_scheduler_api *api = component->api;
    struct mgpt_scheduler *s = scheduler_bench_make(component, "10", "0.2");

    ck_assert_double_eq_tol(api->lr(s, 10, 110, 1.0), 1.0, 1e-15);
    ck_assert_double_eq_tol(api->lr(s, 60, 110, 1.0), 0.6, 1e-15);
    ck_assert_double_eq_tol(api->lr(s, 109, 110, 1.0), 0.208, 1e-15);
    api->destroy(s);
}
END_TEST

START_TEST(constant_stays)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_SCHEDULER, "constant");
    const struct mgpt_scheduler_api *api = component->api;
    struct mgpt_scheduler *s = scheduler_bench_make(component, "0", "0");

    for (uint64_t step = 0; step < 10; step++)
        ck_assert_double_eq(api->lr(s, step, 10, 0.3), 0.3);
    api->destroy(s);
}
END_TEST

/* A wsd of 1000 steps from 1.0: warmup 100, the last part as given, floor 0.2. */
static struct mgpt_scheduler *wsd(const struct mgpt_scheduler_api **api, const char *decay,
                                  const char *shape)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_SCHEDULER, "wsd");
    struct mgpt_config *config = mgpt_check_settings(component, "warmup", "100", "floor", "0.2",
                                                     "decay", decay, "shape", shape, NULL);
    struct mgpt_scheduler *s = NULL;

    *api = component->api;
    ck_ok((*api)->create(mgpt_host(), config, &s, error));
    mgpt_config_destroy(config);
    return s;
}

START_TEST(wsd_warms_up_stays_and_falls)
{
    static const char *const lasts[] = {"0.2", "200"}; /* a share of the run, and steps */

    for (int i = 0; i < 2; i++) {
        const struct mgpt_scheduler_api *api;
        struct mgpt_scheduler *s = wsd(&api, lasts[i], "linear");
        ck_assert_double_eq_tol(api->lr(s, 49, 1000, 1.0), 0.5, 1e-15);
        for (uint64_t step = 99; step <= 800; step++)
            ck_assert_double_eq(api->lr(s, step, 1000, 1.0), 1.0);
        ck_assert_double_eq_tol(api->lr(s, 850, 1000, 1.0), 0.8, 1e-15);
        ck_assert_double_eq_tol(api->lr(s, 999, 1000, 1.0), 0.204, 1e-15);
        api->destroy(s);
    }
}
END_TEST

START_TEST(wsd_falls_as_one_minus_sqrt)
{
    const struct mgpt_scheduler_api *api;
    struct mgpt_scheduler *s = wsd(&api, "0.2", "sqrt");

    ck_assert_double_eq(api->lr(s, 800, 1000, 1.0), 1.0);
    ck_assert_double_eq_tol(api->lr(s, 850, 1000, 1.0), 0.6, 1e-15);
    ck_assert_double_eq_tol(api->lr(s, 962, 1000, 1.0), 0.28, 1e-15);
    api->destroy(s);
}
END_TEST

START_TEST(wsd_without_a_last_part_stays_and_a_long_one_starts_after_the_warmup)
{
    const struct mgpt_scheduler_api *api;
    struct mgpt_scheduler *s = wsd(&api, "0", "linear");

    ck_assert_double_eq(api->lr(s, 999, 1000, 1.0), 1.0);
    api->destroy(s);
    s = wsd(&api, "1", "linear");
    ck_assert_double_eq(api->lr(s, 100, 1000, 1.0), 1.0);
    ck_assert_double_eq_tol(api->lr(s, 550, 1000, 1.0), 0.6, 1e-15);
    api->destroy(s);
}
END_TEST

static double twice(const struct mgpt_scheduler *s, uint64_t step, uint64_t total, double base)
{
    (void)s, (void)total;
    return step % 3 ? base : 2 * base;
}

/* As in a warm restart that overshoots: the contract says finite, and 0 or more. */
START_TEST(a_rate_above_the_base_is_a_rate)
{
    struct mgpt_component component = *one_module(MGPT_KIND_SCHEDULER, "constant");
    struct mgpt_scheduler_api api = *(const struct mgpt_scheduler_api *)component.api;

    api.lr = twice;
    component.api = &api;
    mgpt_check_scheduler[0].run(&component);
}
END_TEST

static void add_tests(TCase *tests)
{
    add_contract(tests, "scheduler");
    tcase_add_test(tests, cosine_follows_the_recipe_of_names);
    tcase_add_test(tests, cosine_follows_the_recipe_of_toygpt);
    tcase_add_test(tests, linear_is_a_straight_line);
    tcase_add_test(tests, constant_stays);
    tcase_add_test(tests, a_rate_above_the_base_is_a_rate);
    tcase_add_test(tests, wsd_warms_up_stays_and_falls);
    tcase_add_test(tests, wsd_falls_as_one_minus_sqrt);
    tcase_add_test(tests, wsd_without_a_last_part_stays_and_a_long_one_starts_after_the_warmup);
}

int main(void)
{
    return test_main("conform_scheduler", add_tests);
}
