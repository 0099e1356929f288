/* The forward pass, op by op. Each helper records one op and returns the tensor it makes.
 * B sequences, T positions, C embd, F mlp, H heads, KV kv heads, D = C/H, V vocab. */
#include <config.h>

#include <string.h>

#include <microgpt/random.h>

#include "model/forward.h"

static const struct mgpt_tensor NONE;

static bool training(const struct mgpt_tape *t)
{
    return t->mode == MGPT_MODE_TRAIN;
}

/* (B,T,n) in the format of activations, and (B,T,C) in that of the residual stream. */
static struct mgpt_tensor activation(struct mgpt_tape *t, int64_t n)
{
    return mgpt_tape_tensor(t, t->net->precision->activation, 3, (int64_t[]){t->batch, t->rows, n});
}

static struct mgpt_tensor stream(struct mgpt_tape *t)
{
    return mgpt_tape_tensor(t, t->net->precision->master, 3,
                            (int64_t[]){t->batch, t->rows, t->net->model->embd});
}

static struct mgpt_tensor stats(struct mgpt_tape *t)
{
    return mgpt_tape_tensor(t, t->net->precision->master, 2, (int64_t[]){t->batch * t->rows, 2});
}

static struct mgpt_tensor tensor_of(const struct mgpt_tape *t, int layer, const char *name,
                                    const char *part)
{
    char full[64];

    snprintf(full, sizeof full, "%s.%s", name, part);
    const struct mgpt_param *param = mgpt_tape_param(t, layer, full);
    return param ? param->p : NONE;
}

/* wte[ids] + wpe[t] */
static struct mgpt_tensor embed(struct mgpt_tape *t)
{
    struct mgpt_op op = mgpt_tape_op(t, MGPT_OP_EMBED);

    op.in[0] = t->ids;
    op.in[1] = mgpt_tape_param(t, -1, "wte.weight")->p;
    op.in[2] = mgpt_tape_param(t, -1, "wpe.weight")->p;
    op.out[0] = stream(t);
    mgpt_tape_add(t, &op);
    return op.out[0];
}

/* x = x + delta (where there is one), then norm(x). In training the new x is a tensor of its own:
 * backward needs it. The norm after the embedding makes the residual stream, the others what a
 * product reads. */
static struct mgpt_tensor add_norm(struct mgpt_tape *t, struct mgpt_tensor *x,
                                   struct mgpt_tensor delta, int layer, const char *name,
                                   struct mgpt_tensor *stats_out)
{
    struct mgpt_op op = mgpt_tape_op(t, MGPT_OP_NORM);

    op.in[0] = *x;
    op.in[1] = delta;
    op.in[2] = tensor_of(t, layer, name, "weight");
    op.in[3] = tensor_of(t, layer, name, "bias");
    if (delta.rank && training(t))
        *x = stream(t);
    op.out[0] = layer < 0 && !delta.rank ? stream(t) : activation(t, t->net->model->embd);
    op.out[1] = *stats_out = training(t) ? stats(t) : NONE;
    op.out[2] = delta.rank ? *x : NONE;
    mgpt_tape_add(t, &op);
    return op.out[0];
}

/* y = x w^T + b; with an activation *pre receives what goes into it. */
static struct mgpt_tensor linear(struct mgpt_tape *t, struct mgpt_tensor x, struct mgpt_tensor w,
                                 struct mgpt_tensor bias, struct mgpt_tensor y, uint32_t act,
                                 struct mgpt_tensor *pre)
{
    struct mgpt_op op = mgpt_tape_op(t, MGPT_OP_LINEAR);

    op.in[0] = x;
    op.in[1] = w;
    op.in[2] = bias;
    op.activation = act;
    op.out[0] = y;
    if (act && training(t))
        op.out[1] = *pre = activation(t, w.shape[0]);
    mgpt_tape_add(t, &op);
    return y;
}

static struct mgpt_tensor layer_linear(struct mgpt_tape *t, struct mgpt_tensor x, int layer,
                                       const char *name, uint32_t act, struct mgpt_tensor *pre)
{
    struct mgpt_tensor w = tensor_of(t, layer, name, "weight");

    return linear(t, x, w, tensor_of(t, layer, name, "bias"), activation(t, w.shape[0]), act, pre);
}

/* The logits are those of the loss, so they have its format.   (B,T,V) */
static struct mgpt_tensor head(struct mgpt_tape *t, struct mgpt_tensor x)
{
    struct mgpt_tensor w = mgpt_head_weight(t)->p;
    int64_t shape[] = {t->batch, t->rows, w.shape[0]};

    return linear(t, x, w, tensor_of(t, -1, "lm_head", "bias"),
                  mgpt_tape_tensor(t, t->net->precision->master, 3, shape), MGPT_ACT_NONE, NULL);
}

/* softmax(q k^T / sqrt(D)) v, causal, per head */
static struct mgpt_tensor attention(struct mgpt_tape *t, int layer, struct mgpt_layer_pass *p)
{
    const struct mgpt_model *m = t->net->model;
    struct mgpt_op op = mgpt_tape_op(t, MGPT_OP_ATTENTION);

