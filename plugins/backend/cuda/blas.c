/* Large products by cuBLASLt. Row-major matrices are column-major transposed ones, so that
 * c = a b is computed as c^T = b^T a^T. Sums are F32; the algorithm of each shape is chosen once,
 * and the workspace is ours: the same bits every time.
 *
 * The library also does what follows the sum where that gives our numbers: an F32 bias where c is
 * F32 (its bias has the format of c); GELU in the tanh form, forward and backward, where it keeps
 * or takes what goes into it in the format of c. Its gradient of a bias is written and not added,
 * so that one is ours. All else is done by a kernel of our own, from sums in F32. */
#include "blas.h"

#include <stdlib.h>
#include <string.h>

#include "blas_calls.h"

#define WORKSPACE ((size_t)32 << 20)
#define ALIGNMENT 16 /* bytes, of matrices */
#define CHOICES 256  /* shapes that are remembered; a model has some tens */

/* A product of operands that have their formats; elements from row to row of each, in memory. */
struct ready {
    struct cuda_product p;
    int64_t a_stride, b_stride;
};

/* What decides on an algorithm. Compared as bytes. */
struct shape {
    int64_t I, J, L, a_stride, b_stride;
    uint32_t operands, format; /* of a and b where they are multiplied; of c */
    int32_t a_layout, b_layout, accumulate, epilogue;
};

/* What a call takes besides addresses. */
struct job {
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, c; /* of the library: a is our b, b our a, c is ours transposed */
};

/* A shape with what was made and chosen for it. */
struct choice {
    struct shape shape;
    struct job job;
    int known; /* 1: algorithm is valid, -1: the library knows none */
    cublasLtMatmulAlgo_t algorithm;
};

struct cuda_blas {
    struct cuda_blas_calls calls;
    cublasLtHandle_t handle;
    void *workspace;
    struct choice choices[CHOICES];
    int n_choices, next; /* `next` is replaced when all are taken */
};

static enum mgpt_status checked(cublasStatus_t code, const char *call, struct mgpt_error *error)
{
    return code == CUBLAS_STATUS_SUCCESS
               ? MGPT_OK
               : mgpt_fail(error, MGPT_DEVICE, "%s: status %d", call, (int)code);
}

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
    memset(job, 0, sizeof *job);
}

