/* The backward pass: forward.c read from its end to its start. d of a tensor has its shape and
 * format: that of the residual stream, of the logits and of parameters the master format, the rest
 * that of activations. Gradients of parameters are added to, so micro-batches sum. */
#include <config.h>

#include <microgpt/random.h>

#include "model/forward.h"

static const struct mgpt_tensor NONE;

static struct mgpt_tensor like(struct mgpt_tape *t, const struct mgpt_tensor *other)
{
    return mgpt_tape_tensor(t, other->dtype, other->rank, other->shape);
}

static const struct mgpt_param *param_of(const struct mgpt_tape *t, int layer, const char *name,
                                         const char *part)
{
    char full[64];

    snprintf(full, sizeof full, "%s.%s", name, part);
    return mgpt_tape_param(t, layer, full);
}

/* dx = dy w; dw += dy^T x; db += sum dy. With `pre`, x was activation(pre) and dx becomes dpre. */
static void linear_backward(struct mgpt_tape *t, struct mgpt_tensor x, const struct mgpt_param *w,
                            const struct mgpt_param *bias, struct mgpt_tensor dy,
                            struct mgpt_tensor dx, struct mgpt_tensor pre)
{
    struct mgpt_op op = mgpt_tape_op(t, MGPT_OP_LINEAR_BACKWARD);

    op.in[0] = x;
    op.in[1] = w->p;
    op.in[2] = dy;
    op.in[3] = pre;
    op.activation = pre.rank ? t->net->model->activation : MGPT_ACT_NONE;
    op.out[0] = dx;
    op.out[1] = w->g;
    op.out[2] = bias ? bias->g : NONE;
    mgpt_tape_add(t, &op);
}

static void layer_linear_backward(struct mgpt_tape *t, int layer, const char *name,
                                  struct mgpt_tensor x, struct mgpt_tensor dy,
                                  struct mgpt_tensor dx, struct mgpt_tensor pre)
{
    linear_backward(t, x, param_of(t, layer, name, "weight"), param_of(t, layer, name, "bias"), dy,
                    dx, pre);
}

/* dx (+)= norm'(x) dy */
static void norm_backward(struct mgpt_tape *t, int layer, const char *name, struct mgpt_tensor x,
                          struct mgpt_tensor stats, struct mgpt_tensor dy, struct mgpt_tensor dx,
                          uint32_t flags)
{
    const struct mgpt_param *gain = param_of(t, layer, name, "weight");
    const struct mgpt_param *bias = param_of(t, layer, name, "bias");
    struct mgpt_op op = mgpt_tape_op(t, MGPT_OP_NORM_BACKWARD);

    op.flags = flags;
    op.in[0] = x;
    op.in[1] = stats;
    op.in[2] = dy;
    op.in[3] = gain ? gain->p : NONE;
    op.out[0] = dx;
    op.out[1] = gain ? gain->g : NONE;
    op.out[2] = bias ? bias->g : NONE;
    mgpt_tape_add(t, &op);
}

static void attention_backward(struct mgpt_tape *t, int layer, const struct mgpt_layer_pass *p,
                               struct mgpt_tensor dy, struct mgpt_tensor dqkv)
{
    const struct mgpt_model *m = t->net->model;
    struct mgpt_op op = mgpt_tape_op(t, MGPT_OP_ATTENTION_BACKWARD);

    op.in[0] = p->qkv;
    op.in[1] = p->att;
    op.in[2] = p->lse;
    op.in[3] = dy;
    if (m->dropout > 0) {
        op.in[4] = t->net->state;
        op.rate = m->dropout;
        op.seed = t->net->seed;
        op.purpose = MGPT_DRAW_ATTENTION;
        op.layer = (uint32_t)layer;
    }
    op.out[0] = dqkv;
    mgpt_tape_add(t, &op);
}

static void embed_backward(struct mgpt_tape *t, struct mgpt_tensor dx)
{
    struct mgpt_op op = mgpt_tape_op(t, MGPT_OP_EMBED_BACKWARD);

    op.in[0] = t->ids;
    op.in[1] = dx;
    op.out[0] = mgpt_tape_param(t, -1, "wte.weight")->g;
    op.out[1] = mgpt_tape_param(t, -1, "wpe.weight")->g;
    mgpt_tape_add(t, &op);
}

/* Gradients that every layer reuses. */
struct work {
    struct mgpt_tensor branch, dx, dqkv, dpre; /* (B,T,C), (B,T,C), (B,T,C+2KV*D), (B,T,F) */
};

/* Where the gradient of a branch comes from: dx itself, or dropout's backward of it. */
static struct mgpt_tensor branch(struct mgpt_tape *t, const struct work *w, struct mgpt_tensor dx,
                                 uint32_t purpose, int layer)
{
    if (!(t->net->model->dropout > 0))
        return dx;
    mgpt_dropout(t, dx, w->branch, purpose, layer);
    return w->branch;
}

/* --- idea: backward --- */
/* dx comes in as the gradient of the layer's output and leaves as that of its input. */
static void layer_backward(struct mgpt_tape *t, int l, const struct mgpt_layer_pass *p,
                           const struct work *w, struct mgpt_tensor dx)
{
    struct mgpt_tensor dy = branch(t, w, dx, MGPT_DRAW_MLP, l);
    layer_linear_backward(t, l, "mlp.proj", p->hidden, dy, w->dpre, p->pre);
    layer_linear_backward(t, l, "mlp.fc", p->norm2, w->dpre, w->dx, NONE);
    norm_backward(t, l, "ln_2", p->x2, p->stats2, w->dx, dx, MGPT_OP_ACCUMULATE);

    dy = branch(t, w, dx, MGPT_DRAW_PROJECTION, l);
    layer_linear_backward(t, l, "attn.proj", p->att, dy, w->dx, NONE);
    attention_backward(t, l, p, w->dx, w->dqkv);
    layer_linear_backward(t, l, "attn.qkv", p->norm1, w->dqkv, w->dx, NONE);
    norm_backward(t, l, "ln_1", p->x1, p->stats1, w->dx, dx, MGPT_OP_ACCUMULATE);
}

void mgpt_backward(struct mgpt_tape *t, const struct mgpt_pass *pass)
{
    const struct mgpt_model *m = t->net->model;
    const struct mgpt_layer_pass *first = &pass->layers[0];
    struct mgpt_tensor dx = like(t, &pass->xf);
    struct work w = {.branch = m->dropout > 0 ? like(t, &dx) : NONE,
                     .dx = like(t, &pass->normf),
                     .dqkv = like(t, &first->qkv),
                     .dpre = like(t, &first->pre)};

    linear_backward(t, pass->normf, mgpt_head_weight(t), mgpt_tape_param(t, -1, "lm_head.bias"),
                    pass->logits, m->final_norm ? w.dx : dx, NONE);
    if (m->final_norm)
        norm_backward(t, -1, "ln_f", pass->xf, pass->statsf, w.dx, dx, 0);
    for (int l = (int)m->layers - 1; l >= 0; l--)
        layer_backward(t, l, &pass->layers[l], &w, dx);
    if (m->embed_norm) { /* into what no layer needs any more */
        norm_backward(t, -1, "ln_e", pass->embedded, pass->stats0, dx, first->x2, 0);
        dx = first->x2;
    }
    mgpt_dropout(t, dx, dx, MGPT_DRAW_EMBEDDING, 0);
    embed_backward(t, dx);
}
/* --- end of idea --- */
