/* What instructions do: conversions, copies that take their time, and products of a warp. */
#include "ptx.h"

#include <microgpt/tensor.h>

#include "cuda_runtime_api.h"
#include "fibres.h"
#include "ops.h"

/* The smallest exponent of an F16 is -14. */
uint16_t f16_bits(float value)
{
    uint16_t sign = std::signbit(value) ? 0x8000 : 0;
    float size = std::fabs(value);
    int exponent;
    long bits;

    if (std::isnan(value))
        return 0x7fff;
    if (!(size < 65536))
        return sign | 0x7c00;
    exponent = size > 0 ? std::ilogb(size) : -14;
    exponent = exponent > -14 ? exponent : -14;
    /* in units of the last place; a carry out of the fraction lands in the exponent */
    bits = std::lrint(std::ldexp(size, 10 - exponent)) + ((long)(exponent + 14) << 10);
    return (uint16_t)(sign | bits);
}

/* ---- copies from global to shared memory ----
 *
 * Until somebody waits for it the copy has not been made, and its place is full of NaN: so a
 * missing wait is seen, and a copy that is asked for too early, too. */

static bool aligned(const void *at)
{
    return (uintptr_t)at % 16 == 0;
}

void copy_async(void *shared, const void *global, const char *file, int line)
{
    if (!aligned(shared) || !aligned(global))
        emu_fault("%s:%d: a copy between addresses that are no multiples of 16", file, line);
    memset(shared, 0xff, 16);
    emu_now->copies.push_back({shared, global});
}

void copies_commit(void)
{
    emu_now->groups.push_back(emu_now->copies.size());
}

void emu_copies_wait(int left)
{
    std::vector<emu_copy> &copies = emu_now->copies;
    std::vector<size_t> &groups = emu_now->groups; /* copies up to the end of each */

    if (groups.size() <= (size_t)left)
        return;
    size_t done = groups[groups.size() - (size_t)left - 1];
    for (size_t i = 0; i < done; i++)
        memcpy(copies[i].shared, copies[i].global, 16);
    copies.erase(copies.begin(), copies.begin() + (long)done);
    groups.erase(groups.begin(), groups.end() - left);
    for (size_t &end : groups)
        end -= done;
}

/* ---- exchanges of a warp ---- */

#define LANES 32

void emu_load_matrices(uint32_t to[4], const void *row, bool transposed, const char *file, int line)
{
    const void *shown[LANES];
    const char *rows[LANES];

    if (!aligned(row))
        emu_fault("%s:%d: a row of a matrix at an address that is no multiple of 16", file, line);
    emu_gather(&row, sizeof row, shown, file, line);
    for (unsigned lane = 0; lane < LANES; lane++)
        memcpy(&rows[lane], shown[lane], sizeof rows[lane]);
    for (unsigned i = 0; i < 4; i++) {
        unsigned g = emu_now->lane / 4, t = emu_now->lane % 4;
        if (transposed) {
            uint16_t low, high;
            memcpy(&low, rows[8 * i + 2 * t] + 2 * g, sizeof low);
            memcpy(&high, rows[8 * i + 2 * t + 1] + 2 * g, sizeof high);
            to[i] = (uint32_t)high << 16 | low;
        } else {
            memcpy(&to[i], rows[8 * i + g] + 4 * t, sizeof to[i]);
        }
    }
}

/* The values in a register of an operand: two of 16 bits, or one whose lower bits do not count. */
static int unpack(uint32_t format, uint32_t bits, float to[2])
{
    if (format == CUDA_TF32) {
        to[0] = float_of_bits(bits & ~0x1fffu);
        return 1;
    }
    for (int half = 0; half < 2; half++) {
        uint16_t x = (uint16_t)(half ? bits >> 16 : bits);
        to[half] = format == MGPT_BF16 ? float_of_bits((uint32_t)x << 16) : f16_float(x);
    }
    return 2;
}

/* Row g of a fragment of a, or column g of one of b: its registers are those of four neighbouring
 * lanes, `each` apart from part to part. */
static int unpack_row(uint32_t format, const void *const lanes[], size_t at, size_t each,
                      unsigned g, float row[16])
{
    int values = 1;

    for (unsigned part = 0; part < 2; part++)
        for (unsigned t = 0; t < 4; t++) {
            uint32_t bits = static_cast<const uint32_t *>(lanes[4 * g + t])[at + part * each];
            values = unpack(format, bits, row + (unsigned)values * (4 * part + t));
        }
    return 8 * values;
}

/* Tensor cores would leave out the lower bits of TF32, which is not how it is rounded. */
static void check_rounded(const uint32_t *bits, size_t n, const char *file, int line)
{
    for (size_t i = 0; i < n; i++)
        if (bits[i] & 0x1fff && std::isfinite(float_of_bits(bits[i])))
            emu_fault("%s:%d: an operand of a product is not rounded to TF32: %a", file, line,
                      (double)float_of_bits(bits[i]));
}

#define MOST 16 /* fragments of an operand in one call */

void emu_multiply(int bits, uint32_t format, int m, int n, float *d, const uint32_t *a,
                  const uint32_t *b, const char *file, int line)
{
    uint32_t mine[MOST * 6]; /* m fragments of a, n of b */
    const void *lanes[LANES];
    size_t size_a = 4 * (size_t)m, size_b = 2 * (size_t)n;
    unsigned g = emu_now->lane / 4, t = emu_now->lane % 4;

    memcpy(mine, a, size_a * sizeof *mine);
    memcpy(mine + size_a, b, size_b * sizeof *mine);
    if (bits == 32) {
        format = CUDA_TF32;
        check_rounded(mine, size_a + size_b, file, line);
    }
    if (emu_now->lane == 0)
        emu_counters.tensor++;
    emu_gather(mine, (size_a + size_b) * sizeof *mine, lanes, file, line);
    for (int j = 0; j < n; j++) {
        float columns[2][16];
        for (unsigned c = 0; c < 2; c++)
            unpack_row(format, lanes, size_a + 2 * (size_t)j, 1, 2 * t + c, columns[c]);
        for (int i = 0; i < m; i++)
            for (int r = 0; r < 2; r++) {
                float row[16];
                int terms = unpack_row(format, lanes, 4 * (size_t)i + (size_t)r, 2, g, row);
                for (int c = 0; c < 2; c++)
                    for (int k = 0; k < terms; k++)
                        d[4 * (i * n + j) + 2 * r + c] += row[k] * columns[c][k];
            }
    }
}
