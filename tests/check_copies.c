/* Copies of weights in 16 bits that backend cuda keeps, on the emulation: taken while nothing
 * writes the weight, never after; same bits as without. */
#include <config.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "copies.h"

START_TEST(a_written_weight_is_rounded_anew)
{
    const struct writer *writer = &kept_writers[_i];
    struct lab lab = copies_open(NULL, NULL);
    float *before, *after;

    copies_remember(&lab);
    before = copies_results(&lab);
    writer->write(&lab);
    after = copies_products(&lab);
    ck_assert_msg(memcmp(before, after, N * M * sizeof *after) != 0, "%s wrote nothing",
                  writer->name);
    copies_assert_results(&lab, writer->name);
    copies_remember(&lab); /* the new one */
    writer->write(&lab);
    copies_assert_fresh(&lab, writer->name);
    free(before);
    free(after);
    kept_close(&lab);
}
END_TEST

START_TEST(an_update_rounds_what_it_wrote_in_one_launch)
{
    struct lab lab = copies_open(NULL, NULL);
    const struct emu_counters *counters = lab.d.api->query(lab.d.device, EMU_COUNTERS);

    copies_remember(&lab);
    for (int i = 0; i < 3; i++) {
        ck_ok(lab.d.api->sync(lab.d.device, error));
        unsigned long casts = counters->casts;
        copies_update(&lab, NULL);
        copies_assert_fresh(&lab, "update");
        ck_assert_uint_eq(counters->casts, casts + 1 + 2); /* two of the device that keeps none */
    }
    kept_close(&lab);
}
END_TEST

START_TEST(what_is_written_after_an_update_is_cast_with_it)
{
    struct lab lab = copies_open(NULL, NULL);

    copies_remember(&lab);
    uint64_t casts = copies_told(&lab).casts;
    copies_update(&lab, NULL);
    copies_write_by("upload of a part", &lab);
    copies_assert_fresh(&lab, "both");
    ck_assert_uint_eq(copies_told(&lab).casts, casts + 1);
    kept_close(&lab);
}
END_TEST

START_TEST(an_update_that_is_skipped_changes_nothing)
{
    const struct mgpt_step_state overflow = {.grad_scale = 1, .loss_scale = 1, .nonfinite = 1};
    struct lab lab = copies_open(NULL, NULL);
    float *before, *after;

    copies_remember(&lab);
    before = copies_results(&lab);
    ck_ok(lab.d.api->upload(lab.d.device, lab.state, 0, &overflow, sizeof overflow, error));
    copies_update(&lab, NULL);
    after = copies_products(&lab);
    ck_assert_mem_eq(before, after, BYTES);
    copies_assert_fresh(&lab, "a skipped update");
    free(before);
    free(after);
    kept_close(&lab);
}
END_TEST

/* The address of a buffer may be used at any time, and nobody hears of it. */
START_TEST(a_buffer_whose_address_was_told_has_no_copy)
{
    for (int early = 0; early < 2; early++) {
        struct lab lab = copies_open(NULL, NULL);
        struct mgpt_tensor w = matrix(lab.w, 0, M, K), other = matrix(lab.sources, 0, M, K);
        const struct mgpt_cuda_native *cuda = native(&lab);

        if (!early)
            copies_remember(&lab);
        char *to = cuda->address(lab.d.device, &w), *from = cuda->address(lab.d.device, &other);
        uint64_t taken = copies_told(&lab).products;
        for (size_t i = 0; i < 3; i++) {
            ck_ok(cuda->copy(lab.d.device, to + i * 4096, from, 4096, error));
            copies_assert_fresh(&lab, "a copy to the address");
        }
        ck_assert_uint_eq(copies_told(&lab).products, taken);
        kept_close(&lab);
        if (early)
            ck_assert_uint_eq(taken, 0);
    }
}
END_TEST

START_TEST(a_copy_ends_with_its_buffer)
{
    struct lab lab = copies_open(NULL, NULL);

    for (uint32_t i = 0; i < 4; i++) { /* the next one likely lies where this one was */
        copies_remember(&lab);
        lab.d.api->buffer_free(lab.d.device, lab.w);
        ck_assert_uint_eq(copies_told(&lab).bytes, 0);
        lab.w = kept_noise_of(&lab, 2 * WEIGHT, 100 + i);
        copies_assert_fresh(&lab, "a new buffer");
    }
    kept_close(&lab);
}
END_TEST

START_TEST(other_buffers_may_be_written)
{
    struct lab lab = copies_open(NULL, NULL);
    const float one = 1;

    copies_remember(&lab);
    uint64_t casts = copies_told(&lab).casts;
    ck_ok(lab.d.api->upload(lab.d.device, lab.sources, 0, &one, sizeof one, error));
    copies_remember(&lab);
    ck_assert_uint_eq(copies_told(&lab).casts, casts);
    kept_close(&lab);
}
END_TEST

/* Weights that lie behind each other share one copy; what is not aligned, or of the other format,
 * is rounded as if there were none. */
