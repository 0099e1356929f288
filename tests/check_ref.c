/* The reference ops: every backward against differences of its forward, and one pass against
 * several. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check/op_cases.h"
#include "ref/ops.h"
#include "testing.h"

#define SEED 7
#define SHAPES 5   /* of the fixed ones of op_cases, and random ones */
#define SAMPLES 40 /* elements differentiated, of each input */
#define STEP 1e-5
#define CLOSE 1e-6 /* relative error of a derivative */

/* ---- derivatives by central differences ---- */

/* sum over outputs of out . weight; the case is left as it was */
static double weighted(const struct mgpt_op_case *c, double *const *weight)
{
    struct mgpt_op_case copy;
    double sum = 0;

    mgpt_op_case_convert(c, MGPT_F64, &copy);
    ck_ok(mgpt_ref_run(&copy.op, (const void *const *)copy.in, copy.out, error));
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        for (int64_t k = 0; weight[i] && k < mgpt_tensor_count(&c->op.out[i]); k++)
            sum += weight[i][k] * ((const double *)copy.out[i])[k];
    mgpt_op_case_finish(&copy);
    return sum;
}

/* Does d(weighted)/d(input `slot`) agree with `gradient`? */
static void check_gradient(const struct mgpt_op_case *c, double *const *weight, int slot,
                           const double *gradient)
{
    double *x = c->in[slot];
    int64_t n = mgpt_tensor_count(&c->op.in[slot]), samples = n < SAMPLES ? n : SAMPLES;
    uint64_t random = SEED;

    for (int64_t k = 0; k < samples; k++) {
        int64_t i = n <= SAMPLES ? k : (int64_t)(mgpt_op_case_random(&random) % (uint64_t)n);
        double saved = x[i], up, down, want;
        x[i] = saved + STEP;
        up = weighted(c, weight);
        x[i] = saved - STEP;
        down = weighted(c, weight);
        x[i] = saved;
        want = (up - down) / (2 * STEP);
        ck_assert_msg(fabs(gradient[i] - want) <= CLOSE * fmax(1, fabs(want)),
                      "%s: input %d element %lld: gradient %.12g, difference %.12g", c->label, slot,
                      (long long)i, gradient[i], want);
    }
}

static double *zeros(const struct mgpt_tensor *t)
{
    double *x = calloc((size_t)mgpt_tensor_count(t), sizeof *x);

    ck_assert_ptr_nonnull(x);
    return x;
}

static double *random_like(const struct mgpt_tensor *t, uint64_t seed)
{
    double *x = zeros(t);

    for (int64_t i = 0; i < mgpt_tensor_count(t); i++)
        x[i] = mgpt_op_case_uniform(&seed, -1, 1);
    return x;
}

static void run(const struct mgpt_op *op, void *const *in, void *const *out)
{
    ck_ok(mgpt_ref_run(op, (const void *const *)in, out, error));
}

/* The backward op of a forward case: attributes and draws of it, no tensors yet. */
static struct mgpt_op backward_of(const struct mgpt_op_case *c, uint32_t code)
{
    struct mgpt_op op = c->op;

    op.code = code;
    memset(op.in, 0, sizeof op.in);
    memset(op.out, 0, sizeof op.out);
    return op;
}

/* Calls `check` for every variant of an op at the small shapes. */
static void each_case(uint32_t code, void (*check)(struct mgpt_op_case *c))
{
    int variants = mgpt_op_case_count(code) / OP_CASE_SHAPES;

    for (int i = 0; i < SHAPES * variants; i++) {
        struct mgpt_op_case c;
        int shape = i / variants; /* 0..3 fixed, then a random one */
        mgpt_op_case_make(&c, code,
                          (shape == 4 ? OP_CASE_SHAPES - 1 : shape) * variants + i % variants,
                          MGPT_F64, SEED);
        check(&c);
        mgpt_op_case_finish(&c);
    }
}

/* ---- one check an op ---- */

