/* The ops of a chunk of sequences, forward and backward: core/model/forward.c and backward.c in one
 * arena. B sequences, T positions, C embd, F mlp, H heads, KV kv heads, D = C/H, V vocab. */
#include "walk_ops.h"

/* What is not of one layer. */
struct pass {
    struct mgpt_tensor embedded, stats0;   /* (B,T,C) before the norm after the embedding */
    struct mgpt_tensor xf, normf, statsf;  /* residual stream at the end, what the head reads */
    struct mgpt_tensor logits, delta;      /* (B,T,V), then dlogits; (B,T,C) of a branch */
    struct mgpt_tensor dx, dnorm, dbranch; /* (B,T,C) */
    struct mgpt_tensor dqkv, dpre;         /* (B,T,C+2KV*D), (B,T,F) */
};

static struct pass place_all(struct walk_tape *t)
{
    const struct mgpt_model *m = t->model;
    int64_t C = m->embd;
    struct pass p;

    t->used = t->peak = t->layer_bytes = 0;
    t->ids = ids(t), t->targets = ids(t);
    p.embedded = rows(t, C), p.stats0 = stats(t);
    p.dx = rows(t, C), p.dbranch = rows(t, C);
    p.delta = activations(t, C), p.dnorm = activations(t, C);
    p.dqkv = activations(t, C + 2 * m->kv_heads * (C / m->heads)), p.dpre = activations(t, m->mlp);
    p.xf = rows(t, C), p.normf = activations(t, C), p.statsf = stats(t);
    p.logits = rows(t, m->vocab);
    t->layers_at = t->used;
    (void)layer_at(t, 0);
    return p;
}

static void embed(struct walk_tape *t, const struct pass *pass, struct mgpt_tensor x)
{
    struct mgpt_op op = new_op(t, MGPT_OP_EMBED);
    struct mgpt_tensor y = t->model->embed_norm ? pass->embedded : x;

    op.in[0] = t->ids;
    op.in[1] = value(t, once(t, WALK_WTE).weight);
    op.in[2] = value(t, once(t, WALK_WPE).weight);
    op.out[0] = y;
    add(t, &op);
    dropout(t, y, y, MGPT_DRAW_EMBEDDING, 0);
    if (t->model->embed_norm)
        norm(t, once(t, WALK_LN_E), y, NONE, NONE, x, pass->stats0);
}

/* `before` is the residual stream that the branch in pass->delta is yet to be added to. */
static void layer_forward(struct walk_tape *t, int64_t l, const struct pass *pass,
                          struct mgpt_tensor before)
{
    const struct layer p = layer_at(t, l);
    struct mgpt_tensor delta = pass->delta;

    norm(t, part(t, l, WALK_LN_1), l ? before : p.x1, l ? delta : NONE, p.x1, p.norm1, p.stats1);
    linear(t, part(t, l, WALK_QKV), p.norm1, p.qkv, NONE);
    attention(t, l, &p);
    linear(t, part(t, l, WALK_PROJ), p.att, delta, NONE);
    dropout(t, delta, delta, MGPT_DRAW_PROJECTION, l);
    norm(t, part(t, l, WALK_LN_2), p.x1, delta, p.x2, p.norm2, p.stats2);
    linear(t, part(t, l, WALK_FC), p.norm2, p.hidden, p.pre);
    linear(t, part(t, l, WALK_OUT), p.hidden, delta, NONE);
    dropout(t, delta, delta, MGPT_DRAW_MLP, l);
}

/* Logits, the loss, and the gradient of the logits in their place. */
static void head(struct walk_tape *t, const struct pass *pass, struct mgpt_tensor x)
{
    struct mgpt_op sum = new_op(t, MGPT_OP_ADD), loss = new_op(t, MGPT_OP_CROSS_ENTROPY);

    sum.in[0] = x;
    sum.in[1] = pass->delta;
    sum.out[0] = pass->normf;
    loss.in[0] = loss.out[1] = pass->logits;
    loss.in[1] = t->targets;
    loss.in[2] = loss.out[0] = state(t);
    if (t->model->final_norm)
        norm(t, once(t, WALK_LN_F), x, pass->delta, pass->xf, pass->normf, pass->statsf);
    else
        add(t, &sum);
    linear(t, once(t, WALK_HEAD), pass->normf, pass->logits, NONE);
    add(t, &loss);
}

