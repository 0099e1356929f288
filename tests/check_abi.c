/* The plugin ABI, written down: where every field of the public structs is, and what every constant
 * means. A plugin that was built last year relies on these numbers. When this test fails, the
 * change breaks it: put new fields at the tail of a growing struct, new constants after the last,
 * raise MGPT_ABI_MINOR, and add a line to abi_layout.h or abi_values.h; never change one, short of
 * a new MGPT_ABI_MAJOR. */
#include <config.h>

#include <check.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "abi_layout.h"
#include "abi_values.h"

#define N_LAYOUT (sizeof layout / sizeof layout[0])

static const struct {
    const char *text, *expected;
} texts[] = {
    {MGPT_PLUGIN_SYMBOL, "microgpt_plugin_v1"},
    {MGPT_KIND_BACKEND, "backend/1"},
    {MGPT_KIND_DATASET, "dataset/1"},
    {MGPT_KIND_LOGGER, "logger/1"},
    {MGPT_KIND_OPTIMIZER, "optimizer/1"},
    {MGPT_KIND_PRECISION, "precision/1"},
    {MGPT_KIND_SAMPLER, "sampler/1"},
    {MGPT_KIND_SCHEDULER, "scheduler/1"},
    {MGPT_KIND_STEP, "step/1"},
    {MGPT_KIND_TOKENIZER, "tokenizer/1"},
};

START_TEST(every_field_is_where_it_was)
{
    for (size_t i = 0; i < N_LAYOUT; i++) {
        const struct abi_row *r = &layout[i];
        ck_assert_msg(r->size == r->expected_size && r->offset == r->expected_offset,
                      "struct mgpt_%s%s%s: %zu bytes at %zu, expected %zu bytes at %zu", r->type,
                      r->field ? "." : "", r->field ? r->field : "", r->size, r->offset,
                      r->expected_size, r->expected_offset);
    }
}
END_TEST

/* A hole of 8 bytes or more is a field that nobody wrote down. */
START_TEST(every_field_is_written_down)
{
    size_t end = 0;
    for (size_t i = 0; i < N_LAYOUT; i++) {
        const struct abi_row *r = &layout[i];
        if (!r->field) {
            end = 0;
            continue;
        }
        ck_assert_msg(r->offset >= end && r->offset - end < 8,
                      "struct mgpt_%s.%s is at %zu, the field before it ends at %zu", r->type,
                      r->field, r->offset, end);
        end = r->offset + r->size;
    }
}
END_TEST

/* Padding at the tail would be taken for a new field by MGPT_HAS. */
START_TEST(no_struct_has_padding_at_its_tail)
{
    const struct abi_row *whole = NULL;
    for (size_t i = 0; i < N_LAYOUT; i++) {
        const struct abi_row *r = &layout[i];
        if (!r->field)
            whole = r;
        else if (i + 1 == N_LAYOUT || !layout[i + 1].field)
            ck_assert_msg(r->offset + r->size == whole->size,
                          "struct mgpt_%s has %zu bytes, its last field ends at %zu", r->type,
                          whole->size, r->offset + r->size);
    }
}
END_TEST

START_TEST(every_constant_means_what_it_meant)
{
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        ck_assert_msg(values[i].value == values[i].expected, "%s is %lld, expected %lld",
                      values[i].name, values[i].value, values[i].expected);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        ck_assert_str_eq(texts[i].text, texts[i].expected);
}
END_TEST

START_TEST(a_field_beyond_the_size_is_absent)
{
    struct mgpt_component c;
    memset(&c, 0, sizeof c);
    c.size = offsetof(struct mgpt_component, api);
    ck_assert(MGPT_HAS(&c, probe));
    ck_assert(!MGPT_HAS(&c, api));
    c.size++;
    ck_assert(!MGPT_HAS(&c, api));
    c.size = (uint32_t)sizeof c;
    ck_assert(MGPT_HAS(&c, api));
}
END_TEST

int main(void)
{
    if (sizeof(void *) != 8) {
        puts("SKIP: the layout is written down for 64-bit pointers");
        return 77;
    }
    Suite *suite = suite_create("abi");
    TCase *tcase = tcase_create("abi");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, every_field_is_where_it_was);
    tcase_add_test(tcase, every_field_is_written_down);
    tcase_add_test(tcase, no_struct_has_padding_at_its_tail);
    tcase_add_test(tcase, every_constant_means_what_it_meant);
    tcase_add_test(tcase, a_field_beyond_the_size_is_absent);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
