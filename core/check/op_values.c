/* The data of cases: random numbers, formats, comparison. */
#include <config.h>

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "check/check.h"
#include "check/op_cases.h"
#include "ref/ops.h"

uint64_t mgpt_op_case_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

double mgpt_op_case_uniform(uint64_t *state, double low, double high)
{
    return low + (high - low) * ((double)(mgpt_op_case_random(state) >> 11) * 0x1p-53);
}

static void *convert(const struct mgpt_tensor *from, const void *data, struct mgpt_tensor *to)
{
    int64_t n = mgpt_tensor_count(from);
    void *copy = malloc(mgpt_tensor_bytes(to));
    double *values = malloc((size_t)n * sizeof *values);

    if (!copy || !values)
        abort();
    if (mgpt_dtype_is_float(from->dtype)) {
        mgpt_ref_load(from->dtype, data, values, n);
        mgpt_ref_store(to->dtype, values, copy, n);
    } else {
        memcpy(copy, data, mgpt_tensor_bytes(from));
    }
    free(values);
    return copy;
}

static uint32_t converted(uint32_t from, uint32_t to)
{
    return mgpt_dtype_is_float(from) && to ? to : from;
}

void mgpt_op_case_convert(const struct mgpt_op_case *from, uint32_t dtype, struct mgpt_op_case *to)
{
    *to = *from;
    for (int i = 0; i < MGPT_OP_MAX_IN; i++)
        if (from->in[i]) {
            to->op.in[i].dtype = converted(from->op.in[i].dtype, dtype);
            to->in[i] = convert(&from->op.in[i], from->in[i], &to->op.in[i]);
        }
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        if (from->out[i]) {
            to->op.out[i].dtype = converted(from->op.out[i].dtype, dtype);
            to->out[i] = from->alias[i] >= 0
                             ? to->in[from->alias[i]]
                             : convert(&from->op.out[i], from->out[i], &to->op.out[i]);
        }
}

void mgpt_op_case_finish(struct mgpt_op_case *c)
{
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        if (c->alias[i] < 0)
            free(c->out[i]);
    for (int i = 0; i < MGPT_OP_MAX_IN; i++)
        free(c->in[i]);
}

/* ---- comparison ---- */

/* Rounding of one operation in the format, times what a sum of some hundred such may lose. */
static double tolerance(uint32_t dtype)
{
    switch (dtype) {
    case MGPT_F64: return 0x1p-52 * 64;
    case MGPT_F16: return 0x1p-10 * 2;
    case MGPT_BF16: return 0x1p-7 * 2;
    default: return 0x1p-23 * 32;
    }
}

static void compare_floats(const char *label, int slot, const double *want, const double *got,
                           int64_t n, double relative)
{
    double magnitude = 1;

    for (int64_t i = 0; i < n; i++)
        magnitude = fmax(magnitude, fabs(want[i]));
    for (int64_t i = 0; i < n; i++)
        check_that(fabs(got[i] - want[i]) <= relative * magnitude,
                   "%s: output %d element %lld is %.9g, expected %.9g (largest %.3g)", label, slot,
                   (long long)i, got[i], want[i], magnitude);
}

static int close_enough(double got, double want, double relative)
{
    return got == want || fabs(got - want) <= relative * fmax(1, fabs(want));
}

static void compare_states(const char *label, const struct mgpt_step_state *want,
                           const struct mgpt_step_state *got, double relative)
{
    int same = got->step == want->step && got->nonfinite == want->nonfinite &&
               got->good == want->good && got->skipped == want->skipped &&
               close_enough(got->loss_scale, want->loss_scale, 0) &&
               close_enough(got->inv_targets, want->inv_targets, 0);

    check_that(same, "%s: a count of the step state differs", label);
    if (isfinite(want->loss))
        check_that(close_enough(got->loss, want->loss, relative), "%s: loss %.9g, expected %.9g",
                   label, got->loss, want->loss);
    if (!want->nonfinite)
        check_that(close_enough(got->grad_norm, want->grad_norm, relative) &&
                       close_enough(got->grad_scale, want->grad_scale, relative),
                   "%s: norm %.9g scale %.9g, expected %.9g %.9g", label, got->grad_norm,
                   got->grad_scale, want->grad_norm, want->grad_scale);
}

void mgpt_op_case_compare(const struct mgpt_op_case *want, const struct mgpt_op_case *got,
                          uint32_t dtype)
{
    struct mgpt_op_case expected, values;

    mgpt_op_case_convert(want, MGPT_F64, &expected);
    mgpt_op_case_convert(got, MGPT_F64, &values);
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++) {
        const struct mgpt_tensor *t = &got->op.out[i];
        if (want->out[i] && t->dtype == MGPT_U8)
            compare_states(want->label, want->out[i], got->out[i], tolerance(MGPT_F32));
        else if (want->out[i])
            compare_floats(want->label, i, expected.out[i], values.out[i], mgpt_tensor_count(t),
                           tolerance(dtype ? dtype : t->dtype));
    }
    mgpt_op_case_finish(&values);
    mgpt_op_case_finish(&expected);
}
