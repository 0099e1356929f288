/* The inner loop of products of BF16, two steps of the depth at a time:
 *
 *   sum[r][j] = start[r][j] + sum over l of a[r][2l] b[2l][j] + a[r][2l+1] b[2l+1][j]
 *
 * for BF16_MR rows and BF16_NR columns. Both factors come in pairs along the depth, side by side in
 * 32 bits: VDPBF16PS adds two products to each of 16 sums, counts subnormals as zero and rounds to
 * nearest even after each. b is a packed panel, [pairs][BF16_NR][2]. */
#ifndef MGPT_CPU_BF16_KERNEL_H
#define MGPT_CPU_BF16_KERNEL_H

#include <immintrin.h>
#include <string.h>

#include "mixed.h"

#define BF16_MR 8
#define BF16_NR 32
#define BF16_TILE (BF16_MR * BF16_NR)

struct bf16_kernel {
    int64_t pairs;
    const uint16_t *a;
    int64_t a_row, a_pair; /* from a row, a pair, to the next, in elements */
    const uint16_t *b;
    const float *start; /* NULL: 0 */
    int64_t ld_start;
    float *c;
    int64_t ldc;
};

/* `rows` is a constant wherever this is inlined, and so should one of a's strides be. */
CPU_INLINE void bf16_kernel_rows(const int rows, const struct bf16_kernel *k, int64_t a_row,
                                 int64_t a_pair)
{
    __m512 sum[BF16_MR][2];
    const uint16_t *a = k->a, *b = k->b;

#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        sum[r][0] = k->start ? _mm512_loadu_ps(k->start + r * k->ld_start) : _mm512_setzero_ps();
        sum[r][1] =
            k->start ? _mm512_loadu_ps(k->start + r * k->ld_start + 16) : _mm512_setzero_ps();
    }
    for (int64_t l = 0; l < k->pairs; l++, a += a_pair, b += 2 * BF16_NR) {
        const __m512bh b0 = (__m512bh)_mm512_loadu_si512(b);
        const __m512bh b1 = (__m512bh)_mm512_loadu_si512(b + BF16_NR);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            int32_t pair;
            memcpy(&pair, a + r * a_row, sizeof pair);
            const __m512bh both = (__m512bh)_mm512_set1_epi32(pair);
            sum[r][0] = _mm512_dpbf16_ps(sum[r][0], both, b0);
            sum[r][1] = _mm512_dpbf16_ps(sum[r][1], both, b1);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        _mm512_storeu_ps(k->c + r * k->ldc, sum[r][0]);
        _mm512_storeu_ps(k->c + r * k->ldc + 16, sum[r][1]);
    }
}

/* rows 1..BF16_MR, all columns. */
CPU_INLINE void bf16_kernel_run(int64_t rows, const struct bf16_kernel *k, int64_t a_row,
                                int64_t a_pair)
{
    switch (rows) {
    case 1: bf16_kernel_rows(1, k, a_row, a_pair); break;
    case 2: bf16_kernel_rows(2, k, a_row, a_pair); break;
    case 3: bf16_kernel_rows(3, k, a_row, a_pair); break;
    case 4: bf16_kernel_rows(4, k, a_row, a_pair); break;
    case 5: bf16_kernel_rows(5, k, a_row, a_pair); break;
    case 6: bf16_kernel_rows(6, k, a_row, a_pair); break;
    case 7: bf16_kernel_rows(7, k, a_row, a_pair); break;
    default: bf16_kernel_rows(BF16_MR, k, a_row, a_pair); break;
    }
}

/* ---- into BF16, and into pairs ---- */

CPU_INLINE __mmask16 bf16_first(int64_t n)
{
    return (__mmask16)(n >= 16 ? 0xffff : (1u << n) - 1);
}

/* n <= 32 floats (those past them 0) as BF16 in their order. */
CPU_INLINE __m512i bf16_from_floats(const float *x, int64_t n)
{
    __m512 low = _mm512_maskz_loadu_ps(bf16_first(n), x);
    __m512 high = n > 16 ? _mm512_maskz_loadu_ps(bf16_first(n - 16), x + 16) : _mm512_setzero_ps();

    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* Two rows of 16, the first in the lower half, as 16 pairs. */
CPU_INLINE __m512i bf16_interleave(__m512i rows)
{
    static const uint16_t order[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                       21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                       11, 27, 12, 28, 13, 29, 14, 30, 15, 31};

    return _mm512_permutexvar_epi16(_mm512_loadu_si512(order), rows);
}

/* 16 columns of two rows, the elements from `at` and from at + ld on, as pairs. */
CPU_INLINE __m512i bf16_pairs(const struct cpu_mixed *x, int64_t ld, int64_t at)
{
    __m256i low, high;

    if (x->f32)
        return bf16_interleave((__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(x->f32 + at + ld),
                                                            _mm512_loadu_ps(x->f32 + at)));
    low = _mm256_loadu_si256((const void *)(x->bf16 + at));
    high = _mm256_loadu_si256((const void *)(x->bf16 + at + ld));
    return bf16_interleave(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
}

/* The first n of these columns, the others 0; without a second row that is 0, too. */
CPU_INLINE __m512i bf16_some_pairs(const struct cpu_mixed *x, int64_t ld, int64_t at, int64_t n,
                                   int second)
{
    const __mmask16 one = bf16_first(n), two = second ? one : 0;
    __m256i low, high;

    if (x->f32)
        return bf16_interleave((__m512i)_mm512_cvtne2ps_pbh(
            _mm512_maskz_loadu_ps(two, x->f32 + at + ld), _mm512_maskz_loadu_ps(one, x->f32 + at)));
    low = _mm256_maskz_loadu_epi16(one, x->bf16 + at);
    high = _mm256_maskz_loadu_epi16(two, x->bf16 + at + ld);
    return bf16_interleave(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
}

#endif
