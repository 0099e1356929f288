/* Extension "nvidia.cuda-native/1": programs, copies, graphs and updates, on the emulation. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "native_rig.h"

static struct mgpt_tensor new_matrix(const struct device *d, int64_t rows, int64_t columns)
{
    struct mgpt_tensor t = new_tensor(d, rows * columns);

    t.rank = 2;
    t.shape[0] = rows;
    t.shape[1] = columns;
    return t;
}

/* ---- what it says of the device ---- */

START_TEST(the_device_is_described)
{
    struct device d;

    open_device(&d);
    ck_assert_uint_ge(d.cuda->size, sizeof *d.cuda);
    ck_assert_uint_eq(d.cuda->capability, 80);
    ck_assert_uint_eq(d.cuda->shared_most, 163 << 10);
    ck_assert_uint_gt(d.cuda->multiprocessors, 0);
    ck_assert_ptr_nonnull(d.cuda->context);
    ck_assert_ptr_nonnull(d.cuda->stream);
    ck_assert_ptr_null(d.api->query(d.device, "nvidia.cuda-native/2"));
    close_device(&d);
}
END_TEST

START_TEST(an_address_is_the_buffers_and_the_offset)
{
    struct mgpt_tensor t, none = {0};
    struct device d;

    open_device(&d);
    t = new_tensor(&d, 100);
    char *whole = d.cuda->address(d.device, &t);
    t.offset = 64;
    ck_assert_ptr_eq(d.cuda->address(d.device, &t), whole + 64);
    ck_assert_ptr_null(d.cuda->address(d.device, &none));
    d.api->buffer_free(d.device, t.buffer);
    close_device(&d);
}
END_TEST

/* ---- programs ---- */

START_TEST(a_program_runs_with_its_arguments)
{
    struct mgpt_tensor x, y;
    struct device d;

    open_device(&d);
    x = new_tensor(&d, 3 * PART);
    y = new_tensor(&d, 3);
    struct mgpt_cuda_program *program = new_program(&d);
    unsigned long before = d.counters->programs;
    ck_ok(launch_sums(&d, program, &x, &y, 8, error));
    ck_assert_uint_eq(d.counters->programs, before + 1);
    check_sums(&d, &y);
    d.cuda->program_free(d.device, program);
    d.api->buffer_free(d.device, x.buffer);
    d.api->buffer_free(d.device, y.buffer);
    close_device(&d);
}
END_TEST

#if !defined __SANITIZE_ADDRESS__ /* which ends the process at such a write */
START_TEST(a_write_past_shared_memory_is_met_at_sync)
{
    struct mgpt_tensor x, y;
    struct mgpt_error why = {0};
    struct device d;

    open_device(&d);
    x = new_tensor(&d, 3 * PART);
    y = new_tensor(&d, 3);
    struct mgpt_cuda_program *program = new_program(&d);
    ck_ok(launch_sums(&d, program, &x, &y, 4, error));
    ck_assert_int_eq(d.api->sync(d.device, &why), MGPT_DEVICE);
    ck_assert_msg(strstr(why.text, "sums: a write outside of the 4 bytes"), "%s", why.text);
}
END_TEST
#endif

START_TEST(shared_memory_goes_up_to_what_the_device_has)
{
    struct mgpt_cuda_launch launch = {{1, 1, 1}, {64, 1, 1}, 0, 0};
    struct mgpt_tensor x, y;
    struct mgpt_error why;
    struct device d;
    uint32_t blocks = 7;

    open_device(&d);
    x = new_tensor(&d, 3 * PART);
    y = new_tensor(&d, 3);
    struct mgpt_cuda_program *program = new_program(&d);
    ck_ok(launch_sums(&d, program, &x, &y, d.cuda->shared_most, error));
    check_sums(&d, &y);
    ck_assert_int_eq(launch_sums(&d, program, &x, &y, d.cuda->shared_most + 1, &why), MGPT_INVALID);
    launch.shared = d.cuda->shared_most;
    ck_ok(d.cuda->resident(d.device, program, 0, &launch, &blocks, error));
    ck_assert_uint_eq(blocks, 1);
    launch.shared++;
    ck_ok(d.cuda->resident(d.device, program, 0, &launch, &blocks, error));
    ck_assert_uint_eq(blocks, 0);
    d.cuda->program_free(d.device, program);
    d.api->buffer_free(d.device, x.buffer);
    d.api->buffer_free(d.device, y.buffer);
    close_device(&d);
}
END_TEST

