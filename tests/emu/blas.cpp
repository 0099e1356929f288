/* Products of column-major matrices, as cuBLASLt is asked for them: d = alpha op(a) op(b) + beta c,
 * with F32 sums, and what the epilogue does with it: a bias for each row of d; or GELU in its tanh
 * form, which leaves in `aux` what goes into it; or its derivative at `aux`. */
#include "blas_calls.h"
#include "fibres.h"
#include "ptx.h"

struct emu_blas {
    int open;
};

struct emu_product {
    cublasOperation_t a, b;
    cublasLtEpilogue_t epilogue;
    const float *bias;
    void *aux;
    int64_t aux_stride;
    cublasComputeType_t compute;
};

struct emu_layout {
    uint64_t rows, columns;
    int64_t stride;
    cudaDataType type;
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

cublasStatus_t product_create(cublasLtMatmulDesc_t *product, cublasComputeType_t compute,
                              cudaDataType)
{
    *product = new emu_product{
        CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, nullptr, nullptr, 0, compute};
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
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER: return take(&p->aux, value, size);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD: return take(&p->aux_stride, value, size);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t layout_create(cublasLtMatrixLayout_t *layout, cudaDataType type, uint64_t rows,
                             uint64_t columns, int64_t stride)
{
    if ((uint64_t)stride < rows)
        return CUBLAS_STATUS_INVALID_VALUE;
    *layout = new emu_layout{rows, columns, stride, type};
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

cublasStatus_t preference_set(cublasLtMatmulPreference_t p,
                              cublasLtMatmulPreferenceAttributes_t attribute, const void *value,
                              size_t size)
{
    uint32_t alignment;

    return attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES ? take(&p->workspace, value, size)
                                                                 : take(&alignment, value, size);
}

/* op(x) is m x n */
bool fits(const emu_layout &x, cublasOperation_t op, uint64_t m, uint64_t n)
{
    return op == CUBLAS_OP_N ? x.rows == m && x.columns == n : x.rows == n && x.columns == m;
}

/* Do the rows of 16-bit operands begin where 16 bytes can be loaded at once? The library takes
 * others as well, and is slow. */
bool fast(const emu_layout &x)
{
    return x.type == CUDA_R_32F || x.stride % 8 == 0;
}

/* The mixtures of formats that are known: both operands alike, c so or F32; with BIAS the bias is
 * as c; GELU in 16 bits, since its formula is not exact enough for more. */
bool known(const emu_product &p, const emu_layout &a, const emu_layout &b, const emu_layout &c)
{
    bool gelu = p.epilogue == CUBLASLT_EPILOGUE_GELU_AUX || p.epilogue == CUBLASLT_EPILOGUE_DGELU;

    return a.type == b.type && (c.type == a.type || c.type == CUDA_R_32F) &&
           (p.epilogue != CUBLASLT_EPILOGUE_BIAS || c.type == CUDA_R_32F) &&
           (p.compute != CUBLAS_COMPUTE_32F_FAST_TF32 || a.type == CUDA_R_32F) &&
           (!gelu || (c.type != CUDA_R_32F && p.aux && p.aux_stride % 8 == 0 &&
                      (uint64_t)p.aux_stride >= c.rows));
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
    *count = terms != 999 && known(*p, *a, *b, *c) && fast(*a) && fast(*b);
    found[0] = {};
    found[0].algo.data[0] = c->rows; /* so that an algorithm of another shape is noticed */
    found[0].algo.data[1] = c->columns;
    found[0].algo.data[2] = terms;
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- the product ---- */

float load(cudaDataType type, const void *x, uint64_t i)
{
    if (type == CUDA_R_32F)
        return static_cast<const float *>(x)[i];
    uint16_t bits = static_cast<const uint16_t *>(x)[i];
    return type == CUDA_R_16F ? f16_float(bits) : float_of_bits((uint32_t)bits << 16);
}

void store(cudaDataType type, void *x, uint64_t i, float value)
{
    if (type == CUDA_R_32F)
        static_cast<float *>(x)[i] = value;
    else
        static_cast<uint16_t *>(x)[i] = type == CUDA_R_16F ? f16_bits(value) : bf16_bits(value);
}

/* n rows of op(a), or columns of op(b), of so many terms, each value as it is multiplied. */
std::vector<float> operand(const emu_product &p, const void *x, const emu_layout &l, bool by_stride,
                           uint64_t n, uint64_t terms)
{
    std::vector<float> values(n * terms);
    uint64_t stride = (uint64_t)l.stride;

    for (uint64_t i = 0; i < n; i++)
        for (uint64_t k = 0; k < terms; k++) {
            float value = load(l.type, x, by_stride ? i + k * stride : k + i * stride);
            values[i * terms + k] =
                p.compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? tf32_float(value) : value;
        }
    return values;
}

/* Hendrycks & Gimpel 2016, the tanh form. */
float gelu(float x)
{
    return 0.5f * x * (1 + std::tanh(0.79788456f * (x + 0.044715f * x * x * x)));
}

float gelu_slope(float x)
{
    float t = std::tanh(0.79788456f * (x + 0.044715f * x * x * x));

    return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * 0.79788456f * (1 + 3 * 0.044715f * x * x);
}

float end(const emu_product &p, cudaDataType type, uint64_t i, uint64_t j, float sum)
{
    uint64_t at = i + j * (uint64_t)p.aux_stride;

    switch (p.epilogue) {
    case CUBLASLT_EPILOGUE_BIAS: return sum + p.bias[i];
    case CUBLASLT_EPILOGUE_GELU_AUX: store(type, p.aux, at, sum); return gelu(sum);
    case CUBLASLT_EPILOGUE_DGELU: return sum * gelu_slope(load(type, p.aux, at));
    default: return sum;
    }
}

void multiply(const emu_product &p, float alpha, const void *a, const emu_layout &la, const void *b,
              const emu_layout &lb, float beta, const void *c, void *d, const emu_layout &ld,
              uint64_t terms)
{
    std::vector<float> x = operand(p, a, la, p.a == CUBLAS_OP_N, ld.rows, terms);
    std::vector<float> y = operand(p, b, lb, p.b != CUBLAS_OP_N, ld.columns, terms);

    for (uint64_t j = 0; j < ld.columns; j++)
        for (uint64_t i = 0; i < ld.rows; i++) {
            uint64_t at = i + j * (uint64_t)ld.stride;
            float sum = 0;
            for (uint64_t l = 0; l < terms; l++)
                sum += x[i * terms + l] * y[j * terms + l];
            sum = alpha * sum + (beta != 0 ? beta * load(ld.type, c, at) : 0);
            store(ld.type, d, at, end(p, ld.type, i, j, sum));
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
    emu_defer(stream, [=] { multiply(p, factor, a, la, b, lb, kept, c, d, ld, terms); });
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
