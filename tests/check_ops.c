/* The reference ops: values worked out by hand, storage formats, and what is refused. */
#include <config.h>

#include <math.h>
#include <string.h>

#include "check/op_cases.h"
#include "ref/ops.h"
#include "testing.h"

#define SEED 7

/* ---- values ---- */

START_TEST(activations_have_their_known_values)
{
    ck_assert_double_eq(mgpt_ref_act(MGPT_ACT_NONE, -3), -3);
    ck_assert_double_eq(mgpt_ref_act(MGPT_ACT_RELU, -3), 0);
    ck_assert_double_eq(mgpt_ref_act(MGPT_ACT_RELU, 3), 3);
    ck_assert_double_eq(mgpt_ref_act(MGPT_ACT_RELU2, 3), 9);
    ck_assert_double_eq_tol(mgpt_ref_act(MGPT_ACT_GELU, 1), 0.8413447460685429, 1e-15);
    ck_assert_double_eq_tol(mgpt_ref_act(MGPT_ACT_GELU_TANH, 1), 0.8411919906082768, 1e-15);
}
END_TEST

START_TEST(cross_entropy_counts_targets_and_adds_to_the_loss)
{
    const double logits[] = {0, 0, 1000, 0, 5, 5}; /* three rows of two */
    const int32_t targets[] = {1, 0, -1};
    struct mgpt_step_state state = {.inv_targets = 0.5, .loss = 1, .loss_scale = 8};
    struct mgpt_tensor state_tensor = {.dtype = MGPT_U8, .rank = 1, .shape = {sizeof state}};
    double d[6];
    struct mgpt_op op = {.size = sizeof op,
                         .code = MGPT_OP_CROSS_ENTROPY,
                         .in = {{.dtype = MGPT_F64, .rank = 2, .shape = {3, 2}},
                                {.dtype = MGPT_I32, .rank = 1, .shape = {3}},
                                state_tensor},
                         .out = {state_tensor, {.dtype = MGPT_F64, .rank = 2, .shape = {3, 2}}}};

    ck_ok(mgpt_ref_run(&op, (const void *[MGPT_OP_MAX_IN]){logits, targets, &state},
                       (void *[MGPT_OP_MAX_OUT]){&state, d}, error));
    ck_assert_double_eq_tol(state.loss, 1 + 0.5 * log(2), 1e-15);
    ck_assert_double_eq_tol(d[0], 2, 1e-12);  /* 0.5 * 0.5 * 8 */
    ck_assert_double_eq_tol(d[1], -2, 1e-12); /* (0.5 - 1) * 0.5 * 8 */
    ck_assert_double_eq_tol(d[2], 0, 1e-12);  /* sure of it, without overflow */
    ck_assert_double_eq(d[4], 0);
    ck_assert_double_eq(d[5], 0);
}
END_TEST

START_TEST(axpby_scales_adds_and_changes_formats)
{
    const double x[] = {1, -2, 3}, z[] = {10, 20, 30};
    float y[3];
    struct mgpt_tensor row = {.dtype = MGPT_F64, .rank = 1, .shape = {3}};
    struct mgpt_op op = {.size = sizeof op,
                         .code = MGPT_OP_AXPBY,
                         .scale = 2,
                         .value = -0.5,
                         .in = {row, row},
                         .out = {{.dtype = MGPT_F32, .rank = 1, .shape = {3}}}};

    ck_ok(mgpt_ref_run(&op, (const void *[MGPT_OP_MAX_IN]){x, z}, (void *[MGPT_OP_MAX_OUT]){y},
                       error));
    ck_assert(y[0] == -3 && y[1] == -14 && y[2] == -9);
    op.in[1] = (struct mgpt_tensor){0};
    ck_ok(
        mgpt_ref_run(&op, (const void *[MGPT_OP_MAX_IN]){x}, (void *[MGPT_OP_MAX_OUT]){y}, error));
    ck_assert(y[0] == 2 && y[1] == -4 && y[2] == 6);
}
END_TEST

/* ---- the books of a step ---- */

static const struct mgpt_tensor state_tensor = {
    .dtype = MGPT_U8, .rank = 1, .shape = {sizeof(struct mgpt_step_state)}};

static void clip(double limit, const double *g, int64_t n, struct mgpt_step_state *state)
{
    struct mgpt_op op = {.size = sizeof op,
                         .code = MGPT_OP_CLIP,
                         .scale = limit,
                         .in = {{.dtype = MGPT_F64, .rank = 1, .shape = {n}}, state_tensor},
                         .out = {state_tensor}};

    ck_ok(mgpt_ref_run(&op, (const void *[MGPT_OP_MAX_IN]){g, state},
                       (void *[MGPT_OP_MAX_OUT]){state}, error));
}

