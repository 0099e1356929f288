/* The functions of ptx.cuh on the processor; what they do is said there. */
#ifndef EMU_PTX_H
#define EMU_PTX_H

#include "cuda_runtime.h"

static inline uint32_t bits_of_float(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float float_of_bits(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- formats: to nearest, ties to even ---- */

static inline uint16_t bf16_bits(float value)
{
    uint32_t bits = bits_of_float(value);

    if (std::isnan(value))
        return 0x7fff;
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Ties away from zero. */
static inline float tf32_float(float value)
{
    return std::isfinite(value) ? float_of_bits((bits_of_float(value) + 0x1000) & ~0x1fffu) : value;
}

/* Sign, 5 bits of exponent, 10 of fraction: as those of an F32, whose exponent is larger by 112. */
static inline float f16_float(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16, rest = (uint32_t)(bits & 0x7fff) << 13;

    if (rest >= 0x0f800000) /* not finite */
        return float_of_bits(sign | 0x7f800000 | rest);
    return float_of_bits(sign | bits_of_float(float_of_bits(rest) * 0x1p112f));
}

uint16_t f16_bits(float value);

static inline uint32_t bf16_pair(float low, float high)
{
    return (uint32_t)bf16_bits(high) << 16 | bf16_bits(low);
}

static inline uint32_t f16_pair(float low, float high)
{
    return (uint32_t)f16_bits(high) << 16 | f16_bits(low);
}

static inline float power_of_2(float x)
{
    return std::exp2(x);
}

/* ---- memory ---- */

/* Of a function that waits for its warp: where it was called. */
#define EMU_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

void emu_load_matrices(uint32_t to[4], const void *row, bool transposed, const char *file,
                       int line);
/* All groups of this thread but the last `left`. */
void emu_copies_wait(int left);
void copy_async(void *shared, const void *global, EMU_HERE);
void copies_commit(void);

static inline void load_matrices(uint32_t to[4], const void *row, EMU_HERE)
{
    emu_load_matrices(to, row, false, file, line);
}

static inline void load_transposed(uint32_t to[4], const void *row, EMU_HERE)
{
    emu_load_matrices(to, row, true, file, line);
}

template <int LEFT> static inline void copies_wait(void)
{
    emu_copies_wait(LEFT);
}

/* ---- products ---- */

/* M x N of them, with one exchange: d[i][j] starts at d + 4 (i N + j), and so on. */
void emu_multiply(int bits, uint32_t format, int m, int n, float *d, const uint32_t *a,
                  const uint32_t *b, const char *file, int line);

template <int BITS, int M, int N>
static inline void multiply(uint32_t format, float d[M][N][4], const uint32_t a[M][4],
                            const uint32_t b[N][2], EMU_HERE)
{
    emu_multiply(BITS, format, M, N, &d[0][0][0], &a[0][0], &b[0][0], file, line);
}

#endif
