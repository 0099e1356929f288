/* Inside the reference: how an op is described, and what its function is handed. */
#ifndef MGPT_REF_OPS_H
#define MGPT_REF_OPS_H

#include <stdbool.h>

#include "ref/ref.h"

/* ---- the form of an op (check.c) ---- */

enum mgpt_ref_slot_type { MGPT_SLOT_NONE = 0, MGPT_SLOT_FLOAT, MGPT_SLOT_IDS, MGPT_SLOT_STATE };

/* `shape` is one letter a dimension: equal letters are equal sizes throughout the op, digits are
 * sizes, a first letter N is the product of all dimensions but those after it, "*" is any shape. */
struct mgpt_ref_slot {
    const char *name, *shape;
    enum mgpt_ref_slot_type type;
    bool optional;
};

struct mgpt_op_form {
    const char *name;
    struct mgpt_ref_slot in[MGPT_OP_MAX_IN], out[MGPT_OP_MAX_OUT];
    unsigned added;   /* set of outputs that are always added to or partly kept */
    unsigned added_a; /* set of outputs that are added to with MGPT_OP_ACCUMULATE */
    bool multiplies;  /* matrices: MGPT_OP_TF32 has a say */
};

/* NULL for an unknown code. */
const struct mgpt_op_form *mgpt_op_form(uint32_t code);

/* ---- running one (ref.c) ---- */

/* The operands of one call. Float slots are arrays of double, whatever their format in memory;
 * outputs that are added to hold their old values; NULL where a slot is empty. */
struct mgpt_ref {
    const struct mgpt_op *op;
    const double *in[MGPT_OP_MAX_IN];
    double *out[MGPT_OP_MAX_OUT];
    const int32_t *ids;           /* of EMBED; the targets of CROSS_ENTROPY */
    struct mgpt_step_state state; /* a copy; stored after the op where it is an output */
};

/* An op either fails before it wrote to any output or succeeds. */
typedef enum mgpt_status mgpt_ref_fn(struct mgpt_ref *r, struct mgpt_error *error);

mgpt_ref_fn mgpt_ref_embed, mgpt_ref_embed_backward;
mgpt_ref_fn mgpt_ref_norm, mgpt_ref_norm_backward;
mgpt_ref_fn mgpt_ref_linear, mgpt_ref_linear_backward;
mgpt_ref_fn mgpt_ref_activation, mgpt_ref_activation_backward;
mgpt_ref_fn mgpt_ref_attention, mgpt_ref_attention_backward;
mgpt_ref_fn mgpt_ref_add, mgpt_ref_dropout, mgpt_ref_cross_entropy, mgpt_ref_fill;
mgpt_ref_fn mgpt_ref_clip, mgpt_ref_scaler, mgpt_ref_axpby;

/* activation(x) and its derivative; `kind` is enum mgpt_activation. (activation.c) */
double mgpt_ref_act(uint32_t kind, double x);
double mgpt_ref_act_slope(uint32_t kind, double x);

/* ---- storage formats (store.c) ---- */

/* n elements of a float format to and from double, rounding to nearest, ties to even. */
void mgpt_ref_load(uint32_t dtype, const void *from, double *to, int64_t n);
void mgpt_ref_store(uint32_t dtype, const double *from, void *to, int64_t n);
/* x as a 16-bit format holds it; in wider ones x itself. */
double mgpt_ref_round(uint32_t dtype, double x);
/* An F32 number to 10 bits of mantissa: to nearest, ties away from zero. */
double mgpt_ref_round_tf32(double x);
/* The values x of tensor t as the products of an op take them: rounded to the format of its first
 * input where that has 16 bits, and as MGPT_OP_TF32 says. A new array, to be freed; NULL: out of
 * memory. */
double *mgpt_ref_operand(const struct mgpt_op *op, const struct mgpt_tensor *t, const double *x,
                         struct mgpt_error *error);

#endif
