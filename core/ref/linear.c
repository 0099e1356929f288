/* A linear layer, with an optional bias and an optional activation behind it.
 *
 *   pre = x w^T [+ bias]      y = activation(pre)
 * Where x has 16 bits, w and dy are rounded to its format before they are multiplied; with
 * MGPT_OP_TF32 an F32 x, w and dy to 10 bits of mantissa. */
#include <config.h>

#include <stdlib.h>

#include "ref/ops.h"

/* Input `slot` as a product takes it: a new array, to be freed. NULL: out of memory. */
static double *operand(const struct mgpt_ref *r, int slot, struct mgpt_error *error)
{
    return mgpt_ref_operand(r->op, &r->op->in[slot], r->in[slot], error);
}

/* --- idea: mlp --- */
static void product(struct mgpt_ref *r, const double *x, const double *w)
{
    const double *bias = r->in[2];           /* (M) */
    double *y = r->out[0], *pre = r->out[1]; /* (N,M) */
    int64_t N = mgpt_tensor_rows(&r->op->in[0]);
    int64_t M = r->op->in[1].shape[0], K = r->op->in[1].shape[1];

    for (int64_t n = 0; n < N; n++)
        for (int64_t m = 0; m < M; m++) {
            double sum = bias ? bias[m] : 0;
            for (int64_t k = 0; k < K; k++)
                sum += x[n * K + k] * w[m * K + k];
            if (pre)
                pre[n * M + m] = sum;
            y[n * M + m] = mgpt_ref_act(r->op->activation, sum);
        }
}
/* --- end of idea --- */

enum mgpt_status mgpt_ref_linear(struct mgpt_ref *r, struct mgpt_error *error)
{
    double *x = operand(r, 0, error);            /* (N,K) */
    double *w = x ? operand(r, 1, error) : NULL; /* (M,K) */

    if (w)
        product(r, x, w);
    free(w);
    free(x);
    return w ? MGPT_OK : MGPT_NOMEM;
}

/* dx[n,k] (+)= sum over m of dy[n,m] w[m,k], times activation'(pre[n,k]) where x is activation(pre)
 */
static void input_gradient(struct mgpt_ref *r, const double *w, const double *dy, int64_t N,
                           int64_t M, int64_t K)
{
    const double *pre = r->in[3]; /* (N,K) */
    double *dx = r->out[0];       /* (N,K) */

    for (int64_t n = 0; n < N; n++)
        for (int64_t k = 0; k < K; k++) {
            double sum = 0;
            for (int64_t m = 0; m < M; m++)
                sum += dy[n * M + m] * w[m * K + k];
            if (pre)
                sum *= mgpt_ref_act_slope(r->op->activation, pre[n * K + k]);
            dx[n * K + k] = r->op->flags & MGPT_OP_ACCUMULATE ? dx[n * K + k] + sum : sum;
        }
}

/* dw[m,k] += sum over n of dy[n,m] x[n,k]      dbias[m] += sum over n of dy[n,m], not rounded */
static void weight_gradient(struct mgpt_ref *r, const double *x, const double *dy, int64_t N,
                            int64_t M, int64_t K)
{
    double *dw = r->out[1], *dbias = r->out[2]; /* (M,K), (M) */

    for (int64_t n = 0; n < N; n++)
        for (int64_t m = 0; m < M; m++) {
            for (int64_t k = 0; dw && k < K; k++)
                dw[m * K + k] += dy[n * M + m] * x[n * K + k];
            if (dbias)
                dbias[m] += r->in[2][n * M + m];
        }
}

enum mgpt_status mgpt_ref_linear_backward(struct mgpt_ref *r, struct mgpt_error *error)
{
    int64_t N = mgpt_tensor_rows(&r->op->in[0]);
    int64_t M = r->op->in[1].shape[0], K = r->op->in[1].shape[1];
    double *x = operand(r, 0, error);             /* (N,K) */
    double *w = x ? operand(r, 1, error) : NULL;  /* (M,K) */
    double *dy = w ? operand(r, 2, error) : NULL; /* (N,M) */

    if (dy) {
        if (r->out[0])
            input_gradient(r, w, dy, N, M, K);
        weight_gradient(r, x, dy, N, M, K);
    }
    free(dy);
    free(w);
    free(x);
    return dy ? MGPT_OK : MGPT_NOMEM;
}