static void embed_case(struct mgpt_op_case *c)
{
    struct mgpt_op op = backward_of(c, MGPT_OP_EMBED_BACKWARD);
    double *dx = random_like(&c->op.out[0], 1), *dwte = zeros(&c->op.in[1]),
           *dwpe = zeros(&c->op.in[2]);

    op.in[0] = c->op.in[0];
    op.in[1] = c->op.out[0];
    op.out[0] = c->op.in[1];
    op.out[1] = c->op.in[2];
    run(&op, (void *[MGPT_OP_MAX_IN]){c->in[0], dx}, (void *[MGPT_OP_MAX_OUT]){dwte, dwpe});
    check_gradient(c, (double *[MGPT_OP_MAX_OUT]){dx}, 1, dwte);
    check_gradient(c, (double *[MGPT_OP_MAX_OUT]){dx}, 2, dwpe);
    /* a second time: gradients are added to */
    double once = dwte[0];
    run(&op, (void *[MGPT_OP_MAX_IN]){c->in[0], dx}, (void *[MGPT_OP_MAX_OUT]){dwte, dwpe});
    ck_assert_double_eq_tol(dwte[0], 2 * once, 1e-12);
    free(dx);
    free(dwte);
    free(dwpe);
}

START_TEST(embed_backward_is_the_derivative)
{
    each_case(MGPT_OP_EMBED, embed_case);
}
END_TEST

/* Where s is an output, the loss depends on it too: its gradient is what ds is added to. */
static void norm_case(struct mgpt_op_case *c)
{
    struct mgpt_op op = backward_of(c, MGPT_OP_NORM_BACKWARD);
    struct mgpt_op_case forward;
    struct mgpt_tensor stats_shape = {
        .dtype = MGPT_F64, .rank = 2, .shape = {mgpt_tensor_rows(&c->op.in[0]), 2}};
    double *dy = random_like(&c->op.out[0], 1), *stats = zeros(&stats_shape);
    double *s = zeros(&c->op.in[0]), *dgain = zeros(&c->op.in[0]), *dbias = zeros(&c->op.in[0]);
    double *upstream = c->out[2] ? random_like(&c->op.in[0], 2) : NULL;
    double *ds = upstream ? random_like(&c->op.in[0], 2) : zeros(&c->op.in[0]);
    double *weight[MGPT_OP_MAX_OUT] = {dy, NULL, upstream};

    mgpt_op_case_convert(c, MGPT_F64, &forward);
    forward.op.out[1] = stats_shape;
    forward.op.out[2] = c->op.in[0];
    run(&forward.op, forward.in, (void *[MGPT_OP_MAX_OUT]){forward.out[0], stats, s});
    mgpt_op_case_finish(&forward);

    op.flags = upstream ? MGPT_OP_ACCUMULATE : 0;
    op.in[0] = op.in[2] = op.out[0] = c->op.in[0];
    op.in[1] = stats_shape;
    op.in[3] = op.out[1] = c->op.in[2];
    op.out[2] = c->op.in[3];
    run(&op, (void *[MGPT_OP_MAX_IN]){s, stats, dy, c->in[2]},
        (void *[MGPT_OP_MAX_OUT]){ds, dgain, dbias});
    check_gradient(c, weight, 0, ds);
    if (c->in[1])
        check_gradient(c, weight, 1, ds);
    if (c->in[2])
        check_gradient(c, weight, 2, dgain);
    if (c->in[3])
        check_gradient(c, weight, 3, dbias);
    free(dy);
    free(stats);
    free(s);
    free(dgain);
    free(dbias);
    free(upstream);
    free(ds);
}

START_TEST(norm_backward_is_the_derivative)
{
    each_case(MGPT_OP_NORM, norm_case);
}
END_TEST

