/* Kind precision: every module keeps the contract, and ours plan what they are called. */
#include <config.h>

#include "check/bench_precision.h"
#include "conform.h"

static void plans_one_format(const char *name, uint32_t dtype)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_PRECISION, name);
    struct precision_bench_guarded out;

    ck_ok(precision_bench_plan(component, NULL,
                               PRECISION_BENCH_BIT(MGPT_F32) | PRECISION_BENCH_BIT(MGPT_F64), 0,
                               &out, error));
    ck_assert_uint_eq(out.plan.master, dtype);
    ck_assert_uint_eq(out.plan.activation, dtype);
    ck_assert_uint_eq(out.plan.product, dtype);
    ck_assert_uint_eq(out.plan.tf32, 0);
    ck_assert_uint_eq(out.plan.scale_interval, 0);
}

START_TEST(fp32_is_32_bits_everywhere)
{
    plans_one_format("fp32", MGPT_F32);
}
END_TEST

START_TEST(fp64_is_64_bits_everywhere)
{
    plans_one_format("fp64", MGPT_F64);
}
END_TEST

START_TEST(fp64_names_a_device_that_has_it)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_PRECISION, "fp64");
    struct precision_bench_guarded out;
    struct mgpt_error error = {0};

    check_refused(
        precision_bench_plan(component, NULL, PRECISION_BENCH_BIT(MGPT_F32), 0, &out, &error),
        MGPT_UNSUPPORTED, error);
    ck_assert_str_eq(error.text, "fp64 needs a device with F64; a test device has F32 only: use "
                                 "backend = ref");
}
END_TEST

START_TEST(tf32_is_32_bits_with_a_mark)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_PRECISION, "tf32");
    struct precision_bench_guarded out;
    struct mgpt_error error_of_tf32 = {0};

    ck_ok(precision_bench_plan(component, NULL, PRECISION_BENCH_BIT(MGPT_F32), MGPT_CAPS_TF32, &out,
                               error));
    ck_assert_uint_eq(out.plan.master, MGPT_F32);
    ck_assert_uint_eq(out.plan.activation, MGPT_F32);
    ck_assert_uint_eq(out.plan.tf32, 1);
    ck_assert_str_eq(out.plan.use, "");
    ck_ok(precision_bench_plan(component, NULL, PRECISION_BENCH_BIT(MGPT_F32), MGPT_CAPS_HOST, &out,
                               error)); /* a processor */
    ck_assert_str_eq(out.plan.use, "fp32");
    ck_assert_str_eq(out.plan.reason, "a test device multiplies F32 as it is, without TF32");
    check_refused(precision_bench_plan(component, NULL, PRECISION_BENCH_BIT(MGPT_F32), 0, &out,
                                       &error_of_tf32),
                  MGPT_UNSUPPORTED, error_of_tf32);
    ck_assert_str_eq(error_of_tf32.text, "tf32 needs a device with TF32, and a test device has "
                                         "none: use precision = fp32");
}
END_TEST

START_TEST(fp16_scales_the_loss_as_its_options_say)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_PRECISION, "fp16");
    struct mgpt_config *defaults = mgpt_check_settings(component, NULL);
    struct mgpt_config *others =
        mgpt_check_settings(component, "scale_initial", "8", "scale_growth", "4", "scale_backoff",
                            "0.25", "scale_interval", "3", NULL);
    struct precision_bench_guarded out;

    ck_ok(precision_bench_plan(component, defaults,
                               PRECISION_BENCH_BIT(MGPT_F32) | PRECISION_BENCH_BIT(MGPT_F16), 0,
                               &out, error));
    ck_assert_uint_eq(out.plan.master, MGPT_F32);
    ck_assert_uint_eq(out.plan.activation, MGPT_F16);
    ck_assert_uint_eq(out.plan.product, MGPT_F16);
    ck_assert(out.plan.scale_initial == 65536 && out.plan.scale_growth == 2);
    ck_assert(out.plan.scale_backoff == 0.5 && out.plan.scale_interval == 2000);
    ck_ok(precision_bench_plan(component, others,
                               PRECISION_BENCH_BIT(MGPT_F32) | PRECISION_BENCH_BIT(MGPT_F16), 0,
                               &out, error));
    ck_assert(out.plan.scale_initial == 8 && out.plan.scale_growth == 4);
    ck_assert(out.plan.scale_backoff == 0.25 && out.plan.scale_interval == 3);
    mgpt_config_destroy(others);
    mgpt_config_destroy(defaults);
}
END_TEST

START_TEST(fp16_says_what_is_missing_and_what_to_do)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_PRECISION, "fp16");
    struct precision_bench_guarded out;
    struct mgpt_error error = {0};

    check_refused(
        precision_bench_plan(component, NULL, PRECISION_BENCH_BIT(MGPT_F32), 0, &out, &error),
        MGPT_UNSUPPORTED, error);
    ck_assert_str_eq(error.text, "fp16 needs a device with F16, and a test device has none: use "
                                 "precision = fp32");
    ck_assert_str_eq(out.plan.use, "fp32"); /* where the device is open */
    check_refused(
        precision_bench_plan(component, NULL,
                             PRECISION_BENCH_BIT(MGPT_F32) | PRECISION_BENCH_BIT(MGPT_BF16),
                             MGPT_CAPS_HOST, &out, &error),
        MGPT_UNSUPPORTED, error);
    ck_assert_ptr_nonnull(strstr(error.text, "use precision = bf16 or fp32"));
    check_refused(
        precision_bench_plan(component, NULL, PRECISION_BENCH_BIT(MGPT_F16), 0, &out, &error),
        MGPT_UNSUPPORTED, error);
}
END_TEST

