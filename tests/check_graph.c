/* Step graph_cuda on the emulation: what the host does in a step once all is captured, and that
 * nothing else depends on it. That it computes what the composed step does, conform_step and
 * run_graph.sh show. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include <microgpt/cuda_native.h>

#include "check/step_rig.h"
#include "conform.h"
#include "counters.h"
#include "run/composed.h"
#include "run/plan.h"

struct subject {
    struct mgpt_step_rig rig;
    const struct mgpt_step_api *api;
    struct mgpt_step *step;
    const struct emu_counters *counters;
};

static struct mgpt_bid bid_of(struct subject *s)
{
    struct mgpt_bid bid = {.size = sizeof bid};

    s->api->bid(&s->rig.spec, &bid);
    return bid;
}

static void open_as(struct subject *s, const char *backend, const struct mgpt_model *model,
                    const struct mgpt_rig_setup *setup)
{
    memset(s, 0, sizeof *s);
    mgpt_step_rig_open_as(&s->rig, backend, model, MGPT_F32, setup);
    s->api = mgpt_check_module(MGPT_KIND_STEP, "graph_cuda")->api;
}

static void open_subject(struct subject *s, const struct mgpt_model *model,
                         const struct mgpt_rig_setup *setup)
{
    open_as(s, "cuda_emu", model, setup);
    s->counters = s->rig.spec.backend->query(s->rig.spec.device, EMU_COUNTERS);
    struct mgpt_bid bid = bid_of(s);
    ck_assert_msg(bid.score > 1, "%s", bid.reason);
    ck_assert_uint_eq(bid.covers, MGPT_COVERS_FBCUS);
    ck_assert_uint_gt(bid.bytes, 0);
    ck_ok(s->api->open(mgpt_host(), NULL, &s->rig.spec, &s->step, error));
}

static void close_subject(struct subject *s)
{
    s->api->close(s->step);
    mgpt_step_rig_close(&s->rig);
}

static void run_steps(struct subject *s, uint32_t first, uint32_t n)
{
    ck_ok(s->api->run(s->step, s->rig.inputs + first, n, error));
}

static void fence_steps(struct subject *s, uint64_t first, uint32_t n)
{
    struct mgpt_step_result results[MGPT_STEP_RING];
    uint32_t got = 0;

    ck_ok(s->api->fence(s->step, results, &got, error));
    ck_assert_uint_eq(got, n);
    for (uint32_t i = 0; i < n; i++) {
        ck_assert_uint_eq(results[i].step, first + i);
        ck_assert_double_gt(results[i].loss, 0);
        ck_assert_double_gt(results[i].grad_norm, 0);
    }
}

/* ---- what the host does ---- */

/* The rig's batches have two lengths in turn: each is met, then captured, in the first four
 * steps. */
#define CAPTURED 4

static void one_launch_a_micro_batch(const char *optimizer, uint32_t micro, double dropout)
{
    const struct mgpt_rig_setup setup = {optimizer, 3, micro, 0.5, NULL};
    struct mgpt_model model = mgpt_check_model_toygpt();
    struct subject s;
    uint32_t n = RIG_LONG - CAPTURED;

    model.dropout = dropout;
    open_subject(&s, &model, &setup);
    run_steps(&s, 0, CAPTURED);
    fence_steps(&s, 0, CAPTURED);
    struct emu_counters before = *s.counters;
    run_steps(&s, CAPTURED, n);
    struct emu_counters after = *s.counters;
    ck_assert_uint_eq(after.graphs - before.graphs, n * micro);
    ck_assert_uint_eq(after.copies - before.copies, n * micro);
    ck_assert_uint_eq(after.kernels, before.kernels);
    ck_assert_uint_eq(after.products, before.products);
    ck_assert_uint_eq(after.captured, before.captured);
    ck_assert_uint_eq(after.waits, before.waits);
    fence_steps(&s, CAPTURED, n);
    close_subject(&s);
}

START_TEST(a_captured_step_is_one_launch_and_one_copy_a_micro_batch)
{
    one_launch_a_micro_batch("adamw", 1, 0);
    one_launch_a_micro_batch("sgd", 2, 0);
    one_launch_a_micro_batch("adamw", 2, 0.3);
}
END_TEST

