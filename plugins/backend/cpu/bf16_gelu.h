/* GELU and its slope for results that become BF16, of which half a unit is 2e-3: to 2e-4 of the
 * larger of |x| and 1, in half the time of fastmath.h. */
#ifndef MGPT_CPU_BF16_GELU_H
#define MGPT_CPU_BF16_GELU_H

#include <immintrin.h>

#include "ops.h"

/* exp(-x^2 / 2) = 2^y: 2 to the fraction of y by a polynomial, then the exponent. */
CPU_INLINE __m512 bf16_bell(__m512 x)
{
    __m512 y = _mm512_mul_ps(_mm512_mul_ps(x, x), _mm512_set1_ps(-0.72134752f));
    __m512 r = _mm512_reduce_ps(y, _MM_FROUND_TO_NEG_INF), p = _mm512_set1_ps(0.0136703095f);

    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.0517449978f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.241604357f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.692972922f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.00000349f));
    return _mm512_scalef_ps(p, y);
}

/* Phi(-|x|) = bell * polynomial of t = 1 / (1 + p |x|): Abramowitz and Stegun 7.1.26 */
CPU_INLINE __m512 bf16_tail(__m512 size, __m512 bell)
{
    __m512 t =
        _mm512_rcp14_ps(_mm512_fmadd_ps(size, _mm512_set1_ps(0.23164189f), _mm512_set1_ps(1.0f)));
    __m512 tail = _mm512_set1_ps(0.5307027145f);

    tail = _mm512_fmadd_ps(tail, t, _mm512_set1_ps(-0.7265760135f));
    tail = _mm512_fmadd_ps(tail, t, _mm512_set1_ps(0.7107068705f));
    tail = _mm512_fmadd_ps(tail, t, _mm512_set1_ps(-0.142248368f));
    tail = _mm512_fmadd_ps(tail, t, _mm512_set1_ps(0.127414796f));
    return _mm512_mul_ps(tail, _mm512_mul_ps(t, bell));
}

/* x Phi(x) = max(x, 0) - |x| Phi(-|x|) */
CPU_INLINE __m512 bf16_gelu(__m512 x)
{
    __m512 size = _mm512_abs_ps(x), positive = _mm512_max_ps(x, _mm512_setzero_ps());

    return _mm512_fnmadd_ps(size, bf16_tail(size, bf16_bell(x)), positive);
}

/* Phi(x) + x phi(x) */
CPU_INLINE __m512 bf16_gelu_slope(__m512 x)
{
    __m512 bell = bf16_bell(x), tail = bf16_tail(_mm512_abs_ps(x), bell);
    __mmask16 positive = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ);
    __m512 phi = _mm512_mul_ps(bell, _mm512_set1_ps(0.39894228f));

    tail = _mm512_mask_sub_ps(tail, positive, _mm512_set1_ps(1.0f), tail);
    return _mm512_fmadd_ps(x, phi, tail);
}

#endif
