/* Products of BF16 matrices of any size: the operands are BF16 or rounded to it, the sums F32. */
#ifndef MGPT_CPU_BF16_MATMUL_H
#define MGPT_CPU_BF16_MATMUL_H

#include "mixed.h"

/* c[i][j] = bias[j] + sum over l of a[i][l] W[l][j], and what follows on it. */
struct cpu_bf16_rows {
    int64_t rows, cols, depth;
    struct cpu_mixed a; /* (rows, depth) */
    const float *w;
    const struct mgpt_buffer *w_of; /* w lies in it; NULL: w is not kept packed */
    int w_transposed;               /* W[l][j] is w[j depth + l], else w[l cols + j] */
    const float *bias;              /* (cols) or NULL */
    struct cpu_mixed c;             /* (rows, cols) */
    /* then: pre = c, c = activation(c); or c = c activation'(slope_of) */
    uint32_t activation;
    uint16_t *pre;            /* (rows, cols) or NULL */
    const uint16_t *slope_of; /* (rows, cols) or NULL */
    int accumulate;           /* all of it is added to c */
};

/* c[i][j] += sum over l of a[l][i] b[l][j] */
struct cpu_bf16_outer {
    int64_t rows, cols, depth;
    struct cpu_mixed a, b; /* (depth, rows), (depth, cols) */
    float *c;              /* (rows, cols); NULL: row_sums are all that is wanted */
    float *row_sums;       /* (rows) += sum over l of a[l][i], not rounded, or NULL */
};

/* MGPT_NOMEM, before anything was written. */
enum mgpt_status cpu_bf16_rows_run(struct mgpt_device *device, const struct cpu_bf16_rows *m,
                                   struct mgpt_error *error);
/* Wants cpu_bf16_outer_bytes of room for a rounded matrix; then it cannot fail. */
size_t cpu_bf16_outer_bytes(const struct cpu_bf16_outer *m);
void cpu_bf16_outer_run(struct mgpt_device *device, const struct cpu_bf16_outer *m);

#endif
