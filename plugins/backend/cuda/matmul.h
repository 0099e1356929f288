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
 * a and b are rounded to `operands` before they are multiplied; sums are F32. Then,
 * in this order: bias[j] is added; pre[i,j] is kept; the activation is applied; or, when `slope_of`
 * is there, the sum is multiplied with activation'(slope_of[i,j]). Then it is stored or added. */
struct cuda_product {
    int64_t I, J, L;
    struct cuda_mixed a, b;
    enum cuda_layout a_layout, b_layout;
    uint32_t operands;                     /* enum mgpt_dtype or CUDA_TF32 */
    struct cuda_mixed bias, slope_of, pre; /* `at` NULL: none */
    uint32_t activation;
    int accumulate;
    struct cuda_mixed c;
};

/* Our own kernel, or cuBLASLt for large products where it is there. (linear.cu) */
enum mgpt_status cuda_product(struct mgpt_device *device, const struct cuda_product *p,
                              struct mgpt_error *error);
/* Our own kernels: F32 in matmul.cu, all else on tensor cores in tensor_matmul.cu. */
enum mgpt_status cuda_matmul(struct mgpt_device *device, const struct cuda_product *p,
                             struct mgpt_error *error);
enum mgpt_status cuda_tensor_matmul(struct mgpt_device *device, const struct cuda_product *p,
                                    struct mgpt_error *error);
/* Bytes of scratch that the latter asks for. */
int64_t cuda_tensor_room(const struct mgpt_device *device, const struct cuda_product *p);

/* Shares that the L terms are cut into: 1 where the pieces of c keep half of the multiprocessors
 * busy, else enough for all. *share: terms of all but the last, a multiple of CUDA_SHARE_OF. */
#define CUDA_SHARE_OF 32
int64_t cuda_shares(const struct mgpt_device *device, const struct cuda_product *p, int64_t pieces,
                    int64_t *share);
/* What follows the sum, and the sum of parts (shares,I,J) in order. (matmul.cu) */
enum mgpt_status cuda_finish(struct mgpt_device *device, const struct cuda_product *p,
                             int64_t shares, const float *parts, struct mgpt_error *error);
/* to[r * stride + c] = from[r * columns + c] in the format of `to`. (matmul.cu) */
enum mgpt_status cuda_cast(struct mgpt_device *device, int64_t rows, int64_t columns,
                           struct cuda_mixed from, struct cuda_mixed to, int64_t stride,
                           struct mgpt_error *error);

#ifdef __cplusplus
}
#endif
#endif
