/* Products of matrices of any size, in blocks over cpu_tile. */
#ifndef MGPT_CPU_MATMUL_H
#define MGPT_CPU_MATMUL_H

#include "ops.h"

#define cpu_matmul_run CPU_NAME(cpu_matmul_run)
#define cpu_matmul_blocked CPU_NAME(cpu_matmul_blocked)
#define cpu_matmul_thin CPU_NAME(cpu_matmul_thin)

/* c[i][j] (+)= bias[j] + sum over l of A[i][l] B[l][j], and what follows on c. */
struct cpu_matmul {
    int64_t rows, cols, depth;
    const float *a, *b;
    const struct mgpt_buffer *b_of; /* b lies in it; NULL: b is not kept packed */
    int64_t lda, ldb;
    int a_transposed; /* A[i][l] is a[l lda + i], else a[i lda + l] */
    int b_transposed; /* B[l][j] is b[j ldb + l], else b[l ldb + j] */
    int accumulate;
    const float *bias; /* (cols) or NULL; not with accumulate */
    float *c;          /* rows of cols; NULL: row_sums are all that is wanted */
    /* then, on c: pre = c, c = activation(c); or c = c activation'(slope_of) */
    uint32_t activation;
    float *pre;            /* (rows, cols) or NULL */
    const float *slope_of; /* (rows, cols) or NULL */
    float *row_sums;       /* (rows) += sum over l of A[i][l], or NULL; with a_transposed */
};

void cpu_matmul_run(struct mgpt_device *device, const struct cpu_matmul *m);
/* The same for large ones: a_transposed only with accumulate and a plain b; not accumulate and
 * slope_of together. */
void cpu_matmul_blocked(struct mgpt_device *device, const struct cpu_matmul *m);
/* The same for a few rows: b_transposed and nothing else; not accumulate, nor slope_of. */
void cpu_matmul_thin(struct mgpt_device *device, const struct cpu_matmul *m);

#endif
