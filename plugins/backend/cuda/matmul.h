/* Products of matrices with what follows them. */
#ifndef MGPT_CUDA_MATMUL_H
#define MGPT_CUDA_MATMUL_H

#include "ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How a matrix lies in memory: one of its two strides is 1. */
enum cuda_layout {
    CUDA_ROWS = 0,   /* row-major */
    CUDA_COLUMNS = 1 /* column-major: a transposed view */
};

/* c[i,j] = epilogue(sum over l < L of a[i,l] b[l,j]),  i < I, j < J;  c is row-major.
 *
 * In this order: bias[j] is added; pre[i,j] is kept; the activation is applied; or, when `slope_of`
 * is there, the sum is multiplied with activation'(slope_of[i,j]). Then it is stored or added. */
struct cuda_product {
    int64_t I, J, L;
    const float *a, *b;
    enum cuda_layout a_layout, b_layout;
    const float *bias, *slope_of; /* NULL: none */
    float *pre;
    uint32_t activation;
    int accumulate;
    float *c;
};

/* Our own kernel, or cuBLASLt for large products where it is there. (linear.cu) */
enum mgpt_status cuda_product(struct mgpt_device *device, const struct cuda_product *p,
                              struct mgpt_error *error);
/* Our own kernel. (matmul.cu) */
enum mgpt_status cuda_matmul(struct mgpt_device *device, const struct cuda_product *p,
                             struct mgpt_error *error);
/* What follows the sum, alone, in place of c: for products whose sum is in c already. (matmul.cu) */
enum mgpt_status cuda_finish(struct mgpt_device *device, const struct cuda_product *p,
                             struct mgpt_error *error);

#ifdef __cplusplus
}
#endif
#endif