/* dpre = dy activation'(pre), then the three gradients. */
static void linear_case(struct mgpt_op_case *c)
{
    struct mgpt_op slope = backward_of(c, MGPT_OP_ACTIVATION_BACKWARD), op = slope;
    struct mgpt_op product = c->op;
    double *dy = random_like(&c->op.out[0], 1), *pre = zeros(&c->op.out[0]);
    double *dpre = zeros(&c->op.out[0]), *dx = zeros(&c->op.in[0]), *dw = zeros(&c->op.in[1]),
           *dbias = zeros(&c->op.out[0]);
    double *weight[MGPT_OP_MAX_OUT] = {dy};

    product.activation = MGPT_ACT_NONE;
    product.out[1].rank = 0;
    run(&product, c->in, (void *[MGPT_OP_MAX_OUT]){pre});
    slope.in[0] = slope.in[1] = slope.out[0] = c->op.out[0];
    run(&slope, (void *[MGPT_OP_MAX_IN]){pre, dy}, (void *[MGPT_OP_MAX_OUT]){dpre});
    op.code = MGPT_OP_LINEAR_BACKWARD;
    op.activation = MGPT_ACT_NONE;
    op.in[0] = op.out[0] = c->op.in[0];
    op.in[1] = op.out[1] = c->op.in[1];
    op.in[2] = c->op.out[0];
    op.out[2] = c->op.in[2];
    run(&op, (void *[MGPT_OP_MAX_IN]){c->in[0], c->in[1], dpre},
        (void *[MGPT_OP_MAX_OUT]){dx, dw, dbias});
    check_gradient(c, weight, 0, dx);
    check_gradient(c, weight, 1, dw);
    if (c->in[2])
        check_gradient(c, weight, 2, dbias);
    free(dy);
    free(pre);
    free(dpre);
    free(dx);
    free(dw);
    free(dbias);
}

START_TEST(linear_backward_is_the_derivative)
{
    each_case(MGPT_OP_LINEAR, linear_case);
}
END_TEST

/* With an activation before it, and added to: old dx + (dy w) activation'(pre). */
static void linear_backward_case(struct mgpt_op_case *c)
{
    struct mgpt_op product = c->op;
    double *plain, *want;
    struct mgpt_op_case ran;

    if (!c->out[0])
        return;
    plain = zeros(&c->op.out[0]);
    want = random_like(&c->op.out[0], 3);
    product.activation = MGPT_ACT_NONE;
    product.flags = 0;
    product.in[3].rank = product.out[1].rank = product.out[2].rank = 0;
    run(&product, c->in, (void *[MGPT_OP_MAX_OUT]){plain});
    mgpt_op_case_convert(c, MGPT_F64, &ran);
    run(&ran.op, ran.in, ran.out);
    for (int64_t i = 0; i < mgpt_tensor_count(&c->op.out[0]); i++) {
        double slope = c->in[3] ? mgpt_ref_act_slope(c->op.activation, ((double *)c->in[3])[i]) : 1;
        want[i] = (c->op.flags ? ((double *)c->out[0])[i] : 0) + plain[i] * slope;
        ck_assert_double_eq_tol(((double *)ran.out[0])[i], want[i], 1e-12);
    }
    mgpt_op_case_finish(&ran);
    free(plain);
    free(want);
}

START_TEST(linear_backward_applies_the_slope_and_accumulates)
{
    each_case(MGPT_OP_LINEAR_BACKWARD, linear_backward_case);
}
END_TEST

static void activation_case(struct mgpt_op_case *c)
{
    struct mgpt_op op = backward_of(c, MGPT_OP_ACTIVATION_BACKWARD);
    double *dy = random_like(&c->op.in[0], 1), *dx = random_like(&c->op.in[0], 1);

    op.in[0] = op.in[1] = op.out[0] = c->op.in[0];
    run(&op, (void *[MGPT_OP_MAX_IN]){c->in[0], dx}, (void *[MGPT_OP_MAX_OUT]){dx}); /* in place */
    check_gradient(c, (double *[MGPT_OP_MAX_OUT]){dy}, 0, dx);
    free(dy);
    free(dx);
}

START_TEST(activation_backward_is_the_derivative)
{
    each_case(MGPT_OP_ACTIVATION, activation_case);
}
END_TEST

