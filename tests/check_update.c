/* Stage UPDATE with optimizers of a stranger: what they may write down, and what is refused. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check/update_lab.h"
#include "testing.h"

/* clang-format off */
MGPT_RULE(keeping, (s), (lr), s += g; p -= lr * s;)
MGPT_RULE(sinking, (), (rate), p -= rate * g;)
/* clang-format on */

/* What `record` does wrong, if anything. */
static enum { RIGHT, SHORT_RULE, LACKS_STATE, WRONG_OP } mistake;

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_optimizer **optimizer, struct mgpt_error *error)
{
    (void)host;
    (void)config;
    (void)error;
    *optimizer = NULL;
    return MGPT_OK;
}

static void destroy(struct mgpt_optimizer *optimizer)
{
    (void)optimizer;
}

/* One for the rule, one for what is recorded. */
static void scalars(const struct mgpt_optimizer *o, const struct mgpt_tick *tick, double *h)
{
    (void)o;
    h[0] = tick->lr;
    h[1] = tick->lr / 2;
}

/* Everything, and without any state. */
static int takes_all(const struct mgpt_optimizer *o, const struct mgpt_param *param,
                     const struct mgpt_place *place, struct mgpt_needs *needs)
{
    (void)o;
    (void)place;
    needs->scratch = (uint64_t)mgpt_tensor_count(&param->p) * mgpt_dtype_size(param->p.dtype);
    return 1;
}

static struct mgpt_tensor flat(struct mgpt_tensor t)
{
    t.shape[0] = mgpt_tensor_count(&t);
    t.rank = 1;
    return t;
}

/* The rule twice, at half the rate, and scratch filled with what must not show. */
static enum mgpt_status record(const struct mgpt_optimizer *o, const struct mgpt_whole *whole,
                               struct mgpt_error *error)
{
    struct mgpt_tensor work = flat(whole->param->p);
    struct mgpt_update update = {.size = sizeof update,
                                 .n_scalars = 1,
                                 .rule = &sinking,
                                 .scalars = whole->scalars + 1,
                                 .p = flat(whole->param->p),
                                 .g = flat(whole->param->g),
                                 .step_state = whole->step_state};
    struct mgpt_op op = {.size = sizeof op, .code = MGPT_OP_FILL, .value = NAN};
    enum mgpt_status status;

    (void)o;
    work.buffer = whole->scratch.buffer;
    work.offset = whole->scratch.offset;
    op.out[0] = work;
    if (mistake == SHORT_RULE)
        update.g.shape[0]++;
    if (mistake == LACKS_STATE)
        update.rule = &keeping;
    if (mistake == WRONG_OP)
        op.out[1] = work;
    status = whole->op(whole->recorder, &op, error); /* scratch may hold anything */
    for (int i = 0; i < 2 && status == MGPT_OK; i++)
        status = whole->rule(whole->recorder, &update, error);
    return status;
}

static const struct mgpt_optimizer_api stranger = {.size = sizeof stranger,
                                                   .rule = &keeping,
                                                   .create = create,
                                                   .destroy = destroy,
                                                   .scalars = scalars,
                                                   .takes = takes_all,
                                                   .record = record};

START_TEST(what_was_written_down_runs_every_step_with_its_scalars)
{
    struct mgpt_model model = mgpt_check_model_toygpt();
    struct mgpt_update_lab lab;

    mistake = RIGHT;
    mgpt_update_lab_open(&lab, "ref", &model, MGPT_F64, &stranger, NULL);
    ck_assert_uint_eq(lab.net.params.state[0].rank, 0); /* nobody keeps it */
    const struct mgpt_tensor *t = &lab.spec.params[lab.spec.n_params / 2].p;
    double *before = mgpt_update_lab_read(&lab, t);
    mgpt_update_lab_fill(&lab, 4);
    mgpt_update_lab_run(&lab, 0.25, 0, 0.5, false);
    mgpt_update_lab_run(&lab, 0.125, 0, 0.5, false);
    double *after = mgpt_update_lab_read(&lab, t);
    for (int64_t i = 0; i < mgpt_tensor_count(t); i++)
        ck_assert_double_eq_tol(after[i], before[i] - 4 * 0.5 * (0.25 + 0.125), 1e-15);
    free(before);
    free(after);
    mgpt_update_lab_close(&lab);
}
END_TEST

/* Opens the update of a stranger who makes a mistake; it says so with these words. */
static void refused(int what, enum mgpt_status expected, const char *words)
{
    struct mgpt_model model = mgpt_check_model_toygpt();
    struct mgpt_updater updater = {0};
    struct mgpt_error why = {0};
    struct mgpt_update_lab lab;

    mistake = RIGHT;
    mgpt_update_lab_open(&lab, "ref", &model, MGPT_F32, &stranger, NULL);
    mistake = what;
    ck_assert_int_eq(mgpt_updater_open(&updater, &lab.net.machine, &lab.spec, &why), expected);
    ck_assert_msg(strstr(why.text, words), "\"%s\" does not say \"%s\"", why.text, words);
    mgpt_updater_close(&updater);
    mgpt_update_lab_close(&lab);
}

START_TEST(mistakes_are_told_when_the_step_is_opened)
{
    refused(SHORT_RULE, MGPT_INVALID, "wte.weight: a rule takes tensors of rank 1, one length");
    refused(LACKS_STATE, MGPT_INVALID, "wte.weight: a rule takes");
    refused(WRONG_OP, MGPT_INVALID, "fill: a tensor in a slot that the op does not have");
}
END_TEST

START_TEST(a_device_that_lacks_an_op_is_refused_where_fallback_says_so)
{
    struct mgpt_model model = mgpt_check_model_toygpt();
    struct mgpt_updater updater = {0};
    struct mgpt_error why = {0};
    struct mgpt_update_lab lab;

    mistake = RIGHT;
    mgpt_update_lab_open(&lab, "slow", &model, MGPT_F32, &stranger, NULL);
    lab.net.machine.fallback = MGPT_FALLBACK_ERROR;
    ck_assert_int_eq(mgpt_updater_open(&updater, &lab.net.machine, &lab.spec, &why),
                     MGPT_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(why.text, "no op fill"));
    mgpt_updater_close(&updater);
    mgpt_update_lab_close(&lab);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, what_was_written_down_runs_every_step_with_its_scalars);
    tcase_add_test(tests, mistakes_are_told_when_the_step_is_opened);
    tcase_add_test(tests, a_device_that_lacks_an_op_is_refused_where_fallback_says_so);
}

int main(void)
{
    return test_main("check_update", add_tests);
}