START_TEST(clip_scales_what_is_longer_than_the_limit)
{
    const double g[] = {6, 8}; /* length 10, 5 without the loss scale */
    struct mgpt_step_state state = {.loss = 1, .loss_scale = 2, .nonfinite = 1};

    clip(4, g, 2, &state);
    ck_assert_double_eq(state.grad_norm, 5);
    ck_assert_double_eq(state.grad_scale, 0.4); /* 4 / 5 / 2 */
    ck_assert_uint_eq(state.nonfinite, 0);
    clip(5, g, 2, &state);
    ck_assert_double_eq(state.grad_scale, 0.5);
    clip(0, g, 2, &state); /* no limit */
    ck_assert_double_eq(state.grad_scale, 0.5);
    clip(1, (const double[]){0, 0}, 2, &state); /* no gradient at all */
    ck_assert_double_eq(state.grad_scale, 0.5);
}
END_TEST

START_TEST(clip_sees_what_is_not_finite)
{
    const double fine[] = {1, 2}, nan[] = {1, NAN}, infinite[] = {INFINITY, 2};
    struct mgpt_step_state state = {.loss = 1, .loss_scale = 1};

    clip(1, nan, 2, &state);
    ck_assert_uint_eq(state.nonfinite, 1);
    clip(1, fine, 2, &state);
    ck_assert_uint_eq(state.nonfinite, 0);
    clip(1, infinite, 2, &state);
    ck_assert_uint_eq(state.nonfinite, 1);
    state.loss = -INFINITY;
    clip(1, fine, 2, &state);
    ck_assert_uint_eq(state.nonfinite, 1);
}
END_TEST

static void scaler(uint32_t interval, uint64_t nonfinite, struct mgpt_step_state *state)
{
    struct mgpt_op op = {.size = sizeof op,
                         .code = MGPT_OP_SCALER,
                         .interval = interval,
                         .growth = 2,
                         .backoff = 0.25,
                         .in = {state_tensor},
                         .out = {state_tensor}};

    state->nonfinite = nonfinite;
    ck_ok(mgpt_ref_run(&op, (const void *[MGPT_OP_MAX_IN]){state}, (void *[MGPT_OP_MAX_OUT]){state},
                       error));
}

START_TEST(scaler_grows_after_good_steps_and_backs_off_after_bad_ones)
{
    struct mgpt_step_state state = {.loss_scale = 8};

    scaler(2, 0, &state);
    ck_assert(state.good == 1 && state.loss_scale == 8);
    scaler(2, 0, &state);
    ck_assert(state.good == 0 && state.loss_scale == 16);
    scaler(2, 0, &state);
    scaler(2, 1, &state); /* the good ones so far do not count */
    ck_assert(state.good == 0 && state.skipped == 1 && state.loss_scale == 4);
    scaler(2, 1, &state);
    ck_assert(state.skipped == 2 && state.loss_scale == 1);
    scaler(2, 1, &state); /* never below 1 */
    ck_assert(state.skipped == 3 && state.loss_scale == 1);
}
END_TEST

START_TEST(scaler_only_counts_without_loss_scaling)
{
    struct mgpt_step_state state = {.loss_scale = 1};

    for (int i = 0; i < 5; i++)
        scaler(0, 0, &state);
    ck_assert(state.good == 5 && state.loss_scale == 1);
    scaler(0, 1, &state);
    ck_assert(state.good == 0 && state.skipped == 1 && state.loss_scale == 1);
}
END_TEST

/* ---- formats ---- */

/* Every 16-bit pattern survives a round trip, NaNs as NaNs. */
START_TEST(small_formats_survive_a_round_trip)
{
    static const uint32_t formats[] = {MGPT_F16, MGPT_BF16};

    for (int f = 0; f < 2; f++)
        for (unsigned bits = 0; bits < 0x10000; bits++) {
            uint16_t from = (uint16_t)bits, to;
            double x;
            mgpt_ref_load(formats[f], &from, &x, 1);
            mgpt_ref_store(formats[f], &x, &to, 1);
            if (isnan(x))
                mgpt_ref_load(formats[f], &to, &x, 1);
            ck_assert_msg(isnan(x) || to == from, "format %u: %#x became %#x", formats[f], from,
                          to);
        }
}
END_TEST

