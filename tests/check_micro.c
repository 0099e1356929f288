/* Step micro_cuda on the emulated device: in one launch it computes what the reference computes op
 * by op, for many shapes, optimizers and batches, in any order of threads. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check/step_rig.h"
#include "conform.h"
#include "counters.h"
#include "run/composed.h"

#define STEPS RIG_LONG

/* A stranger's rule: the sign of a mean of gradients, limited near 0. Its names are also those of
 * constants of the program. */
/* clang-format off */
MGPT_RULE(stranger, (mean), (lr, b1, decay),
    const real T = (real)1e-3, C = (real)1 - b1;
    mean = b1 * mean + C * g;
    p -= lr * (mean / (fabs(mean) + T) + decay * p);)
/* clang-format on */
static const struct mgpt_optimizer_api strangers = {.size = sizeof strangers, .rule = &stranger};

/* What is trained, and how. */
struct subject {
    struct mgpt_model model;
    struct rig_setup setup;
    const char *order;   /* of threads */
    const char *threads; /* of a block */
    uint32_t at_once;    /* steps a launch */
};

struct trained {
    struct mgpt_step_result results[STEPS + 1];
    double *values; /* of all parameters, one after the other */
    size_t n, starts[64], n_tensors;
    unsigned long launches, others; /* of the module, and of all other kernels and products */
    uint32_t covers;
};

/* The device that is opened last says in which order threads take their turns. */
static void set_order(const char *order)
{
    const struct mgpt_component *c = mgpt_check_module(MGPT_KIND_BACKEND, "cuda_emu");
    const struct mgpt_backend_api *api = c->api;
    struct mgpt_config *config = mgpt_check_settings(c, "order", order, NULL);
    struct mgpt_device *device;

    ck_ok(api->open(mgpt_host(), config, &device, error));
    api->close(device);
    mgpt_config_destroy(config);
}

/* The recipe of names, narrower: the issue is with layers and ids. */
static struct mgpt_model narrow(uint32_t layers, uint32_t vocab)
{
    struct mgpt_model m = test_model_names();

    m.layers = layers;
    m.vocab = vocab;
    m.heads = m.kv_heads = 2;
    m.embd = 8, m.mlp = 16, m.context = 6;
    m.init_std = 0.1;
    return m;
}

static void run_steps(const struct mgpt_step_api *api, struct mgpt_step *step,
                      struct mgpt_step *rest, struct step_rig *rig, uint32_t at_once,
                      struct trained *out)
{
    for (uint32_t i = 0, k = 0; i < STEPS; i += at_once) {
        uint32_t n = STEPS - i < at_once ? STEPS - i : at_once;
        ck_ok(api->run(step, rig->inputs + i, n, error));
        ck_ok(api->fence(step, out->results + i, &k, error));
        if (!rest) {
            ck_assert_uint_eq(k, n);
            continue;
        }
        ck_ok(mgpt_composed_rest(rest, &rig->inputs[i], MGPT_COVERS_FBC, error));
        ck_ok(api->adopt(step, error));
        out->results[i].loss = step_rig_state(rig).loss;
    }
}

static void read_tensor(struct step_rig *rig, const struct mgpt_tensor *t, double *out)
{
    size_t n = (size_t)mgpt_tensor_count(t);
    float *single = malloc(n * sizeof *single);

    ck_ok(mgpt_machine_read(&rig->net.machine, t, t->dtype == MGPT_F64 ? (void *)out : single,
                            error));
    for (size_t i = 0; t->dtype != MGPT_F64 && i < n; i++)
        out[i] = (double)single[i];
    free(single);
}