START_TEST(updates_of_whole_tensors_are_captured_too)
{
    one_launch_a_micro_batch("muon", 2, 0);
}
END_TEST

START_TEST(nothing_is_captured_twice_and_nothing_waits_on_the_way)
{
    const struct mgpt_rig_setup setup = {"adamw", 3, 2, 0.5, NULL};
    const struct mgpt_model model = mgpt_check_model_names();
    struct subject s;

    open_subject(&s, &model, &setup);
    run_steps(&s, 0, 2); /* both lengths, op by op */
    unsigned long captured = s.counters->captured, waits = s.counters->waits;
    run_steps(&s, 2, 2);
    ck_assert_uint_gt(s.counters->captured, captured);
    ck_assert_uint_eq(s.counters->waits, waits);
    captured = s.counters->captured;
    run_steps(&s, 4, 2);
    ck_assert_uint_eq(s.counters->captured, captured);
    fence_steps(&s, 0, 6);
    close_subject(&s);
}
END_TEST

/* Parameters, state and step state after all steps of the rig, with a scale that grows every second
 * step; the results of each. */
static double *train_scaled(const struct mgpt_step_api *api, struct mgpt_step_result *results,
                            struct mgpt_step_state *state, size_t *n)
{
    const struct mgpt_rig_setup setup = {.optimizer = "adamw", .rows = 3, .micro = 2, .clip = 0.5};
    struct mgpt_model model = mgpt_check_model_names();
    struct mgpt_step *step;
    struct mgpt_step_rig rig;
    uint32_t got = 0;

    mgpt_step_rig_open_as(&rig, "cuda_emu", &model, MGPT_F32, &setup);
    rig.net.precision.scale_interval = 2;
    rig.net.precision.scale_growth = 2;
    rig.net.precision.scale_backoff = 0.5;
    ck_ok(api->open(mgpt_host(), NULL, &rig.spec, &step, error));
    for (uint32_t i = 0; i < RIG_LONG; i += 5) {
        ck_ok(api->run(step, rig.inputs + i, 5, error));
        ck_ok(api->fence(step, results + i, &got, error));
        ck_assert_uint_eq(got, 5);
    }
    double *values = mgpt_step_rig_values(&rig, n);
    *state = mgpt_step_rig_state(&rig);
    api->close(step);
    mgpt_step_rig_close(&rig);
    return values;
}

START_TEST(the_scale_of_the_loss_grows_within_the_graph)
{
    struct mgpt_step_result want[RIG_LONG + MGPT_STEP_RING], got[RIG_LONG + MGPT_STEP_RING];
    struct mgpt_step_state a, b;
    size_t n;
    double *x = train_scaled(mgpt_composed.api, want, &a, &n);
    double *y = train_scaled(mgpt_check_module(MGPT_KIND_STEP, "graph_cuda")->api, got, &b, &n);

    ck_assert_double_eq(b.loss_scale, 1 << RIG_LONG / 2);
    ck_assert_mem_eq(&a, &b, sizeof a);
    ck_assert_mem_eq(x, y, n * sizeof *x);
    ck_assert_mem_eq(want, got, RIG_LONG * sizeof *want);
    free(x);
    free(y);
}
END_TEST

/* ---- weights in 16 bits ---- */

/* Two micro-batches a step in a format of 16 bits; what they leave behind. */
struct narrow {
    struct mgpt_step_result results[RIG_LONG + MGPT_STEP_RING];
    double *values;
    size_t n;
    unsigned long casts; /* of the steps from CAPTURED on */
    uint64_t kept, said; /* bytes of copies; and those that `resident` counts */
};

