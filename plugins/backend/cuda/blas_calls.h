/* The functions of cuBLASLt that are used here: the library's, or the emulation's. */
#ifndef MGPT_CUDA_BLAS_CALLS_H
#define MGPT_CUDA_BLAS_CALLS_H

#include <cublasLt.h>

#ifdef __cplusplus
extern "C" {
#endif

/* In the order of their use; types as in <cublasLt.h>. */
struct cuda_blas_calls {
    cublasStatus_t (*create)(cublasLtHandle_t *handle);
    cublasStatus_t (*destroy)(cublasLtHandle_t handle);
    cublasStatus_t (*product_create)(cublasLtMatmulDesc_t *product, cublasComputeType_t compute,
                                     cudaDataType_t scale);
    cublasStatus_t (*product_destroy)(cublasLtMatmulDesc_t product);
    cublasStatus_t (*product_set)(cublasLtMatmulDesc_t product,
                                  cublasLtMatmulDescAttributes_t attribute, const void *value,
                                  size_t size);
    cublasStatus_t (*layout_create)(cublasLtMatrixLayout_t *layout, cudaDataType type,
                                    uint64_t rows, uint64_t columns, int64_t stride);
    cublasStatus_t (*layout_destroy)(cublasLtMatrixLayout_t layout);
    cublasStatus_t (*preference_create)(cublasLtMatmulPreference_t *preference);
    cublasStatus_t (*preference_destroy)(cublasLtMatmulPreference_t preference);
    cublasStatus_t (*preference_set)(cublasLtMatmulPreference_t preference,
                                     cublasLtMatmulPreferenceAttributes_t attribute,
                                     const void *value, size_t size);
    cublasStatus_t (*heuristic)(cublasLtHandle_t handle, cublasLtMatmulDesc_t product,
                                cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                cublasLtMatmulPreference_t preference, int wanted,
                                cublasLtMatmulHeuristicResult_t found[], int *count);
    cublasStatus_t (*matmul)(cublasLtHandle_t handle, cublasLtMatmulDesc_t product,
                             const void *alpha, const void *a, cublasLtMatrixLayout_t a_layout,
                             const void *b, cublasLtMatrixLayout_t b_layout, const void *beta,
                             const void *c, cublasLtMatrixLayout_t c_layout, void *d,
                             cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algorithm,
                             void *workspace, size_t bytes, cudaStream_t stream);
};

/* 0 where there is no library. (blas_find.c) */
int cuda_blas_find(struct cuda_blas_calls *calls);

#ifdef __cplusplus
}
#endif
#endif
