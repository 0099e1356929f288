/* MGPT_OP_TF32: what the reference rounds, and what it leaves. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check/op_cases.h"
#include "ref/ops.h"
#include "testing.h"

#define SEED 11

START_TEST(rounds_to_10_bits_and_ties_away_from_zero)
{
    static const struct {
        double x, rounded;
    } cases[] = {
        {1, 1},
        {1 + 0x1p-11, 1 + 0x1p-10}, /* a tie */
        {-1 - 0x1p-11, -1 - 0x1p-10},
        {1 + 0x1p-11 - 0x1p-23, 1}, /* just below it */
        {1 + 3 * 0x1p-11, 1 + 2 * 0x1p-10},
        {2 - 0x1p-12, 2},     /* carried into the exponent */
        {0x1p-137, 0x1p-136}, /* a tie among subnormals */
        {0x1p-138, 0},
        {0x1.fffffep127, INFINITY}, /* the largest */
        {INFINITY, INFINITY},
        {-0.0, -0.0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double got = mgpt_ref_round_tf32(cases[i].x);
        ck_assert_msg(got == cases[i].rounded && signbit(got) == signbit(cases[i].rounded),
                      "case %zu: %a, expected %a", i, got, cases[i].rounded);
    }
    ck_assert(isnan(mgpt_ref_round_tf32(NAN)));
}
END_TEST

static void run(struct mgpt_op_case *c)
{
    ck_ok(mgpt_ref_run(&c->op, (const void *const *)c->in, c->out, error));
}

static void round_slot(struct mgpt_op_case *c, int slot)
{
    float *x = c->in[slot];

    for (int64_t i = 0; i < mgpt_tensor_count(&c->op.in[slot]); i++)
        x[i] = (float)mgpt_ref_round_tf32((double)x[i]);
}

/* Do two runs differ in some output? */
static bool differ(const struct mgpt_op_case *a, const struct mgpt_op_case *b)
{
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        if (a->out[i] && memcmp(a->out[i], b->out[i], mgpt_tensor_bytes(&a->op.out[i])) != 0)
            return true;
    return false;
}

/* Forward ops, and dx and dw of linear_backward: the flag is the same as operands rounded
 * before. */
static void same_as_rounded_before(uint32_t code, const int slots[2], int outs)
{
    int effects = 0;

    for (int i = 0; i < mgpt_op_case_count(code); i++) {
        struct mgpt_op_case flagged, rounded, plain;
        mgpt_op_case_make(&flagged, code, i, MGPT_F32, SEED);
        mgpt_op_case_convert(&flagged, 0, &rounded);
        mgpt_op_case_convert(&flagged, 0, &plain);
        for (int k = 0; k < 2; k++)
            if (slots[k] >= 0)
                round_slot(&rounded, slots[k]);
        bool cached = code == MGPT_OP_ATTENTION && flagged.op.out[2].rank;
        flagged.op.flags |= MGPT_OP_TF32;
        run(&flagged);
        run(&rounded);
        run(&plain);
        for (int k = 0; k < outs && !cached; k++)
            if (flagged.out[k])
                ck_assert_msg(memcmp(flagged.out[k], rounded.out[k],
                                     mgpt_tensor_bytes(&flagged.op.out[k])) == 0,
                              "%s: output %d", flagged.label, k);
        if (cached) /* what it keeps is as it was */
            ck_assert_mem_eq(flagged.out[2], plain.out[2], mgpt_tensor_bytes(&plain.op.out[2]));
        effects += differ(&flagged, &plain);
        mgpt_op_case_finish(&plain);
        mgpt_op_case_finish(&rounded);
        mgpt_op_case_finish(&flagged);
    }
    ck_assert_msg(effects > mgpt_op_case_count(code) / 2, "the flag changed %d cases of %d",
                  effects, mgpt_op_case_count(code));
}

START_TEST(linear_rounds_both_operands)
{
    same_as_rounded_before(MGPT_OP_LINEAR, (int[]){0, 1}, 2);
}
END_TEST

START_TEST(attention_rounds_queries_keys_and_values)
{
    same_as_rounded_before(MGPT_OP_ATTENTION, (int[]){0, -1}, 2);
}
END_TEST

/* Within what rounding operands by 2^-11 of their size can do to a sum, and not without effect. */
static void near_but_not_same(uint32_t code)
{
    int effects = 0;

    for (int i = 0; i < mgpt_op_case_count(code); i++) {
        struct mgpt_op_case flagged, plain;
        mgpt_op_case_make(&flagged, code, i, MGPT_F32, SEED);
        mgpt_op_case_convert(&flagged, 0, &plain);
        flagged.op.flags |= MGPT_OP_TF32;
        run(&flagged);
        run(&plain);
        mgpt_op_case_compare(&plain, &flagged, MGPT_BF16);
        effects += differ(&flagged, &plain);
        mgpt_op_case_finish(&plain);
        mgpt_op_case_finish(&flagged);
    }
    ck_assert_int_gt(effects, mgpt_op_case_count(code) / 2);
}

START_TEST(backward_ops_round_too)
{
    near_but_not_same(MGPT_OP_LINEAR_BACKWARD);
    near_but_not_same(MGPT_OP_ATTENTION_BACKWARD);
}
END_TEST

START_TEST(other_formats_are_left_alone)
{
    static const uint32_t formats[] = {MGPT_F64, MGPT_BF16, MGPT_F16};
    static const uint32_t codes[] = {MGPT_OP_LINEAR, MGPT_OP_LINEAR_BACKWARD, MGPT_OP_ATTENTION,
                                     MGPT_OP_ATTENTION_BACKWARD};

    for (int f = 0; f < 3; f++)
        for (int k = 0; k < 4; k++) {
            struct mgpt_op_case flagged, plain;
            mgpt_op_case_make(&flagged, codes[k], mgpt_op_case_count(codes[k]) - 1, formats[f],
                              SEED);
            mgpt_op_case_convert(&flagged, 0, &plain);
            flagged.op.flags |= MGPT_OP_TF32;
            run(&flagged);
            run(&plain);
            ck_assert_msg(!differ(&flagged, &plain), "%s", flagged.label);
            mgpt_op_case_finish(&plain);
            mgpt_op_case_finish(&flagged);
        }
}
END_TEST

START_TEST(ops_that_do_not_multiply_matrices_refuse_the_flag)
{
    struct mgpt_error why = {0};
    struct mgpt_op_case c;

    mgpt_op_case_make(&c, MGPT_OP_NORM, 0, MGPT_F32, SEED);
    c.op.flags |= MGPT_OP_TF32;
    ck_assert_int_eq(mgpt_op_check(&c.op, &why), MGPT_INVALID);
    ck_assert_ptr_nonnull(strstr(why.text, "flags"));
    mgpt_op_case_finish(&c);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, rounds_to_10_bits_and_ties_away_from_zero);
    tcase_add_test(tests, linear_rounds_both_operands);
    tcase_add_test(tests, attention_rounds_queries_keys_and_values);
    tcase_add_test(tests, backward_ops_round_too);
    tcase_add_test(tests, other_formats_are_left_alone);
    tcase_add_test(tests, ops_that_do_not_multiply_matrices_refuse_the_flag);
}

int main(void)
{
    return test_main("tf32", add_tests);
}
