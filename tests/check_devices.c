/* Several CUDA devices in one process, on the emulation, which has two. */
#include <config.h>

#include "native_rig.h"

MGPT_RULE(plain, (), (lr, shift), p -= lr * g + shift;)

static uint64_t memory_free(const struct device *d)
{
    struct mgpt_caps caps = {.size = sizeof caps};

    ck_ok(d->api->caps(d->device, &caps, error));
    return caps.memory_free;
}

/* Whichever was used last, every call is for its own: what is gathered, too, goes out there. */
START_TEST(two_devices_do_not_get_into_each_others_way)
{
    struct mgpt_step_state good = {.grad_scale = 1, .loss_scale = 1};
    const double h[] = {0.5, 0};
    struct mgpt_tensor x, y, state;
    struct device d[2];

    open_one(&d[0], "1");
    x = new_tensor(&d[0], 3 * PART);
    y = new_tensor(&d[0], 3);
    state = new_tensor(&d[0], sizeof good / sizeof(float));
    state.dtype = MGPT_U8;
    state.shape[0] = sizeof good;
    ck_ok(d[0].api->upload(d[0].device, state.buffer, 0, &good, sizeof good, error));
    struct mgpt_cuda_program *program = new_program(&d[0]);
    uint64_t before = memory_free(&d[0]);
    open_one(&d[1], "0");
    ck_assert_ptr_ne(d[0].cuda->context, d[1].cuda->context);
    uint64_t other = memory_free(&d[1]);
    struct mgpt_tensor more = new_tensor(&d[0], 1000);
    ck_assert_uint_eq(memory_free(&d[1]), other);
    ck_assert_uint_eq(memory_free(&d[0]), before - 4000);
    ck_ok(launch_sums(&d[0], program, &x, &y, 8, error));
    struct mgpt_update update = {.size = sizeof update,
                                 .n_scalars = 2,
                                 .rule = &plain,
                                 .scalars = h,
                                 .p = more,
                                 .g = more,
                                 .step_state = state};
    ck_ok(d[0].api->update(d[0].device, &update, error));
    ck_ok(d[1].api->sync(d[1].device, error));
    ck_ok(d[0].api->sync(d[0].device, error));
    ck_assert_float_eq(at(&d[0], &more, 40), 20);
    check_sums(&d[0], &y);
    ck_ok(d[1].api->sync(d[1].device, error));
    d[0].cuda->program_free(d[0].device, program);
    ck_ok(d[0].api->sync(d[0].device, error));
    d[0].api->buffer_free(d[0].device, x.buffer);
    d[0].api->buffer_free(d[0].device, y.buffer);
    d[0].api->buffer_free(d[0].device, more.buffer);
    d[0].api->buffer_free(d[0].device, state.buffer);
    ck_ok(d[1].api->sync(d[1].device, error));
    close_device(&d[0]);
    ck_ok(d[1].api->sync(d[1].device, error));
    close_device(&d[1]);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, two_devices_do_not_get_into_each_others_way);
}

int main(void)
{
    if (!test_has_backend("cuda_emu")) {
        puts("SKIP: no C++ compiler was found, so there is no backend cuda_emu");
        return 77;
    }
    return test_main("check_devices", add_tests);
}