static struct narrow train_narrow(const struct mgpt_step_api *api, const char *optimizer,
                                  uint32_t format, const char *keep)
{
    const struct mgpt_component *emu = mgpt_check_module(MGPT_KIND_BACKEND, "cuda_emu");
    const struct mgpt_rig_setup setup = {.optimizer = optimizer, .rows = 3, .micro = 2, .clip = 1};
    struct mgpt_config *config = mgpt_check_settings(emu, "keep", keep, NULL);
    struct mgpt_model model = mgpt_check_model_toygpt();
    struct narrow out = {.casts = 0};
    struct mgpt_step_rig rig;
    struct mgpt_step *step;
    uint32_t got = 0;

    model.embd = 32, model.heads = model.kv_heads = 2, model.mlp = 64; /* rows of 16 bytes */
    mgpt_step_rig_open_on(&rig, emu->api, config, &model, MGPT_F32, &setup);
    rig.net.config = config;
    rig.net.precision.activation = rig.net.precision.product = format;
    const struct emu_counters *counters = rig.spec.backend->query(rig.spec.device, EMU_COUNTERS);
    out.said = mgpt_plan_copies(&rig.spec);
    ck_ok(api->open(mgpt_host(), NULL, &rig.spec, &step, error));
    for (uint32_t i = 0; i < RIG_LONG; i += 4) {
        out.casts = i == CAPTURED ? counters->casts : out.casts;
        ck_ok(api->run(step, rig.inputs + i, 4, error));
        ck_ok(api->fence(step, out.results + i, &got, error));
        ck_assert_uint_eq(got, 4);
    }
    out.casts = counters->casts - out.casts;
    out.values = mgpt_step_rig_values(&rig, &out.n);
    out.kept = *(const uint64_t *)rig.spec.backend->query(rig.spec.device, "microgpt.cuda-kept/1");
    api->close(step);
    mgpt_step_rig_close(&rig);
    return out;
}

START_TEST(a_step_casts_its_weights_once)
{
    static const struct {
        const char *optimizer;
        uint32_t format;
    } cases[] = {{"adamw", MGPT_BF16}, {"adamw", MGPT_F16}, {"muon", MGPT_BF16}};
    const struct mgpt_step_api *graph = mgpt_check_module(MGPT_KIND_STEP, "graph_cuda")->api;
    const struct mgpt_step_api *apis[] = {mgpt_composed.api, graph};
    const char *optimizer = cases[_i].optimizer;
    struct narrow want = train_narrow(mgpt_composed.api, optimizer, cases[_i].format, "false");

    ck_assert_uint_eq(want.kept, 0);
    ck_assert_uint_eq(want.said, 0);
    for (int k = 0; k < 2; k++) {
        struct narrow got = train_narrow(apis[k], optimizer, cases[_i].format, "true");
        ck_assert_mem_eq(got.results, want.results, RIG_LONG * sizeof *want.results);
        ck_assert_uint_eq(got.n, want.n);
        ck_assert_mem_eq(got.values, want.values, want.n * sizeof *want.values);
        ck_assert_uint_eq(got.casts, RIG_LONG - CAPTURED);
        ck_assert_uint_gt(got.kept, 0);
        ck_assert_uint_eq(got.kept, got.said);
        free(got.values);
    }
    free(want.values);
}
END_TEST

START_TEST(what_it_says_to_hold_has_the_copies_in_it)
{
    const struct mgpt_rig_setup setup = {"adamw", 2, 1, 0, NULL};
    const struct mgpt_model model = mgpt_check_model_names();
    struct subject s;

    open_as(&s, "cuda_emu", &model, &setup);
    s.rig.net.precision.activation = s.rig.net.precision.product = MGPT_BF16;
    uint64_t bytes = bid_of(&s).bytes, copies = mgpt_plan_copies(&s.rig.spec);
    struct mgpt_caps caps = *s.rig.spec.caps;
    caps.copies = 0;
    s.rig.spec.caps = &caps;
    ck_assert_uint_gt(copies, 0);
    ck_assert_uint_eq(bid_of(&s).bytes, bytes - copies);
    mgpt_step_rig_close(&s.rig);
}
END_TEST

START_TEST(a_ring_that_is_full_is_refused)
{
    const struct mgpt_rig_setup setup = {"sgd", 2, 1, 0, NULL};
    const struct mgpt_model model = mgpt_check_model_names();
    struct mgpt_error why;
    struct subject s;

    open_subject(&s, &model, &setup);
    for (uint32_t i = 0; i < MGPT_STEP_RING; i += 16)
        run_steps(&s, 0, 16);
    ck_assert_int_eq(s.api->run(s.step, s.rig.inputs, 1, &why), MGPT_INVALID);
    struct mgpt_step_result results[MGPT_STEP_RING];
    uint32_t got = 0;
    ck_ok(s.api->fence(s.step, results, &got, error));
    ck_assert_uint_eq(got, MGPT_STEP_RING);
    run_steps(&s, 0, 3);
    fence_steps(&s, 0, 3);
    close_subject(&s);
}
END_TEST

