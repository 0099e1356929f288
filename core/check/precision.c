/* Kind precision: something sane for what a device has, or why not. */
#include <config.h>

#include "check/bench_precision.h"

#include <math.h>

static const uint32_t devices[] = {
    0,
    PRECISION_BENCH_BIT(MGPT_F32),
    PRECISION_BENCH_BIT(MGPT_F64),
    PRECISION_BENCH_BIT(MGPT_F32) | PRECISION_BENCH_BIT(MGPT_F64),
    PRECISION_BENCH_BIT(MGPT_F32) | PRECISION_BENCH_BIT(MGPT_F16),
    PRECISION_BENCH_BIT(MGPT_F32) | PRECISION_BENCH_BIT(MGPT_F16) | PRECISION_BENCH_BIT(MGPT_BF16),
};

static void check_plan(const struct mgpt_precision_plan *p, uint32_t formats, uint32_t flags)
{
    check_that(p->size == sizeof *p, "size is %u", p->size);
    check_that(p->master == MGPT_F32 || p->master == MGPT_F64, "master is %u", p->master);
    check_that(formats & PRECISION_BENCH_BIT(p->master), "master %u of %x", p->master, formats);
    check_that(formats & PRECISION_BENCH_BIT(p->activation), "activation %u of %x", p->activation,
               formats);
    check_that(formats & PRECISION_BENCH_BIT(p->product), "product %u of %x", p->product, formats);
    check_that(p->tf32 <= 1 && (!p->tf32 || p->product == MGPT_F32), "tf32 is %u", p->tf32);
    check_that(!p->tf32 || flags & MGPT_CAPS_TF32, "tf32 on a device without");
    if (p->scale_interval) {
        int exponent;
        check_that(p->scale_initial > 0 && frexp(p->scale_initial, &exponent) == 0.5,
                   "the first loss scale is %g, expected a power of two", p->scale_initial);
        check_that(p->scale_growth > 1, "%g", p->scale_growth);
        check_that(p->scale_backoff > 0 && p->scale_backoff < 1, "%g", p->scale_backoff);
    }
}

/* The module that is named instead: it is there, and plans for that device itself. */
static void check_other(const char *name, uint32_t formats, uint32_t flags)
{
    const struct mgpt_component *other = mgpt_check_module(MGPT_KIND_PRECISION, name);
    struct mgpt_config *config = mgpt_check_settings(other, NULL);
    struct precision_bench_guarded out;

    check_ok(precision_bench_plan(other, config, formats, flags, &out, error));
    check_that(!*out.plan.use, "%s names %s", name, out.plan.use);
    check_plan(&out.plan, formats, flags);
    mgpt_config_destroy(config);
}

static void check_devices(const struct mgpt_component *component)
{
    struct mgpt_config *config = mgpt_check_settings(component, NULL);

    for (size_t i = 0; i < 4 * sizeof devices / sizeof devices[0]; i++) {
        uint32_t formats = devices[i / 4];
        uint32_t flags = (i & 1 ? MGPT_CAPS_HOST : 0) | (i & 2 ? MGPT_CAPS_TF32 : 0);
        struct precision_bench_guarded one, two;
        struct mgpt_error error = {0};
        enum mgpt_status status =
            precision_bench_plan(component, config, formats, flags, &one, &error);
        if (status != MGPT_OK) {
            check_refused(status, MGPT_UNSUPPORTED, error);
            if (formats & PRECISION_BENCH_BIT(MGPT_F32) && *one.plan.use)
                check_other(one.plan.use, formats, flags);
            continue;
        }
        if (*one.plan.use)
            check_other(one.plan.use, formats, flags);
        else
            check_plan(&one.plan, formats, flags);
        check_that(!*one.plan.use || *one.plan.reason, "%s, and no reason", one.plan.use);
        for (size_t k = 0; k < sizeof one.behind; k++)
            check_that(one.behind[k] == 0x5a, "wrote %zu bytes behind the plan", k + 1);
        check_that(precision_bench_plan(component, config, formats, flags, &two, &error) == MGPT_OK,
                   "%s", error.text);
        check_that(memcmp(&one.plan, &two.plan, sizeof one.plan) == 0, "two calls, two plans");
    }
    mgpt_config_destroy(config);
}

const struct mgpt_check_case mgpt_check_precision[] = {
    {"plans_only_what_the_device_has",
     "ops would be asked for formats that the device lacks, or a resumed run would go on in other "
     "ones",
     check_devices, 0},
    {NULL, NULL, NULL, 0},
};
