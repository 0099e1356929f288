/* Packed weights that backend cpu keeps: used again while nothing writes them, never after. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kept.h"

static struct lab open_lab(const char *key, const char *value)
{
    return kept_open("cpu", key, value);
}

/* {bytes kept, times that a copy was used again} */
static const uint64_t *kept(const struct lab *lab)
{
    const uint64_t *told = lab->d.api->query(lab->d.device, "microgpt.cpu-kept/1");

    ck_assert_ptr_nonnull(told);
    return told;
}

/* y = x w^T and dx = dy w: both orders of packing. Their bits (malloc). */
static float *products(const struct lab *lab)
{
    float *y = malloc((N * M + N * K) * sizeof *y);
    struct mgpt_op op = {.size = sizeof op, .code = MGPT_OP_LINEAR};

    ck_assert_ptr_nonnull(y);
    op.in[0] = matrix(lab->x, 0, N, K);
    op.in[1] = matrix(lab->w, 0, M, K);
    op.out[0] = matrix(lab->out, 0, N, M);
    run(lab, &op);
    op.code = MGPT_OP_LINEAR_BACKWARD;
    op.in[2] = matrix(lab->x, 0, N, M);
    op.out[0] = matrix(lab->out, N * M, N, K);
    run(lab, &op);
    ck_ok(lab->d.api->download(lab->d.device, lab->out, 0, y, (N * M + N * K) * sizeof *y, error));
    return y;
}

/* As on a device that has never seen these weights and keeps none. */
static float *fresh_products(const struct lab *lab)
{
    struct lab fresh = open_lab("keep", "0");
    float *w = malloc(WEIGHT * sizeof *w), *y;

    ck_assert_ptr_nonnull(w);
    ck_ok(lab->d.api->download(lab->d.device, lab->w, 0, w, WEIGHT * sizeof *w, error));
    ck_ok(fresh.d.api->upload(fresh.d.device, fresh.w, 0, w, WEIGHT * sizeof *w, error));
    y = products(&fresh);
    ck_assert_uint_eq(kept(&fresh)[0], 0);
    kept_close(&fresh);
    free(w);
    return y;
}

static void assert_fresh(const struct lab *lab, const char *what)
{
    float *y = products(lab), *want = fresh_products(lab);

    ck_assert_msg(memcmp(y, want, (N * M + N * K) * sizeof *y) == 0,
                  "%s: a product is that of the weights before", what);
    free(want);
    free(y);
}

/* Now copies are there, and are used again. */
static void remember(const struct lab *lab)
{
    uint64_t before = kept(lab)[1];

    for (int i = 0; i < 3; i++)
        free(products(lab));
    ck_assert_uint_ge(kept(lab)[1], before + 2);
    ck_assert_uint_ge(kept(lab)[0], 2 * WEIGHT * sizeof(float));
}

static void write_by(const char *name, const struct lab *lab)
{
    for (int i = 0; i < n_kept_writers; i++)
        if (strcmp(kept_writers[i].name, name) == 0) {
            kept_writers[i].write(lab);
            return;
        }
    ck_abort_msg("no writer is called %s", name);
}

START_TEST(a_written_weight_is_packed_anew)
{
    const struct writer *writer = &kept_writers[_i];
    struct lab lab = open_lab(NULL, NULL);
    float *before, *after;

    remember(&lab);
    before = products(&lab);
    writer->write(&lab);
    assert_fresh(&lab, writer->name);
    after = products(&lab);
    ck_assert_msg(memcmp(before, after, N * M * sizeof *after) != 0, "%s wrote nothing",
                  writer->name);
    remember(&lab); /* the new ones */
    writer->write(&lab);
    assert_fresh(&lab, writer->name);
    free(before);
    free(after);
    kept_close(&lab);
}
END_TEST

START_TEST(shown_memory_is_never_kept)
{
    struct lab lab = open_lab(NULL, NULL);
    float *w;

    remember(&lab);
    w = lab.d.api->map(lab.d.device, lab.w);
    ck_assert_uint_eq(kept(&lab)[0], 0);
    for (int i = 0; i < 3; i++) { /* the address is asked for once */
        w[1000 * i] += 1;
        assert_fresh(&lab, "a pointer");
        free(products(&lab));
    }
    write_by("upload of a part", &lab);
    w[0] = 7;
    assert_fresh(&lab, "a pointer after an upload");
    ck_assert_uint_eq(kept(&lab)[0], 0);
    kept_close(&lab);
}
END_TEST

START_TEST(copies_are_freed_with_their_buffer)
{
    struct lab lab = open_lab(NULL, NULL);

    for (uint32_t i = 0; i < 4; i++) { /* the next one likely lies where this one was */
        remember(&lab);
        lab.d.api->buffer_free(lab.d.device, lab.w);
        ck_assert_uint_eq(kept(&lab)[0], 0);
        lab.w = kept_noise_of(&lab, 2 * WEIGHT, 100 + i);
        assert_fresh(&lab, "a new buffer");
    }
    kept_close(&lab);
}
END_TEST

START_TEST(other_buffers_may_be_written)
{
    struct lab lab = open_lab(NULL, NULL);
    const float one = 1;

    remember(&lab);
    uint64_t before = kept(&lab)[1];
    ck_ok(lab.d.api->upload(lab.d.device, lab.x, 0, &one, sizeof one, error));
    free(products(&lab));
    ck_assert_uint_eq(kept(&lab)[1], before + 2);
    kept_close(&lab);
}
END_TEST

