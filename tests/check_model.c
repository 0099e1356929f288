/* The model: its gradient is the derivative of its loss, for both recipes and every setting; its
 * spec survives JSON. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/spec.h"
#include "testing.h"

/* Loss of one training pass over all micro-batches; gradients in the params' g. */
static double pass_loss(struct mgpt_check_net *net, struct mgpt_passes *passes,
                        struct mgpt_batch *batches, int n, uint64_t targets)
{
    struct mgpt_step_state state = {
        .step = 3, .inv_targets = 1.0 / (double)targets, .loss_scale = 1};
    struct mgpt_op zero = {.size = sizeof zero, .code = MGPT_OP_FILL, .out = {net->params.g}};
    struct mgpt_tape *tape;
    int64_t first = 0;

    ck_ok(mgpt_machine_write(&net->machine, &net->state, &state, error));
    ck_ok(mgpt_machine_do(&net->machine, &zero, error));
    for (int i = 0; i < n; i++) {
        ck_ok(mgpt_passes_run(passes, MGPT_MODE_TRAIN, &batches[i], first, &tape, error));
        first += batches[i].rows;
    }
    ck_ok(mgpt_machine_read(&net->machine, &net->state, &state, error));
    return state.loss;
}

/* Every element of every parameter, by central differences in double. */
static void gradient_is_the_derivative(const struct mgpt_model *model)
{
    struct mgpt_check_net net;
    struct mgpt_passes passes;
    struct mgpt_batch batches[2];

    mgpt_check_net_open(&net, "ref", model, MGPT_F64, 0);
    struct mgpt_net shared = mgpt_check_net_of(&net);
    ck_ok(mgpt_passes_open(&passes, &shared, MGPT_MODE_TRAIN, 3, model->context, error));
    uint64_t targets = mgpt_check_batch(&net.rng, model, 3, model->context, &batches[0]);
    targets += mgpt_check_batch(&net.rng, model, 1, 1, &batches[1]);
    pass_loss(&net, &passes, batches, 2, targets);

    size_t n = (size_t)net.params.elements;
    double *p = malloc(n * sizeof *p), *g = malloc(n * sizeof *g);
    ck_ok(mgpt_machine_read(&net.machine, &net.params.p, p, error));
    ck_ok(mgpt_machine_read(&net.machine, &net.params.g, g, error));
    for (uint32_t i = 0; i < net.params.n; i++) {
        const struct mgpt_param *item = &net.params.items[i];
        size_t start = item->p.offset / sizeof *p;
        double largest = 0;
        for (size_t k = start; k < start + (size_t)mgpt_tensor_count(&item->p); k++) {
            double keep = p[k], h = 1e-5, up, down;
            p[k] = keep + h;
            ck_ok(mgpt_machine_write(&net.machine, &net.params.p, p, error));
            up = pass_loss(&net, &passes, batches, 2, targets);
            p[k] = keep - h;
            ck_ok(mgpt_machine_write(&net.machine, &net.params.p, p, error));
            down = pass_loss(&net, &passes, batches, 2, targets);
            p[k] = keep;
            largest = fmax(largest, fabs(g[k]));
            ck_assert_msg(fabs((up - down) / (2 * h) - g[k]) < 1e-8 + 1e-6 * fabs(g[k]),
                          "%s[%zu]: gradient %.12g, difference quotient %.12g", item->name,
                          k - start, g[k], (up - down) / (2 * h));
        }
        ck_assert_msg(largest > 0, "%s: no gradient reaches it", item->name);
    }
    free(p);
    free(g);
    for (int i = 0; i < 2; i++) {
        free(batches[i].ids);
        free(batches[i].targets);
    }
    mgpt_passes_close(&passes);
    mgpt_check_net_close(&net);
}

START_TEST(gradient_of_the_names_recipe)
{
    struct mgpt_model m = mgpt_check_model_names();
    gradient_is_the_derivative(&m);
}
END_TEST

