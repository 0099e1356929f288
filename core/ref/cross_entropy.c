/* Softmax and cross entropy in one pass over the logits, with the gradient.
 *
 *   loss += inv_targets * sum over rows of (log sum exp(logits) - logits[target])
 *   dlogits = (softmax(logits) - onehot(target)) * inv_targets * loss_scale
 * A row whose target is -1 counts nothing: its gradient is 0. */
#include <config.h>

#include <inttypes.h>
#include <math.h>

#include "ref/ops.h"

/* --- idea: loss --- */
/* log(sum exp(z)), with the maximum taken out so that nothing overflows */
static double log_sum_exp(const double *z, int64_t V)
{
    double max = z[0], sum = 0;

    for (int64_t v = 1; v < V; v++)
        max = z[v] > max ? z[v] : max;
    for (int64_t v = 0; v < V; v++)
        sum += exp(z[v] - max);
    return max + log(sum);
}

enum mgpt_status mgpt_ref_cross_entropy(struct mgpt_ref *r, struct mgpt_error *error)
{
    const double *logits = r->in[0]; /* (N,V) */
    const int32_t *targets = r->ids; /* (N) */
    double *dlogits = r->out[1];     /* (N,V) */
    int64_t N = mgpt_tensor_rows(&r->op->in[0]), V = mgpt_tensor_columns(&r->op->in[0]);
    double scale = r->state.inv_targets * r->state.loss_scale, sum = 0;

    for (int64_t n = 0; n < N; n++)
        if (targets[n] < -1 || targets[n] >= V)
            return mgpt_fail(error, MGPT_INVALID,
                             "cross_entropy: target %" PRId32 " at index %" PRId64
                             " is not in -1..%" PRId64,
                             targets[n], n, V - 1);
    for (int64_t n = 0; n < N; n++) {
        const double *z = logits + n * V;
        bool counts = targets[n] >= 0;
        double lse = log_sum_exp(z, V);
        if (counts)
            sum += lse - z[targets[n]];
        for (int64_t v = 0; dlogits && v < V; v++)
            dlogits[n * V + v] = counts ? (exp(z[v] - lse) - (v == targets[n])) * scale : 0;
    }
    r->state.loss += r->state.inv_targets * sum;
    return MGPT_OK;
}
/* --- end of idea --- */
