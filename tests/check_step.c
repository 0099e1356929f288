/* The stepper: who wins the bids, and the stages that a module leaves to the core. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "check/step_rig.h"
#include "conf/conf.h"
#include "run/step.h"
#include "testing.h"

/* ---- a module that covers FORWARD and BACKWARD alone ---- */

struct mgpt_step {
    struct mgpt_step_spec spec;
    struct mgpt_machine machine;
    struct mgpt_passes passes;
    int adopted;
};

static int half_score = 7;

static void half_bid(const struct mgpt_step_spec *spec, struct mgpt_bid *bid)
{
    (void)spec;
    bid->score = half_score;
    bid->covers = MGPT_COVERS_FB;
    snprintf(bid->reason, sizeof bid->reason, "half a step");
}

static enum mgpt_status half_open(const struct mgpt_host *host, const struct mgpt_config *config,
                                  const struct mgpt_step_spec *spec, struct mgpt_step **out,
                                  struct mgpt_error *error)
{
    struct mgpt_step *s = calloc(1, sizeof *s);
    struct mgpt_net net = {.model = spec->model,
                           .params = spec->params,
                           .n_params = spec->n_params,
                           .precision = spec->precision,
                           .state = spec->step_state,
                           .seed = spec->seed};

    (void)host;
    (void)config;
    ck_assert_ptr_nonnull(s);
    s->spec = *spec;
    mgpt_machine_borrow(&s->machine, spec);
    net.machine = &s->machine;
    *out = s;
    return mgpt_passes_open(&s->passes, &net, MGPT_MODE_TRAIN, spec->rows, spec->columns, error);
}

static void half_close(struct mgpt_step *s)
{
    if (s)
        mgpt_passes_close(&s->passes);
    free(s);
}

static enum mgpt_status half_run(struct mgpt_step *s, const struct mgpt_step_input *input,
                                 uint32_t n, struct mgpt_error *error)
{
    struct mgpt_step_state state = {.step = input->step,
                                    .inv_targets = 1.0 / (double)input->targets};
    struct mgpt_op zero = {.size = sizeof zero, .code = MGPT_OP_FILL, .out = {s->spec.g}};
    struct mgpt_tape *tape;
    int64_t first = 0;

    ck_assert_uint_eq(n, 1);
    enum mgpt_status status =
        s->machine.api->upload(s->machine.device, s->spec.step_state.buffer, 0, &state,
                               offsetof(struct mgpt_step_state, grad_norm), error);
    if (status == MGPT_OK)
        status = mgpt_machine_do(&s->machine, &zero, error);
    for (uint32_t i = 0; i < s->spec.micro_batches && status == MGPT_OK; i++) {
        status =
            mgpt_passes_run(&s->passes, MGPT_MODE_TRAIN, &input->batches[i], first, &tape, error);
        first += input->batches[i].rows;
    }
    return status;
}

static enum mgpt_status half_fence(struct mgpt_step *s, struct mgpt_step_result *results,
                                   uint32_t *n, struct mgpt_error *error)
{
    (void)results;
    *n = 0;
    return s->machine.api->sync(s->machine.device, error);
}

static enum mgpt_status half_adopt(struct mgpt_step *s, struct mgpt_error *error)
{
    (void)error;
    s->adopted++;
    return MGPT_OK;
}

static const struct mgpt_step_api half_api = {.size = sizeof half_api,
                                              .bid = half_bid,
                                              .open = half_open,
                                              .close = half_close,
                                              .run = half_run,
                                              .fence = half_fence,
                                              .adopt = half_adopt};
static const struct mgpt_component half = {.size = sizeof half,
                                           .option_size = sizeof(struct mgpt_option),
                                           .kind = MGPT_KIND_STEP,
                                           .name = "half",
                                           .summary = "forward and backward alone",
                                           .api = &half_api};

/* ---- the tests ---- */

static struct mgpt_conf *conf_with(struct mgpt_registry *registry, const char *use)
{
    struct mgpt_conf *conf;
    char assignment[64];

    snprintf(assignment, sizeof assignment, "step.use=%s", use);
    ck_ok(mgpt_conf_create(&conf, error));
    ck_ok(mgpt_conf_set(conf, assignment, "test", error));
    ck_ok(mgpt_conf_check(conf, registry, error));
    return conf;
}

/* All steps of a rig by the step that [step] use names; the values afterwards. */
static double *train_with(const char *use, const char *winner, struct mgpt_step_result *results,
                          size_t *n)
{
    struct mgpt_model model = mgpt_check_model_toygpt();
    struct mgpt_stepper stepper;
    struct mgpt_step_rig rig;

    mgpt_step_rig_open(&rig, "ref", &model, MGPT_F64);
    ck_ok(mgpt_registry_add_builtin(rig.registry, &half, error));
    struct mgpt_conf *conf = conf_with(rig.registry, use);
    ck_ok(mgpt_stepper_open(&stepper, conf, rig.registry, &rig.spec, error));
    ck_assert_str_eq(stepper.name, winner);
    ck_ok(mgpt_stepper_run(&stepper, rig.inputs, RIG_STEPS, results, error));
    if (strcmp(winner, "half") == 0)
        ck_assert_int_eq(stepper.step->adopted, RIG_STEPS);
    double *values = mgpt_step_rig_values(&rig, n);
    mgpt_stepper_close(&stepper);
    mgpt_conf_destroy(conf);
    mgpt_step_rig_close(&rig);
    return values;
}

START_TEST(the_core_runs_what_a_module_leaves)
{
    struct mgpt_step_result a[RIG_STEPS], b[RIG_STEPS];
    size_t n;
    double *whole = train_with("composed", "composed", a, &n);
    double *rest = train_with("half", "half", b, &n);

    ck_assert_mem_eq(whole, rest, n * sizeof *whole);
    for (int i = 0; i < RIG_STEPS; i++) {
        ck_assert_double_eq(a[i].loss, b[i].loss);
        ck_assert_double_eq(a[i].grad_norm, b[i].grad_norm);
    }
    free(whole);
    free(rest);
}
END_TEST

START_TEST(the_highest_bid_wins)
{
    struct mgpt_step_result results[RIG_STEPS];
    size_t n;

    half_score = 7;
    free(train_with("auto", "half", results, &n));
    half_score = 0;
    free(train_with("auto", "composed", results, &n));
}
END_TEST

START_TEST(a_named_step_that_cannot_run_is_refused)
{
    struct mgpt_model model = mgpt_check_model_names();
    struct mgpt_stepper stepper;
    struct mgpt_error refusal;
    struct mgpt_step_rig rig;

    half_score = 0;
    mgpt_step_rig_open(&rig, "ref", &model, MGPT_F64);
    ck_ok(mgpt_registry_add_builtin(rig.registry, &half, error));
    struct mgpt_conf *conf = conf_with(rig.registry, "half");
    ck_assert_int_eq(mgpt_stepper_open(&stepper, conf, rig.registry, &rig.spec, &refusal),
                     MGPT_PLUGIN);
    ck_assert_ptr_nonnull(strstr(refusal.text, "half a step"));
    mgpt_stepper_close(&stepper);
    mgpt_conf_destroy(conf);
    mgpt_step_rig_close(&rig);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, the_core_runs_what_a_module_leaves);
    tcase_add_test(tests, the_highest_bid_wins);
    tcase_add_test(tests, a_named_step_that_cannot_run_is_refused);
}

int main(void)
{
    return test_main("step", add_tests);
}