START_TEST(weights_of_one_use_cost_no_memory)
{
    struct lab lab = open_lab(NULL, NULL);

    for (int i = 0; i < 5; i++) {
        free(products(&lab));
        write_by("update", &lab);
    }
    ck_assert_uint_eq(kept(&lab)[0], 0);
    kept_close(&lab);
}
END_TEST

START_TEST(a_view_of_other_columns_is_another_weight)
{
    struct lab lab = open_lab(NULL, NULL);
    float *want = fresh_products(&lab), *y;
    struct mgpt_op op = {.size = sizeof op, .code = MGPT_OP_LINEAR};

    op.in[0] = matrix(lab.x, 0, N, M); /* the same bytes as (K,M) */
    op.in[1] = matrix(lab.w, 0, K, M);
    op.out[0] = matrix(lab.out, 0, N, K);
    for (int i = 0; i < 3; i++) {
        run(&lab, &op);
        y = products(&lab);
        ck_assert(memcmp(y, want, (N * M + N * K) * sizeof *y) == 0);
        free(y);
    }
    ck_assert_uint_eq(kept(&lab)[0], 3 * WEIGHT * sizeof(float));
    free(want);
    kept_close(&lab);
}
END_TEST

START_TEST(no_more_is_kept_than_allowed)
{
    struct lab lab = open_lab("keep", "1");
    struct mgpt_buffer *own = lab.w, *more[4];

    for (uint32_t i = 0; i < 4; i++) {
        lab.w = more[i] = kept_noise_of(&lab, WEIGHT, 50 + i);
        for (int times = 0; times < 3; times++)
            assert_fresh(&lab, "one of many");
        ck_assert_uint_le(kept(&lab)[0], 1 << 20);
    }
    ck_assert_uint_eq(kept(&lab)[0], 1 << 20); /* two weights in both orders */
    for (uint32_t i = 0; i < 4; i++)
        lab.d.api->buffer_free(lab.d.device, more[i]);
    ck_assert_uint_eq(kept(&lab)[0], 0);
    lab.w = own;
    remember(&lab);
    kept_close(&lab);
}
END_TEST

/* y = x w^T of BF16 x, for which the weight is rounded. (malloc) */
static float *rounded_product(const struct lab *lab)
{
    struct mgpt_op op = {.size = sizeof op, .code = MGPT_OP_LINEAR};
    float *y = malloc(N * M * sizeof *y);

    ck_assert_ptr_nonnull(y);
    op.in[0] = matrix(lab->ids, 0, N, K);
    op.in[0].dtype = MGPT_BF16;
    op.in[1] = matrix(lab->w, 0, M, K);
    op.out[0] = matrix(lab->out, 0, N, M);
    run(lab, &op);
    ck_ok(lab->d.api->download(lab->d.device, lab->out, 0, y, N * M * sizeof *y, error));
    return y;
}

/* The upper halves of floats, in place of the ids. */
static void put_rounded(struct lab *lab)
{
    float *x = kept_noise(N * K, 5);
    uint16_t *upper = calloc(N * K, sizeof *upper);

    ck_assert_ptr_nonnull(upper);
    for (size_t i = 0; i < N * K; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        upper[i] = (uint16_t)(bits >> 16);
    }
    lab->d.api->buffer_free(lab->d.device, lab->ids);
    lab->ids = kept_buffer_of(lab, N * K * sizeof *upper, upper);
    free(upper);
    free(x);
}

START_TEST(rounded_weights_are_kept_too)
{
    static const uint64_t reused[] = {0, 0, 1, 2, 2, 2, 3, 4};
    struct lab lab = open_lab(NULL, NULL), none = open_lab("keep", "0");

    put_rounded(&lab);
    put_rounded(&none);
    if (!(mgpt_check_device_formats(&lab.d) >> MGPT_BF16 & 1))
        puts("skipped: no BF16 on this processor");
    for (int i = 0; i < 8 && mgpt_check_device_formats(&lab.d) >> MGPT_BF16 & 1; i++) {
        if (i == 4) {
            write_by("upload of a part", &lab);
            write_by("upload of a part", &none);
        }
        float *y = rounded_product(&lab), *want = rounded_product(&none);
        ck_assert(memcmp(y, want, N * M * sizeof *y) == 0);
        ck_assert_uint_eq(kept(&lab)[1], reused[i]);
        free(y);
        free(want);
    }
    kept_close(&lab);
    kept_close(&none);
}
END_TEST

START_TEST(threads_change_no_bit)
{
    static const char *const threads[] = {"1", "2", "3", "8", "17"};
    struct lab lab = open_lab("threads", threads[_i]);

    for (int i = 0; i < 3; i++)
        assert_fresh(&lab, "threads");
    ck_assert_uint_gt(kept(&lab)[1], 0);
    kept_close(&lab);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_loop_test(tests, a_written_weight_is_packed_anew, 0, n_kept_writers);
    tcase_add_test(tests, shown_memory_is_never_kept);
    tcase_add_test(tests, copies_are_freed_with_their_buffer);
    tcase_add_test(tests, other_buffers_may_be_written);
    tcase_add_test(tests, weights_of_one_use_cost_no_memory);
    tcase_add_test(tests, a_view_of_other_columns_is_another_weight);
    tcase_add_test(tests, no_more_is_kept_than_allowed);
    tcase_add_test(tests, rounded_weights_are_kept_too);
    tcase_add_loop_test(tests, threads_change_no_bit, 0, 5);
}

int main(void)
{
    return test_main("check_kept", add_tests);
}
