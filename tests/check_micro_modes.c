/* Step micro_cuda in the modes tf32, bf16 and fp16 on the emulated device: what the reference
 * computes with the same formats, and loss scaling within a launch. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conform.h"
#include "micro_rig.h"

#define HUGE_SCALE 0x1p60 /* what no 16-bit gradient outlives */

#define PLAN(format)                                                                               \
    .size = sizeof(struct mgpt_precision_plan), .master = MGPT_F32, .activation = format,          \
    .product = format
#define SCALED(initial, interval)                                                                  \
    PLAN(MGPT_F16), .scale_initial = initial, .scale_interval = interval, .scale_growth = 2,       \
                    .scale_backoff = 0.5

static const struct {
    const char *name;
    struct mgpt_precision_plan plan;
} modes[] = {{"tf32", {PLAN(MGPT_F32), .tf32 = 1}},
             {"bf16", {PLAN(MGPT_BF16)}},
             {"fp16", {SCALED(65536, 2000)}}};
static const struct mgpt_precision_plan fp32 = {PLAN(MGPT_F32)};
static const struct mgpt_precision_plan searching = {SCALED(0x1p24, 3)};

static struct micro_subject narrow_in(const struct mgpt_precision_plan *plan, uint32_t rows)
{
    return (struct micro_subject){.model = micro_narrow(2, 27),
                                  .setup = {"adamw", rows, 1, 0.5, NULL},
                                  .order = "random",
                                  .threads = "64",
                                  .at_once = 7,
                                  .precision = plan};
}

/* Everything that a model may have, at sizes that nothing divides. */
static struct micro_subject odd_in(const struct mgpt_precision_plan *plan)
{
    struct mgpt_model m = mgpt_check_model_toygpt();

    m.heads = 6, m.kv_heads = 2, m.embd = 18, m.mlp = 33, m.context = 11, m.vocab = 19;
    m.bias |= MGPT_BIAS_QKV, m.embed_norm = 1, m.dropout = 0.25;
    return (struct micro_subject){.model = m,
                                  .setup = {"sgd", 1, 1, 0, NULL},
                                  .order = "backward",
                                  .threads = "96",
                                  .at_once = 1,
                                  .precision = plan};
}

static double farthest_loss(const struct micro_trained *a, const struct micro_trained *b)
{
    double off = 0;

    for (int i = 0; i < MICRO_STEPS; i++)
        off = fmax(off, fabs(a->results[i].loss / b->results[i].loss - 1));
    return off;
}

/* How far the first step moves each tensor away from where `want` does, relative to that way. */
static double farthest_way(const struct micro_trained *start, const struct micro_trained *want,
                           const struct micro_trained *got)
{
    double most = 0;

    for (size_t k = 0; k < want->n_tensors; k++) {
        double off = 0, way = 0;
        for (size_t i = want->starts[k]; i < want->starts[k + 1]; i++) {
            off += pow(got->values[i] - want->values[i], 2);
            way += pow(want->values[i] - start->values[i], 2);
        }
        most = fmax(most, sqrt(off / way));
    }
    return most;
}

/* ---- what is computed ---- */

START_TEST(loses_as_ref_does_in_the_same_mode)
{
    const struct mgpt_precision_plan *plan = &modes[_i % 3].plan;
    struct micro_subject s = _i / 3 ? odd_in(plan) : narrow_in(plan, 1);
    struct micro_trained want, got, other;

    micro_reference(&s, MICRO_STEPS, &want);
    micro_train(&s, MICRO_STEPS, &got);
    s.precision = &fp32;
    micro_reference(&s, MICRO_STEPS, &other);
    printf("%s, %s: losses within %.2g, of fp32 %.2g\n", modes[_i % 3].name, s.setup.optimizer,
           farthest_loss(&got, &want), farthest_loss(&got, &other));
    ck_assert_double_le(farthest_loss(&got, &want), 1e-3);
    ck_assert_double_eq_tol(got.results[0].grad_norm, want.results[0].grad_norm,
                            1e-5 * want.results[0].grad_norm);
    ck_assert_double_le(farthest_loss(&got, &other), 0.02);
    ck_assert_uint_eq(got.launches, (MICRO_STEPS + s.at_once - 1) / s.at_once);
    ck_assert_uint_eq(got.others, 0);
    ck_assert_uint_eq(got.covers, MGPT_COVERS_FBCUS);
    free(want.values);
    free(got.values);
    free(other.values);
}
END_TEST