static void attention_case(struct mgpt_op_case *c)
{
    struct mgpt_op op = backward_of(c, MGPT_OP_ATTENTION_BACKWARD), forward = c->op;
    struct mgpt_tensor lse_shape = {
        .dtype = MGPT_F64,
        .rank = 3,
        .shape = {c->op.in[0].shape[0], c->op.heads, c->op.in[0].shape[1]}};
    double *dy, *y, *lse, *dqkv;

    if (c->out[2]) /* a cache is for generation: no backward */
        return;
    dy = random_like(&c->op.out[0], 1);
    y = zeros(&c->op.out[0]);
    lse = zeros(&lse_shape);
    dqkv = random_like(&c->op.in[0], 2); /* overwritten */
    forward.out[1] = lse_shape;
    run(&forward, c->in, (void *[MGPT_OP_MAX_OUT]){y, lse});
    op.in[0] = op.out[0] = c->op.in[0];
    op.in[1] = op.in[3] = c->op.out[0];
    op.in[2] = lse_shape;
    op.in[4] = c->op.in[1];
    run(&op, (void *[MGPT_OP_MAX_IN]){c->in[0], y, lse, dy, c->in[1]},
        (void *[MGPT_OP_MAX_OUT]){dqkv});
    check_gradient(c, (double *[MGPT_OP_MAX_OUT]){dy}, 0, dqkv);
    free(dy);
    free(y);
    free(lse);
    free(dqkv);
}

START_TEST(attention_backward_is_the_derivative)
{
    each_case(MGPT_OP_ATTENTION, attention_case);
}
END_TEST

static void dropout_case(struct mgpt_op_case *c)
{
    struct mgpt_op op = c->op;
    double *dy = random_like(&c->op.in[0], 1), *dx = zeros(&c->op.in[0]);
    int64_t n = mgpt_tensor_count(&c->op.in[0]), kept = 0;

    op.out[0] = op.in[0];
    run(&op, (void *[MGPT_OP_MAX_IN]){dy, c->in[1]}, (void *[MGPT_OP_MAX_OUT]){dx});
    check_gradient(c, (double *[MGPT_OP_MAX_OUT]){dy}, 0, dx);
    for (int64_t i = 0; i < n; i++) {
        ck_assert(dx[i] == 0 || fabs(dx[i] - dy[i] / (1 - op.rate)) < 1e-15);
        kept += dx[i] != 0;
    }
    if (n > 300)
        ck_assert_double_eq_tol((double)kept / (double)n, 1 - op.rate, 0.1);
    free(dy);
    free(dx);
}

START_TEST(dropout_is_its_own_backward_and_keeps_its_share)
{
    each_case(MGPT_OP_DROPOUT, dropout_case);
}
END_TEST

/* Rows 2.. of the step's tensor, alone, have the draws that they have among all rows. */
START_TEST(dropout_does_not_depend_on_how_a_step_is_split)
{
    struct mgpt_op_case c;
    double *all, *part;
    struct mgpt_op op;

    mgpt_op_case_make(&c, MGPT_OP_DROPOUT, 4 * 2, MGPT_F64, SEED); /* (1,8,48) */
    all = zeros(&c.op.in[0]);
    part = zeros(&c.op.in[0]);
    run(&c.op, c.in, (void *[MGPT_OP_MAX_OUT]){all});
    op = c.op;
    op.row += 3;
    op.in[0].shape[1] = op.out[0].shape[1] = 5;
    run(&op, (void *[MGPT_OP_MAX_IN]){(double *)c.in[0] + 3 * 48, c.in[1]},
        (void *[MGPT_OP_MAX_OUT]){part});
    ck_assert_mem_eq(part, all + 3 * 48, 5 * 48 * sizeof *part);
    free(all);
    free(part);
    mgpt_op_case_finish(&c);
}
END_TEST