void cuda_blas_close(struct cuda_blas *blas)
{
    if (!blas)
        return;
    for (int i = 0; i < blas->n_choices; i++)
        finish_job(&blas->calls, &blas->choices[i].job);
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

static enum mgpt_status set(const struct cuda_blas_calls *calls, const struct job *job,
                            cublasLtMatmulDescAttributes_t attribute, const void *value,
                            size_t size, struct mgpt_error *error)
{
    return checked(calls->product_set(job->product, attribute, value, size),
                   "cublasLtMatmulDescSetAttribute", error);
}

static cudaDataType_t type_of(uint32_t format)
{
    return format == MGPT_BF16 ? CUDA_R_16BF : format == MGPT_F16 ? CUDA_R_16F : CUDA_R_32F;
}

/* A row-major matrix of rows x columns. */
static enum mgpt_status layout(const struct cuda_blas_calls *calls, uint32_t format, int64_t rows,
                               int64_t columns, int64_t stride, cublasLtMatrixLayout_t *out,
                               struct mgpt_error *error)
{
    return checked(
        calls->layout_create(out, type_of(format), (uint64_t)columns, (uint64_t)rows, stride),
        "cublasLtMatrixLayoutCreate", error);
}

/* Addresses that belong to the epilogue: the only part of a job that changes from call to call. */
static enum mgpt_status set_addresses(const struct cuda_blas_calls *calls,
                                      const struct cuda_product *p, cublasLtEpilogue_t epilogue,
                                      const struct job *job, struct mgpt_error *error)
{
    const void *aux = epilogue == CUBLASLT_EPILOGUE_DGELU ? p->slope_of.at : p->pre.at;

    if (epilogue == CUBLASLT_EPILOGUE_DEFAULT)
        return MGPT_OK;
    return epilogue == CUBLASLT_EPILOGUE_BIAS
               ? set(calls, job, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias.at, sizeof p->bias.at,
                     error)
               : set(calls, job, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &aux, sizeof aux,
                     error);
}

static enum mgpt_status make_job(const struct cuda_blas_calls *calls, const struct ready *r,
                                 cublasLtEpilogue_t epilogue, struct job *job,
                                 struct mgpt_error *error)
{
    const struct cuda_product *p = &r->p;
    int a_rows = p->a_layout == CUDA_ROWS, b_rows = p->b_layout == CUDA_ROWS;
    cublasOperation_t a = a_rows ? CUBLAS_OP_N : CUBLAS_OP_T;
    cublasOperation_t b = b_rows ? CUBLAS_OP_N : CUBLAS_OP_T;
    cublasComputeType_t compute =
        p->operands == CUDA_TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    enum mgpt_status status = checked(calls->product_create(&job->product, compute, CUDA_R_32F),
                                      "cublasLtMatmulDescCreate", error);

    if (status == MGPT_OK)
        status = set(calls, job, CUBLASLT_MATMUL_DESC_TRANSA, &b, sizeof b, error);
    if (status == MGPT_OK)
        status = set(calls, job, CUBLASLT_MATMUL_DESC_TRANSB, &a, sizeof a, error);
    if (status == MGPT_OK)
        status = set(calls, job, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue, error);
    if (status == MGPT_OK &&
        (epilogue == CUBLASLT_EPILOGUE_GELU_AUX || epilogue == CUBLASLT_EPILOGUE_DGELU))
        status = set(calls, job, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, &p->J, sizeof p->J, error);
    if (status == MGPT_OK)
        status = layout(calls, p->b.format, b_rows ? p->L : p->J, b_rows ? p->J : p->L, r->b_stride,
                        &job->a, error);
    if (status == MGPT_OK)
        status = layout(calls, p->a.format, a_rows ? p->I : p->L, a_rows ? p->L : p->I, r->a_stride,
                        &job->b, error);
    if (status == MGPT_OK)
        status = layout(calls, p->c.format, p->I, p->J, p->J, &job->c, error);
    if (status != MGPT_OK)
        finish_job(calls, job);
    return status;
}

/* Our workspace, and how matrices are aligned. */
static enum mgpt_status set_preference(const struct cuda_blas *blas,
                                       cublasLtMatmulPreference_t preference,
                                       struct mgpt_error *error)
{
    static const cublasLtMatmulPreferenceAttributes_t matrices[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    size_t workspace = WORKSPACE;
    uint32_t alignment = ALIGNMENT;
    cublasStatus_t code = blas->calls.preference_set(
        preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace);

    for (size_t i = 0; i < sizeof matrices / sizeof *matrices && code == CUBLAS_STATUS_SUCCESS; i++)
        code = blas->calls.preference_set(preference, matrices[i], &alignment, sizeof alignment);
    return checked(code, "cublasLtMatmulPreferenceSetAttribute", error);
}

/* The best algorithm that the library knows for the job and our workspace. */
static enum mgpt_status choose(const struct cuda_blas *blas, const struct job *job,
                               struct choice *choice, struct mgpt_error *error)
{
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t found;
    int count = 0;
    enum mgpt_status status = checked(blas->calls.preference_create(&preference),
                                      "cublasLtMatmulPreferenceCreate", error);

    if (status != MGPT_OK)
        return status;
    status = set_preference(blas, preference, error);
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

static struct choice *remembered(struct cuda_blas *blas, const struct ready *r,
                                 cublasLtEpilogue_t epilogue)
{
    const struct cuda_product *p = &r->p;
    struct shape shape;
    struct choice *c;

    memset(&shape, 0, sizeof shape);
    shape.I = p->I;
    shape.J = p->J;
    shape.L = p->L;
    shape.a_stride = r->a_stride;
    shape.b_stride = r->b_stride;
    shape.operands = p->operands;
    shape.format = p->c.format;
    shape.a_layout = (int32_t)p->a_layout;
    shape.b_layout = (int32_t)p->b_layout;
    shape.accumulate = p->accumulate != 0;
    shape.epilogue = (int32_t)epilogue;
    for (int i = 0; i < blas->n_choices; i++)
        if (memcmp(&blas->choices[i].shape, &shape, sizeof shape) == 0)
            return &blas->choices[i];
    c = &blas->choices[blas->next];
    blas->next = (blas->next + 1) % CHOICES;
    blas->n_choices += blas->n_choices < CHOICES;
    finish_job(&blas->calls, &c->job);
    memset(c, 0, sizeof *c);
    c->shape = shape;
    return c;
}

/* c by the library alone. */
static enum mgpt_status multiply(struct mgpt_device *device, const struct ready *r,
                                 cublasLtEpilogue_t epilogue, struct mgpt_error *error)
{
    struct cuda_blas *blas = device->blas;
    const struct cuda_product *p = &r->p;
    struct choice *choice = remembered(blas, r, epilogue);
    struct job *job = &choice->job;
    const float one = 1, beta = p->accumulate ? 1 : 0;
    enum mgpt_status status = MGPT_OK;

    if (!job->product)
        status = make_job(&blas->calls, r, epilogue, job, error);
    if (status == MGPT_OK)
        status = set_addresses(&blas->calls, p, epilogue, job, error);
    if (status == MGPT_OK && !choice->known)
        status = choose(blas, job, choice, error);
    if (status == MGPT_OK && choice->known < 0)
        status = MGPT_UNSUPPORTED;
    return status != MGPT_OK
               ? status
               : checked(blas->calls.matmul(blas->handle, job->product, &one, p->b.at, job->a,
                                            p->a.at, job->b, &beta, p->c.at, job->c, p->c.at,
                                            job->c, &choice->algorithm, blas->workspace, WORKSPACE,
                                            device->stream),
                         "cublasLtMatmul", error);
}

/* ---- what follows the sum ---- */

static int same(const struct cuda_mixed *x, const struct cuda_product *p)
{
    return x->at && x->format == p->c.format && (uintptr_t)x->at % ALIGNMENT == 0 && p->J % 8 == 0;
}

/* Does the library end as we do? *epilogue: how. */
static int ends_alike(const struct cuda_product *p, cublasLtEpilogue_t *epilogue)
{
    int is_short = p->c.format != MGPT_F32, gelu = p->activation == MGPT_ACT_GELU_TANH && is_short;

    if (is_short && p->c.format != p->operands)
        return 0;
    *epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    if (!p->activation && !p->pre.at && !p->slope_of.at) {
        if (p->bias.at)
            *epilogue = CUBLASLT_EPILOGUE_BIAS;
        return !p->bias.at || (p->bias.format == MGPT_F32 && !is_short);
    }
    if (!gelu || p->bias.at || p->accumulate)
        return 0;
    *epilogue = p->slope_of.at ? CUBLASLT_EPILOGUE_DGELU : CUBLASLT_EPILOGUE_GELU_AUX;
    return same(p->slope_of.at ? &p->slope_of : &p->pre, p);
}

/* Has c room for the sum alone, in F32? */
static int sums_fit(const struct cuda_product *p)
{
    return p->c.format == MGPT_F32 && !p->accumulate;
}

/* The sum alone, in c or in `sums`; then the rest. */
static enum mgpt_status multiply_and_finish(struct mgpt_device *device, const struct ready *r,
                                            float *sums, struct mgpt_error *error)
{
    struct ready plain = *r;
    int fit = sums_fit(&r->p);
    enum mgpt_status status;

    if (!fit) {
        plain.p.c.at = sums;
        plain.p.c.format = MGPT_F32;
    }
    plain.p.accumulate = 0;
    status = multiply(device, &plain, CUBLASLT_EPILOGUE_DEFAULT, error);
    if (status != MGPT_OK)
        return status;
    return cuda_finish(device, &r->p, !fit, fit ? NULL : sums, error);
}

/* ---- operands ---- */

static int64_t bytes_of(uint32_t format, int64_t n)
{
    return (n * (int64_t)mgpt_dtype_size(format) + 255) / 256 * 256;
}

/* An operand as it lies in memory. */
struct operand {
    struct cuda_mixed x;
    int64_t rows, columns, stride;
};

static struct operand operand_a(const struct cuda_product *p)
{
    int rows = p->a_layout == CUDA_ROWS;
    struct operand a = {p->a, rows ? p->I : p->L, rows ? p->L : p->I, rows ? p->L : p->I};

    return a;
}

static struct operand operand_b(const struct cuda_product *p)
{
    int rows = p->b_layout == CUDA_ROWS;
    struct operand b = {p->b, rows ? p->L : p->J, rows ? p->J : p->L, rows ? p->J : p->L};

    return b;
}

/* From row to row of a copy: rows begin where 16 bytes can be loaded at once. Nobody reads what is
 * behind a row. */
static int64_t stride_of(const struct operand *x, uint32_t format)
{
    int64_t each = ALIGNMENT / (int64_t)mgpt_dtype_size(format);

    return (x->columns + each - 1) / each * each;
}

/* Bytes of scratch that the copy of an operand takes: none where it has the format. */
static int64_t copy_bytes(const struct operand *x, uint32_t format)
{
    return x->x.format == format ? 0 : bytes_of(format, x->rows * stride_of(x, format));
}

/* In the format in which it is multiplied: as it is, or a copy at `to`. */
static enum mgpt_status bring(struct mgpt_device *device, struct operand *x, uint32_t format,
                              char *to, struct mgpt_error *error)
{
    struct cuda_mixed copy = {to, format};
    int64_t stride = stride_of(x, format);
    enum mgpt_status status;

    if (x->x.format == format)
        return MGPT_OK;
    status = cuda_cast(device, x->rows, x->columns, x->x, copy, stride, error);
    x->x = copy;
    x->stride = stride;
    return status;
}

static int aligned(const struct cuda_product *p)
{
    return ((uintptr_t)p->a.at | (uintptr_t)p->b.at | (uintptr_t)p->c.at) % ALIGNMENT == 0;
}

/* Bytes for the sums of a product, when they cannot go to c. */
static int64_t sums_bytes(const struct cuda_product *p)
{
    cublasLtEpilogue_t epilogue;
    int plain = ends_alike(p, &epilogue) && epilogue == CUBLASLT_EPILOGUE_DEFAULT;

    return plain || sums_fit(p) ? 0 : bytes_of(MGPT_F32, p->I * p->J);
}

/* The product with its `a` as it is multiplied; `room`: scratch for b and for sums. */
static enum mgpt_status product(struct mgpt_device *device, const struct cuda_product *p,
                                const struct operand *a, uint32_t format, char *room,
                                struct mgpt_error *error)
{
    struct operand b = operand_b(p);
    char *sums = room + copy_bytes(&b, format);
    cublasLtEpilogue_t epilogue;
    int alike = ends_alike(p, &epilogue);
    enum mgpt_status status = bring(device, &b, format, room, error);
    struct ready r = {*p, a->stride, b.stride};

    if (status != MGPT_OK)
        return status;
    r.p.a = a->x;
    r.p.b = b.x;
    status = alike ? multiply(device, &r, epilogue, error) : MGPT_UNSUPPORTED;
    if (status != MGPT_UNSUPPORTED || (alike && epilogue == CUBLASLT_EPILOGUE_DEFAULT))
        return status;
    return multiply_and_finish(device, &r, (float *)(void *)sums, error);
}

/* For `a`, which all have, and behind it for the largest of the others. */
static int64_t room_for_rest(const struct cuda_product *p, int n, uint32_t format)
{
    int64_t room = 0;

    for (int i = 0; i < n; i++) {
        struct operand b = operand_b(&p[i]);
        int64_t bytes = copy_bytes(&b, format) + sums_bytes(&p[i]);
        room = bytes > room ? bytes : room;
    }
    return room;
}

static uint32_t format_of(const struct cuda_product *p)
{
    return p->operands == CUDA_TF32 ? (uint32_t)MGPT_F32 : p->operands;
}

int64_t cuda_blas_room(const struct cuda_product *p, int n)
{
    struct operand a = operand_a(p);

    return copy_bytes(&a, format_of(p)) + room_for_rest(p, n, format_of(p));
}

enum mgpt_status cuda_blas_products(struct mgpt_device *device, const struct cuda_product *p, int n,
                                    int *done, struct mgpt_error *error)
{
    uint32_t format = format_of(p);
    struct operand a = operand_a(p);
    int64_t first = copy_bytes(&a, format);
    enum mgpt_status status;
    void *scratch;

    for (int i = 0; i < n; i++)
        if (!aligned(&p[i]))
            return MGPT_UNSUPPORTED;
    status = cuda_scratch(device, (size_t)(first + room_for_rest(p, n, format)), &scratch, error);
    if (status == MGPT_OK)
        status = bring(device, &a, format, scratch, error);
    for (; *done < n && status == MGPT_OK; *done += status == MGPT_OK) {
        const struct cuda_product *next = &p[*done];
        struct operand same = operand_a(next); /* the same memory, from another side */
        same.x = a.x;
        same.stride = a.stride;
        status = product(device, next, &same, format, (char *)scratch + first, error);
    }
    return status;
}
