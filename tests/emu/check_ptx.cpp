/* The functions of ptx.cuh as the emulation has them: which lane has what, as the PTX ISA says it,
 * sizes and rounding; and what a kernel may not do with them is caught. */
#include <check.h>
#include <cstdlib>
#include <vector>

#include "fibres.h"
#include "ptx.cuh"

/* What step micro_cuda has of it for itself, where no device compiles it. */
#define __forceinline__ inline
namespace micro
{
constexpr int FORMAT = 3;
constexpr bool W_HERE = false;
#include "../../plugins/step/micro_cuda/device.cu"

#include "../../plugins/step/micro_cuda/format.cu"
} // namespace micro

namespace
{

cudaStream_t stream;

void setup()
{
    emu_forget_fault();
    emu_set_order(EMU_RANDOM, 1);
    ck_assert_int_eq(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
}

void teardown()
{
    (void)cudaStreamDestroy(stream);
}

/* Kernels write where the test reads: there is one memory. */
template <class T> T *device(size_t n)
{
    void *data = nullptr;

    ck_assert_int_eq(cudaMalloc(&data, n * sizeof(T)), cudaSuccess);
    return static_cast<T *>(data);
}

void expect_fault(const char *text)
{
    ck_assert_int_ne(cudaStreamSynchronize(stream), cudaSuccess);
    ck_assert_msg(strstr(emu_fault_text(), text), "\"%s\" does not say \"%s\"", emu_fault_text(),
                  text);
}

/* Small whole numbers, which every format has, and whose products add up exactly. */
float value(int row, int column)
{
    return (float)((row * 7 + column * 5) % 17 - 8);
}

uint32_t bits_in(uint32_t format, float low, float high)
{
    return format == CUDA_TF32   ? bits_of_float(low)
           : format == MGPT_BF16 ? bf16_pair(low, high)
                                 : f16_pair(low, high);
}

/* d (16,8) = a (16,k) b (k,8), with a[i][l] = value(i, l) and b[l][j] = value(l, j + 3). */
__global__ void product(uint32_t format, float *d)
{
    int g = (int)threadIdx.x / 4, t = (int)threadIdx.x % 4, each = format == CUDA_TF32 ? 1 : 2;
    uint32_t a[1][4], b[1][2];
    float sum[1][1][4] = {{{1, 1, 1, 1}}};

    for (int r = 0; r < 4; r++) {
        int i = g + r % 2 * 8, l = each * t + r / 2 * 4 * each;
        a[0][r] = bits_in(format, value(i, l), value(i, l + 1));
    }
    for (int r = 0; r < 2; r++) {
        int l = each * t + r * 4 * each;
        b[0][r] = bits_in(format, value(l, g + 3), value(l + 1, g + 3));
    }
    if (format == CUDA_TF32)
        multiply<32, 1, 1>(format, sum, a, b);
    else
        multiply<16, 1, 1>(format, sum, a, b);
    for (int r = 0; r < 4; r++)
        d[(g + r / 2 * 8) * 8 + 2 * t + r % 2] = sum[0][0][r];
}

/* What each lane gets of four matrices, whose element (i,j) of m is 64 m + 8 i + j. */
__global__ void matrices(int transposed, uint32_t *out)
{
    CUDA_SHARED(uint16_t, tile);
    uint32_t got[4];

    for (unsigned i = threadIdx.x; i < 256; i += 32)
        tile[i] = (uint16_t)i;
    __syncthreads();
    if (transposed)
        load_transposed(got, tile + threadIdx.x * 8);
    else
        load_matrices(got, tile + threadIdx.x * 8);
    for (int m = 0; m < 4; m++)
        out[threadIdx.x * 4 + (unsigned)m] = got[m];
}

/* A thread copies two groups of 4 floats, and waits for all but `left` of them. */
__global__ void copies(const float *x, float *y, int left)
{
    CUDA_SHARED(float, tile);

    for (int group = 0; group < 2; group++) {
        copy_async(tile + 4 * group, x + 4 * group);
        copies_commit();
    }
    if (left == 0)
        copies_wait<0>();
    if (left == 1)
        copies_wait<1>();
    for (int i = 0; i < 8; i++)
        y[i] = tile[i];
    if (left == 1)
        copies_wait<0>();
}

__global__ void crooked(const float *x, int what)
{
    CUDA_SHARED(float, tile);
    uint32_t got[4];

    if (what == 0)
        copy_async(tile + 1, x);
    else
        load_matrices(got, tile + 2);
    copies_commit();
    copies_wait<0>();
}

} // namespace

START_TEST(products_have_the_lanes_of_the_isa)
{
    const uint32_t formats[] = {MGPT_BF16, MGPT_F16, CUDA_TF32};
    float *d = device<float>(16 * 8);

    for (uint32_t format : formats) {
        int terms = format == CUDA_TF32 ? 8 : 16;
        CUDA_LAUNCH(product, 1, 32, 0, stream, format, d);
        ck_assert_int_eq(cudaStreamSynchronize(stream), cudaSuccess);
        for (int i = 0; i < 16; i++)
            for (int j = 0; j < 8; j++) {
                float sum = 1;
                for (int l = 0; l < terms; l++)
                    sum += value(i, l) * value(l, j + 3);
                ck_assert_float_eq(d[i * 8 + j], sum);
            }
    }
    ck_assert_int_eq(cudaFree(d), cudaSuccess);
}
END_TEST

START_TEST(matrices_come_as_rows_or_columns)
{
    uint32_t *out = device<uint32_t>(32 * 4);

    for (int transposed = 0; transposed < 2; transposed++) {
        CUDA_LAUNCH(matrices, 1, 32, 512, stream, transposed, out);
        ck_assert_int_eq(cudaStreamSynchronize(stream), cudaSuccess);
        for (unsigned lane = 0; lane < 32; lane++)
            for (unsigned m = 0; m < 4; m++) {
                unsigned g = lane / 4, t = lane % 4 * 2;
                unsigned low = transposed ? 8 * t + g : 8 * g + t, next = transposed ? 8 : 1;
                ck_assert_uint_eq(out[lane * 4 + m], (64 * m + low + next) << 16 | (64 * m + low));
            }
    }
    ck_assert_int_eq(cudaFree(out), cudaSuccess);
}
END_TEST

START_TEST(a_copy_is_nan_until_it_is_waited_for)
{
    float *x = device<float>(8), *y = device<float>(8);

    for (int i = 0; i < 8; i++)
        x[i] = (float)i;
    CUDA_LAUNCH(copies, 1, 1, 64, stream, x, y, 0);
    ck_assert_int_eq(cudaStreamSynchronize(stream), cudaSuccess);
    for (int i = 0; i < 8; i++)
        ck_assert_float_eq(y[i], (float)i);
    CUDA_LAUNCH(copies, 1, 1, 64, stream, x, y, 1);
    ck_assert_int_eq(cudaStreamSynchronize(stream), cudaSuccess);
    for (int i = 0; i < 4; i++) {
        ck_assert_float_eq(y[i], (float)i);
        ck_assert_float_nan(y[i + 4]);
    }
    CUDA_LAUNCH(copies, 1, 1, 64, stream, x, y, 2);
    expect_fault("thread 0 ends and has not waited for its copies");
    emu_forget_fault();
    ck_assert_int_eq(cudaFree(x), cudaSuccess);
    ck_assert_int_eq(cudaFree(y), cudaSuccess);
}
END_TEST

START_TEST(crooked_addresses_are_a_fault)
{
    float *x = device<float>(8);

    CUDA_LAUNCH(crooked, 1, 32, 1024, stream, x, 0);
    expect_fault("a copy between addresses that are no multiples of 16");
    emu_forget_fault();
    teardown();
    setup();
    CUDA_LAUNCH(crooked, 1, 32, 1024, stream, x, 1);
    expect_fault("a row of a matrix at an address that is no multiple of 16");
    emu_forget_fault();
    ck_assert_int_eq(cudaFree(x), cudaSuccess);
}
END_TEST

START_TEST(formats_round_to_nearest_even_and_tf32_away_from_zero)
{
    static const struct {
        float from, bf16, f16, tf32;
    } cases[] = {
        {1 + 0x1p-8f, 1, 1 + 0x1p-8f, 1 + 0x1p-8f},
        {1 + 0x3p-8f, 1 + 0x1p-6f, 1 + 0x3p-8f, 1 + 0x3p-8f},
        {1 + 0x1p-11f, 1, 1, 1 + 0x1p-10f},
        {-1 - 0x1p-11f, -1, -1, -1 - 0x1p-10f},
        {65504, 65536, 65504, 65504},
        {65519, 65536, 65504, 65504},
        {65520, 65536, INFINITY, 65536},
        {0x1p-24f, 0x1p-24f, 0x1p-24f, 0x1p-24f},
        {0x1p-25f, 0x1p-25f, 0, 0x1p-25f},
        {0x3p-25f, 0x3p-25f, 0x1p-23f, 0x3p-25f},
        {0x1p-130f, 0x1p-130f, 0, 0x1p-130f},
        {-INFINITY, -INFINITY, -INFINITY, -INFINITY},
    };

    for (const auto &c : cases) {
        ck_assert_float_eq(float_of_bits((uint32_t)bf16_bits(c.from) << 16), c.bf16);
        ck_assert_float_eq(f16_float(f16_bits(c.from)), c.f16);
        ck_assert_float_eq(tf32_float(c.from), c.tf32);
    }
    ck_assert_float_nan(f16_float(f16_bits(NAN)));
    ck_assert_float_nan(float_of_bits((uint32_t)bf16_bits(NAN) << 16));
    ck_assert_float_nan(tf32_float(NAN));
}
END_TEST

/* All numbers of 16 bits, and one in ten thousand of 32. */
START_TEST(micro_cuda_rounds_the_same)
{
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        const float want = f16_float((uint16_t)bits), got = micro::f16_float((uint16_t)bits);
        ck_assert_msg(bits_of_float(want) == bits_of_float(got), "F16 %#x: %a, expected %a", bits,
                      got, want);
    }
    for (uint64_t i = 0; i < 1ull << 32; i += 9973) {
        const float x = float_of_bits((uint32_t)i);
        const uint16_t f16[] = {f16_bits(x), micro::f16_bits(x)};
        const uint16_t bf16[] = {bf16_bits(x), micro::bf16_bits(x)};
        const uint32_t tf32[] = {bits_of_float(tf32_float(x)),
                                 micro::bits_of(micro::tf32_float(x))};
        ck_assert_msg(f16[0] == f16[1], "%a: F16 %#x, expected %#x", x, f16[1], f16[0]);
        ck_assert_msg(bf16[0] == bf16[1], "%a: BF16 %#x, expected %#x", x, bf16[1], bf16[0]);
        ck_assert_msg(tf32[0] == tf32[1], "%a: TF32 %#x, expected %#x", x, tf32[1], tf32[0]);
    }
}
END_TEST

int main()
{
    Suite *suite = suite_create("ptx");
    TCase *tests = tcase_create("ptx");
    SRunner *runner = srunner_create(suite);

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, products_have_the_lanes_of_the_isa);
    tcase_add_test(tests, matrices_come_as_rows_or_columns);
    tcase_add_test(tests, a_copy_is_nan_until_it_is_waited_for);
    tcase_add_test(tests, crooked_addresses_are_a_fault);
    tcase_add_test(tests, formats_round_to_nearest_even_and_tf32_away_from_zero);
    tcase_add_test(tests, micro_cuda_rounds_the_same);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