START_TEST(gradient_of_toygpt)
{
    struct mgpt_model m = mgpt_check_model_toygpt();
    gradient_is_the_derivative(&m);
}
END_TEST

START_TEST(gradient_with_dropout)
{
    struct mgpt_model m = mgpt_check_model_toygpt();
    m.dropout = 0.3;
    gradient_is_the_derivative(&m);
}
END_TEST

START_TEST(gradient_with_shared_kv_heads_and_all_biases)
{
    struct mgpt_model m = mgpt_check_model_names();
    m.layers = 2;
    m.kv_heads = 1;
    m.bias = MGPT_BIAS_QKV | MGPT_BIAS_PROJ | MGPT_BIAS_MLP | MGPT_BIAS_HEAD;
    m.norm_gain = m.final_norm = 1;
    m.activation = MGPT_ACT_GELU_TANH;
    gradient_is_the_derivative(&m);
}
END_TEST

/* ---- on devices ---- */

/* The gradient of `model` on a backend, as doubles (malloc); its loss, and elements in *n. */
static double *gradient_on(const char *backend, uint32_t dtype, const struct mgpt_model *model,
                           double *loss, size_t *n)
{
    struct mgpt_check_net net;
    struct mgpt_passes passes;
    struct mgpt_batch batch;
    double *g;

    mgpt_check_net_open(&net, backend, model, dtype, 0);
    struct mgpt_net shared = mgpt_check_net_of(&net);
    ck_ok(mgpt_passes_open(&passes, &shared, MGPT_MODE_TRAIN, 3, model->context, error));
    uint64_t targets = mgpt_check_batch(&net.rng, model, 3, model->context, &batch);
    *loss = pass_loss(&net, &passes, &batch, 1, targets);
    *n = 0;
    g = malloc((size_t)net.params.elements * sizeof *g);
    for (uint32_t i = 0; i < net.params.n; i++) {
        size_t count = (size_t)mgpt_tensor_count(&net.params.items[i].g);
        ck_ok(mgpt_machine_read(&net.machine, &net.params.items[i].g, g + *n, error));
        for (size_t k = count; dtype == MGPT_F32 && k-- > 0;) /* from the end: in place */
            g[*n + k] = ((float *)(void *)(g + *n))[k];
        *n += count;
    }
    free(batch.ids);
    free(batch.targets);
    mgpt_passes_close(&passes);
    mgpt_check_net_close(&net);
    return g;
}

static struct mgpt_model with_dropout_and_shared_heads(void)
{
    struct mgpt_model m = mgpt_check_model_toygpt();

    m.dropout = 0.3;
    m.kv_heads = 1;
    m.tied = 1;
    m.activation = MGPT_ACT_GELU_TANH;
    return m;
}

START_TEST(gradient_on_every_device_is_that_of_the_reference)
{
    static const char *const backends[] = {"cpu", "slow", "cuda_emu"};
    struct mgpt_model (*const models[])(void) = {mgpt_check_model_names, mgpt_check_model_toygpt,
                                                 with_dropout_and_shared_heads};

    for (int b = 0; b < 3; b++)
        for (int m = 0; m < 3 && test_has_backend(backends[b]); m++) {
            struct mgpt_model model = models[m]();
            double loss, expected_loss, largest = 0;
            size_t n, expected_n;
            double *want = gradient_on("ref", MGPT_F64, &model, &expected_loss, &expected_n);
            double *got = gradient_on(backends[b], MGPT_F32, &model, &loss, &n);
            ck_assert_double_eq_tol(loss, expected_loss, 1e-5);
            ck_assert_uint_eq(n, expected_n);
            for (size_t i = 0; i < n; i++)
                largest = fmax(largest, fabs(want[i]));
            for (size_t i = 0; i < n; i++)
                ck_assert_msg(fabs(got[i] - want[i]) <= 1e-5 * largest,
                              "%s, model %d: gradient %zu is %.9g, expected %.9g", backends[b], m,
                              i, got[i], want[i]);
            free(want);
            free(got);
        }
}
END_TEST

