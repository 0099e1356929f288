/* Kind backend: each of its ops against the reference in double, at odd and random sizes. */
#include <config.h>

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "check/device.h"

/* In double, and where 16 bits round operands of products also in the same formats, which is
 * closer. */
static void check_case(const struct mgpt_check_device *o, uint32_t code, int index, uint32_t dtype,
                       int *ran)
{
    struct mgpt_op_case got, exact, same;
    struct mgpt_error refused = {0};

    mgpt_op_case_make(&got, code, index, dtype, mgpt_check_seed);
    if (mgpt_check_device_has(o, &got.op, dtype)) {
        mgpt_op_case_convert(&got, MGPT_F64, &exact);
        mgpt_op_case_convert(&got, 0, &same);
        check_that(mgpt_check_device_run(o, &got, &refused) == MGPT_OK, "%s: %s", got.label,
                   refused.text);
        check_ok(mgpt_ref_run(&exact.op, (const void *const *)exact.in, exact.out, error));
        mgpt_op_case_compare(&exact, &got, dtype);
        check_ok(mgpt_ref_run(&same.op, (const void *const *)same.in, same.out, error));
        mgpt_op_case_compare(&same, &got, 0);
        mgpt_op_case_finish(&same);
        mgpt_op_case_finish(&exact);
        ++*ran;
    }
    mgpt_op_case_finish(&got);
}

/* Every `step`th case, from `first` on. */
static void ops_in(const struct mgpt_check_device *o, uint32_t dtype, int first, int step)
{
    for (uint32_t code = 1; code < MGPT_OP_COUNT; code++) {
        int ran = 0;
        for (int i = first; i < mgpt_op_case_count(code); i += step)
            check_case(o, code, i, dtype, &ran);
        check_case(o, code, OP_CASE_LARGE, dtype, &ran);
        if (!ran)
            mgpt_check_note("no %s in format %" PRIu32, mgpt_op_name(code), dtype);
    }
}

/* All cases in F32, and so many in each other format. */
static void ops_in_all(const struct mgpt_check_device *o, int first, int step)
{
    uint32_t all = mgpt_check_device_formats(o);

    for (uint32_t dtype = MGPT_F32; dtype <= MGPT_BF16; dtype++)
        if (all >> dtype & 1)
            ops_in(o, dtype, dtype == MGPT_F32 ? 0 : first, dtype == MGPT_F32 ? 1 : step);
}

void mgpt_check_ops(const struct mgpt_component *c)
{
    struct mgpt_check_device o = mgpt_check_device_open(c, NULL, NULL);

    ops_in_all(&o, 0, 1);
    mgpt_check_device_close(&o);
}

/* Each choice of each option, where this machine has what it names; with a few cases of 16 bits,
 * others each time (7 divides no count of variants). */
void mgpt_check_choices(const struct mgpt_component *c)
{
    const struct mgpt_backend_api *api = c->api;

    for (uint32_t i = 0; i < c->n_options; i++) {
        const struct mgpt_option *option = mgpt_option_at(c, i);
        for (int k = 0; option->type == MGPT_OPTION_ENUM && option->choices[k]; k++) {
            struct mgpt_check_device o = {.api = api};
            struct mgpt_error said = {0};
            enum mgpt_status status =
                mgpt_check_device_try(&o, c, option->key, option->choices[k], &said);
            check_that(status == MGPT_OK || status == MGPT_UNSUPPORTED, "%s", said.text);
            if (status == MGPT_OK)
                ops_in_all(&o, k, 7);
            mgpt_check_device_close(&o);
        }
    }
}

/* ---- TF32 ---- */

/* A product of 10 bits of mantissa, where the device says so; what it multiplies on the way, such
 * as probabilities, it may round so, too. Returns whether the flag changed anything. */
static bool rounds(const struct mgpt_check_device *o, uint32_t code, int index)
{
    struct mgpt_op_case got, same, plain;
    struct mgpt_error refused = {0};
    bool differs = false;

    mgpt_op_case_make(&got, code, index, MGPT_F32, mgpt_check_seed);
    mgpt_op_case_convert(&got, 0, &plain);
    got.op.flags |= MGPT_OP_TF32;
    mgpt_op_case_convert(&got, 0, &same);
    if (mgpt_check_device_has(o, &got.op, MGPT_F32)) {
        check_that(mgpt_check_device_run(o, &got, &refused) == MGPT_OK, "%s: %s", got.label,
                   refused.text);
        check_that(mgpt_check_device_run(o, &plain, &refused) == MGPT_OK, "%s: %s", got.label,
                   refused.text);
        check_ok(mgpt_ref_run(&same.op, (const void *const *)same.in, same.out, error));
        mgpt_op_case_compare(&same, &got, MGPT_F16);
        for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
            differs = differs || (got.out[i] && memcmp(got.out[i], plain.out[i],
                                                       mgpt_tensor_bytes(&got.op.out[i])) != 0);
    }
    mgpt_op_case_finish(&same);
    mgpt_op_case_finish(&plain);
    mgpt_op_case_finish(&got);
    return differs;
}

