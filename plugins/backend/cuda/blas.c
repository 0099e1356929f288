/* Large products by cuBLASLt. Row-major matrices are column-major transposed ones, so that
 * c = a b is computed as c^T = b^T a^T. F32 throughout; the algorithm of each shape is chosen once,
 * and the workspace is ours: the same bits every time. */
#include "blas.h"

#include <stdlib.h>
#include <string.h>

#include "blas_calls.h"

#define WORKSPACE ((size_t)32 << 20)
#define CHOICES 256 /* shapes that are remembered; a model has some tens */

/* A shape with what was chosen for it. */
struct choice {
    int64_t I, J, L;
    int a_layout, b_layout, bias, accumulate;
    int known; /* 1: algorithm is valid, -1: the library knows none */
    cublasLtMatmulAlgo_t algorithm;
};

struct cuda_blas {
    struct cuda_blas_calls calls;
    cublasLtHandle_t handle;
    void *workspace;
    struct choice choices[CHOICES];
    int next; /* to be replaced when all are taken */
};

static enum mgpt_status checked(cublasStatus_t code, const char *call, struct mgpt_error *error)
{
    return code == CUBLAS_STATUS_SUCCESS
               ? MGPT_OK
               : mgpt_fail(error, MGPT_DEVICE, "%s: status %d", call, (int)code);
}

void cuda_blas_close(struct cuda_blas *blas)
{
    if (!blas)
        return;
    if (blas->handle)
        (void)blas->calls.destroy(blas->handle);
    (void)cudaFree(blas->workspace);
    free(blas);
}

enum mgpt_status cuda_blas_open(struct mgpt_device *device, struct cuda_blas **out,
                                struct mgpt_error *error)
{
    struct cuda_blas *blas = calloc(1, sizeof *blas);
    enum mgpt_status status;

    if (!blas)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory opening cuBLASLt");
    if (!cuda_blas_find(&blas->calls)) {
        device->host->log(MGPT_LOG_INFO,
                          "cuBLASLt is not installed: all products are kernels of backend cuda");
        free(blas);
        return MGPT_OK;
    }
    status = checked(blas->calls.create(&blas->handle), "cublasLtCreate", error);
    if (status == MGPT_OK)
        status = CUDA_CHECK(cudaMalloc(&blas->workspace, WORKSPACE), error);
    if (status == MGPT_OK)
        *out = blas;
    else
        cuda_blas_close(blas);
    return status;
}

/* Everything that one call takes. */
struct job {
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, c; /* of the library: a is our b, b our a, c is ours transposed */
};

static void finish_job(const struct cuda_blas_calls *calls, struct job *job)
{
    if (job->a)
        (void)calls->layout_destroy(job->a);
    if (job->b)
        (void)calls->layout_destroy(job->b);
    if (job->c)
        (void)calls->layout_destroy(job->c);
    if (job->product)
        (void)calls->product_destroy(job->product);
}

static enum mgpt_status set(const struct cuda_blas_calls *calls, const struct job *job,
                            cublasLtMatmulDescAttributes_t attribute, const void *value,
                            size_t size, struct mgpt_error *error)
{
    return checked(calls->product_set(job->product, attribute, value, size),
                   "cublasLtMatmulDescSetAttribute", error);
}

/* A row-major matrix of rows x columns. */
static enum mgpt_status layout(const struct cuda_blas_calls *calls, int64_t rows, int64_t columns,
                               cublasLtMatrixLayout_t *out, struct mgpt_error *error)
{
    return checked(
        calls->layout_create(out, CUDA_R_32F, (uint64_t)columns, (uint64_t)rows, columns),
        "cublasLtMatrixLayoutCreate", error);
}

static enum mgpt_status make_job(const struct cuda_blas_calls *calls, const struct cuda_product *p,
                                 const float *bias, struct job *job, struct mgpt_error *error)
{
    cublasOperation_t b = p->b_layout == CUDA_ROWS ? CUBLAS_OP_N : CUBLAS_OP_T;
    cublasOperation_t a = p->a_layout == CUDA_ROWS ? CUBLAS_OP_N : CUBLAS_OP_T;
    cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    enum mgpt_status status =
        checked(calls->product_create(&job->product, CUBLAS_COMPUTE_32F, CUDA_R_32F),
                "cublasLtMatmulDescCreate", error);

    if (status == MGPT_OK)
        status = set(calls, job, CUBLASLT_MATMUL_DESC_TRANSA, &b, sizeof b, error);
    if (status == MGPT_OK)
        status = set(calls, job, CUBLASLT_MATMUL_DESC_TRANSB, &a, sizeof a, error);
    if (status == MGPT_OK && bias)
        status = set(calls, job, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue, error);
    if (status == MGPT_OK && bias)
        status = set(calls, job, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias, error);
    if (status == MGPT_OK)
        status = p->b_layout == CUDA_ROWS ? layout(calls, p->L, p->J, &job->a, error)
                                          : layout(calls, p->J, p->L, &job->a, error);
    if (status == MGPT_OK)
        status = p->a_layout == CUDA_ROWS ? layout(calls, p->I, p->L, &job->b, error)
                                          : layout(calls, p->L, p->I, &job->b, error);
    if (status == MGPT_OK)
        status = layout(calls, p->I, p->J, &job->c, error);
    return status;
}