START_TEST(small_formats_round_to_nearest_even)
{
    static const struct {
        uint32_t format;
        double x;
        uint16_t bits;
    } cases[] = {
        {MGPT_F16, 1, 0x3c00},
        {MGPT_F16, 1 + 0x1p-11, 0x3c00},           /* a tie: even is below */
        {MGPT_F16, 1 + 0x1p-11 + 0x1p-40, 0x3c01}, /* rounded once, not by way of float */
        {MGPT_F16, 1 + 3 * 0x1p-11, 0x3c02},       /* a tie: even is above */
        {MGPT_F16, 2 - 0x1p-12, 0x4000},           /* carried into the exponent */
        {MGPT_F16, 65504, 0x7bff},
        {MGPT_F16, 65519.99, 0x7bff},
        {MGPT_F16, 65520, 0x7c00},
        {MGPT_F16, -1e300, 0xfc00},
        {MGPT_F16, 0x1p-24, 0x0001}, /* subnormal */
        {MGPT_F16, 0x1p-25, 0x0000},
        {MGPT_F16, 0x1.8p-25, 0x0001},
        {MGPT_F16, -0.0, 0x8000},
        {MGPT_BF16, 1, 0x3f80},
        {MGPT_BF16, 1 + 0x1p-8, 0x3f80},
        {MGPT_BF16, 1 + 0x1p-8 + 0x1p-40, 0x3f81},
        {MGPT_BF16, -3.140625, 0xc049},
        {MGPT_BF16, 3.4e38, 0x7f80},
        {MGPT_BF16, 0x1p-133, 0x0001},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint16_t bits;
        mgpt_ref_store(cases[i].format, &cases[i].x, &bits, 1);
        ck_assert_msg(bits == cases[i].bits, "case %zu: %#x, expected %#x", i, bits, cases[i].bits);
    }
}
END_TEST

/* ---- refusals ---- */

static struct mgpt_op linear_op(void)
{
    return (struct mgpt_op){.size = sizeof(struct mgpt_op),
                            .code = MGPT_OP_LINEAR,
                            .in = {{.dtype = MGPT_F32, .rank = 3, .shape = {2, 3, 5}},
                                   {.dtype = MGPT_F16, .rank = 2, .shape = {7, 5}}},
                            .out = {{.dtype = MGPT_F64, .rank = 2, .shape = {6, 7}}}};
}

static void refused(const struct mgpt_op *op, const char *word)
{
    struct mgpt_error why = {0};

    ck_assert_int_eq(mgpt_op_check(op, &why), MGPT_INVALID);
    ck_assert_msg(strstr(why.text, word), "\"%s\" does not say \"%s\"", why.text, word);
}

/* x = 1, 1 in `dtype`; w and dy in F32, of which a tie and a little less are lost in BF16. */
static void run_products(uint32_t dtype, float *y, float dx[2], float dw[2], float *dbias)
{
    const struct mgpt_tensor x = {.dtype = dtype, .rank = 2, .shape = {1, 2}};
    const struct mgpt_tensor w = {.dtype = MGPT_F32, .rank = 2, .shape = {1, 2}};
    const struct mgpt_tensor one = {.dtype = MGPT_F32, .rank = 2, .shape = {1, 1}};
    const struct mgpt_tensor bias = {.dtype = MGPT_F32, .rank = 1, .shape = {1}};
    const double ones[] = {1, 1};
    const float weight[] = {1 + 0x1p-8f, 1 + 3 * 0x1p-8f}, dy = 1 + 0x1p-9f;
    char xs[16];
    struct mgpt_op op = {
        .size = sizeof op, .code = MGPT_OP_LINEAR, .in = {x, w, bias}, .out = {one}};

    mgpt_ref_store(dtype, ones, xs, 2);
    ck_ok(mgpt_ref_run(&op, (const void *[MGPT_OP_MAX_IN]){xs, weight, &dy},
                       (void *[MGPT_OP_MAX_OUT]){y}, error));
    op = (struct mgpt_op){
        .size = sizeof op, .code = MGPT_OP_LINEAR_BACKWARD, .in = {x, w, one}, .out = {w, w, bias}};
    memset(dw, 0, 2 * sizeof *dw);
    *dbias = 0;
    ck_ok(mgpt_ref_run(&op, (const void *[MGPT_OP_MAX_IN]){xs, weight, &dy},
                       (void *[MGPT_OP_MAX_OUT]){dx, dw, dbias}, error));
}

START_TEST(products_round_weights_and_gradients_to_the_format_of_a_16_bit_input)
{
    const float dy = 1 + 0x1p-9f;
    float y, dx[2], dw[2], dbias;

    run_products(MGPT_BF16, &y, dx, dw, &dbias);
    ck_assert(y == 1 + (1 + 4 * 0x1p-8f) + dy); /* ties to even; the bias as it is */
    ck_assert(dx[0] == 1 && dx[1] == 1 + 4 * 0x1p-8f);
    ck_assert(dw[0] == 1 && dw[1] == 1);
    ck_assert(dbias == dy);
    run_products(MGPT_F32, &y, dx, dw, &dbias);
    ck_assert(y == 1 + 0x1p-8f + (1 + 3 * 0x1p-8f) + dy);
    ck_assert(dw[0] == dy && dbias == dy);
}
END_TEST

