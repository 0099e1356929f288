/* Every step module, found through the registry: it computes what the composed step computes, and
 * keeps the protocol. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run/composed.h"
#include "step_rig.h"

static const char *const backends[] = {"ref", "cpu", "slow", NULL};

/* RIG_STEPS steps on a fresh rig, `at_once` a call. Results, and values as step_rig_values. */
static double *train(const struct mgpt_step_api *api, const char *backend,
                     const struct mgpt_model *model, uint32_t at_once,
                     struct mgpt_step_result *results, size_t *n)
{
    struct step_rig rig;
    struct mgpt_step *step;
    uint32_t got = 0;

    step_rig_open(&rig, backend, model, MGPT_F32);
    ck_ok(api->open(mgpt_host(), NULL, &rig.spec, &step, error));
    for (uint32_t i = 0; i < RIG_STEPS; i += at_once) {
        uint32_t count = RIG_STEPS - i < at_once ? RIG_STEPS - i : at_once, k = 0;
        ck_ok(api->run(step, rig.inputs + i, count, error));
        ck_ok(api->fence(step, results + got, &k, error));
        ck_assert_uint_eq(k, count);
        got += k;
        ck_ok(api->fence(step, results + got, &k, error)); /* idempotent */
        ck_assert_uint_eq(k, 0);
        ck_ok(api->adopt(step, error));
    }
    double *values = step_rig_values(&rig, n);
    api->close(step);
    step_rig_close(&rig);
    return values;
}

static void close_to(const double *a, const double *b, size_t n, double tolerance)
{
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(fabs(a[i] - b[i]) <= tolerance * fmax(1, fabs(a[i])),
                      "value %zu: %.9g, expected %.9g", i, b[i], a[i]);
}

/* Calls check(api, backend, model) for every module that bids on that backend and model and covers
 * the whole step. */
static void for_each(void (*check)(const struct mgpt_step_api *, const char *,
                                   const struct mgpt_model *))
{
    struct mgpt_registry *registry = test_registry();
    struct mgpt_model models[] = {test_model_names(), test_model_toygpt()};
    int checked = 0;

    models[1].dropout = 0.25;
    mgpt_registry_scan(registry, "step");
    for (size_t i = 0; i < mgpt_registry_count(registry, "step"); i++) {
        struct mgpt_module module = mgpt_registry_at(registry, "step", i);
        const struct mgpt_step_api *api = module.component->api;
        for (int b = 0; backends[b]; b++)
            for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
                struct step_rig rig;
                struct mgpt_bid bid = {.size = sizeof bid};
                step_rig_open(&rig, backends[b], &models[m], MGPT_F32);
                api->bid(&rig.spec, &bid);
                step_rig_close(&rig);
                ck_assert_msg(bid.reason[0], "%s gives no reason", module.component->name);
                if (bid.score <= 0 || bid.covers != MGPT_COVERS_FBCUS)
                    continue;
                check(api, backends[b], &models[m]);
                checked++;
            }
    }
    ck_assert_int_ge(checked, 6);
    mgpt_registry_destroy(registry);
}

static void same_as_composed(const struct mgpt_step_api *api, const char *backend,
                             const struct mgpt_model *model)
{
    struct mgpt_step_result want[RIG_STEPS + 1], got[RIG_STEPS + 1];
    size_t n;
    double *a = train(mgpt_composed.api, "ref", model, 1, want, &n);
    double *b = train(api, backend, model, 1, got, &n);

    for (int i = 0; i < RIG_STEPS; i++) {
        ck_assert_uint_eq(got[i].step, (uint64_t)i);
        ck_assert_double_eq_tol(got[i].loss, want[i].loss, 1e-5);
        ck_assert_double_eq_tol(got[i].grad_norm, want[i].grad_norm, 1e-4 * want[i].grad_norm);
        ck_assert_uint_eq(got[i].skipped, 0);
    }
    close_to(a, b, n, 1e-4);
    free(a);
    free(b);
}

START_TEST(computes_what_composed_computes)
{
    for_each(same_as_composed);
}
END_TEST

static void same_bits_in_one_call(const struct mgpt_step_api *api, const char *backend,
                                  const struct mgpt_model *model)
{
    struct mgpt_step_result one[RIG_STEPS + 1], all[RIG_STEPS + 1];
    size_t n;
    double *a = train(api, backend, model, 1, one, &n);
    double *b = train(api, backend, model, RIG_STEPS, all, &n);

    ck_assert_mem_eq(a, b, n * sizeof *a);
    for (int i = 0; i < RIG_STEPS; i++)
        ck_assert_double_eq(one[i].loss, all[i].loss);
    free(a);
    free(b);
}

START_TEST(many_steps_in_one_call_give_the_same_bits)
{
    for_each(same_bits_in_one_call);
}
END_TEST

/* A gradient that is not finite: the step changes nothing and is counted. */
static void skips_nonfinite(const struct mgpt_step_api *api, const char *backend,
                            const struct mgpt_model *model)
{
    struct step_rig rig;
    struct mgpt_step *step;
    struct mgpt_step_result result[2];
    float poison = NAN;
    uint32_t k;
    size_t n;

    step_rig_open(&rig, backend, model, MGPT_F32);
    struct mgpt_tensor one = rig.net.params.items[0].p;
    one.rank = 1;
    one.shape[0] = 1;
    int32_t first = rig.batches[0][0].ids[0];
    one.offset += (uint64_t)first * model->embd * sizeof poison;
    ck_ok(mgpt_machine_write(&rig.net.machine, &one, &poison, error));
    ck_ok(api->open(mgpt_host(), NULL, &rig.spec, &step, error));
    double *before = step_rig_values(&rig, &n);
    ck_ok(api->run(step, rig.inputs, 1, error));
    ck_ok(api->fence(step, result, &k, error));
    ck_assert_uint_eq(k, 1);
    ck_assert_uint_eq(result[0].skipped, 1);
    ck_assert_uint_eq(step_rig_state(&rig).skipped, 1);
    ck_assert_uint_eq(step_rig_state(&rig).good, 0);
    double *after = step_rig_values(&rig, &n);
    ck_assert_mem_eq(before, after, n * sizeof *after);
    free(before);
    free(after);
    api->close(step);
    step_rig_close(&rig);
}

START_TEST(a_nonfinite_step_changes_nothing)
{
    for_each(skips_nonfinite);
}
END_TEST

START_TEST(slow_gives_the_bits_of_ref)
{
    struct mgpt_model model = test_model_toygpt();
    struct mgpt_step_result a[RIG_STEPS + 1], b[RIG_STEPS + 1];
    size_t n;
    double *ref = train(mgpt_composed.api, "ref", &model, 1, a, &n);
    double *slow = train(mgpt_composed.api, "slow", &model, 1, b, &n);

    ck_assert_mem_eq(ref, slow, n * sizeof *ref);
    ck_assert_double_eq(a[RIG_STEPS - 1].loss, b[RIG_STEPS - 1].loss);
    free(ref);
    free(slow);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, computes_what_composed_computes);
    tcase_add_test(tests, many_steps_in_one_call_give_the_same_bits);
    tcase_add_test(tests, a_nonfinite_step_changes_nothing);
    tcase_add_test(tests, slow_gives_the_bits_of_ref);
}

int main(void)
{
    return test_main("step", add_tests);
}
