/* Kind precision: every module plans something sane for what a device has, or says why not. */
#include <config.h>

#include <microgpt/precision.h>

#include "conform.h"

#define BIT(dtype) (1u << (dtype))

static const uint32_t devices[] = {
    0,
    BIT(MGPT_F32),
    BIT(MGPT_F64),
    BIT(MGPT_F32) | BIT(MGPT_F64),
    BIT(MGPT_F32) | BIT(MGPT_F16),
    BIT(MGPT_F32) | BIT(MGPT_F16) | BIT(MGPT_BF16),
};

/* A plan, and what lies behind it. */
struct guarded {
    struct mgpt_precision_plan plan;
    unsigned char behind[16];
};

static enum mgpt_status plan(const struct mgpt_component *component,
                             const struct mgpt_config *config, uint32_t formats, uint32_t flags,
                             struct guarded *out, struct mgpt_error *error)
{
    const struct mgpt_precision_api *api = component->api;
    struct mgpt_caps caps = {
        .size = sizeof caps, .flags = flags, .formats = formats, .name = "a test device"};

    memset(out, 0x5a, sizeof *out);
    out->plan = (struct mgpt_precision_plan){.size = sizeof out->plan};
    return api->plan(mgpt_host(), config, &caps, &out->plan, error);
}

static void check_plan(const struct mgpt_precision_plan *p, uint32_t formats, uint32_t flags)
{
    ck_module(p->size == sizeof *p, "size is %u", p->size);
    ck_module(p->master == MGPT_F32 || p->master == MGPT_F64, "master is %u", p->master);
    ck_module(formats & BIT(p->master), "master %u of %x", p->master, formats);
    ck_module(formats & BIT(p->activation), "activation %u of %x", p->activation, formats);
    ck_module(formats & BIT(p->product), "product %u of %x", p->product, formats);
    ck_module(p->tf32 <= 1 && (!p->tf32 || p->product == MGPT_F32), "tf32 is %u", p->tf32);
    ck_module(!p->tf32 || flags & MGPT_CAPS_TF32, "tf32 on a device without");
    if (p->scale_interval) {
        ck_module(p->scale_initial > 0, "%g", p->scale_initial);
        ck_module(p->scale_growth > 1, "%g", p->scale_growth);
        ck_module(p->scale_backoff > 0 && p->scale_backoff < 1, "%g", p->scale_backoff);
    }
}

/* The module that is named instead: it is there, and plans for that device itself. */
static void check_other(const char *name, uint32_t formats, uint32_t flags)
{
    const struct mgpt_component *other = one_module(MGPT_KIND_PRECISION, name);
    struct mgpt_config *config = settings(other, NULL);
    struct guarded out;

    ck_ok(plan(other, config, formats, flags, &out, error));
    ck_module(!*out.plan.use, "%s names %s", name, out.plan.use);
    check_plan(&out.plan, formats, flags);
    mgpt_config_destroy(config);
}

static void check_devices(const struct mgpt_component *component)
{
    struct mgpt_config *config = settings(component, NULL);

    for (size_t i = 0; i < 4 * sizeof devices / sizeof devices[0]; i++) {
        uint32_t formats = devices[i / 4];
        uint32_t flags = (i & 1 ? MGPT_CAPS_HOST : 0) | (i & 2 ? MGPT_CAPS_TF32 : 0);
        struct guarded one, two;
        struct mgpt_error error = {0};
        enum mgpt_status status = plan(component, config, formats, flags, &one, &error);
        if (status != MGPT_OK) {
            ck_refused(status, MGPT_UNSUPPORTED, error);
            if (formats & BIT(MGPT_F32) && *one.plan.use)
                check_other(one.plan.use, formats, flags);
            continue;
        }
        if (*one.plan.use)
            check_other(one.plan.use, formats, flags);
        else
            check_plan(&one.plan, formats, flags);
        ck_module(!*one.plan.use || *one.plan.reason, "%s, and no reason", one.plan.use);
        for (size_t k = 0; k < sizeof one.behind; k++)
            ck_module(one.behind[k] == 0x5a, "wrote %zu bytes behind the plan", k + 1);
        ck_module(plan(component, config, formats, flags, &two, &error) == MGPT_OK, "%s",
                  error.text);
        ck_module(memcmp(&one.plan, &two.plan, sizeof one.plan) == 0, "two calls, two plans");
    }
    mgpt_config_destroy(config);
}