/* Into dx. */
static void head_backward(struct walk_tape *t, const struct pass *pass)
{
    int normed = t->model->final_norm != 0;

    linear_backward(t, once(t, WALK_HEAD), pass->normf, pass->logits,
                    normed ? pass->dnorm : pass->dx, NONE);
    if (normed)
        norm_backward(t, once(t, WALK_LN_F), pass->xf, pass->statsf, pass->dnorm, pass->dx, 0);
}

/* The gradient of a branch: dx itself, or dropout's backward of it. */
static struct mgpt_tensor branch(struct walk_tape *t, const struct pass *pass, uint32_t purpose,
                                 int64_t layer)
{
    dropout(t, pass->dx, pass->dbranch, purpose, layer);
    return t->model->dropout > 0 ? pass->dbranch : pass->dx;
}

/* dx comes in as the gradient of the layer's output and leaves as that of its input. */
static void layer_backward(struct walk_tape *t, int64_t l, const struct pass *pass)
{
    const struct layer p = layer_at(t, l);
    struct mgpt_tensor dx = pass->dx, dnorm = pass->dnorm;
    struct mgpt_tensor dy = branch(t, pass, MGPT_DRAW_MLP, l);

    linear_backward(t, part(t, l, WALK_OUT), p.hidden, dy, pass->dpre, p.pre);
    linear_backward(t, part(t, l, WALK_FC), p.norm2, pass->dpre, dnorm, NONE);
    norm_backward(t, part(t, l, WALK_LN_2), p.x2, p.stats2, dnorm, dx, MGPT_OP_ACCUMULATE);

    dy = branch(t, pass, MGPT_DRAW_PROJECTION, l);
    linear_backward(t, part(t, l, WALK_PROJ), p.att, dy, dnorm, NONE);
    attention_backward(t, l, &p, dnorm, pass->dqkv);
    linear_backward(t, part(t, l, WALK_QKV), p.norm1, pass->dqkv, dnorm, NONE);
    norm_backward(t, part(t, l, WALK_LN_1), p.x1, p.stats1, dnorm, dx, MGPT_OP_ACCUMULATE);
}

static void embed_backward(struct walk_tape *t, const struct pass *pass)
{
    struct mgpt_op op = new_op(t, MGPT_OP_EMBED_BACKWARD);
    struct mgpt_tensor dx = pass->dx;

    if (t->model->embed_norm) { /* into what nothing needs any more */
        dx = pass->dbranch;
        norm_backward(t, once(t, WALK_LN_E), pass->embedded, pass->stats0, pass->dx, dx, 0);
    }
    dropout(t, dx, dx, MGPT_DRAW_EMBEDDING, 0);
    op.in[0] = t->ids;
    op.in[1] = dx;
    op.out[0] = gradient(t, once(t, WALK_WTE).weight);
    op.out[1] = gradient(t, once(t, WALK_WPE).weight);
    add(t, &op);
}

void walk_record(struct walk_tape *t)
{
    const struct pass pass = place_all(t);
    int64_t layers = t->model->layers;

    t->n = 0;
    embed(t, &pass, layer_at(t, 0).x1);
    for (int64_t l = 0; l < layers; l++)
        layer_forward(t, l, &pass, l ? layer_at(t, l - 1).x2 : NONE);
    head(t, &pass, layer_at(t, layers - 1).x2);
    head_backward(t, &pass);
    for (int64_t l = layers; l-- > 0;)
        layer_backward(t, l, &pass);
    embed_backward(t, &pass);
}
