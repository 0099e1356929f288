/* Kind step: every module keeps the contract; the composed step is the same on any backend. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "check/step_rig.h"
#include "conform.h"
#include "run/composed.h"

static double *composed_on(const char *backend, double *loss, size_t *n)
{
    const struct mgpt_step_api *api = mgpt_composed.api;
    struct mgpt_model toy = mgpt_check_model_toygpt();
    struct mgpt_step_result results[RIG_STEPS];
    struct mgpt_step *step;
    struct mgpt_step_rig rig;
    uint32_t k = 0;

    mgpt_step_rig_open(&rig, backend, &toy, MGPT_F32);
    ck_ok(api->open(mgpt_host(), NULL, &rig.spec, &step, error));
    ck_ok(api->run(step, rig.inputs, RIG_STEPS, error));
    ck_ok(api->fence(step, results, &k, error));
    ck_assert_uint_eq(k, RIG_STEPS);
    *loss = results[RIG_STEPS - 1].loss;
    double *values = mgpt_step_rig_values(&rig, n);
    api->close(step);
    mgpt_step_rig_close(&rig);
    return values;
}

START_TEST(slow_gives_the_bits_of_ref)
{
    double loss[2];
    size_t n;
    double *ref = composed_on("ref", &loss[0], &n), *slow = composed_on("slow", &loss[1], &n);

    ck_assert_mem_eq(ref, slow, n * sizeof *ref);
    ck_assert_double_eq(loss[0], loss[1]);
    free(ref);
    free(slow);
}
END_TEST

static int models;

static void read_models(const char *text, bool skips)
{
    if (skips || sscanf(text, "%d models", &models) != 1)
        models = 0;
}

/* So that the contract is not kept by declining everything. */
START_TEST(fused_cpu_takes_models_of_many_sorts)
{
    mgpt_check_on_note = read_models;
    mgpt_check_step[0].run(one_module(MGPT_KIND_STEP, "fused_cpu"));
    ck_assert_int_ge(models, 6);
}
END_TEST

static void add_tests(TCase *tests)
{
    add_contract(tests, "step");
    if (getenv("MICROGPT_TEST_ONLY"))
        return;
    tcase_add_test(tests, slow_gives_the_bits_of_ref);
    tcase_add_test(tests, fused_cpu_takes_models_of_many_sorts);
}

int main(void)
{
    return test_main("step", add_tests);
}
