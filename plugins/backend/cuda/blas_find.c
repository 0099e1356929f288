/* Opens cuBLASLt: half a gigabyte, so only when a device is opened. */
#include <stddef.h>

#include "blas_calls.h"
#include "driver.h"

#define TEXT_AGAIN(x) #x
#define TEXT(x) TEXT_AGAIN(x)

static const struct cuda_symbol symbols[] = {
#define SYMBOL(field, name)                                                                        \
    {                                                                                              \
        name, offsetof(struct cuda_blas_calls, field)                                              \
    }
    SYMBOL(create, "cublasLtCreate"),
    SYMBOL(destroy, "cublasLtDestroy"),
    SYMBOL(product_create, "cublasLtMatmulDescCreate"),
    SYMBOL(product_destroy, "cublasLtMatmulDescDestroy"),
    SYMBOL(product_set, "cublasLtMatmulDescSetAttribute"),
    SYMBOL(layout_create, "cublasLtMatrixLayoutCreate"),
    SYMBOL(layout_destroy, "cublasLtMatrixLayoutDestroy"),
    SYMBOL(preference_create, "cublasLtMatmulPreferenceCreate"),
    SYMBOL(preference_destroy, "cublasLtMatmulPreferenceDestroy"),
    SYMBOL(preference_set, "cublasLtMatmulPreferenceSetAttribute"),
    SYMBOL(heuristic, "cublasLtMatmulAlgoGetHeuristic"),
    SYMBOL(matmul, "cublasLtMatmul"),
#undef SYMBOL
};

int cuda_blas_find(struct cuda_blas_calls *calls)
{
    void *library = cuda_library("libcublasLt.so." TEXT(CUBLAS_VER_MAJOR));

    return !cuda_symbols(library, symbols, sizeof symbols / sizeof *symbols, calls);
}
