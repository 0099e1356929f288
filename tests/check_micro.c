/* Step micro_cuda on the emulated device: in one launch it computes what the reference computes op
 * by op, for many shapes, optimizers and batches, in any order of threads. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conform.h"
#include "micro_rig.h"

/* A stranger's rule: the sign of a mean of gradients, limited near 0. Its names are also those of
 * constants of the program. */
/* clang-format off */
MGPT_RULE(stranger, (mean), (lr, b1, decay),
    const real T = (real)1e-3, C = (real)1 - b1;
    mean = b1 * mean + C * g;
    p -= lr * (mean / (fabs(mean) + T) + decay * p);)
/* clang-format on */
static const struct mgpt_optimizer_api strangers = {.size = sizeof strangers, .rule = &stranger};

static void same_training(const struct micro_subject *s, const struct micro_trained *want,
                          const struct micro_trained *got)
{
    double off = 0;

    ck_assert_uint_eq(want->n, got->n);
    for (int i = 0; i < MICRO_STEPS; i++) {
        ck_assert_msg(fabs(got->results[i].loss - want->results[i].loss) <= 1e-5,
                      "%u layers, %u ids, %s: loss %.9g of step %d, expected %.9g", s->model.layers,
                      s->model.vocab, s->setup.optimizer, got->results[i].loss, i,
                      want->results[i].loss);
        if (got->covers == MGPT_COVERS_FBCUS)
            ck_assert_double_eq_tol(got->results[i].grad_norm, want->results[i].grad_norm,
                                    1e-4 * want->results[i].grad_norm);
    }
    for (size_t i = 0; i < want->n_tensors; i++)
        off = fmax(off, micro_distance(want, got, want->starts[i], want->starts[i + 1]));
    ck_assert_msg(off <= 1e-4, "%u layers, %u ids, %s: parameters differ by %.2g", s->model.layers,
                  s->model.vocab, s->setup.optimizer, off);
    printf("%u layers, %u ids, %s: parameters within %.2g\n", s->model.layers, s->model.vocab,
           s->setup.optimizer, off);
}

static void check(const struct micro_subject *s)
{
    struct micro_trained want, got;
    unsigned long launches = (MICRO_STEPS + s->at_once - 1) / s->at_once;

    micro_reference(s, MICRO_STEPS, &want);
    micro_train(s, MICRO_STEPS, &got);
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
static const struct mgpt_rig_setup optimizers[] = {{"adamw", 1, 1, 0.5, NULL},
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
            struct micro_subject s = {.model = micro_narrow(layers, vocabs[v]),
                                      .setup = optimizers[_i],
                                      .order = orders[turn % 3],
                                      .threads = "64",
                                      .at_once = turn % 2 ? 1 : 7};
            check(&s);
        }
}
END_TEST

START_TEST(neither_order_nor_steps_a_launch_change_a_bit)
{
    struct micro_subject s = {.model = micro_narrow(2, 27),
                              .setup = optimizers[_i],
                              .order = "forward",
                              .threads = "64",
                              .at_once = 1};
    struct micro_trained want, got;

    micro_train(&s, MICRO_STEPS, &want);
    ck_assert_uint_eq(want.launches, MICRO_STEPS);
    for (int i = 0; i < 3; i++)
        for (uint32_t at_once = 1; at_once <= MICRO_STEPS; at_once += MICRO_STEPS - 1) {
            s.order = orders[i];
            s.at_once = at_once;
            micro_train(&s, MICRO_STEPS, &got);
            ck_assert_uint_eq(got.covers, MGPT_COVERS_FBCUS);
            ck_assert_uint_eq(got.launches, MICRO_STEPS / at_once);
            ck_assert_mem_eq(want.values, got.values, want.n * sizeof *want.values);
            for (int k = 0; k < MICRO_STEPS; k++)
                ck_assert_double_eq(want.results[k].loss, got.results[k].loss);
            free(got.values);
        }
    free(want.values);
}
END_TEST

/* As one.cu says: between two barriers a position is one warp's. */
START_TEST(threads_wait_for_each_other_as_rarely_as_promised)
{
    unsigned long layers = (unsigned long)_i;
    struct micro_subject s = {.model = micro_narrow((uint32_t)layers, 27),
                              .setup = optimizers[0],
                              .order = "random",
                              .threads = "256",
                              .at_once = 7};
    struct micro_trained got;

    micro_train(&s, MICRO_STEPS, &got);
    ck_assert_uint_eq(got.barriers, (2 * layers + 3) * MICRO_STEPS + got.launches);
    free(got.values);
}
END_TEST

/* All that a model may have, and sizes that nothing divides. */
static size_t fill_models(struct mgpt_model *out)
{
    struct mgpt_model toy = mgpt_check_model_toygpt(), m = toy;
    size_t n = 0;

    out[n++] = mgpt_check_model_names();
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
    struct micro_subject s = {.model = models[_i],
                              .setup = {"sgd", 1, 1, 0.5, NULL},
                              .order = "random",
                              .threads = "96",
                              .at_once = 5};
    check(&s);
}
END_TEST

