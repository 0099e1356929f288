/* cuBLASLt, opened at run time, behind one small table: the emulation stands in for it. */
#ifndef MGPT_CUDA_BLAS_H
#define MGPT_CUDA_BLAS_H

#include "matmul.h"

#ifdef __cplusplus
extern "C" {
#endif

/* NULL in *blas, and MGPT_OK, where there is no library: then products are our own. */
enum mgpt_status cuda_blas_open(struct mgpt_device *device, struct cuda_blas **blas,
                                struct mgpt_error *error);
void cuda_blas_close(struct cuda_blas *blas);
/* n products of one matrix in memory, `a` of each, which is brought into the format of the operands
 * once. MGPT_UNSUPPORTED when the library knows no way for the one after the first *done, which
 * begins as 0. (blas.c) */
enum mgpt_status cuda_blas_products(struct mgpt_device *device, const struct cuda_product *p, int n,
                                    int *done, struct mgpt_error *error);
/* Bytes of scratch that they ask for. */
int64_t cuda_blas_room(const struct cuda_product *p, int n);

#ifdef __cplusplus
}
#endif
#endif