void mgpt_check_tf32(const struct mgpt_component *c)
{
    static const uint32_t codes[] = {MGPT_OP_LINEAR, MGPT_OP_LINEAR_BACKWARD, MGPT_OP_ATTENTION,
                                     MGPT_OP_ATTENTION_BACKWARD};
    struct mgpt_check_device o = mgpt_check_device_open(c, NULL, NULL);
    bool has = mgpt_check_device_caps(&o).flags & MGPT_CAPS_TF32;

    for (int k = 0; has && k < 4; k++) {
        int changed = 0;
        for (int i = 0; i < mgpt_op_case_count(codes[k]); i++)
            changed += rounds(&o, codes[k], i);
        check_that(changed > 0, "it has TF32, but its %s rounds nothing", mgpt_op_name(codes[k]));
    }
    mgpt_check_device_close(&o);
    if (!has)
        mgpt_check_skip("the device does not say that it has TF32");
}

/* ---- a long row ---- */

/* A whole matrix as one row, as an optimizer scales it: y = x / sqrt(mean of x^2 + eps). */
void mgpt_check_long_norm(const struct mgpt_component *c)
{
    static float x[200003], y[200003];
    const int64_t n = sizeof x / sizeof *x;
    struct mgpt_op op = {.size = sizeof op, .code = MGPT_OP_NORM, .norm = MGPT_NORM_RMS};
    struct mgpt_check_device o = mgpt_check_device_open(c, NULL, NULL);
    double sum = 0;

    for (int64_t i = 0; i < n; i++) {
        x[i] = (float)(1 + i % 7) / 64;
        sum += (double)x[i] * x[i];
    }
    op.in[0] = op.out[0] = (struct mgpt_tensor){.dtype = MGPT_F32, .rank = 2, .shape = {1, n}};
    op.eps = 1e-6;
    if (mgpt_check_device_has(&o, &op, MGPT_F32)) {
        mgpt_check_device_put(&o, &op.in[0], x);
        op.out[0] = op.in[0];
        check_ok(o.api->ops[op.code](o.device, &op, error));
        mgpt_check_device_get(&o, &op.in[0], y, "a norm in place");
        for (int64_t i = 0; i < n; i++)
            check_that(fabs(y[i] - x[i] / sqrt(sum / (double)n + op.eps)) <= 1e-5,
                       "norm of a row of %lld: y[%lld] is %.9g, expected %.9g", (long long)n,
                       (long long)i, y[i], x[i] / sqrt(sum / (double)n + op.eps));
        o.api->buffer_free(o.device, op.in[0].buffer);
    } else {
        mgpt_check_skip("it has no norm in format F32");
    }
    mgpt_check_device_close(&o);
}

/* ---- errors ---- */

/* An index far outside of its table, at the end of ids or targets. */
static void spoil_ids(struct mgpt_op_case *c, int slot)
{
    ((int32_t *)c->in[slot])[mgpt_tensor_count(&c->op.in[slot]) - 1] = 1000000;
}

void mgpt_check_bad_ids(const struct mgpt_component *c)
{
    static const struct {
        uint32_t code;
        int slot;
    } ops[] = {{MGPT_OP_EMBED, 0}, {MGPT_OP_EMBED_BACKWARD, 0}, {MGPT_OP_CROSS_ENTROPY, 1}};
    struct mgpt_check_device o = mgpt_check_device_open(c, NULL, NULL);
    struct mgpt_caps caps = mgpt_check_device_caps(&o);

    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        struct mgpt_op_case before, after;
        struct mgpt_error refused = {0};
        int last = mgpt_op_case_count(ops[i].code) - 1;
        mgpt_op_case_make(&before, ops[i].code, last, MGPT_F32, mgpt_check_seed);
        spoil_ids(&before, ops[i].slot);
        mgpt_op_case_convert(&before, MGPT_F32, &after);
        /* a device need not look at ids; one on the host must, since it would corrupt the process
         */
        if (caps.flags & MGPT_CAPS_HOST && mgpt_check_device_has(&o, &after.op, MGPT_F32)) {
            check_that(mgpt_check_device_run(&o, &after, &refused) == MGPT_INVALID,
                       "%s: an index of 1000000 was not refused with MGPT_INVALID", after.label);
            check_that(strstr(refused.text, "1000000"), "\"%s\" does not name the index 1000000",
                       refused.text);
            for (int k = 0; k < MGPT_OP_MAX_OUT; k++)
                if (before.out[k])
                    check_that(memcmp(after.out[k], before.out[k],
                                      mgpt_tensor_bytes(&before.op.out[k])) == 0,
                               "it failed and has written");
        }
        mgpt_op_case_finish(&after);
        mgpt_op_case_finish(&before);
    }
    mgpt_check_device_close(&o);
}