START_TEST(a_batch_is_a_block_a_document)
{
    static const struct mgpt_rig_setup setups[] = {{"adamw", 3, 2, 0.5, NULL},
                                                   {"sgd", 5, 1, 0, NULL}};
    struct mgpt_model m = mgpt_check_model_toygpt();

    m.dropout = 0.1;
    for (int i = 0; i < 2; i++) {
        struct micro_subject s = {.model = i ? m : micro_narrow(2, 27),
                                  .setup = setups[i],
                                  .order = orders[1 + i],
                                  .threads = "64",
                                  .at_once = 1 + 2 * (uint32_t)i};
        check(&s);
    }
}
END_TEST

/* What a block adds up does not depend on how many there are: the contract of many.cu. */
START_TEST(the_number_of_blocks_changes_no_bit)
{
    static const uint32_t blocks[] = {1, 2, 3}, rows[] = {1, 3, 5};
    struct micro_trained want, got;

    for (int r = 0; r < 3; r++) {
        struct micro_subject s = {.model = micro_narrow(1, 27),
                                  .setup = {"adamw", rows[r], 1, 0.5, NULL},
                                  .order = "random",
                                  .threads = "64",
                                  .at_once = 2};
        micro_train(&s, 2, &want);
        ck_assert_uint_ge(want.blocks, rows[r]);
        for (int b = 0; b < 3; b++) {
            s.blocks = blocks[b];
            micro_train(&s, 2, &got);
            ck_assert_uint_eq(got.blocks, blocks[b] < want.blocks ? blocks[b] : want.blocks);
            ck_assert_mem_eq(want.values, got.values, want.n * sizeof *want.values);
            for (int i = 0; i < 2; i++)
                ck_assert_double_eq(want.results[i].loss, got.results[i].loss);
            free(got.values);
        }
        free(want.values);
    }
}
END_TEST

/* Muon updates matrices as a whole: that is the core's, and all before it is still one launch. */
START_TEST(leaves_the_update_of_whole_tensors_to_the_core)
{
    struct micro_subject s = {.model = micro_narrow(1, 27),
                              .setup = {"muon", 1, 1, 1, NULL},
                              .order = "random",
                              .threads = "64",
                              .at_once = 1};
    struct micro_trained got;

    check(&s);
    micro_train(&s, MICRO_STEPS, &got);
    ck_assert_uint_eq(got.covers, MGPT_COVERS_FBC);
    free(got.values);
}
END_TEST

START_TEST(says_what_does_not_fit)
{
    const struct mgpt_step_api *api = one_module(MGPT_KIND_STEP, "micro_cuda")->api;
    struct mgpt_model m = micro_narrow(1, 27);
    struct mgpt_step_rig rig;
    struct mgpt_bid bid = {.size = sizeof bid};

    m.mlp = 4096;
    mgpt_step_rig_open(&rig, "cuda_emu", &m, MGPT_F32);
    api->bid(&rig.spec, &bid);
    ck_assert_int_eq(bid.score, 0);
    ck_assert_ptr_nonnull(strstr(bid.reason, "bytes of shared memory"));
    mgpt_step_rig_close(&rig);
    mgpt_step_rig_open(&rig, "ref", &m, MGPT_F64);
    bid = (struct mgpt_bid){.size = sizeof bid};
    api->bid(&rig.spec, &bid);
    ck_assert_int_eq(bid.score, 0);
    ck_assert_ptr_nonnull(strstr(bid.reason, "CUDA device"));
    mgpt_step_rig_close(&rig);
}
END_TEST

START_TEST(refuses_threads_that_make_no_warps)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_STEP, "micro_cuda");
    const struct mgpt_step_api *api = component->api;
    struct mgpt_model m = micro_narrow(1, 27);
    struct mgpt_config *config = mgpt_check_settings(component, "threads", "33", NULL);
    struct mgpt_error why = {0};
    struct mgpt_step *step = NULL;
    struct mgpt_step_rig rig;

    mgpt_step_rig_open(&rig, "cuda_emu", &m, MGPT_F32);
    check_refused(api->open(mgpt_host(), config, &rig.spec, &step, &why), MGPT_INVALID, why);
    ck_assert_ptr_nonnull(strstr(why.text, "[step.micro_cuda] threads = 33"));
    mgpt_step_rig_close(&rig);
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
    tcase_add_loop_test(tests, threads_wait_for_each_other_as_rarely_as_promised, 1, 4);
    tcase_add_loop_test(tests, every_setting_of_a_model, 0, (int)fill_models(models));
    tcase_add_test(tests, a_batch_is_a_block_a_document);
    tcase_add_test(tests, the_number_of_blocks_changes_no_bit);
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