static void finish(struct step_rig *rig, struct trained *out)
{
    const struct mgpt_params *params = &rig->net.params;

    out->values = malloc(params->count * sizeof *out->values);
    ck_assert_uint_lt(params->n, sizeof out->starts / sizeof *out->starts);
    for (uint32_t i = 0; i < params->n; i++) {
        read_tensor(rig, &params->items[i].p, out->values + out->n);
        out->starts[i] = out->n;
        out->n += (size_t)mgpt_tensor_count(&params->items[i].p);
    }
    out->n_tensors = params->n;
    out->starts[params->n] = out->n;
    step_rig_close(rig);
}

/* Op by op, in double. */
static void train_reference(const struct subject *s, struct trained *out)
{
    const struct mgpt_step_api *composed = mgpt_composed.api;
    struct step_rig rig;
    struct mgpt_step *step;

    memset(out, 0, sizeof *out);
    step_rig_open_as(&rig, "ref", &s->model, MGPT_F64, &s->setup);
    ck_ok(composed->open(mgpt_host(), NULL, &rig.spec, &step, error));
    run_steps(composed, step, NULL, &rig, 1, out);
    composed->close(step);
    finish(&rig, out);
}

static void train_micro(const struct subject *s, struct trained *out)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_STEP, "micro_cuda");
    const struct mgpt_step_api *api = component->api, *composed = mgpt_composed.api;
    char at_once[16];
    struct step_rig rig;
    struct mgpt_step *step, *rest = NULL;
    struct mgpt_bid bid = {.size = sizeof bid};

    memset(out, 0, sizeof *out);
    (void)snprintf(at_once, sizeof at_once, "%u", s->at_once);
    struct mgpt_config *config =
        mgpt_check_settings(component, "threads", s->threads, "steps", at_once, NULL);
    step_rig_open_as(&rig, "cuda_emu", &s->model, MGPT_F32, &s->setup);
    const struct emu_counters *counters = rig.spec.backend->query(rig.spec.device, EMU_COUNTERS);
    set_order(s->order);
    api->bid(&rig.spec, &bid);
    check_that(bid.score > 0, "%s", bid.reason);
    out->covers = bid.covers;
    ck_ok(api->open(mgpt_host(), config, &rig.spec, &step, error));
    if (bid.covers < MGPT_COVERS_FBCUS)
        ck_ok(mgpt_composed_open_rest(&rig.spec, &rest, error));
    struct emu_counters before = *counters;
    run_steps(api, step, rest, &rig, rest ? 1 : s->at_once, out);
    out->launches = counters->programs - before.programs;
    out->others =
        counters->kernels - before.kernels + counters->products - before.products - out->launches;
    api->close(step);
    composed->close(rest);
    mgpt_config_destroy(config);
    finish(&rig, out);
}

/* How far the values from..to are from each other, relative to their size. */
static double distance(const struct trained *a, const struct trained *b, size_t from, size_t to)
{
    double off = 0, size = 0;

    for (size_t i = from; i < to; i++) {
        off += (a->values[i] - b->values[i]) * (a->values[i] - b->values[i]);
        size += a->values[i] * a->values[i];
    }
    return sqrt(off / size);
}

static void same_training(const struct subject *s, const struct trained *want,
                          const struct trained *got)
{
    double off = 0;

    ck_assert_uint_eq(want->n, got->n);
    for (int i = 0; i < STEPS; i++) {
        ck_assert_msg(fabs(got->results[i].loss - want->results[i].loss) <= 1e-5,
                      "%u layers, %u ids, %s: loss %.9g of step %d, expected %.9g", s->model.layers,
                      s->model.vocab, s->setup.optimizer, got->results[i].loss, i,
                      want->results[i].loss);
        if (got->covers == MGPT_COVERS_FBCUS)
            ck_assert_double_eq_tol(got->results[i].grad_norm, want->results[i].grad_norm,
                                    1e-4 * want->results[i].grad_norm);
    }
    for (size_t i = 0; i < want->n_tensors; i++)
        off = fmax(off, distance(want, got, want->starts[i], want->starts[i + 1]));
    ck_assert_msg(off <= 1e-4, "%u layers, %u ids, %s: parameters differ by %.2g", s->model.layers,
                  s->model.vocab, s->setup.optimizer, off);
    printf("%u layers, %u ids, %s: parameters within %.2g\n", s->model.layers, s->model.vocab,
           s->setup.optimizer, off);
}

