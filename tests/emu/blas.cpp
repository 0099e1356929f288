/* Products of column-major matrices, as cuBLASLt is asked for them: d = alpha op(a) op(b) + beta c,
 * and a bias for each row of d. */
#include "blas_calls.h"
#include "fibres.h"

struct emu_blas {
    int open;
};

struct emu_product {
    cublasOperation_t a, b;
    cublasLtEpilogue_t epilogue;
    const float *bias;
};

struct emu_layout {
    uint64_t rows, columns;
    int64_t stride;
};

struct emu_preference {
    size_t workspace;
};

namespace
{

cublasStatus_t create(cublasLtHandle_t *handle)
{
    *handle = new emu_blas{1};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t destroy(cublasLtHandle_t handle)
{
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t product_create(cublasLtMatmulDesc_t *product, cublasComputeType_t, cudaDataType)
{
    *product = new emu_product{CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, nullptr};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t product_destroy(cublasLtMatmulDesc_t product)
{
    delete product;
    return CUBLAS_STATUS_SUCCESS;
}

template <class T> cublasStatus_t take(T *to, const void *value, size_t size)
{
    if (size != sizeof *to)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(to, value, size);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t product_set(cublasLtMatmulDesc_t p, cublasLtMatmulDescAttributes_t attribute,
                           const void *value, size_t size)
{
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA: return take(&p->a, value, size);
    case CUBLASLT_MATMUL_DESC_TRANSB: return take(&p->b, value, size);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return take(&p->epilogue, value, size);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return take(&p->bias, value, size);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t layout_create(cublasLtMatrixLayout_t *layout, cudaDataType, uint64_t rows,
                             uint64_t columns, int64_t stride)
{
    if ((uint64_t)stride < rows)
        return CUBLAS_STATUS_INVALID_VALUE;
    *layout = new emu_layout{rows, columns, stride};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t layout_destroy(cublasLtMatrixLayout_t layout)
{
    delete layout;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t preference_create(cublasLtMatmulPreference_t *preference)
{
    *preference = new emu_preference{0};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t preference_destroy(cublasLtMatmulPreference_t preference)
{
    delete preference;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t preference_set(cublasLtMatmulPreference_t p, cublasLtMatmulPreferenceAttributes_t,
                              const void *value, size_t size)
{
    return take(&p->workspace, value, size);
}

/* op(x) is m x n */
bool fits(const emu_layout &x, cublasOperation_t op, uint64_t m, uint64_t n)
{
    return op == CUBLAS_OP_N ? x.rows == m && x.columns == n : x.rows == n && x.columns == m;
}

/* It knows no way for a sum of 999 terms, so that a caller's other way is tried, too. */
cublasStatus_t heuristic(cublasLtHandle_t, cublasLtMatmulDesc_t p, cublasLtMatrixLayout_t a,
                         cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t,
                         cublasLtMatmulPreference_t, int, cublasLtMatmulHeuristicResult_t found[],
                         int *count)
{
    uint64_t terms = p->a == CUBLAS_OP_N ? a->columns : a->rows;

    if (!fits(*a, p->a, c->rows, terms) || !fits(*b, p->b, terms, c->columns))
        return CUBLAS_STATUS_INVALID_VALUE;
    *count = terms != 999;
    found[0] = {};
    found[0].algo.data[0] = c->rows; /* so that an algorithm of another shape is noticed */
    found[0].algo.data[1] = c->columns;
    found[0].algo.data[2] = terms;
    return CUBLAS_STATUS_SUCCESS;
}

void multiply(const emu_product &p, float alpha, const float *a, const emu_layout &la,
              const float *b, const emu_layout &lb, float beta, const float *c, float *d,
              const emu_layout &ld, uint64_t terms)
{
    for (uint64_t j = 0; j < ld.columns; j++)
        for (uint64_t i = 0; i < ld.rows; i++) {
            const float *x = p.a == CUBLAS_OP_N ? a + i : a + i * (uint64_t)la.stride;
            const float *y = p.b == CUBLAS_OP_N ? b + j * (uint64_t)lb.stride : b + j;
            uint64_t sx = p.a == CUBLAS_OP_N ? (uint64_t)la.stride : 1;
            uint64_t sy = p.b == CUBLAS_OP_N ? 1 : (uint64_t)lb.stride;
            uint64_t at = i + j * (uint64_t)ld.stride;
            float sum = 0;
            for (uint64_t l = 0; l < terms; l++)
                sum += x[l * sx] * y[l * sy];
            sum = alpha * sum + (beta != 0 ? beta * c[at] : 0);
            d[at] = sum + (p.epilogue == CUBLASLT_EPILOGUE_BIAS ? p.bias[i] : 0);
        }
}

cublasStatus_t matmul(cublasLtHandle_t, cublasLtMatmulDesc_t product, const void *alpha,
                      const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
                      cublasLtMatrixLayout_t b_layout, const void *beta, const void *c,
                      cublasLtMatrixLayout_t, void *d, cublasLtMatrixLayout_t d_layout,
                      const cublasLtMatmulAlgo_t *algorithm, void *, size_t, cudaStream_t stream)
{
    emu_product p = *product;
    emu_layout la = *a_layout, lb = *b_layout, ld = *d_layout;
    uint64_t terms = p.a == CUBLAS_OP_N ? la.columns : la.rows;
    float factor = *(const float *)alpha, kept = *(const float *)beta;

    if (algorithm->data[0] != ld.rows || algorithm->data[1] != ld.columns ||
        algorithm->data[2] != terms)
        return CUBLAS_STATUS_INVALID_VALUE;
    emu_defer(stream, [=] {
        multiply(p, factor, (const float *)a, la, (const float *)b, lb, kept, (const float *)c,
                 (float *)d, ld, terms);
    });
    return CUBLAS_STATUS_SUCCESS;
}

} // namespace

int cuda_blas_find(struct cuda_blas_calls *calls)
{
    *calls = {create,        destroy,        product_create,    product_destroy,    product_set,
              layout_create, layout_destroy, preference_create, preference_destroy, preference_set,
              heuristic,     matmul};
    return 1;
}
