/* Normalisation of each row, with an optional sum before it.
 *
 *   s = x [+ residual]
 *   rms:    xhat = s / sqrt(mean(s^2) + eps)                  Zhang & Sennrich 2019
 *   layer:  xhat = (s - mean(s)) / sqrt(var(s) + eps)         Ba et al. 2016; var is biased
 *   y = xhat [* gain] [+ bias] */
#include <config.h>

#include <math.h>

#include "ref/ops.h"

/* --- idea: norm --- */
/* mean and 1/std of one row, as they go to stats. */
static void row_stats(const struct mgpt_op *op, const double *s, int64_t C, double *mean,
                      double *rstd)
{
    double var = 0;

    *mean = 0;
    if (op->norm == MGPT_NORM_LAYER) {
        for (int64_t c = 0; c < C; c++)
            *mean += s[c];
        *mean /= (double)C;
    }
    for (int64_t c = 0; c < C; c++)
        var += (s[c] - *mean) * (s[c] - *mean);
    *rstd = 1 / sqrt(var / (double)C + op->eps);
}

enum mgpt_status mgpt_ref_norm(struct mgpt_ref *r, struct mgpt_error *error)
{
    const double *x = r->in[0], *residual = r->in[1];          /* (N,C) */
    const double *gain = r->in[2], *bias = r->in[3];           /* (C) */
    double *y = r->out[0], *stats = r->out[1], *s = r->out[2]; /* (N,C), (N,2), (N,C) */
    int64_t N = mgpt_tensor_rows(&r->op->in[0]), C = mgpt_tensor_columns(&r->op->in[0]);

    (void)error;
    for (int64_t n = 0; n < N; n++) {
        double *row = y + n * C, mean, rstd; /* the sum is made in the row of y */
        for (int64_t c = 0; c < C; c++)
            row[c] = x[n * C + c] + (residual ? residual[n * C + c] : 0);
        for (int64_t c = 0; s && c < C; c++)
            s[n * C + c] = row[c];
        row_stats(r->op, row, C, &mean, &rstd);
        for (int64_t c = 0; c < C; c++)
            row[c] = (row[c] - mean) * rstd * (gain ? gain[c] : 1) + (bias ? bias[c] : 0);
        if (stats) {
            stats[2 * n] = mean;
            stats[2 * n + 1] = rstd;
        }
    }
    return MGPT_OK;
}

/* --- end of idea --- */
/* With h = dy [* gain], the gradient of xhat:
 *   rms:    ds = (h - xhat mean(h xhat)) / std
 *   layer:  ds = (h - mean(h) - xhat mean(h xhat)) / std
 *   dgain += sum over rows of dy xhat      dbias += sum over rows of dy */
enum mgpt_status mgpt_ref_norm_backward(struct mgpt_ref *r, struct mgpt_error *error)
{
    const double *s = r->in[0], *stats = r->in[1], *dy = r->in[2];  /* (N,C), (N,2), (N,C) */
    const double *gain = r->in[3];                                  /* (C) */
    double *ds = r->out[0], *dgain = r->out[1], *dbias = r->out[2]; /* (N,C), (C), (C) */
    int64_t N = mgpt_tensor_rows(&r->op->in[0]), C = mgpt_tensor_columns(&r->op->in[0]);

    (void)error;
    for (int64_t n = 0; n < N; n++) {
        double mean = stats[2 * n], rstd = stats[2 * n + 1], mean_h = 0, mean_hx = 0;
        for (int64_t c = 0; c < C; c++) {
            double xhat = (s[n * C + c] - mean) * rstd;
            double h = dy[n * C + c] * (gain ? gain[c] : 1);
            mean_h += h / (double)C;
            mean_hx += h * xhat / (double)C;
            if (dgain)
                dgain[c] += dy[n * C + c] * xhat;
            if (dbias)
                dbias[c] += dy[n * C + c];
        }
        if (r->op->norm == MGPT_NORM_RMS)
            mean_h = 0;
        for (int64_t c = 0; c < C; c++) {
            double xhat = (s[n * C + c] - mean) * rstd;
            double h = dy[n * C + c] * (gain ? gain[c] : 1);
            double d = (h - mean_h - xhat * mean_hx) * rstd;
            ds[n * C + c] = r->op->flags & MGPT_OP_ACCUMULATE ? ds[n * C + c] + d : d;
        }
    }
    return MGPT_OK;
}
