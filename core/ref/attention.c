/* Causal attention. Only here, for the sake of the reader, are all T x S scores of a head in
 * memory.
 *
 * Per sequence b and query head h, which reads the keys and values of kv head h / (H / KV):
 *   score[t,s] = q[t] . k[s] / sqrt(D)   for s <= position + t (the future is not seen)
 *   p[t,:]     = softmax(score[t,:])     = exp(score[t,:] - lse[t])
 *   y[t]       = sum over s of drop(p[t,s]) v[s]
 * Vaswani et al. 2017, section 3.2.1; shared kv heads: Ainslie et al. 2023. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <microgpt/random.h>

#include "ref/ops.h"

struct shape {
    int64_t B, T, H, KV, D, S; /* S: rows that can be seen, position + T */
    int64_t width;             /* of a row of qkv: (H + 2 KV) D */
    double scale;              /* 1 / sqrt(D) */
};

static struct shape shape_of(const struct mgpt_op *op)
{
    struct shape z = {.B = op->in[0].shape[0],
                      .T = op->in[0].shape[1],
                      .H = op->heads,
                      .KV = op->kv_heads,
                      .width = op->in[0].shape[2]};

    z.D = z.width / (z.H + 2 * z.KV);
    z.S = op->position + z.T;
    z.scale = 1 / sqrt((double)z.D);
    return z;
}

/* What dropout multiplies the probability of (b,h,t,s) with: 0 or 1 / (1 - rate). */
static double drop(const struct mgpt_ref *r, const struct shape *z, int64_t b, int64_t h, int64_t t,
                   int64_t s)
{
    const struct mgpt_op *op = r->op;
    int64_t i = (((op->row + b) * z->H + h) * z->T + t) * z->S + s;

    if (!(op->rate > 0))
        return 1;
    return mgpt_keep(mgpt_draw_u32(op->seed, (uint32_t)r->state.step, op->purpose, op->layer,
                                   (uint64_t)i),
                     op->rate)
               ? 1 / (1 - op->rate)
               : 0;
}

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* What the products read: the tensors as they are, or copies that MGPT_OP_TF32 rounded. */
struct operands {
    const double *qkv, *cache, *dy; /* NULL: none */
    double *made[3];
};

static void drop_operands(struct operands *x)
{
    for (int i = 0; i < 3; i++)
        free(x->made[i]);
}

static enum mgpt_status make_operands(struct operands *x, const struct mgpt_ref *r,
                                      struct mgpt_error *error)
{
    const struct mgpt_op *op = r->op;
    bool forward = op->code == MGPT_OP_ATTENTION;
    const struct mgpt_tensor *tensors[3] = {&op->in[0], &op->out[2], &op->in[3]};
    const double **data[3] = {&x->qkv, &x->cache, &x->dy};

    *x = (struct operands){
        .qkv = r->in[0], .cache = forward ? r->out[2] : NULL, .dy = forward ? NULL : r->in[3]};
    for (int i = 0; i < 3; i++) {
        if (!*data[i] || op->in[0].dtype != MGPT_F32 || !(op->flags & MGPT_OP_TF32))
            continue;
        x->made[i] = mgpt_ref_operand(op, tensors[i], *data[i], error);
        if (!x->made[i])
            return MGPT_NOMEM;
        *data[i] = x->made[i];
    }
    return MGPT_OK;
}

/* Keys or values of one kv head: row s is at data + s * stride. */
struct rows {
    const double *data;
    int64_t stride;
};

/* Part `which` (0 keys, 1 values) of kv head g, from the cache when there is one, else from qkv. */
static struct rows kv_rows(const struct mgpt_ref *r, const struct operands *x,
                           const struct shape *z, int which, int64_t b, int64_t g)
{
    const struct mgpt_tensor *cache = &r->op->out[2]; /* (2,B,S',KV D) */
    int64_t wide = z->KV * z->D;

    if (x->cache)
        return (struct rows){x->cache + (which * z->B + b) * cache->shape[2] * wide + g * z->D,
                             wide};
    return (struct rows){x->qkv + b * z->T * z->width + (z->H + which * z->KV + g) * z->D,
                         z->width};
}

/* The new keys and values go into rows position.. of the cache. */
static void fill_cache(struct mgpt_ref *r, const struct shape *z)
{
    int64_t wide = z->KV * z->D, capacity = r->op->out[2].shape[2];

    for (int64_t which = 0; which < 2; which++)
        for (int64_t b = 0; b < z->B; b++)
            for (int64_t t = 0; t < z->T; t++)
                memcpy(r->out[2] + ((which * z->B + b) * capacity + r->op->position + t) * wide,
                       r->in[0] + (b * z->T + t) * z->width + (z->H + which * z->KV) * z->D,
                       (size_t)wide * sizeof(double));
}

/* --- idea: attention --- */
/* score (T,S) of one head, -inf where the future would be seen */
static void scores(const struct mgpt_ref *r, const struct shape *z, const double *q, struct rows k,
                   double *score)
{
    for (int64_t t = 0; t < z->T; t++)
        for (int64_t s = 0; s < z->S; s++)
            score[t * z->S + s] =
                s <= r->op->position + t
                    ? dot(q + t * z->width, k.data + s * k.stride, z->D) * z->scale
                    : -INFINITY;
}