START_TEST(plans_only_what_the_device_has)
{
    each_module("precision", check_devices);
}
END_TEST

static void plans_one_format(const char *name, uint32_t dtype)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_PRECISION, name);
    struct guarded out;

    ck_ok(plan(component, NULL, BIT(MGPT_F32) | BIT(MGPT_F64), 0, &out, error));
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
    struct guarded out;
    struct mgpt_error error = {0};

    ck_refused(plan(component, NULL, BIT(MGPT_F32), 0, &out, &error), MGPT_UNSUPPORTED, error);
    ck_assert_str_eq(error.text, "fp64 needs a device with F64; a test device has F32 only: use "
                                 "backend = ref");
}
END_TEST

START_TEST(tf32_is_32_bits_with_a_mark)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_PRECISION, "tf32");
    struct guarded out;
    struct mgpt_error error_of_tf32 = {0};

    ck_ok(plan(component, NULL, BIT(MGPT_F32), MGPT_CAPS_TF32, &out, error));
    ck_assert_uint_eq(out.plan.master, MGPT_F32);
    ck_assert_uint_eq(out.plan.activation, MGPT_F32);
    ck_assert_uint_eq(out.plan.tf32, 1);
    ck_assert_str_eq(out.plan.use, "");
    ck_ok(plan(component, NULL, BIT(MGPT_F32), MGPT_CAPS_HOST, &out, error)); /* a processor */
    ck_assert_str_eq(out.plan.use, "fp32");
    ck_assert_str_eq(out.plan.reason, "a test device multiplies F32 as it is, without TF32");
    ck_refused(plan(component, NULL, BIT(MGPT_F32), 0, &out, &error_of_tf32), MGPT_UNSUPPORTED,
               error_of_tf32);
    ck_assert_str_eq(error_of_tf32.text, "tf32 needs a device with TF32, and a test device has "
                                         "none: use precision = fp32");
}
END_TEST

START_TEST(fp16_scales_the_loss_as_its_options_say)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_PRECISION, "fp16");
    struct mgpt_config *defaults = settings(component, NULL);
    struct mgpt_config *others = settings(component, "scale_initial", "8", "scale_growth", "4",
                                          "scale_backoff", "0.25", "scale_interval", "3", NULL);
    struct guarded out;

    ck_ok(plan(component, defaults, BIT(MGPT_F32) | BIT(MGPT_F16), 0, &out, error));
    ck_assert_uint_eq(out.plan.master, MGPT_F32);
    ck_assert_uint_eq(out.plan.activation, MGPT_F16);
    ck_assert_uint_eq(out.plan.product, MGPT_F16);
    ck_assert(out.plan.scale_initial == 65536 && out.plan.scale_growth == 2);
    ck_assert(out.plan.scale_backoff == 0.5 && out.plan.scale_interval == 2000);
    ck_ok(plan(component, others, BIT(MGPT_F32) | BIT(MGPT_F16), 0, &out, error));
    ck_assert(out.plan.scale_initial == 8 && out.plan.scale_growth == 4);
    ck_assert(out.plan.scale_backoff == 0.25 && out.plan.scale_interval == 3);
    mgpt_config_destroy(others);
    mgpt_config_destroy(defaults);
}
END_TEST

