/* The emulation itself: what a kernel may do works, and what it may not do is caught. */
#include <check.h>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "fibres.h"

#if defined __SANITIZE_ADDRESS__
/* Tests that end with a fault leave their buffers behind. */
extern "C" __attribute__((visibility("default"))) const char *__asan_default_options()
{
    return "detect_leaks=0";
}
#endif

namespace
{

cudaStream_t stream;

void setup()
{
    emu_forget_fault();
    emu_set_order(EMU_FORWARD, 1);
    ck_assert_int_eq(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
}

void teardown()
{
    (void)cudaStreamDestroy(stream);
}

/* n floats on the device, filled from `from` or left as they are. */
float *device(size_t n, const float *from)
{
    void *data = nullptr;

    ck_assert_int_eq(cudaMalloc(&data, n * sizeof(float)), cudaSuccess);
    if (from) {
        ck_assert_int_eq(
            cudaMemcpyAsync(data, from, n * sizeof(float), cudaMemcpyHostToDevice, stream),
            cudaSuccess);
        ck_assert_int_eq(cudaStreamSynchronize(stream), cudaSuccess);
    }
    return (float *)data;
}

std::vector<float> host(const float *data, size_t n)
{
    std::vector<float> back(n);

    ck_assert_int_eq(
        cudaMemcpyAsync(back.data(), data, n * sizeof(float), cudaMemcpyDeviceToHost, stream),
        cudaSuccess);
    (void)cudaStreamSynchronize(stream);
    return back;
}

void expect_fault(const char *text)
{
    ck_assert_int_ne(cudaStreamSynchronize(stream), cudaSuccess);
    ck_assert_msg(strstr(emu_fault_text(), text), "\"%s\" does not say \"%s\"", emu_fault_text(),
                  text);
    ck_assert_int_ne(cudaGetLastError(), cudaSuccess); /* and goes on saying so */
    ck_assert_int_ne(cudaStreamSynchronize(stream), cudaSuccess);
}

/* ---- kernels: right ones, and each with one thing planted ---- */

/* out[block] = sum of x over the block: through shared memory, then shuffles. */
__global__ void sum_of(const float *x, float *out, int barriers)
{
    CUDA_SHARED(float, s);
    float v = 0;

    s[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
    if (barriers)
        __syncthreads();
    for (unsigned i = threadIdx.x % 32; threadIdx.x < 32 && i < blockDim.x; i += 32)
        v += s[i];
    for (int o = 16; threadIdx.x < 32 && o; o /= 2)
        v += __shfl_xor_sync(0xffffffffu, v, o);
    if (threadIdx.x == 0)
        out[blockIdx.x] = v;
}

/* Turns a block's values round, twice; the second write must wait for the first reads. */
__global__ void rotate(float *x, int barriers)
{
    CUDA_SHARED(float, s);
    unsigned t = threadIdx.x, next = (t + 1) % blockDim.x;

    s[t] = x[t];
    __syncthreads();
    float v = s[next];
    if (barriers)
        __syncthreads();
    s[t] = v;
    __syncthreads();
    x[t] = s[next];
}

/* Each warp turns its values round, ordered by itself alone. */
__global__ void rotate_warp(float *x, int syncs)
{
    CUDA_SHARED(float, s);
    unsigned t = threadIdx.x, next = t / 32 * 32 + (t + 1) % 32;

    s[t] = x[t];
    if (syncs)
        __syncwarp();
    x[t] = s[next];
}

__global__ void diverge(float *x)
{
    if (threadIdx.x < 16)
        __syncthreads();
    else
        __syncthreads();
    x[threadIdx.x] = 1;
}

__global__ void leave_early(float *x)
{
    if (threadIdx.x == 3)
        return;
    __syncthreads();
    x[threadIdx.x] = 1;
}

__global__ void half_a_warp(float *x)
{
    float v = x[threadIdx.x];

    if (threadIdx.x < 16)
        v += __shfl_xor_sync(0xffffffffu, v, 1);
    x[threadIdx.x] = v;
}

__global__ void past_shared(float *x, int at)
{
    CUDA_SHARED(float, s);

    if (threadIdx.x == 0)
        *(volatile float *)&s[at] = 1;
    __syncthreads();
    x[threadIdx.x] = 0;
}

__global__ void past_buffer(float *x, int at)
{
    if (threadIdx.x == 0)
        *(volatile float *)&x[at] = 1;
}

__global__ void use_unwritten(float *x)
{
    CUDA_SHARED(float, s);

    x[threadIdx.x] = s[threadIdx.x];
}

__global__ void vote(int *out)
{
    unsigned odd = __ballot_sync(0xffffffffu, threadIdx.x & 1);
    int any = __syncthreads_or(threadIdx.x == 40), none = __syncthreads_or(0);

    out[threadIdx.x] = (int)(odd & 0xffff) + (any ? 1 << 16 : 0) + (none ? 1 << 17 : 0);
}

__global__ void where(int *out)
{
    out[((blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x) * blockDim.x * blockDim.y +
        threadIdx.y * blockDim.x + threadIdx.x]++;
}

/* In each order. */
template <class F> void each_order(F body)
{
    for (enum emu_order o : {EMU_FORWARD, EMU_BACKWARD, EMU_RANDOM})
        for (unsigned seed = 1; seed < 4; seed++) {
            emu_set_order(o, seed);
            body();
        }
}

} // namespace

/* ---- what works ---- */

START_TEST(sums_through_shared_memory_and_shuffles)
{
    std::vector<float> x(4 * 96);

    for (size_t i = 0; i < x.size(); i++)
        x[i] = (float)i;
    each_order([&] {
        float *in = device(x.size(), x.data()), *out = device(4, nullptr);
        CUDA_LAUNCH(sum_of, 4, 96, 96 * sizeof(float), stream, in, out, 1);
        std::vector<float> got = host(out, 4);
        for (int b = 0; b < 4; b++)
            ck_assert_float_eq(got[b], 96.0f * 96 * b + 95 * 48);
        ck_assert_int_eq(cudaFree(in), cudaSuccess);
        ck_assert_int_eq(cudaFree(out), cudaSuccess);
    });
}
END_TEST

START_TEST(votes_count_all_lanes_and_all_threads)
{
    each_order([&] {
        int *out = (int *)(void *)device(64, nullptr), back[64];
        CUDA_LAUNCH(vote, 1, 64, 0, stream, out);
        ck_assert_int_eq(cudaMemcpyAsync(back, out, sizeof back, cudaMemcpyDeviceToHost, stream),
                         cudaSuccess);
        ck_assert_int_eq(cudaStreamSynchronize(stream), cudaSuccess);
        for (int i = 0; i < 64; i++)
            ck_assert_int_eq(back[i], 0xaaaa + (1 << 16));
        (void)cudaFree(out);
    });
}
END_TEST

START_TEST(every_thread_of_every_block_runs_once)
{
    each_order([&] {
        std::vector<float> zeros(3 * 4 * 5 * 6 * 7);
        int *out = (int *)(void *)device(zeros.size(), zeros.data());
        CUDA_LAUNCH(where, dim3(3, 4, 5), dim3(6, 7), 0, stream, out);
        std::vector<float> bits = host((float *)(void *)out, zeros.size());
        for (float f : bits) {
            int count;
            memcpy(&count, &f, sizeof count);
            ck_assert_int_eq(count, 1);
        }
        (void)cudaFree(out);
    });
}
END_TEST

START_TEST(a_warp_orders_its_own_memory)
{
    std::vector<float> x(64);

    for (int i = 0; i < 64; i++)
        x[(size_t)i] = (float)i;
    each_order([&] {
        float *in = device(64, x.data());
        CUDA_LAUNCH(rotate_warp, 1, 64, 64 * sizeof(float), stream, in, 1);
        std::vector<float> back = host(in, 64);
        for (int i = 0; i < 64; i++)
            ck_assert_float_eq(back[(size_t)i], x[(size_t)(i / 32 * 32 + (i + 1) % 32)]);
        (void)cudaFree(in);
    });
}
END_TEST

/* ---- what is caught ---- */

#if defined __SANITIZE_THREAD__
START_TEST(races_are_named_in_every_order)
{
    std::vector<float> x(64, 1);

    each_order([&] {
        float *in = device(64, x.data()), *out = device(1, nullptr);
        CUDA_LAUNCH(sum_of, 1, 64, 64 * sizeof(float), stream, in, out, 1);
        CUDA_LAUNCH(rotate, 1, 64, 64 * sizeof(float), stream, in, 1);
        ck_assert_int_eq(cudaStreamSynchronize(stream), cudaSuccess);
        CUDA_LAUNCH(sum_of, 1, 64, 64 * sizeof(float), stream, in, out, 0);
        expect_fault("sum_of: race: thread ");
        emu_forget_fault();
        CUDA_LAUNCH(rotate, 1, 64, 64 * sizeof(float), stream, in, 0);
        expect_fault("rotate: race: thread ");
        emu_forget_fault();
        CUDA_LAUNCH(rotate_warp, 1, 64, 64 * sizeof(float), stream, in, 1);
        ck_assert_int_eq(cudaStreamSynchronize(stream), cudaSuccess);
        CUDA_LAUNCH(rotate_warp, 1, 64, 64 * sizeof(float), stream, in, 0);
        expect_fault("rotate_warp: race: thread ");
        emu_forget_fault();
    });
}
END_TEST
#else
START_TEST(a_missing_barrier_shows_as_nan)
{
    std::vector<float> x(64, 1);
    float *in = device(64, x.data()), *out = device(1, nullptr);

    CUDA_LAUNCH(sum_of, 1, 64, 64 * sizeof(float), stream, in, out, 0);
    ck_assert_float_nan(host(out, 1)[0]);
}
END_TEST

START_TEST(a_race_gives_other_results_in_another_order)
{
    std::vector<float> x(64), results[2];

    for (size_t i = 0; i < 64; i++)
        x[i] = (float)i;
    for (int planted = 0; planted < 2; planted++) {
        int differ = 0;
        results[0].clear();
        each_order([&] {
            float *data = device(64, x.data());
            CUDA_LAUNCH(rotate, 1, 64, 64 * sizeof(float), stream, data, !planted);
            results[1] = host(data, 64);
            if (results[0].empty())
                results[0] = results[1];
            differ += results[0] != results[1];
            (void)cudaFree(data);
        });
        ck_assert_int_eq(differ > 0, planted);
    }
}
END_TEST

#endif

START_TEST(whoever_does_not_wait_reads_old_values)
{
    std::vector<float> x(32, 5), early(32, 7);
    float *data = device(32, x.data());

    ck_assert_int_eq(
        cudaMemcpyAsync(early.data(), data, 32 * sizeof(float), cudaMemcpyDeviceToHost, stream),
        cudaSuccess);
    ck_assert_float_eq(early[0], 7);
    ck_assert_int_eq(cudaStreamSynchronize(stream), cudaSuccess);
    ck_assert_float_eq(early[0], 5);
}
END_TEST

START_TEST(divergent_barriers_are_a_fault)
{
    CUDA_LAUNCH(diverge, 1, 32, 0, stream, device(32, nullptr));
    expect_fault("diverge: divergent barrier");
}
END_TEST

START_TEST(a_thread_that_leaves_before_a_barrier_is_a_fault)
{
    CUDA_LAUNCH(leave_early, 1, 32, 0, stream, device(32, nullptr));
    expect_fault("leave_early: deadlock");
}
END_TEST

START_TEST(a_shuffle_without_its_lanes_is_a_fault)
{
    CUDA_LAUNCH(half_a_warp, 1, 32, 0, stream, device(32, nullptr));
    expect_fault("half_a_warp: deadlock");
}
END_TEST

START_TEST(unwritten_memory_is_nan)
{
    float *data = device(32, nullptr);

    ck_assert_float_nan(host(data, 32)[7]);
    CUDA_LAUNCH(use_unwritten, 1, 32, 32 * sizeof(float), stream, data);
    ck_assert_float_nan(host(data, 32)[31]);
}
END_TEST

START_TEST(wrong_launches_and_copies_are_errors)
{
    float *data = device(32, nullptr), value = 0;

    CUDA_LAUNCH(use_unwritten, 1, 1025, 0, stream, data);
    ck_assert_int_eq(cudaGetLastError(), cudaErrorInvalidConfiguration);
    CUDA_LAUNCH(use_unwritten, 1, 32, 49 << 10, stream, data);
    ck_assert_int_eq(cudaGetLastError(), cudaErrorInvalidConfiguration);
    ck_assert_int_eq(cudaGetLastError(), cudaSuccess); /* not sticky */
    ck_assert_int_eq(cudaMemcpyAsync(data + 32, &value, 4, cudaMemcpyHostToDevice, stream),
                     cudaErrorInvalidValue);
    ck_assert_int_eq(cudaFree(&value), cudaErrorInvalidValue);
}
END_TEST

#if !defined __SANITIZE_ADDRESS__
START_TEST(a_write_past_shared_memory_is_a_fault)
{
    CUDA_LAUNCH(past_shared, 1, 32, 32 * sizeof(float), stream, device(32, nullptr), _i ? 32 : -1);
    expect_fault("outside of the 128 bytes of shared memory");
}
END_TEST

START_TEST(a_write_past_a_buffer_is_a_fault)
{
    float *data = device(32, nullptr);

    CUDA_LAUNCH(past_buffer, 1, 32, 0, stream, data, _i ? 32 : -1);
    ck_assert_int_ne(cudaFree(data), cudaSuccess);
    expect_fault("outside of a buffer of 128 bytes");
}
END_TEST
#else
/* AddressSanitizer ends the process at the write itself. */
START_TEST(a_write_past_shared_memory_is_a_fault)
{
    CUDA_LAUNCH(past_shared, 1, 32, 32 * sizeof(float), stream, device(32, nullptr), _i ? 32 : -1);
    (void)cudaStreamSynchronize(stream);
}
END_TEST

START_TEST(a_write_past_a_buffer_is_a_fault)
{
    CUDA_LAUNCH(past_buffer, 1, 32, 0, stream, device(32, nullptr), _i ? 32 : -1);
    (void)cudaStreamSynchronize(stream);
}
END_TEST
#endif

int main()
{
    Suite *suite = suite_create("emu");
    TCase *tests = tcase_create("emu");
    SRunner *runner = srunner_create(suite);

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, sums_through_shared_memory_and_shuffles);
    tcase_add_test(tests, votes_count_all_lanes_and_all_threads);
    tcase_add_test(tests, every_thread_of_every_block_runs_once);
    tcase_add_test(tests, a_warp_orders_its_own_memory);
#if defined __SANITIZE_THREAD__
    tcase_add_test(tests, races_are_named_in_every_order);
#else
    tcase_add_test(tests, a_missing_barrier_shows_as_nan);
    tcase_add_test(tests, a_race_gives_other_results_in_another_order);
#endif
    tcase_add_test(tests, whoever_does_not_wait_reads_old_values);
    tcase_add_test(tests, divergent_barriers_are_a_fault);
    tcase_add_test(tests, a_thread_that_leaves_before_a_barrier_is_a_fault);
    tcase_add_test(tests, a_shuffle_without_its_lanes_is_a_fault);
    tcase_add_test(tests, unwritten_memory_is_nan);
    tcase_add_test(tests, wrong_launches_and_copies_are_errors);
#if defined __SANITIZE_ADDRESS__
    tcase_add_loop_exit_test(tests, a_write_past_shared_memory_is_a_fault, 1, 0, 2);
    tcase_add_loop_exit_test(tests, a_write_past_a_buffer_is_a_fault, 1, 0, 2);
#else
    tcase_add_loop_test(tests, a_write_past_shared_memory_is_a_fault, 0, 2);
    tcase_add_loop_test(tests, a_write_past_a_buffer_is_a_fault, 0, 2);
#endif
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