static enum mgpt_status launch_ring(const struct device *d, const struct mgpt_cuda_program *program,
                                    const struct mgpt_tensor *x, const struct mgpt_tensor *y,
                                    uint32_t blocks, uint32_t flags, struct mgpt_error *error)
{
    struct mgpt_cuda_launch launch = {{blocks, 1, 1}, {96, 1, 1}, 0, flags};
    void *in = d->cuda->address(d->device, x), *out = d->cuda->address(d->device, y);
    void *args[] = {&in, &out};

    return d->cuda->launch(d->device, program, 1, &launch, args, error);
}

START_TEST(blocks_of_a_cooperative_launch_wait_for_each_other)
{
    struct mgpt_tensor x, y;
    struct mgpt_error why;
    struct device d;

    open_device(&d);
    x = new_tensor(&d, 8);
    y = new_tensor(&d, 8);
    struct mgpt_cuda_program *program = new_program(&d);
    ck_ok(launch_ring(&d, program, &x, &y, 8, MGPT_CUDA_COOPERATIVE, error));
    for (int b = 0; b < 8; b++)
        ck_assert_float_eq(at(&d, &y, b), (float)(36 + b));
    ck_assert_int_ne(launch_ring(&d, program, &x, &y, 1000, MGPT_CUDA_COOPERATIVE, &why),
                     MGPT_OK); /* more than run at once */
    ck_ok(launch_ring(&d, program, &x, &y, 8, 0, error));
    ck_assert_int_eq(d.api->sync(d.device, &why), MGPT_DEVICE);
    ck_assert_msg(strstr(why.text, "not cooperative"), "%s", why.text);
    d.cuda->program_free(d.device, program);
    d.api->buffer_free(d.device, x.buffer);
    d.api->buffer_free(d.device, y.buffer);
    close_device(&d);
}
END_TEST

START_TEST(what_the_compiler_says_is_handed_on)
{
    struct mgpt_cuda_source source = NATIVE_SOURCE;
    struct mgpt_cuda_program *program = NULL;
    struct mgpt_error why = {0};
    struct device d;

    open_device(&d);
    source.text = "extern \"C\" __global__ void sums() { wrong(); }";
    ck_assert_int_eq(d.cuda->program_new(d.device, &source, &program, &why), MGPT_UNSUPPORTED);
    ck_assert_msg(strstr(why.text, "wrong"), "%s", why.text);
    close_device(&d);
}
END_TEST

/* ---- copies and graphs ---- */

START_TEST(copies_go_both_ways_through_page_locked_memory)
{
    struct mgpt_tensor x, y;
    struct mgpt_error why;
    struct device d;
    void *data = NULL;
    float pageable[4];

    open_device(&d);
    x = new_tensor(&d, 4);
    y = new_tensor(&d, 4);
    ck_ok(d.cuda->pinned_new(d.device, 16, &data, error));
    ck_assert_uint_eq((uintptr_t)data % 64, 0);
    float *f = memcpy(data, (float[]){5, 6, 7, 8}, 16);
    void *to_x = d.cuda->address(d.device, &x), *to_y = d.cuda->address(d.device, &y);
    ck_ok(d.cuda->copy(d.device, to_x, f, 16, error));
    ck_ok(d.cuda->copy(d.device, to_y, to_x, 12, error));
    ck_assert_float_eq(at(&d, &x, 3), 8);
    ck_assert_float_eq(at(&d, &y, 2), 7);
    ck_assert_float_eq(at(&d, &y, 3), 3);
    ck_ok(d.cuda->copy(d.device, f, to_y, 16, error));
    ck_ok(d.api->sync(d.device, error));
    ck_assert_float_eq(f[3], 3);
    ck_assert_int_ne(d.cuda->copy(d.device, to_x, pageable, 16, &why), MGPT_OK);
    d.cuda->pinned_free(d.device, data);
    d.api->buffer_free(d.device, x.buffer);
    d.api->buffer_free(d.device, y.buffer);
    close_device(&d);
}
END_TEST

static enum mgpt_status fill(const struct device *d, const struct mgpt_tensor *x, double value,
                             struct mgpt_error *error)
{
    struct mgpt_op op = {.size = sizeof op, .code = MGPT_OP_FILL, .value = value, .out = {*x}};

    return d->api->ops[MGPT_OP_FILL](d->device, &op, error);
}