/* ---- outside training, and in parts ---- */

START_TEST(loss_outside_training_is_the_same)
{
    struct mgpt_model m = mgpt_check_model_toygpt();
    struct mgpt_check_net net;
    struct mgpt_passes passes;
    struct mgpt_batch batch;
    struct mgpt_tape *tape;

    m.layers = 4; /* so that memory is reused */
    mgpt_check_net_open(&net, "ref", &m, MGPT_F64, 0);
    struct mgpt_net shared = mgpt_check_net_of(&net);
    ck_ok(mgpt_passes_open(&passes, &shared, MGPT_MODE_TRAIN, 2, m.context, error));
    uint64_t targets = mgpt_check_batch(&net.rng, &m, 2, 4, &batch);
    double trained = pass_loss(&net, &passes, &batch, 1, targets);
    struct mgpt_step_state state = {.inv_targets = 1.0 / (double)targets, .loss_scale = 1};
    ck_ok(mgpt_machine_write(&net.machine, &net.state, &state, error));
    ck_ok(mgpt_passes_run(&passes, MGPT_MODE_LOSS, &batch, 0, &tape, error));
    ck_ok(mgpt_machine_read(&net.machine, &net.state, &state, error));
    ck_assert_double_eq(state.loss, trained);
    free(batch.ids);
    free(batch.targets);
    mgpt_passes_close(&passes);
    mgpt_check_net_close(&net);
}
END_TEST

static struct mgpt_backend_api plain; /* the reference without fused ops */

static int no_fused_ops(struct mgpt_device *device, const struct mgpt_op *op)
{
    (void)device;
    return !op->activation || op->code == MGPT_OP_ACTIVATION ||
                   op->code == MGPT_OP_ACTIVATION_BACKWARD
               ? !(op->code == MGPT_OP_NORM && op->in[1].rank)
               : 0;
}

START_TEST(fused_ops_fall_into_their_parts)
{
    const struct mgpt_backend_api *apis[2] = {mgpt_check_module(MGPT_KIND_BACKEND, "ref")->api,
                                              &plain};
    struct mgpt_model m = mgpt_check_model_toygpt();
    double *g[2], loss[2];
    uint32_t calls[2];

    plain = *apis[0];
    plain.supports = no_fused_ops;
    for (int i = 0; i < 2; i++) {
        struct mgpt_check_net net;
        struct mgpt_passes passes;
        struct mgpt_batch batch;
        mgpt_check_net_open_on(&net, apis[i], NULL, &m, MGPT_F64, 0);
        struct mgpt_net shared = mgpt_check_net_of(&net);
        ck_ok(mgpt_passes_open(&passes, &shared, MGPT_MODE_TRAIN, 2, m.context, error));
        uint64_t targets = mgpt_check_batch(&net.rng, &m, 2, 3, &batch);
        loss[i] = pass_loss(&net, &passes, &batch, 1, targets);
        calls[i] = passes.slots[0].tape.n;
        g[i] = malloc((size_t)net.params.elements * sizeof(double));
        ck_ok(mgpt_machine_read(&net.machine, &net.params.g, g[i], error));
        if (i == 1) {
            ck_assert_double_eq(loss[0], loss[1]);
            ck_assert_uint_gt(calls[1], calls[0]);
            for (int64_t k = 0; k < net.params.elements; k++)
                ck_assert_double_eq_tol(g[0][k], g[1][k], 1e-14);
        }
        free(batch.ids);
        free(batch.targets);
        mgpt_passes_close(&passes);
        mgpt_check_net_close(&net);
    }
    free(g[0]);
    free(g[1]);
}
END_TEST

/* ---- parameters and spec ---- */