START_TEST(fp16_says_what_is_missing_and_what_to_do)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_PRECISION, "fp16");
    struct guarded out;
    struct mgpt_error error = {0};

    ck_refused(plan(component, NULL, BIT(MGPT_F32), 0, &out, &error), MGPT_UNSUPPORTED, error);
    ck_assert_str_eq(error.text, "fp16 needs a device with F16, and a test device has none: use "
                                 "precision = fp32");
    ck_assert_str_eq(out.plan.use, "fp32"); /* where the device is open */
    ck_refused(plan(component, NULL, BIT(MGPT_F32) | BIT(MGPT_BF16), MGPT_CAPS_HOST, &out, &error),
               MGPT_UNSUPPORTED, error);
    ck_assert_ptr_nonnull(strstr(error.text, "use precision = bf16 or fp32"));
    ck_refused(plan(component, NULL, BIT(MGPT_F16), 0, &out, &error), MGPT_UNSUPPORTED, error);
}
END_TEST

START_TEST(auto_takes_what_the_device_is_good_at)
{
    static const struct {
        uint32_t formats, flags;
        const char *use;
    } cases[] = {
        {BIT(MGPT_F32) | BIT(MGPT_F16) | BIT(MGPT_BF16), MGPT_CAPS_TF32, "bf16"},
        {BIT(MGPT_F32) | BIT(MGPT_F16), MGPT_CAPS_TF32, "fp16"},
        {BIT(MGPT_F32), MGPT_CAPS_TF32, "fp32"},
        {BIT(MGPT_F32), 0, "fp32"},
        {BIT(MGPT_F32) | BIT(MGPT_F16) | BIT(MGPT_BF16), MGPT_CAPS_HOST, "fp32"},
    };
    const struct mgpt_component *component = one_module(MGPT_KIND_PRECISION, "auto");
    struct guarded out;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_ok(plan(component, NULL, cases[i].formats, cases[i].flags, &out, error));
        ck_assert_str_eq(out.plan.use, cases[i].use);
        ck_assert_ptr_nonnull(strstr(out.plan.reason, "a test device"));
    }
}
END_TEST

START_TEST(bf16_keeps_weights_in_32_bits)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_PRECISION, "bf16");
    struct guarded out;

    ck_ok(plan(component, NULL, BIT(MGPT_F32) | BIT(MGPT_BF16), MGPT_CAPS_HOST, &out, error));
    ck_assert_uint_eq(out.plan.master, MGPT_F32);
    ck_assert_uint_eq(out.plan.activation, MGPT_BF16);
    ck_assert_uint_eq(out.plan.product, MGPT_BF16);
    ck_assert_uint_eq(out.plan.scale_interval, 0);
}
END_TEST

START_TEST(bf16_says_what_is_missing_and_what_to_do)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_PRECISION, "bf16");
    struct guarded out;
    struct mgpt_error error = {0};

    ck_refused(plan(component, NULL, BIT(MGPT_F32), 0, &out, &error), MGPT_UNSUPPORTED, error);
    ck_assert_str_eq(error.text, "bf16 needs a device with BF16, and a test device has none: use "
                                 "precision = fp32");
    ck_refused(plan(component, NULL, BIT(MGPT_F32), MGPT_CAPS_HOST, &out, &error), MGPT_UNSUPPORTED,
               error);
    ck_assert_ptr_nonnull(strstr(error.text, "AVX512_BF16"));
    ck_refused(plan(component, NULL, BIT(MGPT_BF16), 0, &out, &error), MGPT_UNSUPPORTED, error);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, plans_only_what_the_device_has);
    tcase_add_test(tests, fp32_is_32_bits_everywhere);
    tcase_add_test(tests, fp64_is_64_bits_everywhere);
    tcase_add_test(tests, fp64_names_a_device_that_has_it);
    tcase_add_test(tests, tf32_is_32_bits_with_a_mark);
    tcase_add_test(tests, fp16_scales_the_loss_as_its_options_say);
    tcase_add_test(tests, fp16_says_what_is_missing_and_what_to_do);
    tcase_add_test(tests, auto_takes_what_the_device_is_good_at);
    tcase_add_test(tests, bf16_keeps_weights_in_32_bits);
    tcase_add_test(tests, bf16_says_what_is_missing_and_what_to_do);
}

int main(void)
{
    return test_main("conform_precision", add_tests);
}