START_TEST(auto_takes_what_the_device_is_good_at)
{
    static const struct {
        uint32_t formats, flags;
        const char *use;
    } cases[] = {
        {PRECISION_BENCH_BIT(MGPT_F32) | PRECISION_BENCH_BIT(MGPT_F16) |
             PRECISION_BENCH_BIT(MGPT_BF16),
         MGPT_CAPS_TF32, "bf16"},
        {PRECISION_BENCH_BIT(MGPT_F32) | PRECISION_BENCH_BIT(MGPT_F16), MGPT_CAPS_TF32, "fp16"},
        {PRECISION_BENCH_BIT(MGPT_F32), MGPT_CAPS_TF32, "fp32"},
        {PRECISION_BENCH_BIT(MGPT_F32), 0, "fp32"},
        {PRECISION_BENCH_BIT(MGPT_F32) | PRECISION_BENCH_BIT(MGPT_F16) |
             PRECISION_BENCH_BIT(MGPT_BF16),
         MGPT_CAPS_HOST, "fp32"},
    };
    const struct mgpt_component *component = one_module(MGPT_KIND_PRECISION, "auto");
    struct precision_bench_guarded out;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_ok(precision_bench_plan(component, NULL, cases[i].formats, cases[i].flags, &out, error));
        ck_assert_str_eq(out.plan.use, cases[i].use);
        ck_assert_ptr_nonnull(strstr(out.plan.reason, "a test device"));
    }
}
END_TEST

START_TEST(bf16_keeps_weights_in_32_bits)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_PRECISION, "bf16");
    struct precision_bench_guarded out;

    ck_ok(precision_bench_plan(component, NULL,
                               PRECISION_BENCH_BIT(MGPT_F32) | PRECISION_BENCH_BIT(MGPT_BF16),
                               MGPT_CAPS_HOST, &out, error));
    ck_assert_uint_eq(out.plan.master, MGPT_F32);
    ck_assert_uint_eq(out.plan.activation, MGPT_BF16);
    ck_assert_uint_eq(out.plan.product, MGPT_BF16);
    ck_assert_uint_eq(out.plan.scale_interval, 0);
}
END_TEST

START_TEST(bf16_says_what_is_missing_and_what_to_do)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_PRECISION, "bf16");
    struct precision_bench_guarded out;
    struct mgpt_error error = {0};

    check_refused(
        precision_bench_plan(component, NULL, PRECISION_BENCH_BIT(MGPT_F32), 0, &out, &error),
        MGPT_UNSUPPORTED, error);
    ck_assert_str_eq(error.text, "bf16 needs a device with BF16, and a test device has none: use "
                                 "precision = fp32");
    check_refused(precision_bench_plan(component, NULL, PRECISION_BENCH_BIT(MGPT_F32),
                                       MGPT_CAPS_HOST, &out, &error),
                  MGPT_UNSUPPORTED, error);
    ck_assert_ptr_nonnull(strstr(error.text, "AVX512_BF16"));
    check_refused(
        precision_bench_plan(component, NULL, PRECISION_BENCH_BIT(MGPT_BF16), 0, &out, &error),
        MGPT_UNSUPPORTED, error);
}
END_TEST

static const struct mgpt_precision_api *sound;

static enum mgpt_status scales_by_a_thousand(const struct mgpt_host *host,
                                             const struct mgpt_config *config,
                                             const struct mgpt_caps *caps,
                                             struct mgpt_precision_plan *plan,
                                             struct mgpt_error *error)
{
    enum mgpt_status status = sound->plan(host, config, caps, plan, error);

    plan->scale_initial = 1000;
    return status;
}

START_TEST(the_first_scale_is_a_power_of_two)
{
    static const struct mgpt_precision_api liar = {.size = sizeof liar,
                                                   .plan = scales_by_a_thousand};
    struct mgpt_component component = *one_module(MGPT_KIND_PRECISION, "fp16");

    sound = component.api;
    component.api = &liar;
    fails(&component, "precision", "plans_only_what_the_device_has", "expected a power of two");
}
END_TEST

static void add_tests(TCase *tests)
{
    add_contract(tests, "precision");
    tcase_add_test(tests, fp32_is_32_bits_everywhere);
    tcase_add_test(tests, fp64_is_64_bits_everywhere);
    tcase_add_test(tests, fp64_names_a_device_that_has_it);
    tcase_add_test(tests, tf32_is_32_bits_with_a_mark);
    tcase_add_test(tests, fp16_scales_the_loss_as_its_options_say);
    tcase_add_test(tests, fp16_says_what_is_missing_and_what_to_do);
    tcase_add_test(tests, auto_takes_what_the_device_is_good_at);
    tcase_add_test(tests, the_first_scale_is_a_power_of_two);
    tcase_add_test(tests, bf16_keeps_weights_in_32_bits);
    tcase_add_test(tests, bf16_says_what_is_missing_and_what_to_do);
}

int main(void)
{
    return test_main("conform_precision", add_tests);
}