START_TEST(every_view_has_the_bits_of_no_copy)
{
    static const struct {
        uint32_t format;
        size_t at;
        bool taken;
    } views[] = {{MGPT_BF16, 0, true},   {MGPT_BF16, WEIGHT, true}, {MGPT_BF16, 8, true},
                 {MGPT_BF16, 4, false},  {MGPT_BF16, 1, false},     {MGPT_F16, 0, false},
                 {MGPT_BF16, 640, true}, {MGPT_F16, WEIGHT, false}};
    struct lab lab = copies_open(_i ? "products" : NULL, "own");

    copies_remember(&lab);
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
        struct told before = copies_told(&lab);
        copies_enqueue_at(&lab, views[i].format, views[i].at);
        float *y = copies_results(&lab),
              *want = copies_fresh_products(&lab, views[i].format, views[i].at);
        ck_assert_msg(memcmp(y, want, BYTES) == 0, "view %zu", i);
        ck_assert_uint_eq(copies_told(&lab).products, before.products + (views[i].taken ? 2 : 0));
        ck_assert_uint_eq(copies_told(&lab).casts, before.casts);
        free(want);
        free(y);
    }
    kept_close(&lab);
}
END_TEST

START_TEST(f16_is_kept_too)
{
    struct lab lab = copies_open(NULL, NULL);

    for (int i = 0; i < 3; i++) {
        if (i == 2)
            copies_write_by("upload of a part", &lab);
        copies_enqueue_at(&lab, MGPT_F16, 0);
        float *y = copies_results(&lab), *want = copies_fresh_products(&lab, MGPT_F16, 0);
        ck_assert_mem_eq(y, want, BYTES);
        ck_assert_uint_eq(copies_told(&lab).casts, i < 2 ? 1 : 2);
        ck_assert_uint_eq(copies_told(&lab).products, 2 * (uint64_t)i + 2);
        free(want);
        free(y);
    }
    kept_close(&lab);
}
END_TEST

/* ---- short of memory ---- */

/* Takes memory until so many bytes are left, or a little more. */
static struct mgpt_buffer *leave(const struct lab *lab, uint64_t bytes)
{
    uint64_t left = mgpt_check_device_caps(&lab->d).memory_free;

    ck_assert_uint_gt(left, bytes);
    return kept_buffer_of(lab, left - bytes, NULL);
}

/* The first products of a lab, whoever computes them (malloc). */
static float *first_products(void)
{
    struct lab lab = copies_open("keep", "false");
    float *y = copies_products(&lab);

    kept_close(&lab);
    return y;
}

static void assert_same(const struct lab *lab, const float *want)
{
    float *y = copies_products(lab);

    ck_assert_mem_eq(y, want, BYTES);
    free(y);
}

START_TEST(without_memory_there_is_no_copy)
{
    float *want = first_products();
    struct lab lab = copies_open("memory", "64");

    copies_enqueue_at(&lab, MGPT_BF16, 4); /* has its scratch made, and no copy */
    ck_assert_uint_eq(copies_told(&lab).bytes, 0);
    struct mgpt_buffer *rest = leave(&lab, WEIGHT);
    for (int i = 0; i < 3; i++)
        assert_same(&lab, want);
    ck_assert_uint_eq(copies_told(&lab).products, 0);
    lab.d.api->buffer_free(lab.d.device, rest);
    kept_close(&lab);
    free(want);
}
END_TEST

/* The driver and libraries need some, too: a 32nd of the device. */
START_TEST(copies_leave_some_memory)
{
    struct lab lab = copies_open("memory", "64");

    copies_enqueue_at(&lab, MGPT_BF16, 4);
    struct mgpt_buffer *rest = leave(&lab, (64 << 20) / 32);
    copies_enqueue(&lab);
    ck_assert_uint_eq(copies_told(&lab).bytes, 0);
    lab.d.api->buffer_free(lab.d.device, rest);
    kept_close(&lab);
}
END_TEST

START_TEST(buffers_take_the_place_of_copies)
{
    float *want = first_products();
    struct lab lab = copies_open("memory", "64");

    copies_enqueue_at(&lab, MGPT_BF16, 4);
    copies_remember(&lab);
    struct mgpt_buffer *rest = leave(&lab, 4096), *more;
    more = kept_buffer_of(&lab, 8192, NULL);
    ck_assert_uint_eq(copies_told(&lab).bytes, 0);
    lab.d.api->buffer_free(lab.d.device, more);
    lab.d.api->buffer_free(lab.d.device, rest);
    assert_same(&lab, want);
    ck_assert_uint_eq(copies_told(&lab).bytes, 0); /* for good */
    kept_close(&lab);
    free(want);
}
END_TEST

static void add_tests(TCase *tests)
{
    int writers = getenv("MGPT_FEW") ? 3 : n_kept_writers; /* where each access is checked */

    tcase_set_timeout(tests, 600);
    tcase_add_loop_test(tests, a_written_weight_is_rounded_anew, 0, writers);
    tcase_add_test(tests, an_update_rounds_what_it_wrote_in_one_launch);
    tcase_add_test(tests, what_is_written_after_an_update_is_cast_with_it);
    tcase_add_test(tests, an_update_that_is_skipped_changes_nothing);
    tcase_add_test(tests, a_buffer_whose_address_was_told_has_no_copy);
    tcase_add_test(tests, a_copy_ends_with_its_buffer);
    tcase_add_test(tests, other_buffers_may_be_written);
    tcase_add_loop_test(tests, every_view_has_the_bits_of_no_copy, 0, 2);
    tcase_add_test(tests, f16_is_kept_too);
    tcase_add_test(tests, without_memory_there_is_no_copy);
    tcase_add_test(tests, copies_leave_some_memory);
    tcase_add_test(tests, buffers_take_the_place_of_copies);
}

int main(void)
{
    if (!test_has_backend("cuda_emu")) {
        puts("SKIP: no C++ compiler was found, so there is no backend cuda_emu");
        return 77;
    }
    return test_main("check_copies", add_tests);
}