START_TEST(counts_the_parameters_of_both_recipes)
{
    struct mgpt_model names = mgpt_check_model_names(), toy = mgpt_check_model_toygpt();
    struct mgpt_params params = {0};

    names.heads = names.kv_heads = 4, names.embd = 16, names.mlp = 64, names.context = 8;
    names.vocab = 27;
    ck_ok(mgpt_params_init(&params, &names, MGPT_F32, false, error));
    ck_assert_uint_eq(params.count, 3632);
    mgpt_params_finish(&params);
    toy.layers = 8, toy.heads = toy.kv_heads = 8, toy.embd = 128, toy.mlp = 512, toy.context = 128;
    toy.vocab = 65;
    ck_ok(mgpt_params_init(&params, &toy, MGPT_F32, true, error));
    ck_assert_uint_gt(params.count, 1600000);
    ck_assert_uint_lt(params.count, 1640000);
    for (uint32_t i = 0; i < params.n; i++)
        ck_assert_int_eq(params.items[i].decays, params.items[i].p.rank == 2);
    mgpt_params_finish(&params);
}
END_TEST

START_TEST(spec_survives_json)
{
    struct mgpt_model m = mgpt_check_model_toygpt(), back;
    char *json = NULL, *tokenizer = NULL;

    ck_ok(mgpt_model_to_json(&m, "char", &json, error));
    ck_ok(mgpt_model_from_json(json, strlen(json), &back, &tokenizer, error));
    ck_assert_mem_eq(&m, &back, sizeof m);
    ck_assert_str_eq(tokenizer, "char");
    ck_ok(mgpt_model_match(&back, &m, error));
    free(json);
    free(tokenizer);
}
END_TEST

START_TEST(refuses_a_spec_that_is_none)
{
    static const char *const bad[] = {
        "", "[]", "{\"layers\": 1}", "{\"layers\": 1, \"layers\": 2}", NULL,
    };
    struct mgpt_model m;
    struct mgpt_error error;
    char *tokenizer = NULL;

    for (int i = 0; bad[i]; i++)
        ck_assert_int_eq(mgpt_model_from_json(bad[i], strlen(bad[i]), &m, &tokenizer, &error),
                         MGPT_DATA);
}
END_TEST

START_TEST(names_the_key_that_differs)
{
    struct mgpt_model a = mgpt_check_model_toygpt(), b = a;
    struct mgpt_error error;

    b.embd = 18;
    ck_assert_int_eq(mgpt_model_match(&a, &b, &error), MGPT_DATA);
    ck_assert_str_eq(error.text, "embd is 9 there, 18 in the configuration");
    b = a;
    b.vocab = 8;
    ck_assert_int_eq(mgpt_model_match(&a, &b, &error), MGPT_DATA);
    b = a;
    b.dropout = 0.5;
    ck_assert_int_eq(mgpt_model_match(&a, &b, &error), MGPT_OK);
}
END_TEST

START_TEST(refuses_heads_that_do_not_divide)
{
    struct mgpt_model m = mgpt_check_model_names();
    struct mgpt_error error;

    m.heads = m.kv_heads = 4;
    ck_assert_int_eq(mgpt_model_check(&m, &error), MGPT_INVALID);
    m = mgpt_check_model_names();
    m.kv_heads = 2;
    ck_assert_int_eq(mgpt_model_check(&m, &error), MGPT_INVALID);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, gradient_of_the_names_recipe);
    tcase_add_test(tests, gradient_of_toygpt);
    tcase_add_test(tests, gradient_with_dropout);
    tcase_add_test(tests, gradient_on_every_device_is_that_of_the_reference);
    tcase_add_test(tests, gradient_with_shared_kv_heads_and_all_biases);
    tcase_add_test(tests, loss_outside_training_is_the_same);
    tcase_add_test(tests, fused_ops_fall_into_their_parts);
    tcase_add_test(tests, counts_the_parameters_of_both_recipes);
    tcase_add_test(tests, spec_survives_json);
    tcase_add_test(tests, refuses_a_spec_that_is_none);
    tcase_add_test(tests, names_the_key_that_differs);
    tcase_add_test(tests, refuses_heads_that_do_not_divide);
}

int main(void)
{
    return test_main("model", add_tests);
}