static void check(const struct subject *s)
{
    struct trained want, got;
    unsigned long launches = (STEPS + s->at_once - 1) / s->at_once;

    train_reference(s, &want);
    train_micro(s, &got);
    same_training(s, &want, &got);
    if (got.covers == MGPT_COVERS_FBCUS) {
        ck_assert_uint_eq(got.launches, launches);
        ck_assert_uint_eq(got.others, 0);
    }
    free(want.values);
    free(got.values);
}

/* ---- tests ---- */

static const char *const orders[] = {"forward", "backward", "random"};
static const struct rig_setup optimizers[] = {{"adamw", 1, 1, 0.5, NULL},
                                              {"lion", 1, 1, 1, NULL},
                                              {"sgd", 1, 1, 0, NULL},
                                              {"sgd", 1, 1, 0.3, &strangers}};

/* Every optimizer on 1, 2 and 3 layers and 27, 300 and 1000 ids; orders of threads and steps a
 * launch by turns. */
START_TEST(computes_what_ref_computes)
{
    static const uint32_t vocabs[] = {27, 300, 1000};
    int turn = _i;

    for (uint32_t layers = 1; layers <= 3; layers++)
        for (int v = 0; v < 3; v++, turn++) {
            struct subject s = {narrow(layers, vocabs[v]), optimizers[_i], orders[turn % 3], "64",
                                turn % 2 ? 1 : 7};
            check(&s);
        }
}
END_TEST

START_TEST(neither_order_nor_steps_a_launch_change_a_bit)
{
    struct subject s = {narrow(2, 27), optimizers[_i], "forward", "64", 1};
    struct trained want, got;

    train_micro(&s, &want);
    ck_assert_uint_eq(want.launches, STEPS);
    for (int i = 0; i < 3; i++)
        for (uint32_t at_once = 1; at_once <= STEPS; at_once += STEPS - 1) {
            s.order = orders[i];
            s.at_once = at_once;
            train_micro(&s, &got);
            ck_assert_uint_eq(got.covers, MGPT_COVERS_FBCUS);
            ck_assert_uint_eq(got.launches, STEPS / at_once);
            ck_assert_mem_eq(want.values, got.values, want.n * sizeof *want.values);
            for (int k = 0; k < STEPS; k++)
                ck_assert_double_eq(want.results[k].loss, got.results[k].loss);
            free(got.values);
        }
    free(want.values);
}
END_TEST

/* All that a model may have, and sizes that nothing divides. */
static size_t fill_models(struct mgpt_model *out)
{
    struct mgpt_model toy = test_model_toygpt(), m = toy;
    size_t n = 0;

    out[n++] = test_model_names();
    out[n++] = toy;
    toy.dropout = 0.25, toy.activation = MGPT_ACT_GELU_TANH;
    out[n++] = toy;
    m.heads = 6, m.kv_heads = 2, m.embd = 18, m.mlp = 33, m.context = 11, m.vocab = 19;
    m.bias |= MGPT_BIAS_QKV, m.tied = 1, m.embed_norm = 1, m.activation = MGPT_ACT_RELU;
    out[n++] = m;
    m.norm = MGPT_NORM_RMS, m.norm_bias = 0, m.kv_heads = 1, m.context = 35, m.layers = 1;
    m.embd = 12, m.mlp = 9;
    out[n++] = m;
    return n;
}

START_TEST(every_setting_of_a_model)
{
    struct mgpt_model models[8];
    size_t n = fill_models(models);

    ck_assert_uint_gt(n, (size_t)_i);
    /* Not adamw: it makes steps of the gradient of a key's bias, which is 0. */
    struct subject s = {models[_i], {"sgd", 1, 1, 0.5, NULL}, "random", "96", 5};
    check(&s);
}
END_TEST

