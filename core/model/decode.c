/* What a pass with a cache does otherwise. Each layer keeps keys and values of all positions so
 * far; a new position computes its own and reads the rest. */
#include <config.h>

#include <string.h>

#include "model/forward.h"

struct mgpt_tensor mgpt_decode_cache(const struct mgpt_tape *t, int layer)
{
    const struct mgpt_model *m = t->net->model;
    int64_t wide = (int64_t)m->kv_heads * (m->embd / m->heads);
    struct mgpt_tensor part = t->cache;

    part.rank = 4;
    memcpy(part.shape, (int64_t[]){2, t->batch, m->context, wide}, sizeof part.shape);
    part.offset += (uint64_t)(layer * mgpt_tensor_count(&part)) * mgpt_dtype_size(t->cache.dtype);
    return part;
}

/* n rows of a tensor seen as a matrix, from row `first` on. */
static struct mgpt_tensor rows_of(const struct mgpt_tensor *x, int64_t first, int64_t n)
{
    int64_t columns = mgpt_tensor_columns(x);
    struct mgpt_tensor part = *x;

    part.offset += (uint64_t)(first * columns) * mgpt_dtype_size(x->dtype);
    part.rank = 2;
    part.shape[0] = n;
    part.shape[1] = columns;
    return part;
}

/* (1,T,n) -> (1,1,n) */
static struct mgpt_tensor last_row(const struct mgpt_tensor *x)
{
    int64_t T = mgpt_tensor_rows(x);
    struct mgpt_tensor part = rows_of(x, T - 1, 1);

    part.rank = 3;
    memcpy(part.shape, (int64_t[]){1, 1, mgpt_tensor_columns(x)}, 3 * sizeof *part.shape);
    return part;
}

void mgpt_decode_narrow(struct mgpt_tape *t, int layer, struct mgpt_tensor *x,
                        struct mgpt_tensor *norm1)
{
    const struct mgpt_param *w, *bias;
    struct mgpt_tensor cache = mgpt_decode_cache(t, layer);
    int64_t wide = mgpt_tensor_columns(&cache), C = t->net->model->embd;

    if (t->time == 1)
        return;
    w = mgpt_tape_param(t, layer, "attn.qkv.weight"); /* (C+2 KV*D,C): rows of q, of k, of v */
    bias = mgpt_tape_param(t, layer, "attn.qkv.bias");
    for (int64_t which = 0; which < 2; which++) {
        struct mgpt_op op = mgpt_tape_op(t, MGPT_OP_LINEAR);
        op.in[0] = *norm1;
        op.in[1] = rows_of(&w->p, C + which * wide, wide);
        if (bias) {
            op.in[2] = bias->p;
            op.in[2].offset += (uint64_t)(C + which * wide) * mgpt_dtype_size(bias->p.dtype);
            op.in[2].shape[0] = wide;
        }
        op.out[0] = rows_of(&cache, which * t->net->model->context, t->time);
        mgpt_tape_add(t, &op);
    }
    *x = last_row(x);
    *norm1 = last_row(norm1);
    t->rows = 1;
}