START_TEST(a_graph_does_it_again)
{
    struct mgpt_cuda_graph *graph = NULL;
    struct mgpt_tensor x, y;
    struct device d;
    void *data = NULL;
    float *f;

    open_device(&d);
    x = new_tensor(&d, 3 * PART);
    y = new_tensor(&d, 4);
    struct mgpt_cuda_program *program = new_program(&d);
    ck_ok(d.cuda->pinned_new(d.device, 4, &data, error));
    f = data;
    *f = 10;
    struct emu_counters before = *d.counters;
    ck_ok(d.cuda->capture_begin(d.device, error));
    ck_ok(fill(&d, &y, -1, error));
    ck_ok(d.cuda->copy(d.device, d.cuda->address(d.device, &x), f, 4, error));
    ck_ok(launch_sums(&d, program, &x, &y, 8, error));
    ck_ok(d.cuda->capture_end(d.device, &graph, error));
    ck_assert_uint_eq(d.counters->captured, before.captured + 3);
    ck_assert_uint_eq(d.counters->kernels, before.kernels);
    ck_assert_float_eq(at(&d, &y, 3), 3); /* nothing was done yet */
    for (int i = 1; i <= 3; i++) {
        *f = 10 * (float)i;
        ck_ok(fill(&d, &y, 0, error));
        ck_ok(d.cuda->graph_launch(d.device, graph, error));
        ck_assert_float_eq(at(&d, &y, 0), 2 * (4950 + 10 * (float)i) + 20.5f);
        ck_assert_float_eq(at(&d, &y, 3), -1);
    }
    ck_assert_uint_eq(d.counters->graphs, before.graphs + 3);
    d.cuda->graph_free(d.device, graph);
    d.cuda->program_free(d.device, program);
    d.cuda->pinned_free(d.device, data);
    d.api->buffer_free(d.device, x.buffer);
    d.api->buffer_free(d.device, y.buffer);
    close_device(&d);
}
END_TEST

START_TEST(what_waits_or_allocates_is_refused_while_capturing)
{
    struct mgpt_cuda_source source = NATIVE_SOURCE;
    struct mgpt_cuda_program *program = NULL;
    struct mgpt_buffer *buffer = NULL;
    struct mgpt_error why;
    struct mgpt_tensor x;
    struct device d;
    void *data = NULL;
    float value = 0;

    open_device(&d);
    x = new_tensor(&d, 4);
    ck_assert_int_eq(d.cuda->capture_end(d.device, NULL, &why), MGPT_INVALID);
    ck_ok(d.cuda->capture_begin(d.device, error));
    ck_assert_int_eq(d.api->buffer_new(d.device, 64, &buffer, &why), MGPT_INVALID);
    ck_assert_int_eq(d.api->upload(d.device, x.buffer, 0, &value, 4, &why), MGPT_INVALID);
    ck_assert_int_eq(d.api->download(d.device, x.buffer, 0, &value, 4, &why), MGPT_INVALID);
    ck_assert_int_eq(d.api->sync(d.device, &why), MGPT_INVALID);
    ck_assert_int_eq(d.cuda->program_new(d.device, &source, &program, &why), MGPT_INVALID);
    ck_assert_int_ne(d.cuda->pinned_new(d.device, 64, &data, &why), MGPT_OK);
    ck_ok(d.cuda->capture_end(d.device, NULL, error));
    ck_ok(fill(&d, &x, 4, error)); /* the device is as good as before */
    ck_assert_float_eq(at(&d, &x, 2), 4);
    d.api->buffer_free(d.device, x.buffer);
    close_device(&d);
}
END_TEST

/* More scratch than before moves it; graphs go on with the place that they know. */
START_TEST(a_graph_outlives_scratch_that_grew)
{
    struct mgpt_cuda_graph *graph = NULL;
    struct mgpt_tensor small, large, stats, gain, state;
    struct mgpt_step_state begin = {.loss_scale = 1}, end;
    struct device d;

    open_device(&d);
    small = new_tensor(&d, 3000);
    large = new_matrix(&d, 544, 8192); /* partial sums of dgain are scratch, more than 1 MiB */
    stats = new_matrix(&d, 544, 2);
    gain = new_tensor(&d, 8192);
    state = new_tensor(&d, sizeof begin / 4);
    state.dtype = MGPT_U8;
    state.shape[0] = sizeof begin;
    struct mgpt_op clip = {
        .size = sizeof clip, .code = MGPT_OP_CLIP, .in = {small, state}, .out = {state}};
    ck_ok(d.api->upload(d.device, state.buffer, 0, &begin, sizeof begin, error));
    ck_ok(d.api->ops[MGPT_OP_CLIP](d.device, &clip, error));
    ck_ok(d.cuda->capture_begin(d.device, error));
    ck_ok(d.api->ops[MGPT_OP_CLIP](d.device, &clip, error));
    ck_ok(d.cuda->capture_end(d.device, &graph, error));
    struct mgpt_op backward = {.size = sizeof backward,
                               .code = MGPT_OP_NORM_BACKWARD,
                               .norm = MGPT_NORM_RMS,
                               .in = {large, stats, large, gain},
                               .out = {large, gain}};
    ck_ok(d.api->ops[MGPT_OP_NORM_BACKWARD](d.device, &backward, error));
    ck_ok(d.cuda->graph_launch(d.device, graph, error));
    ck_ok(d.api->download(d.device, state.buffer, 0, &end, sizeof end, error));
    ck_assert_double_eq_tol(end.grad_norm, sqrt(2999.0 * 3000 * 5999 / 6), 0.01);
    d.cuda->graph_free(d.device, graph);
    d.api->buffer_free(d.device, small.buffer);
    d.api->buffer_free(d.device, large.buffer);
    d.api->buffer_free(d.device, stats.buffer);
    d.api->buffer_free(d.device, gain.buffer);
    d.api->buffer_free(d.device, state.buffer);
    close_device(&d);
}
END_TEST

