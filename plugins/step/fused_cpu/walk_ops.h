/* Part of walk_model.c: tensors of an arena, and a helper for each op, which writes it down. */
#ifndef MGPT_FUSED_WALK_OPS_H
#define MGPT_FUSED_WALK_OPS_H

#include <microgpt/random.h>

#include "walk.h"

#define ALIGNMENT 64

static const struct mgpt_tensor NONE;

/* ---- tensors ---- */

static struct mgpt_tensor place(struct walk_tape *t, uint32_t dtype, uint32_t rank, int64_t a,
                                int64_t b, int64_t c)
{
    struct mgpt_tensor x = {
        .buffer = t->arena, .offset = t->used, .dtype = dtype, .rank = rank, .shape = {a, b, c}};
    uint64_t bytes = (uint64_t)mgpt_tensor_count(&x) * mgpt_dtype_size(dtype);

    t->used += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    t->peak = t->used > t->peak ? t->used : t->peak;
    return x;
}

/* (B,T,n) in F32, and in the format of activations */
static struct mgpt_tensor rows(struct walk_tape *t, int64_t n)
{
    return place(t, MGPT_F32, 3, t->batch, t->time, n);
}

static struct mgpt_tensor activations(struct walk_tape *t, int64_t n)
{
    return place(t, t->activation, 3, t->batch, t->time, n);
}

static struct mgpt_tensor stats(struct walk_tape *t)
{
    return place(t, MGPT_F32, 2, t->batch * t->time, 2, 0);
}

static struct mgpt_tensor ids(struct walk_tape *t)
{
    return place(t, MGPT_I32, 2, t->batch, t->time, 0);
}

static struct mgpt_tensor state(const struct walk_tape *t)
{
    return (struct mgpt_tensor){
        .buffer = t->state, .dtype = MGPT_U8, .rank = 1, .shape = {sizeof(struct mgpt_step_state)}};
}

static struct walk_weight once(const struct walk_tape *t, enum walk_once what)
{
    return t->weights ? t->weights[what] : (struct walk_weight){0};
}

static struct walk_weight part(const struct walk_tape *t, int64_t layer, enum walk_part what)
{
    return t->weights ? t->weights[WALK_ONCE + layer * WALK_PARTS + what] : (struct walk_weight){0};
}

static struct mgpt_tensor value(const struct walk_tape *t, const struct mgpt_param *param)
{
    struct mgpt_tensor x = param ? param->p : NONE;

    x.buffer = param ? t->p : NULL;
    return x;
}

static struct mgpt_tensor gradient(const struct walk_tape *t, const struct mgpt_param *param)
{
    struct mgpt_tensor x = param ? param->g : NONE;

    x.buffer = param ? t->g : NULL;
    return x;
}

/* What the forward pass of a layer leaves for its backward. */
struct layer {
    struct mgpt_tensor x1, norm1, stats1; /* (B,T,C) residual stream, its norm; (B*T,2) */
    struct mgpt_tensor qkv, att, lse;     /* (B,T,C+2KV*D), (B,T,C), (B,H,T) */
    struct mgpt_tensor x2, norm2, stats2; /* after attention */
    struct mgpt_tensor pre, hidden;       /* (B,T,F) before and after the activation */
};

/* Where that lies: layers have places of one size, one after the other. */
static struct layer layer_at(struct walk_tape *t, int64_t l)
{
    const struct mgpt_model *m = t->model;
    int64_t C = m->embd, F = m->mlp;
    uint64_t used = t->used;
    struct layer p;

    t->used = t->layers_at + (uint64_t)l * t->layer_bytes;
    p.x1 = rows(t, C), p.norm1 = activations(t, C), p.stats1 = stats(t);
    p.qkv = activations(t, C + 2 * m->kv_heads * (C / m->heads)), p.att = activations(t, C);
    p.lse = place(t, MGPT_F32, 3, t->batch, m->heads, t->time);
    p.x2 = rows(t, C), p.norm2 = activations(t, C), p.stats2 = stats(t);
    p.pre = activations(t, F), p.hidden = activations(t, F);
    t->layer_bytes = t->used - t->layers_at - (uint64_t)l * t->layer_bytes;
    t->used = used;
    return p;
}

/* ---- ops ---- */

static struct mgpt_op new_op(const struct walk_tape *t, uint32_t code)
{
    const struct mgpt_model *m = t->model;

    return (struct mgpt_op){.size = sizeof(struct mgpt_op),
                            .code = code,
                            .norm = m->norm,
                            .eps = m->norm_eps,
                            .heads = m->heads,
                            .kv_heads = m->kv_heads};
}

static void add(struct walk_tape *t, const struct mgpt_op *op)
{
    if (t->ops)
        t->ops[t->n] = *op;
    t->n++;
}