/* One rounding too many or too few anywhere shows in some gradient. */
START_TEST(rounds_what_ref_rounds)
{
    struct micro_subject s = odd_in(&modes[_i].plan);
    struct micro_trained start, want, got, other;

    micro_reference(&s, 0, &start);
    micro_reference(&s, 1, &want);
    micro_train(&s, 1, &got);
    s.precision = &fp32;
    micro_reference(&s, 1, &other);
    printf("%s: gradients within %.2g, of fp32 %.2g\n", modes[_i].name,
           farthest_way(&start, &want, &got), farthest_way(&start, &other, &got));
    ck_assert_double_le(farthest_way(&start, &want, &got), 5e-5);
    ck_assert_double_ge(farthest_way(&start, &other, &got), 5e-4);
    free(start.values);
    free(want.values);
    free(got.values);
    free(other.values);
}
END_TEST

/* Rounded where they are read, or once a step: the same. */
START_TEST(where_weights_lie_changes_no_bit)
{
    static const char *const places[] = {": activations in it, all else in global memory",
                                         ": activations and rounded weights in it, all else"};
    struct micro_subject s = narrow_in(&modes[1].plan, 1);
    unsigned long long least;
    struct micro_trained want, got;
    struct mgpt_bid bid;

    micro_train(&s, 3, &want);
    s.shared = 1024;
    micro_rig_bid(&s, &bid);
    ck_assert_int_eq(sscanf(bid.reason, "one document takes %llu", &least), 1);
    s.shared = (uint32_t)least + 64;
    for (int i = 0; i < 2; i++) {
        micro_rig_bid(&s, &bid);
        ck_assert_msg(strstr(bid.reason, places[i]), "%s", bid.reason);
        micro_train(&s, 3, &got);
        ck_assert_mem_eq(want.values, got.values, want.n * sizeof *want.values);
        free(got.values);
        s.shared += (uint32_t)(2 * want.n + 32 * want.n_tensors);
    }
    free(want.values);
}
END_TEST

/* ---- the scale of the loss ---- */

static void set_scale(struct mgpt_step_rig *rig, double scale)
{
    struct mgpt_step_state state = mgpt_step_rig_state(rig);

    state.loss_scale = scale;
    ck_ok(mgpt_machine_write(&rig->net.machine, &rig->net.state, &state, error));
}

/* From a scale that overflows it finds its own: scales and skipped steps are those of ref, and so
 * is what was learned; with a document a step, with several, and where SCALER is the core's. */
START_TEST(the_scale_is_that_of_ref)
{
    struct micro_subject s = narrow_in(&searching, _i == 1 ? 3 : 1);
    struct micro_trained want, got;
    int skipped = 0, grown = 0;

    s.model = micro_narrow(1, 27);
    s.setup.optimizer = _i == 2 ? "muon" : "adamw";
    micro_reference(&s, MICRO_STEPS, &want);
    micro_train(&s, MICRO_STEPS, &got);
    for (int i = 0; i < MICRO_STEPS; i++) {
        const struct mgpt_step_result *a = &want.results[i], *b = &got.results[i];
        ck_assert_uint_eq(b->skipped, a->skipped);
        ck_assert_double_eq(b->loss_scale, a->loss_scale);
        ck_assert_double_eq_tol(b->loss, a->loss, 1e-3 * a->loss);
        skipped += (int)a->skipped;
        grown += i && a->loss_scale > want.results[i - 1].loss_scale;
    }
    ck_assert_int_ge(skipped, 3);
    ck_assert_int_ge(grown, 2);
    free(want.values);
    free(got.values);
}
END_TEST

START_TEST(a_skipped_step_changes_no_parameter_and_no_state)
{
    struct micro_subject s = narrow_in(&searching, _i ? 3 : 1);
    struct micro_rig r;
    struct mgpt_step_result results[MGPT_STEP_RING];
    uint32_t n;
    size_t size;

    s.model = micro_narrow(1, 27);
    micro_rig_open(&r, &s);
    for (uint32_t i = 0; i < 9; i += 3) {
        double *before, *after;
        set_scale(&r.rig, 1024);
        ck_ok(r.api->adopt(r.step, error));
        ck_ok(r.api->run(r.step, r.rig.inputs + i, 2, error));
        ck_ok(r.api->fence(r.step, results, &n, error));
        ck_assert(n == 2 && !results[0].skipped && !results[1].skipped);
        before = mgpt_step_rig_values(&r.rig, &size);
        set_scale(&r.rig, HUGE_SCALE);
        ck_ok(r.api->adopt(r.step, error));
        ck_ok(r.api->run(r.step, r.rig.inputs + i + 2, 1, error));
        ck_ok(r.api->fence(r.step, results, &n, error));
        ck_assert(n == 1 && results[0].skipped && results[0].loss_scale == HUGE_SCALE / 2);
        after = mgpt_step_rig_values(&r.rig, &size);
        ck_assert_mem_eq(after, before, size * sizeof *after);
        struct mgpt_step_state state = mgpt_step_rig_state(&r.rig);
        ck_assert(state.nonfinite && state.good == 0 && state.skipped == i / 3 + 1);
        ck_assert_double_eq(state.loss_scale, HUGE_SCALE / 2);
        free(before);
        free(after);
    }
    micro_rig_close(&r);
}
END_TEST