/* ---- bids ---- */

static void declines(struct subject *s, const char *reason)
{
    struct mgpt_bid bid = bid_of(s);

    ck_assert_int_eq(bid.score, 0);
    ck_assert_msg(strstr(bid.reason, reason), "%s", bid.reason);
    mgpt_step_rig_close(&s->rig);
}

START_TEST(it_bids_0_without_a_cuda_device)
{
    const struct mgpt_rig_setup setup = {"adamw", 2, 1, 0, NULL};
    const struct mgpt_model model = mgpt_check_model_names();
    struct subject s;

    open_as(&s, "cpu", &model, &setup);
    declines(&s, MGPT_CUDA_NATIVE);
    open_as(&s, "slow", &model, &setup);
    declines(&s, MGPT_CUDA_NATIVE);
}
END_TEST

START_TEST(it_bids_0_when_an_op_would_be_staged)
{
    const struct mgpt_rig_setup setup = {"adamw", 2, 1, 0, NULL};
    struct mgpt_model model = mgpt_check_model_names();
    struct subject s;

    model.embd = 136, model.heads = 1, model.kv_heads = 1; /* heads wider than the device takes */
    open_as(&s, "cuda_emu", &model, &setup);
    declines(&s, "attention");
}
END_TEST

static void nothing_f32(size_t n, float *p, const float *g, float *const *s, const double *h,
                        double c)
{
    (void)n, (void)p, (void)g, (void)s, (void)h, (void)c;
}

START_TEST(it_bids_0_when_the_update_would_be_staged)
{
    const struct mgpt_rig_setup setup = {"sgd", 2, 1, 0, NULL};
    const struct mgpt_model model = mgpt_check_model_names();
    const struct mgpt_rule wrong = {.size = sizeof wrong,
                                    .n_state = 1,
                                    .name = "wrong",
                                    .state = "(m)",
                                    .scalars = "()",
                                    .body = "p -= no_such_function(g);",
                                    .f32 = nothing_f32};
    struct subject s;

    open_as(&s, "cuda_emu", &model, &setup);
    struct mgpt_optimizer_api optimizer = *s.rig.spec.optimizer;
    optimizer.rule = &wrong;
    s.rig.spec.optimizer = &optimizer;
    declines(&s, "wrong");
}
END_TEST

START_TEST(it_bids_0_with_several_ranks)
{
    const struct mgpt_rig_setup setup = {"sgd", 2, 1, 0, NULL};
    const struct mgpt_model model = mgpt_check_model_names();
    struct subject s;

    open_as(&s, "cuda_emu", &model, &setup);
    s.rig.spec.ranks = 2;
    declines(&s, "rank");
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_set_timeout(tests, 600);
    tcase_add_test(tests, a_captured_step_is_one_launch_and_one_copy_a_micro_batch);
    tcase_add_test(tests, updates_of_whole_tensors_are_captured_too);
    tcase_add_test(tests, nothing_is_captured_twice_and_nothing_waits_on_the_way);
    tcase_add_test(tests, the_scale_of_the_loss_grows_within_the_graph);
    tcase_add_loop_test(tests, a_step_casts_its_weights_once, 0, 3);
    tcase_add_test(tests, what_it_says_to_hold_has_the_copies_in_it);
    tcase_add_test(tests, a_ring_that_is_full_is_refused);
    tcase_add_test(tests, it_bids_0_without_a_cuda_device);
    tcase_add_test(tests, it_bids_0_when_an_op_would_be_staged);
    tcase_add_test(tests, it_bids_0_when_the_update_would_be_staged);
    tcase_add_test(tests, it_bids_0_with_several_ranks);
}

int main(void)
{
    if (!test_has_backend("cuda_emu")) {
        puts("SKIP: no C++ compiler was found, so there is no backend cuda_emu");
        return 77;
    }
    return test_main("check_graph", add_tests);
}