START_TEST(a_batch_is_a_block_a_document)
{
    static const struct rig_setup setups[] = {{"adamw", 3, 2, 0.5, NULL}, {"sgd", 5, 1, 0, NULL}};
    struct mgpt_model m = test_model_toygpt();

    m.dropout = 0.1;
    for (int i = 0; i < 2; i++) {
        struct subject s = {i ? m : narrow(2, 27), setups[i], orders[1 + i], "64",
                            1 + 2 * (uint32_t)i};
        check(&s);
    }
}
END_TEST

/* Muon updates matrices as a whole: that is the core's, and all before it is still one launch. */
START_TEST(leaves_the_update_of_whole_tensors_to_the_core)
{
    struct subject s = {narrow(1, 27), {"muon", 1, 1, 1, NULL}, "random", "64", 1};
    struct trained got;

    check(&s);
    train_micro(&s, &got);
    ck_assert_uint_eq(got.covers, MGPT_COVERS_FBC);
    free(got.values);
}
END_TEST

START_TEST(says_what_does_not_fit)
{
    const struct mgpt_step_api *api = one_module(MGPT_KIND_STEP, "micro_cuda")->api;
    struct mgpt_model m = narrow(1, 27);
    struct step_rig rig;
    struct mgpt_bid bid = {.size = sizeof bid};

    m.mlp = 4096;
    step_rig_open(&rig, "cuda_emu", &m, MGPT_F32);
    api->bid(&rig.spec, &bid);
    ck_assert_int_eq(bid.score, 0);
    ck_assert_ptr_nonnull(strstr(bid.reason, "bytes of shared memory"));
    step_rig_close(&rig);
    step_rig_open(&rig, "ref", &m, MGPT_F64);
    bid = (struct mgpt_bid){.size = sizeof bid};
    api->bid(&rig.spec, &bid);
    ck_assert_int_eq(bid.score, 0);
    ck_assert_ptr_nonnull(strstr(bid.reason, "CUDA device"));
    step_rig_close(&rig);
}
END_TEST

START_TEST(refuses_threads_that_make_no_warps)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_STEP, "micro_cuda");
    const struct mgpt_step_api *api = component->api;
    struct mgpt_model m = narrow(1, 27);
    struct mgpt_config *config = mgpt_check_settings(component, "threads", "33", NULL);
    struct mgpt_error why = {0};
    struct mgpt_step *step = NULL;
    struct step_rig rig;

    step_rig_open(&rig, "cuda_emu", &m, MGPT_F32);
    check_refused(api->open(mgpt_host(), config, &rig.spec, &step, &why), MGPT_INVALID, why);
    ck_assert_ptr_nonnull(strstr(why.text, "[step.micro_cuda] threads = 33"));
    step_rig_close(&rig);
    mgpt_config_destroy(config);
}
END_TEST

static void add_tests(TCase *tests)
{
    struct mgpt_model models[8];

    if (!getenv("MGPT_FEW")) { /* of the rest there is enough where each access is checked */
        tcase_add_loop_test(tests, computes_what_ref_computes, 0, 4);
        tcase_add_loop_test(tests, neither_order_nor_steps_a_launch_change_a_bit, 0, 4);
    }
    tcase_add_loop_test(tests, every_setting_of_a_model, 0, (int)fill_models(models));
    tcase_add_test(tests, a_batch_is_a_block_a_document);
    tcase_add_test(tests, leaves_the_update_of_whole_tensors_to_the_core);
    tcase_add_test(tests, says_what_does_not_fit);
    tcase_add_test(tests, refuses_threads_that_make_no_warps);
}

int main(void)
{
    if (!test_has_backend("cuda_emu")) {
        printf("SKIP: no C++ compiler (Debian package g++)\n");
        return 77;
    }
    return test_main("check_micro", add_tests);
}