START_TEST(check_takes_leading_dimensions_as_rows_and_any_float_format)
{
    struct mgpt_op op = linear_op();

    ck_ok(mgpt_op_check(&op, error));
}
END_TEST

START_TEST(check_names_what_does_not_fit)
{
    struct mgpt_op op = linear_op();

    op.in[1].shape[1] = 6;
    refused(&op, "w has shape (7,6)");
    op = linear_op();
    op.out[0].shape[0] = 5;
    refused(&op, "y has shape (5,7)");
    op = linear_op();
    op.in[0].dtype = MGPT_I32;
    refused(&op, "x has format 5");
    op = linear_op();
    op.in[1].rank = 0;
    refused(&op, "w is missing");
    op = linear_op();
    op.in[4] = op.in[0];
    refused(&op, "slot that the op does not have");
    op = linear_op();
    op.out[1] = op.out[0];
    refused(&op, "pre without an activation");
    op = linear_op();
    op.in[0].shape[2] = 0;
    refused(&op, "dimension 2 of x");
    op = linear_op();
    op.in[0].shape[0] = op.in[0].shape[1] = INT64_C(1) << 31;
    refused(&op, "too large");
    op = linear_op();
    op.activation = 9;
    refused(&op, "activation 9");
    op = linear_op();
    op.flags = MGPT_OP_ACCUMULATE;
    refused(&op, "flags");
    op = linear_op();
    op.code = MGPT_OP_COUNT;
    refused(&op, "unknown op");
    op = linear_op();
    op.code = MGPT_OP_AXPBY;
    op.in[1] = op.in[0];
    refused(&op, "y has shape (6,7)");
    op = linear_op();
    op.size = 8;
    refused(&op, "8 bytes");
}
END_TEST

START_TEST(check_refuses_impossible_attention)
{
    struct mgpt_op_case c;
    struct mgpt_op op;

    mgpt_op_case_make(&c, MGPT_OP_ATTENTION, 2 * 16 + 4 * 3, MGPT_F64, SEED); /* cache further on */
    op = c.op;
    ck_ok(mgpt_op_check(&op, error));
    op.heads = 3;
    refused(&op, "heads");
    op = c.op;
    op.position += 3;
    refused(&op, "do not fit a cache");
    op = c.op;
    op.out[2].rank = 0;
    refused(&op, "without a cache");
    op = c.op;
    op.rate = 0.5;
    refused(&op, "dropout needs state");
    op.rate = 1;
    refused(&op, "rate 1");
    mgpt_op_case_finish(&c);
}
END_TEST

START_TEST(ids_out_of_range_are_refused_with_their_place)
{
    struct mgpt_op_case c;
    struct mgpt_error why = {0};
    double first;

    mgpt_op_case_make(&c, MGPT_OP_EMBED_BACKWARD, 2 * 2, MGPT_F64, SEED); /* (1,8), 48 rows */
    ((int32_t *)c.in[0])[6] = 48;
    first = ((double *)c.out[0])[0];
    ck_assert_int_eq(mgpt_ref_run(&c.op, (const void *const *)c.in, c.out, &why), MGPT_INVALID);
    ck_assert_ptr_nonnull(strstr(why.text, "id 48 at index 6"));
    ck_assert_double_eq(((double *)c.out[0])[0], first);
    mgpt_op_case_finish(&c);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, activations_have_their_known_values);
    tcase_add_test(tests, cross_entropy_counts_targets_and_adds_to_the_loss);
    tcase_add_test(tests, axpby_scales_adds_and_changes_formats);
    tcase_add_test(tests, clip_scales_what_is_longer_than_the_limit);
    tcase_add_test(tests, clip_sees_what_is_not_finite);
    tcase_add_test(tests, scaler_grows_after_good_steps_and_backs_off_after_bad_ones);
    tcase_add_test(tests, scaler_only_counts_without_loss_scaling);
    tcase_add_test(tests, small_formats_survive_a_round_trip);
    tcase_add_test(tests, small_formats_round_to_nearest_even);
    tcase_add_test(tests, products_round_weights_and_gradients_to_the_format_of_a_16_bit_input);
    tcase_add_test(tests, check_takes_leading_dimensions_as_rows_and_any_float_format);
    tcase_add_test(tests, check_names_what_does_not_fit);
    tcase_add_test(tests, check_refuses_impossible_attention);
    tcase_add_test(tests, ids_out_of_range_are_refused_with_their_place);
}

int main(void)
{
    return test_main("check_ops", add_tests);
}