    op.in[0] = p->qkv;
    if (training(t) && m->dropout > 0) {
        op.in[1] = t->net->state;
        op.rate = m->dropout;
        op.seed = t->net->seed;
        op.purpose = MGPT_DRAW_ATTENTION;
        op.layer = (uint32_t)layer;
    }
    op.out[0] = activation(t, m->embd);
    if (t->mode == MGPT_MODE_DECODE) {
        op.out[2] = mgpt_decode_cache(t, layer);
        op.position = t->time - t->rows; /* of the last row, once narrowed */
    }
    if (training(t))
        op.out[1] = p->lse = mgpt_tape_tensor(t, t->net->precision->master, 3,
                                              (int64_t[]){t->batch, m->heads, t->time});
    mgpt_tape_add(t, &op);
    return op.out[0];
}

/* In place, in training only. */
static struct mgpt_tensor dropout(struct mgpt_tape *t, struct mgpt_tensor x, uint32_t purpose,
                                  int layer)
{
    if (training(t))
        mgpt_dropout(t, x, x, purpose, layer);
    return x;
}

void mgpt_dropout(struct mgpt_tape *t, struct mgpt_tensor x, struct mgpt_tensor y, uint32_t purpose,
                  int layer)
{
    struct mgpt_op op = mgpt_tape_op(t, MGPT_OP_DROPOUT);

    if (!(t->net->model->dropout > 0))
        return;
    op.in[0] = x;
    op.in[1] = t->net->state;
    op.out[0] = y;
    op.rate = t->net->model->dropout;
    op.seed = t->net->seed;
    op.purpose = purpose;
    op.layer = (uint32_t)layer;
    mgpt_tape_add(t, &op);
}

/* x + delta, where no norm takes it up, for the head to read */
static struct mgpt_tensor add(struct mgpt_tape *t, struct mgpt_tensor x, struct mgpt_tensor delta)
{
    struct mgpt_op op = mgpt_tape_op(t, MGPT_OP_ADD);

    op.in[0] = x;
    op.in[1] = delta;
    op.out[0] = activation(t, t->net->model->embd);
    mgpt_tape_add(t, &op);
    return op.out[0];
}

const struct mgpt_param *mgpt_head_weight(const struct mgpt_tape *t)
{
    return mgpt_tape_param(t, -1, t->net->model->tied ? "wte.weight" : "lm_head.weight");
}

/* --- idea: model --- */
static void layer_forward(struct mgpt_tape *t, int l, struct mgpt_tensor *x,
                          struct mgpt_tensor *delta, struct mgpt_layer_pass *p)
{
    const struct mgpt_model *m = t->net->model;

    /* x (B,T,C) += attention of norm(x) */
    p->norm1 = add_norm(t, x, *delta, l, "ln_1", &p->stats1);
    if (t->mode == MGPT_MODE_DECODE && l == (int)m->layers - 1)
        mgpt_decode_narrow(t, l, x, &p->norm1);
    p->x1 = *x;
    p->qkv = layer_linear(t, p->norm1, l, "attn.qkv", MGPT_ACT_NONE, NULL); /* (B,T,(H+2KV)D) */
    p->att = attention(t, l, p);                                            /* (B,T,C) */
    *delta = dropout(t, layer_linear(t, p->att, l, "attn.proj", MGPT_ACT_NONE, NULL),
                     MGPT_DRAW_PROJECTION, l);

    /* x (B,T,C) += mlp of norm(x) */
    p->norm2 = add_norm(t, x, *delta, l, "ln_2", &p->stats2);
    p->x2 = *x;
    p->hidden = layer_linear(t, p->norm2, l, "mlp.fc", m->activation, &p->pre); /* (B,T,F) */
    *delta = dropout(t, layer_linear(t, p->hidden, l, "mlp.proj", MGPT_ACT_NONE, NULL),
                     MGPT_DRAW_MLP, l);
}

/* --- end of idea --- */
/* Outside training nothing is kept, but that a layer reads the delta of the one before: two places
 * take turns. */
static void reuse(struct mgpt_tape *t, int layer, uint64_t start[2])
{
    if (layer == 0)
        start[1] = t->used;
    t->used = start[(layer + 1) % 2];
}

/* --- idea: model --- */
void mgpt_forward(struct mgpt_tape *t, struct mgpt_pass *pass)
{
    const struct mgpt_model *m = t->net->model;
    struct mgpt_tensor delta = NONE, x = dropout(t, embed(t), MGPT_DRAW_EMBEDDING, 0);

    if (m->embed_norm) {
        pass->embedded = x;
        x = add_norm(t, &pass->embedded, NONE, -1, "ln_e", &pass->stats0);
    }
    uint64_t start[2] = {t->used, 0};
    for (int l = 0; l < (int)m->layers; l++) {
        layer_forward(t, l, &x, &delta, &pass->layers[l]);
        if (!training(t))
            reuse(t, l, start);
    }
    t->used = t->peak;
    if (m->final_norm)
        pass->normf = add_norm(t, &x, delta, -1, "ln_f", &pass->statsf);
    else
        pass->normf = add(t, x, delta);
    pass->xf = x;
    pass->logits = head(t, pass->normf);
}

/* --- end of idea --- */
/* loss += mean over the step's targets; in training logits become dlogits */
void mgpt_loss(struct mgpt_tape *t, struct mgpt_pass *pass)
{
    struct mgpt_op op = mgpt_tape_op(t, MGPT_OP_CROSS_ENTROPY);

    op.in[0] = pass->logits;
    op.in[1] = t->targets;
    op.in[2] = t->net->state;
    op.out[0] = t->net->state;
    if (training(t))
        op.out[1] = pass->logits;
    mgpt_tape_add(t, &op);
}