/* Turns one row of scores into probabilities; returns log(sum exp(score)). */
static double softmax(double *row, int64_t n)
{
    double max = row[0], sum = 0;

    for (int64_t i = 1; i < n; i++)
        max = row[i] > max ? row[i] : max;
    for (int64_t i = 0; i < n; i++)
        sum += row[i] = exp(row[i] - max);
    for (int64_t i = 0; i < n; i++)
        row[i] /= sum;
    return max + log(sum);
}

static void head_forward(struct mgpt_ref *r, const struct operands *x, const struct shape *z,
                         int64_t b, int64_t h, double *p)
{
    const double *q = x->qkv + b * z->T * z->width + h * z->D;
    int64_t g = h / (z->H / z->KV);
    struct rows k = kv_rows(r, x, z, 0, b, g), v = kv_rows(r, x, z, 1, b, g);

    scores(r, z, q, k, p);
    for (int64_t t = 0; t < z->T; t++) {
        double *y = r->out[0] + ((b * z->T + t) * z->H + h) * z->D;
        double lse = softmax(p + t * z->S, z->S);
        if (r->out[1])
            r->out[1][(b * z->H + h) * z->T + t] = lse;
        memset(y, 0, (size_t)z->D * sizeof *y);
        for (int64_t s = 0; s <= r->op->position + t; s++) {
            double weight = p[t * z->S + s] * drop(r, z, b, h, t, s);
            for (int64_t d = 0; d < z->D; d++)
                y[d] += weight * v.data[s * v.stride + d];
        }
    }
}

/* --- end of idea --- */
enum mgpt_status mgpt_ref_attention(struct mgpt_ref *r, struct mgpt_error *error)
{
    struct shape z = shape_of(r->op);
    double *p = calloc((size_t)z.T, (size_t)z.S * sizeof *p);
    struct operands x;

    if (!p)
        return mgpt_fail(error, MGPT_NOMEM, "attention: out of memory for %lld x %lld scores",
                         (long long)z.T, (long long)z.S);
    if (r->out[2])
        fill_cache(r, &z);
    enum mgpt_status status = make_operands(&x, r, error);
    for (int64_t b = 0; b < z.B && status == MGPT_OK; b++)
        for (int64_t h = 0; h < z.H; h++)
            head_forward(r, &x, &z, b, h, p);
    drop_operands(&x);
    free(p);
    return status;
}

/* --- idea: backward --- */
/* With m = drop(.) / p, the factor of dropout:
 *   dv[s] += sum over t of p[t,s] m[t,s] dy[t]
 *   dp[t,s] = m[t,s] dy[t] . v[s]
 *   dscore[t,s] = p[t,s] (dp[t,s] - dy[t] . y[t])     (softmax' and sum over s of p dp = dy . y)
 *   dq[t] += sum over s of dscore[t,s] k[s] / sqrt(D)     dk[s] += ... q[t] / sqrt(D) */
static void head_backward(struct mgpt_ref *r, const struct operands *x, const struct shape *z,
                          int64_t b, int64_t h, double *p)
{
    int64_t g = h / (z->H / z->KV), D = z->D, w = z->width;
    int64_t start = b * z->T * w; /* of the sequence in qkv and dqkv */
    const double *q = x->qkv + start + h * D;
    struct rows k = kv_rows(r, x, z, 0, b, g), v = kv_rows(r, x, z, 1, b, g);
    double *dq = r->out[0] + start + h * D;
    double *dk = r->out[0] + start + (z->H + g) * D, *dv = dk + z->KV * D;

    scores(r, z, q, k, p);
    for (int64_t t = 0; t < z->T; t++) {
        int64_t at = ((b * z->T + t) * z->H + h) * D;
        const double *y = r->in[1] + at, *dy = x->dy + at;
        double lse = r->in[2][(b * z->H + h) * z->T + t], dyy = dot(r->in[3] + at, y, D);
        for (int64_t s = 0; s <= t; s++) {
            double prob = exp(p[t * z->S + s] - lse), m = drop(r, z, b, h, t, s);
            double dp = m * dot(dy, v.data + s * v.stride, D);
            double dscore = prob * (dp - dyy) * z->scale;
            for (int64_t d = 0; d < D; d++) {
                dv[s * w + d] += prob * m * dy[d];
                dq[t * w + d] += dscore * k.data[s * k.stride + d];
                dk[s * w + d] += dscore * q[t * w + d];
            }
        }
    }
}

/* --- end of idea --- */
enum mgpt_status mgpt_ref_attention_backward(struct mgpt_ref *r, struct mgpt_error *error)
{
    struct shape z = shape_of(r->op);
    double *p = calloc((size_t)z.T, (size_t)z.S * sizeof *p);
    struct operands x;

    if (!p)
        return mgpt_fail(error, MGPT_NOMEM, "attention_backward: out of memory for %lld^2 scores",
                         (long long)z.T);
    memset(r->out[0], 0, (size_t)mgpt_tensor_count(&r->op->out[0]) * sizeof(double));
    enum mgpt_status status = make_operands(&x, r, error);
    for (int64_t b = 0; b < z.B && status == MGPT_OK; b++)
        for (int64_t h = 0; h < z.H; h++)
            head_backward(r, &x, &z, b, h, p);
    drop_operands(&x);
    free(p);
    return status;
}
