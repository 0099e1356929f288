/* Loss scaling: what a step does when something overflows, and what becomes of the scale. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "check/step_rig.h"
#include "conf/conf.h"
#include "run/step.h"
#include "testing.h"

#define HUGE_SCALE 0x1p60 /* what no 16-bit gradient outlives */

struct scaled {
    struct mgpt_step_rig rig;
    struct mgpt_conf *conf;
    struct mgpt_stepper stepper;
    uint32_t done;
};

static void set_scale(struct scaled *s, double scale)
{
    struct mgpt_step_state state = mgpt_step_rig_state(&s->rig);

    state.loss_scale = scale;
    ck_ok(mgpt_machine_write(&s->rig.net.machine, &s->rig.net.state, &state, error));
}

/* On ref, in F32 with products in `format`; the scale grows by 2 after `interval` good steps. */
static void open_scaled(struct scaled *s, const char *optimizer, uint32_t format, uint32_t interval,
                        double scale)
{
    struct mgpt_model model = mgpt_check_model_toygpt();

    memset(s, 0, sizeof *s);
    mgpt_step_rig_open_as(&s->rig, "ref", &model, MGPT_F32,
                          &(struct mgpt_rig_setup){optimizer, 3, RIG_MICRO, 0.5, NULL});
    s->rig.net.precision.activation = s->rig.net.precision.product = format;
    s->rig.net.precision.scale_interval = interval;
    s->rig.net.precision.scale_initial = scale;
    s->rig.net.precision.scale_growth = 2;
    s->rig.net.precision.scale_backoff = 0.5;
    set_scale(s, scale);
    ck_ok(mgpt_conf_create(&s->conf, error));
    ck_ok(mgpt_conf_set(s->conf, "step.use=composed", "test", error));
    ck_ok(mgpt_conf_check(s->conf, s->rig.registry, error));
    ck_ok(mgpt_stepper_open(&s->stepper, s->conf, s->rig.registry, &s->rig.spec, error));
}

static void close_scaled(struct scaled *s)
{
    mgpt_stepper_close(&s->stepper);
    mgpt_conf_destroy(s->conf);
    mgpt_step_rig_close(&s->rig);
}

static struct mgpt_step_result step(struct scaled *s)
{
    struct mgpt_step_result result;

    ck_ok(mgpt_stepper_run(&s->stepper, &s->rig.inputs[s->done++], 1, &result, error));
    return result;
}

static void skips_without_a_trace(const char *optimizer)
{
    struct scaled s;
    size_t n;

    open_scaled(&s, optimizer, MGPT_F16, 2000, 1024);
    for (int round = 0; round < 2; round++) {
        double *before, *after;
        ck_assert_uint_eq(step(&s).skipped, 0);
        ck_assert_uint_eq(step(&s).skipped, 0);
        before = mgpt_step_rig_values(&s.rig, &n);
        set_scale(&s, HUGE_SCALE);
        struct mgpt_step_result result = step(&s);
        ck_assert_uint_eq(result.skipped, 1);
        ck_assert(result.loss_scale == HUGE_SCALE / 2);
        after = mgpt_step_rig_values(&s.rig, &n);
        ck_assert_mem_eq(after, before, n * sizeof *after);
        struct mgpt_step_state state = mgpt_step_rig_state(&s.rig);
        ck_assert(state.nonfinite && state.good == 0 && state.skipped == (uint64_t)round + 1);
        set_scale(&s, 1024);
        ck_assert_uint_eq(step(&s).skipped, 0); /* and it goes on */
        double *then = mgpt_step_rig_values(&s.rig, &n);
        ck_assert(memcmp(then, after, n * sizeof *after) != 0);
        free(then);
        free(after);
        free(before);
    }
    close_scaled(&s);
}

START_TEST(a_skipped_step_changes_no_parameter_and_no_state)
{
    skips_without_a_trace("adamw");
    skips_without_a_trace("lion");
    skips_without_a_trace("sgd");
    skips_without_a_trace("muon");
}
END_TEST

START_TEST(the_scale_grows_after_good_steps_and_backs_off)
{
    static const double scales[] = {8, 8, 16, 16, 16, 32};
    struct scaled s;

    open_scaled(&s, "adamw", MGPT_F16, 3, 8);
    for (int i = 0; i < 6; i++) {
        struct mgpt_step_result result = step(&s);
        ck_assert_uint_eq(result.skipped, 0);
        ck_assert_msg(result.loss_scale == scales[i], "step %d: %g", i + 1, result.loss_scale);
    }
    ck_assert_uint_eq(step(&s).skipped, 0);
    set_scale(&s, HUGE_SCALE);
    for (int i = 1; i <= 3; i++) { /* in a row */
        struct mgpt_step_result result = step(&s);
        ck_assert(result.skipped && result.loss_scale == HUGE_SCALE / (1 << i));
    }
    set_scale(&s, 4);
    ck_assert(step(&s).loss_scale == 4); /* the good step before the skips does not count */
    ck_assert(step(&s).loss_scale == 4);
    ck_assert(step(&s).loss_scale == 8);
    close_scaled(&s);
}
END_TEST

START_TEST(the_scale_never_falls_below_1)
{
    struct scaled s;

    open_scaled(&s, "adamw", MGPT_F16, 3, 1.5);
    float nan = __builtin_nanf("");
    ck_ok(s.rig.net.machine.api->upload(s.rig.net.machine.device, s.rig.net.params.p.buffer, 0,
                                        &nan, sizeof nan, error));
    for (int i = 0; i < 3; i++) {
        struct mgpt_step_result result = step(&s);
        ck_assert(result.skipped && result.loss_scale == 1);
    }
    close_scaled(&s);
}
END_TEST

/* A scale that is a power of 2 moves exponents alone, where nothing under- or overflows. */
START_TEST(the_scale_leaves_no_trace_in_what_is_learned)
{
    static const double scales[] = {1, 1024};
    double *values[2];
    size_t n;

    for (int i = 0; i < 2; i++) {
        struct scaled s;
        open_scaled(&s, "adamw", MGPT_F32, 2000, scales[i]);
        for (int k = 0; k < RIG_STEPS; k++) {
            struct mgpt_step_result result = step(&s);
            ck_assert(!result.skipped && result.grad_norm > 0.05 && result.grad_norm < 50);
        }
        values[i] = mgpt_step_rig_values(&s.rig, &n);
        close_scaled(&s);
    }
    ck_assert_mem_eq(values[0], values[1], n * sizeof *values[0]);
    free(values[0]);
    free(values[1]);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, a_skipped_step_changes_no_parameter_and_no_state);
    tcase_add_test(tests, the_scale_grows_after_good_steps_and_backs_off);
    tcase_add_test(tests, the_scale_never_falls_below_1);
    tcase_add_test(tests, the_scale_leaves_no_trace_in_what_is_learned);
}

int main(void)
{
    return test_main("scaling", add_tests);
}