static void draws(const struct walk_tape *t, struct mgpt_op *op, uint32_t purpose, int64_t layer)
{
    op->rate = t->model->dropout;
    op->seed = t->seed;
    op->purpose = purpose;
    op->layer = (uint32_t)layer;
}

/* y = dropout(x), its own backward; nothing without any. */
static void dropout(struct walk_tape *t, struct mgpt_tensor x, struct mgpt_tensor y,
                    uint32_t purpose, int64_t layer)
{
    struct mgpt_op op = new_op(t, MGPT_OP_DROPOUT);

    if (!(t->model->dropout > 0))
        return;
    op.in[0] = x;
    op.in[1] = state(t);
    op.out[0] = y;
    draws(t, &op, purpose, layer);
    add(t, &op);
}

/* sum = x + delta, where there is a delta; y = norm(sum). */
static void norm(struct walk_tape *t, struct walk_weight w, struct mgpt_tensor x,
                 struct mgpt_tensor delta, struct mgpt_tensor sum, struct mgpt_tensor y,
                 struct mgpt_tensor stats_out)
{
    struct mgpt_op op = new_op(t, MGPT_OP_NORM);

    op.in[0] = x;
    op.in[1] = delta;
    op.in[2] = value(t, w.weight);
    op.in[3] = value(t, w.bias);
    op.out[0] = y;
    op.out[1] = stats_out;
    op.out[2] = delta.rank ? sum : NONE;
    add(t, &op);
}

/* dx (+)= norm'(x) dy */
static void norm_backward(struct walk_tape *t, struct walk_weight w, struct mgpt_tensor x,
                          struct mgpt_tensor stats_in, struct mgpt_tensor dy, struct mgpt_tensor dx,
                          uint32_t flags)
{
    struct mgpt_op op = new_op(t, MGPT_OP_NORM_BACKWARD);

    op.flags = flags;
    op.in[0] = x;
    op.in[1] = stats_in;
    op.in[2] = dy;
    op.in[3] = value(t, w.weight);
    op.out[0] = dx;
    op.out[1] = gradient(t, w.weight);
    op.out[2] = gradient(t, w.bias);
    add(t, &op);
}

/* y = x w^T + b; with a place for `pre`, pre is that and y the activation of it. */
static void linear(struct walk_tape *t, struct walk_weight w, struct mgpt_tensor x,
                   struct mgpt_tensor y, struct mgpt_tensor pre)
{
    struct mgpt_op op = new_op(t, MGPT_OP_LINEAR);

    op.in[0] = x;
    op.in[1] = value(t, w.weight);
    op.in[2] = value(t, w.bias);
    op.activation = pre.rank ? t->model->activation : MGPT_ACT_NONE;
    op.out[0] = y;
    op.out[1] = op.activation ? pre : NONE;
    add(t, &op);
}

/* dx = dy w; dw += dy^T x; db += sum dy. With `pre`, x was activation(pre) and dx becomes dpre. */
static void linear_backward(struct walk_tape *t, struct walk_weight w, struct mgpt_tensor x,
                            struct mgpt_tensor dy, struct mgpt_tensor dx, struct mgpt_tensor pre)
{
    struct mgpt_op op = new_op(t, MGPT_OP_LINEAR_BACKWARD);

    op.in[0] = x;
    op.in[1] = value(t, w.weight);
    op.in[2] = dy;
    op.activation = pre.rank ? t->model->activation : MGPT_ACT_NONE;
    op.in[3] = op.activation ? pre : NONE;
    op.out[0] = dx;
    op.out[1] = gradient(t, w.weight);
    op.out[2] = gradient(t, w.bias);
    add(t, &op);
}

static void attention(struct walk_tape *t, int64_t l, const struct layer *p)
{
    struct mgpt_op op = new_op(t, MGPT_OP_ATTENTION);

    op.in[0] = p->qkv;
    op.out[0] = p->att;
    op.out[1] = p->lse;
    if (t->model->dropout > 0) {
        op.in[1] = state(t);
        draws(t, &op, MGPT_DRAW_ATTENTION, l);
    }
    add(t, &op);
}

static void attention_backward(struct walk_tape *t, int64_t l, const struct layer *p,
                               struct mgpt_tensor dy, struct mgpt_tensor dqkv)
{
    struct mgpt_op op = new_op(t, MGPT_OP_ATTENTION_BACKWARD);

    op.in[0] = p->qkv;
    op.in[1] = p->att;
    op.in[2] = p->lse;
    op.in[3] = dy;
    op.out[0] = dqkv;
    if (t->model->dropout > 0) {
        op.in[4] = state(t);
        draws(t, &op, MGPT_DRAW_ATTENTION, l);
    }
    add(t, &op);
}

#endif