/* ---- the optimizer's rule ---- */

MGPT_RULE(plain, (), (lr, shift), p -= lr * g + shift;)

static void nothing_f32(size_t n, float *p, const float *g, float *const *s, const double *h,
                        double c)
{
    (void)n, (void)p, (void)g, (void)s, (void)h, (void)c;
}

static const struct mgpt_rule wrong = {.size = sizeof wrong,
                                       .name = "wrong",
                                       .state = "()",
                                       .scalars = "()",
                                       .body = "p -= no_such_function(g);",
                                       .f32 = nothing_f32};

START_TEST(scalars_of_a_rule_may_be_on_the_device)
{
    struct mgpt_step_state good = {.grad_scale = 1};
    struct mgpt_cuda_graph *graph = NULL;
    struct mgpt_error why;
    struct mgpt_tensor p, g, state, scalars;
    struct device d;

    open_device(&d);
    p = new_tensor(&d, 100);
    g = new_tensor(&d, 100);
    scalars = new_tensor(&d, 2 * sizeof(double) / sizeof(float));
    state = new_tensor(&d, sizeof good / sizeof(float));
    state.dtype = MGPT_U8;
    state.shape[0] = sizeof good;
    ck_ok(d.api->upload(d.device, state.buffer, 0, &good, sizeof good, error));
    struct mgpt_update update = {
        .size = sizeof update, .n_scalars = 2, .rule = &plain, .p = p, .g = g, .step_state = state};
    ck_ok(d.cuda->rule_ready(d.device, &plain, error));
    ck_ok(d.cuda->capture_begin(d.device, error));
    ck_ok(d.cuda->update(d.device, &update, d.cuda->address(d.device, &scalars), error));
    ck_ok(d.cuda->capture_end(d.device, &graph, error));
    for (int i = 0; i < 2; i++) {
        const double h[] = {0.25, i};
        ck_ok(d.api->upload(d.device, scalars.buffer, 0, h, sizeof h, error));
        ck_ok(d.cuda->graph_launch(d.device, graph, error));
    }
    ck_assert_float_eq(at(&d, &p, 40), 40 - 0.25f * 40 - 0.25f * 40 - 1);
    ck_assert_int_eq(d.cuda->rule_ready(d.device, &wrong, &why), MGPT_UNSUPPORTED);
    d.cuda->graph_free(d.device, graph);
    d.api->buffer_free(d.device, p.buffer);
    d.api->buffer_free(d.device, g.buffer);
    d.api->buffer_free(d.device, scalars.buffer);
    d.api->buffer_free(d.device, state.buffer);
    close_device(&d);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, the_device_is_described);
    tcase_add_test(tests, an_address_is_the_buffers_and_the_offset);
    tcase_add_test(tests, a_program_runs_with_its_arguments);
#if !defined __SANITIZE_ADDRESS__
    tcase_add_test(tests, a_write_past_shared_memory_is_met_at_sync);
#endif
    tcase_add_test(tests, shared_memory_goes_up_to_what_the_device_has);
    tcase_add_test(tests, blocks_of_a_cooperative_launch_wait_for_each_other);
    tcase_add_test(tests, what_the_compiler_says_is_handed_on);
    tcase_add_test(tests, copies_go_both_ways_through_page_locked_memory);
    tcase_add_test(tests, a_graph_does_it_again);
    tcase_add_test(tests, what_waits_or_allocates_is_refused_while_capturing);
    tcase_add_test(tests, a_graph_outlives_scratch_that_grew);
    tcase_add_test(tests, scalars_of_a_rule_may_be_on_the_device);
}

int main(void)
{
    if (!test_has_backend("cuda_emu")) {
        puts("SKIP: no C++ compiler was found, so there is no backend cuda_emu");
        return 77;
    }
    return test_main("check_native", add_tests);
}