/* The best algorithm that the library knows for the job and our workspace. */
static enum mgpt_status choose(const struct cuda_blas *blas, const struct job *job,
                               struct choice *choice, struct mgpt_error *error)
{
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t found;
    size_t workspace = WORKSPACE;
    int count = 0;
    enum mgpt_status status = checked(blas->calls.preference_create(&preference),
                                      "cublasLtMatmulPreferenceCreate", error);

    if (status != MGPT_OK)
        return status;
    status =
        checked(blas->calls.preference_set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                           &workspace, sizeof workspace),
                "cublasLtMatmulPreferenceSetAttribute", error);
    if (status == MGPT_OK) {
        cublasStatus_t code = blas->calls.heuristic(blas->handle, job->product, job->a, job->b,
                                                    job->c, job->c, preference, 1, &found, &count);
        choice->known = code == CUBLAS_STATUS_SUCCESS && count > 0 ? 1 : -1;
        if (choice->known > 0)
            choice->algorithm = found.algo;
    }
    (void)blas->calls.preference_destroy(preference);
    return status;
}

static struct choice *remembered(struct cuda_blas *blas, const struct cuda_product *p, int bias)
{
    struct choice *c = NULL;

    for (int i = 0; i < CHOICES && blas->choices[i].known; i++) {
        c = &blas->choices[i];
        if (c->I == p->I && c->J == p->J && c->L == p->L && c->a_layout == (int)p->a_layout &&
            c->b_layout == (int)p->b_layout && c->bias == bias && c->accumulate == p->accumulate)
            return c;
    }
    c = &blas->choices[blas->next];
    blas->next = (blas->next + 1) % CHOICES;
    *c = (struct choice){.I = p->I,
                         .J = p->J,
                         .L = p->L,
                         .a_layout = (int)p->a_layout,
                         .b_layout = (int)p->b_layout,
                         .bias = bias,
                         .accumulate = p->accumulate};
    return c;
}

static int is_f32(const struct cuda_mixed *x)
{
    return !x->at || x->format == MGPT_F32;
}

enum mgpt_status cuda_blas_product(struct mgpt_device *device, const struct cuda_product *p,
                                   struct mgpt_error *error)
{
    struct cuda_blas *blas = device->blas;
    int more = p->activation || p->pre.at || p->slope_of.at; /* than a sum and a bias */
    const float *bias = more ? NULL : (const float *)p->bias.at;
    struct choice *choice = remembered(blas, p, bias != NULL);
    const float one = 1, beta = p->accumulate ? 1 : 0;
    struct job job = {NULL};
    enum mgpt_status status;

    if (more && p->accumulate)
        return MGPT_UNSUPPORTED; /* the sum alone has no place to be */
    if (p->operands != MGPT_F32 || !is_f32(&p->a) || !is_f32(&p->b) || !is_f32(&p->bias) ||
        !is_f32(&p->c))
        return MGPT_UNSUPPORTED;
    status = make_job(&blas->calls, p, bias, &job, error);
    if (status == MGPT_OK && !choice->known)
        status = choose(blas, &job, choice, error);
    if (status == MGPT_OK && choice->known < 0)
        status = MGPT_UNSUPPORTED;
    if (status == MGPT_OK)
        status = checked(blas->calls.matmul(blas->handle, job.product, &one, p->b.at, job.a,
                                            p->a.at, job.b, &beta, p->c.at, job.c, p->c.at, job.c,
                                            &choice->algorithm, blas->workspace, WORKSPACE,
                                            device->stream),
                         "cublasLtMatmul", error);
    finish_job(&blas->calls, &job);
    return status == MGPT_OK && more ? cuda_finish(device, p, 0, NULL, error) : status;
}
