/* Which ops of the cuda backend run on tensor cores, and in which modes, on the emulation. */
#include <config.h>

#include <stdio.h>

#include "check/device.h"
#include "counters.h"
#include "testing.h"

#define SEED 3

struct mode {
    uint32_t dtype, flags;
    bool tensor;
};

static const struct mode modes[] = {{MGPT_F32, 0, false},
                                    {MGPT_F32, MGPT_OP_TF32, true},
                                    {MGPT_BF16, 0, true},
                                    {MGPT_F16, 0, true}};

/* Products of warps on tensor cores by one case of an op. */
static unsigned long products(const struct mgpt_check_device *d, struct mgpt_op_case *c)
{
    const struct emu_counters *counters = d->api->query(d->device, EMU_COUNTERS);
    unsigned long before = counters->tensor;
    struct mgpt_error refused = {0};

    ck_assert_msg(mgpt_check_device_run(d, c, &refused) == MGPT_OK, "%s: %s", c->label,
                  refused.text);
    return counters->tensor - before;
}

static void each_mode(const char *key, const char *value, uint32_t code)
{
    const struct mgpt_component *cuda = mgpt_check_module(MGPT_KIND_BACKEND, "cuda_emu");
    struct mgpt_check_device d = mgpt_check_device_open(cuda, key, value);

    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        for (int k = 0; k < mgpt_op_case_count(code); k++) {
            struct mgpt_op_case c;
            mgpt_op_case_make(&c, code, k, modes[i].dtype, SEED);
            bool cached = code == MGPT_OP_ATTENTION && c.op.out[2].rank;
            c.op.flags |= modes[i].flags;
            if (mgpt_check_device_has(&d, &c.op, modes[i].dtype))
                ck_assert_msg((products(&d, &c) > 0) == (modes[i].tensor && !cached),
                              "%s, format %u, flags %u", c.label, modes[i].dtype, c.op.flags);
            mgpt_op_case_finish(&c);
        }
    mgpt_check_device_close(&d);
}

START_TEST(products_of_matrices_are)
{
    each_mode("products", "own", MGPT_OP_LINEAR);
    each_mode("products", "own", MGPT_OP_LINEAR_BACKWARD);
}
END_TEST

START_TEST(attention_is_but_for_generation)
{
    each_mode(NULL, NULL, MGPT_OP_ATTENTION);
    each_mode(NULL, NULL, MGPT_OP_ATTENTION_BACKWARD);
}
END_TEST

/* Where a block has 99 KiB of shared memory, as on most devices that people have. */
START_TEST(attention_fits_a_small_multiprocessor)
{
    each_mode("capability", "86", MGPT_OP_ATTENTION);
    each_mode("capability", "86", MGPT_OP_ATTENTION_BACKWARD);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, products_of_matrices_are);
    tcase_add_test(tests, attention_is_but_for_generation);
    tcase_add_test(tests, attention_fits_a_small_multiprocessor);
}

int main(void)
{
    if (!test_has_backend("cuda_emu")) {
        puts("SKIP: no C++ compiler was found, so there is no backend cuda_emu");
        return 77;
    }
    return test_main("check_tensor", add_tests);
}