/* However the steps are cut into launches, and with the module opened anew between them. */
START_TEST(resumes_with_the_same_bits)
{
    struct micro_subject s = narrow_in(&searching, _i ? 3 : 1);
    struct mgpt_step_result whole[MGPT_STEP_RING], parts[MGPT_STEP_RING];
    struct micro_rig r;
    double *values[2];
    uint32_t n, done = 0;
    size_t size;

    s.model = micro_narrow(1, 27);
    s.at_once = MICRO_STEPS;
    micro_rig_open(&r, &s);
    ck_ok(r.api->run(r.step, r.rig.inputs, MICRO_STEPS, error));
    ck_ok(r.api->fence(r.step, whole, &n, error));
    values[0] = mgpt_step_rig_values(&r.rig, &size);
    micro_rig_close(&r);
    micro_rig_open(&r, &s);
    for (uint32_t count = 1; done < MICRO_STEPS; done += n, count = count * 2 + 1) {
        uint32_t left = MICRO_STEPS - done;
        ck_ok(r.api->run(r.step, r.rig.inputs + done, count < left ? count : left, error));
        ck_ok(r.api->fence(r.step, parts + done, &n, error));
        r.api->close(r.step);
        ck_ok(r.api->open(mgpt_host(), r.config, &r.rig.spec, &r.step, error));
    }
    values[1] = mgpt_step_rig_values(&r.rig, &size);
    micro_rig_close(&r);
    ck_assert_mem_eq(whole, parts, MICRO_STEPS * sizeof *whole);
    ck_assert_mem_eq(values[0], values[1], size * sizeof **values);
    free(values[0]);
    free(values[1]);
}
END_TEST

/* ---- what it says ---- */

START_TEST(says_which_formats_are_missing)
{
    struct micro_subject s = narrow_in(&modes[1].plan, 1);
    struct mgpt_bid bid = {.size = sizeof bid};
    struct micro_rig r;

    micro_rig_open(&r, &s);
    ck_assert_ptr_nonnull(strstr(r.bid.reason, "in BF16"));
    r.rig.net.machine.caps.formats &= ~(1u << MGPT_BF16);
    r.api->bid(&r.rig.spec, &bid);
    ck_assert_int_eq(bid.score, 0);
    ck_assert_str_eq(bid.reason, "needs a device that has the formats of [precision] use");
    r.rig.net.precision.activation = MGPT_F32;
    r.api->bid(&r.rig.spec, &bid);
    ck_assert_int_eq(bid.score, 0);
    ck_assert_ptr_nonnull(strstr(bid.reason, "weights in F32"));
    micro_rig_close(&r);
}
END_TEST

static void add_tests(TCase *tests)
{
    bool few = getenv("MGPT_FEW"); /* where each access is checked: a format, and batches */

    if (!few) {
        tcase_add_loop_test(tests, loses_as_ref_does_in_the_same_mode, 0, 6);
        tcase_add_test(tests, where_weights_lie_changes_no_bit);
        tcase_add_loop_test(tests, a_skipped_step_changes_no_parameter_and_no_state, 0, 2);
        tcase_add_loop_test(tests, resumes_with_the_same_bits, 0, 2);
    }
    tcase_add_loop_test(tests, rounds_what_ref_rounds, few ? 1 : 0, few ? 2 : 3);
    tcase_add_loop_test(tests, the_scale_is_that_of_ref, few ? 1 : 0, few ? 2 : 3);
    tcase_add_test(tests, says_which_formats_are_missing);
}

int main(void)
{
    if (!test_has_backend("cuda_emu")) {
        printf("SKIP: no C++ compiler (Debian package g++)\n");
        return 77;
    }
    return test_main("check_micro_modes", add_tests);
}
