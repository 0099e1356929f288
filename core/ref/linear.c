/* A linear layer, with an optional bias and an optional activation behind it.
 *
 *   pre = x w^T [+ bias]      y = activation(pre) */
#include <config.h>

#include "ref/ops.h"

enum mgpt_status mgpt_ref_linear(struct mgpt_ref *r, struct mgpt_error *error)
{
    const double *x = r->in[0], *w = r->in[1], *bias = r->in[2]; /* (N,K), (M,K), (M) */
    double *y = r->out[0], *pre = r->out[1];                     /* (N,M) */
    int64_t N = mgpt_tensor_rows(&r->op->in[0]);
    int64_t M = r->op->in[1].shape[0], K = r->op->in[1].shape[1];

    (void)error;
    for (int64_t n = 0; n < N; n++)
        for (int64_t m = 0; m < M; m++) {
            double sum = bias ? bias[m] : 0;
            for (int64_t k = 0; k < K; k++)
                sum += x[n * K + k] * w[m * K + k];
            if (pre)
                pre[n * M + m] = sum;
            y[n * M + m] = mgpt_ref_act(r->op->activation, sum);
        }
    return MGPT_OK;
}

/* dx[n,k] (+)= sum over m of dy[n,m] w[m,k], times activation'(pre[n,k]) where x is activation(pre)
 */
static void input_gradient(struct mgpt_ref *r, int64_t N, int64_t M, int64_t K)
{
    const double *w = r->in[1], *dy = r->in[2], *pre = r->in[3]; /* (M,K), (N,M), (N,K) */
    double *dx = r->out[0];                                      /* (N,K) */

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

/* dw[m,k] += sum over n of dy[n,m] x[n,k]      dbias[m] += sum over n of dy[n,m] */
static void weight_gradient(struct mgpt_ref *r, int64_t N, int64_t M, int64_t K)
{
    const double *x = r->in[0], *dy = r->in[2]; /* (N,K), (N,M) */
    double *dw = r->out[1], *dbias = r->out[2]; /* (M,K), (M) */

    for (int64_t n = 0; n < N; n++)
        for (int64_t m = 0; m < M; m++) {
            for (int64_t k = 0; dw && k < K; k++)
                dw[m * K + k] += dy[n * M + m] * x[n * K + k];
            if (dbias)
                dbias[m] += dy[n * M + m];
        }
}

enum mgpt_status mgpt_ref_linear_backward(struct mgpt_ref *r, struct mgpt_error *error)
{
    int64_t N = mgpt_tensor_rows(&r->op->in[0]);
    int64_t M = r->op->in[1].shape[0], K = r->op->in[1].shape[1];

    (void)error;
    if (r->out[0])
        input_gradient(r, N, M, K);
    weight_gradient(r, N, M, K);
    return MGPT_OK;
}
