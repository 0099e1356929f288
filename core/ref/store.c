/* Storage formats: to double, which holds every value of every format, and back. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref/ops.h"

/* A 16-bit float: sign, exponent, then `fraction` bits. */
struct small {
    int fraction; /* bits stored: 10 or 7 */
    int lowest;   /* exponent of the smallest normal number: -14 or -126 */
};

static const struct small F16 = {10, -14}, BF16 = {7, -126};

static double small_load(struct small f, uint16_t bits)
{
    int ones = (1 << (15 - f.fraction)) - 1; /* an exponent of ones: not finite */
    int exponent = bits >> f.fraction & ones, fraction = bits & ((1 << f.fraction) - 1);
    double x;

    if (exponent == ones)
        x = fraction ? NAN : INFINITY;
    else if (exponent == 0)
        x = ldexp(fraction, f.lowest - f.fraction);
    else
        x = ldexp(fraction + (1 << f.fraction), exponent - 1 + f.lowest - f.fraction);
    return bits >> 15 ? -x : x;
}

/* |x| in units of the last place of its exponent, rounded once, is the fraction with its leading
 * one; that and the exponent are added, so that a carry out of the fraction lands where it belongs.
 */
static uint16_t small_store(struct small f, double x)
{
    uint16_t sign = signbit(x) ? 0x8000 : 0;
    int ones = (1 << (15 - f.fraction)) - 1, exponent;
    long bits;

    if (isnan(x))
        return (uint16_t)(sign | ones << f.fraction | 1 << (f.fraction - 1));
    x = fabs(x);
    if (!(x < 1e39)) /* beyond both formats, and beyond what lrint takes */
        return (uint16_t)(sign | ones << f.fraction);
    exponent = x > 0 ? ilogb(x) : f.lowest;
    exponent = exponent > f.lowest ? exponent : f.lowest;
    bits = lrint(ldexp(x, f.fraction - exponent)) + ((long)(exponent - f.lowest) << f.fraction);
    return (uint16_t)(sign | (bits < (long)ones << f.fraction ? bits : (long)ones << f.fraction));
}

void mgpt_ref_load(uint32_t dtype, const void *from, double *to, int64_t n)
{
    const float *f32 = from;
    const uint16_t *u16 = from;

    if (dtype == MGPT_F64)
        memcpy(to, from, (size_t)n * sizeof *to);
    else if (dtype == MGPT_F32)
        for (int64_t i = 0; i < n; i++)
            to[i] = (double)f32[i];
    else
        for (int64_t i = 0; i < n; i++)
            to[i] = small_load(dtype == MGPT_F16 ? F16 : BF16, u16[i]);
}

void mgpt_ref_store(uint32_t dtype, const double *from, void *to, int64_t n)
{
    float *f32 = to;
    uint16_t *u16 = to;

    if (dtype == MGPT_F64)
        memcpy(to, from, (size_t)n * sizeof *from);
    else if (dtype == MGPT_F32)
        for (int64_t i = 0; i < n; i++)
            f32[i] = (float)from[i];
    else
        for (int64_t i = 0; i < n; i++)
            u16[i] = small_store(dtype == MGPT_F16 ? F16 : BF16, from[i]);
}

double mgpt_ref_round(uint32_t dtype, double x)
{
    if (dtype != MGPT_F16 && dtype != MGPT_BF16)
        return x;
    struct small f = dtype == MGPT_F16 ? F16 : BF16;
    return small_load(f, small_store(f, x));
}

/* Half a unit of the tenth bit is added to the magnitude, then the 13 bits below it go. A carry
 * moves into the exponent, where it belongs, up to infinity. */
double mgpt_ref_round_tf32(double x)
{
    float f = (float)x;
    uint32_t bits;

    if (!isfinite(f))
        return x;
    memcpy(&bits, &f, sizeof bits);
    bits = (bits + 0x1000u) & ~0x1fffu;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

double *mgpt_ref_operand(const struct mgpt_op *op, const struct mgpt_tensor *t, const double *x,
                         struct mgpt_error *error)
{
    uint32_t dtype = op->in[0].dtype;
    bool tf32 = dtype == MGPT_F32 && op->flags & MGPT_OP_TF32, other = dtype != t->dtype;
    int64_t n = mgpt_tensor_count(t);
    double *copy = malloc((size_t)n * sizeof *copy);

    if (!copy) {
        mgpt_fail(error, MGPT_NOMEM, "%s: out of memory for %lld values", mgpt_op_name(op->code),
                  (long long)n);
        return NULL;
    }
    if (!tf32 && !other)
        memcpy(copy, x, (size_t)n * sizeof *copy);
    for (int64_t i = 0; i < n && (tf32 || other); i++)
        copy[i] = tf32 ? mgpt_ref_round_tf32(x[i]) : mgpt_ref_round(dtype, x[i]);
    return copy;
}
