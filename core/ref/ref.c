/* The reference's frame: every op sees arrays of double, whatever the formats in memory. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "ref/ops.h"

static mgpt_ref_fn *const functions[MGPT_OP_COUNT] = {
    [MGPT_OP_EMBED] = mgpt_ref_embed,
    [MGPT_OP_EMBED_BACKWARD] = mgpt_ref_embed_backward,
    [MGPT_OP_NORM] = mgpt_ref_norm,
    [MGPT_OP_NORM_BACKWARD] = mgpt_ref_norm_backward,
    [MGPT_OP_LINEAR] = mgpt_ref_linear,
    [MGPT_OP_LINEAR_BACKWARD] = mgpt_ref_linear_backward,
    [MGPT_OP_ACTIVATION] = mgpt_ref_activation,
    [MGPT_OP_ACTIVATION_BACKWARD] = mgpt_ref_activation_backward,
    [MGPT_OP_ATTENTION] = mgpt_ref_attention,
    [MGPT_OP_ATTENTION_BACKWARD] = mgpt_ref_attention_backward,
    [MGPT_OP_ADD] = mgpt_ref_add,
    [MGPT_OP_DROPOUT] = mgpt_ref_dropout,
    [MGPT_OP_CROSS_ENTROPY] = mgpt_ref_cross_entropy,
    [MGPT_OP_FILL] = mgpt_ref_fill,
    [MGPT_OP_CLIP] = mgpt_ref_clip,
    [MGPT_OP_SCALER] = mgpt_ref_scaler,
    [MGPT_OP_AXPBY] = mgpt_ref_axpby,
};

/* A call with the arrays that were made for it. */
struct call {
    struct mgpt_ref r;
    const struct mgpt_op_form *form;
    double *made_in[MGPT_OP_MAX_IN], *made_out[MGPT_OP_MAX_OUT];
};

static enum mgpt_status make(const char *op, int64_t n, double **array, struct mgpt_error *error)
{
    *array = (uint64_t)n <= SIZE_MAX / sizeof **array ? malloc((size_t)n * sizeof **array) : NULL;
    return *array ? MGPT_OK
                  : mgpt_fail(error, MGPT_NOMEM, "%s: out of memory for %lld values", op,
                              (long long)n);
}

static enum mgpt_status load_in(struct call *c, int i, const void *data, struct mgpt_error *error)
{
    const struct mgpt_tensor *t = &c->r.op->in[i];
    int64_t n = mgpt_tensor_count(t);

    if (c->form->in[i].type == MGPT_SLOT_STATE)
        memcpy(&c->r.state, data, sizeof c->r.state);
    else if (c->form->in[i].type == MGPT_SLOT_IDS)
        c->r.ids = data;
    else if (t->dtype == MGPT_F64)
        c->r.in[i] = data;
    else {
        enum mgpt_status status = make(c->form->name, n, &c->made_in[i], error);
        if (status != MGPT_OK)
            return status;
        mgpt_ref_load(t->dtype, data, c->made_in[i], n);
        c->r.in[i] = c->made_in[i];
    }
    return MGPT_OK;
}

static enum mgpt_status load_out(struct call *c, int i, void *data, struct mgpt_error *error)
{
    const struct mgpt_tensor *t = &c->r.op->out[i];
    unsigned added = c->form->added | (c->r.op->flags & MGPT_OP_ACCUMULATE ? c->form->added_a : 0);
    int64_t n = mgpt_tensor_count(t);

    if (c->form->out[i].type == MGPT_SLOT_STATE)
        return MGPT_OK;
    if (t->dtype == MGPT_F64) {
        c->r.out[i] = data;
        return MGPT_OK;
    }
    enum mgpt_status status = make(c->form->name, n, &c->made_out[i], error);
    if (status != MGPT_OK)
        return status;
    if (added >> i & 1)
        mgpt_ref_load(t->dtype, data, c->made_out[i], n);
    c->r.out[i] = c->made_out[i];
    return MGPT_OK;
}

static enum mgpt_status load(struct call *c, const void *const *in, void *const *out,
                             struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;

    for (int i = 0; i < MGPT_OP_MAX_IN && status == MGPT_OK; i++)
        if (c->r.op->in[i].rank)
            status = in[i] ? load_in(c, i, in[i], error)
                           : mgpt_fail(error, MGPT_INVALID, "%s: no data for %s", c->form->name,
                                       c->form->in[i].name);
    for (int i = 0; i < MGPT_OP_MAX_OUT && status == MGPT_OK; i++)
        if (c->r.op->out[i].rank)
            status = out[i] ? load_out(c, i, out[i], error)
                            : mgpt_fail(error, MGPT_INVALID, "%s: no data for %s", c->form->name,
                                        c->form->out[i].name);
    return status;
}

static void store(const struct call *c, void *const *out)
{
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++) {
        const struct mgpt_tensor *t = &c->r.op->out[i];
        if (c->made_out[i])
            mgpt_ref_store(t->dtype, c->made_out[i], out[i], mgpt_tensor_count(t));
        else if (t->rank && c->form->out[i].type == MGPT_SLOT_STATE)
            memcpy(out[i], &c->r.state, sizeof c->r.state);
    }
}

enum mgpt_status mgpt_ref_run(const struct mgpt_op *op, const void *const *in, void *const *out,
                              struct mgpt_error *error)
{
    struct call c = {.r = {.op = op}};
    enum mgpt_status status = mgpt_op_check(op, error);

    if (status != MGPT_OK)
        return status;
    c.form = mgpt_op_form(op->code);
    status = load(&c, in, out, error);
    if (status == MGPT_OK)
        status = functions[op->code](&c.r, error);
    if (status == MGPT_OK)
        store(&c, out);
    for (int i = 0; i < MGPT_OP_MAX_IN; i++)
        free(c.made_in[i]);
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        free(c.made_out[i]);
    return status;
}
