/* Embedding: each position's vector is a row of the token table plus a row of the position table.
 *
 *   x[b,t,:] = wte[ids[b,t],:] + wpe[position + t,:]
 *   dwte[ids[b,t],:] += dx[b,t,:]      dwpe[position + t,:] += dx[b,t,:] */
#include <config.h>

#include <inttypes.h>

#include "ref/ops.h"

/* No id may lie outside of the table of V rows. */
static enum mgpt_status check_ids(const struct mgpt_ref *r, int64_t V, struct mgpt_error *error)
{
    int64_t n = mgpt_tensor_count(&r->op->in[0]);

    for (int64_t i = 0; i < n; i++)
        if (r->ids[i] < 0 || r->ids[i] >= V)
            return mgpt_fail(error, MGPT_INVALID,
                             "%s: id %" PRId32 " at index %" PRId64 " is not in 0..%" PRId64,
                             mgpt_op_name(r->op->code), r->ids[i], i, V - 1);
    return MGPT_OK;
}

/* --- idea: embedding --- */
enum mgpt_status mgpt_ref_embed(struct mgpt_ref *r, struct mgpt_error *error)
{
    const double *wte = r->in[1], *wpe = r->in[2]; /* (V,C), (L,C) */
    double *x = r->out[0];                         /* (B,T,C) */
    int64_t B = r->op->in[0].shape[0], T = r->op->in[0].shape[1];
    int64_t V = r->op->in[1].shape[0], C = r->op->in[1].shape[1];
    enum mgpt_status status = check_ids(r, V, error);

    if (status != MGPT_OK)
        return status;
    for (int64_t b = 0; b < B; b++)
        for (int64_t t = 0; t < T; t++) {
            int64_t n = b * T + t;
            for (int64_t c = 0; c < C; c++)
                x[n * C + c] = wte[r->ids[n] * C + c] + wpe[(r->op->position + t) * C + c];
        }
    return MGPT_OK;
}

/* --- end of idea --- */
enum mgpt_status mgpt_ref_embed_backward(struct mgpt_ref *r, struct mgpt_error *error)
{
    const double *dx = r->in[1];                 /* (B,T,C) */
    double *dwte = r->out[0], *dwpe = r->out[1]; /* (V,C), (L,C) */
    int64_t B = r->op->in[0].shape[0], T = r->op->in[0].shape[1];
    int64_t V = r->op->out[0].shape[0], C = r->op->out[0].shape[1];
    enum mgpt_status status = check_ids(r, V, error);

    if (status != MGPT_OK)
        return status;
    for (int64_t b = 0; b < B; b++)
        for (int64_t t = 0; t < T; t++) {
            int64_t n = b * T + t;
            for (int64_t c = 0; c < C; c++) {
                dwte[r->ids[n] * C + c] += dx[n * C + c];
                dwpe[(r->op->position + t) * C + c] += dx[n * C + c];
            }
        }
    return MGPT_OK;
}