/* dlogits is d(loss)/d(logits) times the loss scale. */
static void cross_entropy_case(struct mgpt_op_case *c)
{
    int64_t n = mgpt_tensor_count(&c->op.in[0]), samples = n < SAMPLES ? n : SAMPLES;
    struct mgpt_op op = c->op;
    struct mgpt_step_state out;
    double *logits = c->in[0], *dlogits = zeros(&c->op.in[0]);
    uint64_t random = SEED;

    op.out[1] = op.in[0];
    run(&op, c->in, (void *[MGPT_OP_MAX_OUT]){&out, dlogits});
    for (int64_t k = 0; k < samples; k++) {
        int64_t i = (int64_t)(mgpt_op_case_random(&random) % (uint64_t)n);
        double saved = logits[i], loss[2];
        for (int side = 0; side < 2; side++) {
            logits[i] = saved + (side ? STEP : -STEP);
            op.out[1].rank = 0;
            run(&op, c->in, (void *[MGPT_OP_MAX_OUT]){&out});
            loss[side] = out.loss * out.loss_scale;
        }
        logits[i] = saved;
        ck_assert_double_eq_tol(dlogits[i], (loss[1] - loss[0]) / (2 * STEP), CLOSE);
    }
    free(dlogits);
}

START_TEST(cross_entropy_gradient_is_the_derivative)
{
    each_case(MGPT_OP_CROSS_ENTROPY, cross_entropy_case);
}
END_TEST

/* ---- attention with a cache ---- */

/* 2 + 1 + 4 rows, one call after the other over a cache, are what 7 rows are at once. */
START_TEST(cached_attention_equals_the_full_one)
{
    enum { B = 2, T = 7, H = 4, KV = 2, D = 3, ROW = (H + 2 * KV) * D, WIDE = H * D, S = 9 };
    static const int parts[] = {2, 1, 4};
    double qkv[B * T * ROW], full[B * T * WIDE], cache[2 * B * S * KV * D] = {0};
    struct mgpt_op op = {.size = sizeof op,
                         .code = MGPT_OP_ATTENTION,
                         .heads = H,
                         .kv_heads = KV,
                         .in = {{.dtype = MGPT_F64, .rank = 3, .shape = {B, T, ROW}}},
                         .out = {{.dtype = MGPT_F64, .rank = 3, .shape = {B, T, WIDE}}}};
    uint64_t random = SEED;

    for (int i = 0; i < B * T * ROW; i++)
        qkv[i] = mgpt_op_case_uniform(&random, -2, 2);
    run(&op, (void *[MGPT_OP_MAX_IN]){qkv}, (void *[MGPT_OP_MAX_OUT]){full});
    op.out[2] = (struct mgpt_tensor){.dtype = MGPT_F64, .rank = 4, .shape = {2, B, S, KV * D}};
    for (int i = 0, done = 0; i < 3; done += parts[i++]) {
        int n = parts[i];
        double part[B * T * ROW], y[B * T * WIDE];
        for (int b = 0; b < B; b++)
            memcpy(part + b * n * ROW, qkv + (b * T + done) * ROW,
                   (size_t)(n * ROW) * sizeof *part);
        op.position = done;
        op.in[0].shape[1] = op.out[0].shape[1] = n;
        run(&op, (void *[MGPT_OP_MAX_IN]){part}, (void *[MGPT_OP_MAX_OUT]){y, NULL, cache});
        for (int b = 0; b < B; b++)
            for (int k = 0; k < n * WIDE; k++)
                ck_assert_double_eq_tol(y[b * n * WIDE + k], full[(b * T + done) * WIDE + k],
                                        1e-14);
    }
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, embed_backward_is_the_derivative);
    tcase_add_test(tests, norm_backward_is_the_derivative);
    tcase_add_test(tests, linear_backward_is_the_derivative);
    tcase_add_test(tests, linear_backward_applies_the_slope_and_accumulates);
    tcase_add_test(tests, activation_backward_is_the_derivative);
    tcase_add_test(tests, attention_backward_is_the_derivative);
    tcase_add_test(tests, dropout_is_its_own_backward_and_keeps_its_share);
    tcase_add_test(tests, dropout_does_not_depend_on_how_a_step_is_split);
    tcase_add_test(tests, cross_entropy_gradient_is_the_derivative);
    tcase_add_test(tests, cached_attention_equals_the_full_one);
}

int main(void)
{
    return test_main("check_ref", add_tests);
}
