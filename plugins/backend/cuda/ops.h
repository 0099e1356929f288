/* Inside the cuda backend: the device and the ops.
 *
 * Host logic is in .c, kernels and their launches in .cu. All work goes to one stream, in the order
 * of the calls; nothing in a step waits for it. Results are the same every time: no atomics, sums
 * in an order that depends on shapes alone. */
#ifndef MGPT_CUDA_OPS_H
#define MGPT_CUDA_OPS_H

#include <cuda_runtime_api.h>

#include <microgpt/cuda_native.h>

#ifdef __cplusplus
extern "C" {
#endif

struct cuda_blas;         /* blas.h */
struct cuda_copy;         /* keep.c */
struct cuda_updates;      /* update.h */
struct cuda_scratch_kept; /* memory.c */

struct mgpt_buffer {
    uint64_t bytes;
    char *data; /* on the device, aligned to 256 by cudaMalloc */
    struct cuda_copy *copy;
    int bare; /* it gets no copy: its address was given away, or memory is short */
};

#define CUDA_ALLOWED 32

struct mgpt_device {
    const struct mgpt_host *host;
    cudaStream_t stream;
    char *scratch; /* for partial results within an op */
    size_t scratch_bytes;
    struct cuda_scratch_kept *kept; /* scratch of before, which graphs know */
    char *staging;                  /* page-locked, so that small uploads need not wait */
    size_t staged;                  /* bytes of it that copies under way may still read */
    struct cuda_blas *blas;
    struct cuda_updates *updates;
    int index;                       /* as CUDA counts devices */
    int capability, multiprocessors; /* 80 is 8.0 */
    int capturing;                   /* between capture_begin and capture_end */
    int captured;                    /* there is a graph, which knows the address of the scratch */
    struct mgpt_cuda_native native;
    char name[64];
    const void *allowed[CUDA_ALLOWED]; /* kernels that asked for more shared memory */
    int n_allowed;
    int64_t tensor_large; /* multiplications from which cuBLASLt does products on tensor cores */
    int keep;             /* copies of weights in 16 bits (keep.c) */
    struct cuda_copy *copies;
    uint64_t serial; /* of the youngest */
    struct cuda_copied {
        uint64_t bytes, casts, products; /* held now; of them, and taking one, so far */
    } copied;
};

#define CUDA_STAGING ((size_t)1 << 20)

/* Our kernel does all that follows a product and rounds operands on the way; the library has the
 * faster sum. */
#define CUDA_TENSOR_LARGE ((int64_t)1 << 30)

/* Turing, the oldest that CUDA 13 compiles for. */
#define CUDA_LEAST_CAPABILITY 75
/* The first with tensor cores for BF16 and TF32. */
#define CUDA_AMPERE 80

/* ---- memory and errors (memory.c) ---- */

/* MGPT_OK, or MGPT_NOMEM or MGPT_DEVICE with the call and the runtime's words for what happened. */
enum mgpt_status cuda_checked(cudaError_t code, const char *call, struct mgpt_error *error);
#define CUDA_CHECK(call, error) cuda_checked((call), #call, error)

/* First in whatever is called from outside: each thread of the host has a current device, which
 * another backend may have changed, and which is 0 in a new thread. */
enum mgpt_status cuda_enter(const struct mgpt_device *device, struct mgpt_error *error);

/* Device memory that is the caller's until the end of the op. Grows when an op needs more than any
 * did before: only then does it wait for the device. */
enum mgpt_status cuda_scratch(struct mgpt_device *device, size_t bytes, void **data,
                              struct mgpt_error *error);
/* Lets the kernel have that much shared memory: more than 48 KB has to be asked for, once. */
enum mgpt_status cuda_allow_shared(struct mgpt_device *device, const void *kernel, size_t bytes,
                                   struct mgpt_error *error);
/* Launches the update that was gathered, if there is one: before anything else on the device.
 * (update.c) */
enum mgpt_status cuda_flush(struct mgpt_device *device, struct mgpt_error *error);
/* Drops it instead. (update.c) */
void cuda_forget(struct mgpt_device *device);
void cuda_memory_finish(struct mgpt_device *device);

enum mgpt_status cuda_buffer_new(struct mgpt_device *device, uint64_t bytes,
                                 struct mgpt_buffer **buffer, struct mgpt_error *error);
void cuda_buffer_free(struct mgpt_device *device, struct mgpt_buffer *buffer);
enum mgpt_status cuda_upload(struct mgpt_device *device, struct mgpt_buffer *buffer,
                             uint64_t offset, const void *data, uint64_t bytes,
                             struct mgpt_error *error);
enum mgpt_status cuda_download(struct mgpt_device *device, struct mgpt_buffer *buffer,
                               uint64_t offset, void *data, uint64_t bytes,
                               struct mgpt_error *error);
enum mgpt_status cuda_sync(struct mgpt_device *device, struct mgpt_error *error);

/* ---- copies of weights in 16 bits (keep.c) ---- */

struct cuda_mixed;
struct cuda_mark;

/* What a graph takes of copies, and how it leaves them. */
struct cuda_marks {
    struct cuda_mark *each;
    size_t n;
};

/* *x: the weight as a product is to read it, a copy in the format of its operands or the weight
 * itself. Stays so until something is written, or memory is asked for. */
enum mgpt_status cuda_keep_weight(struct mgpt_device *device, const struct mgpt_tensor *w,
                                  uint32_t operands, struct cuda_mixed *x,
                                  struct mgpt_error *error);
/* Of a buffer: something wrote it; somebody was told its address; it ends. NULL is fine for the
 * first. */
void cuda_keep_written(struct mgpt_device *device, struct mgpt_buffer *buffer);
void cuda_keep_shown(struct mgpt_buffer *buffer);
void cuda_keep_freed(struct mgpt_device *device, struct mgpt_buffer *buffer);
/* An update of p was gathered: products come after its launch. */
void cuda_keep_updated(struct mgpt_device *device, const struct mgpt_tensor *p);
/* Frees all copies, for good, unless a graph knows them. Was there one? */
int cuda_keep_give_up(struct mgpt_device *device);
/* A capture begins; ends, and may still take something down; became a graph, whose `marks` are to
 * be freed. */
void cuda_keep_capture(struct mgpt_device *device);
enum mgpt_status cuda_keep_captured(struct mgpt_device *device, struct mgpt_error *error);
enum mgpt_status cuda_keep_marks(const struct mgpt_device *device, struct cuda_marks *marks,
                                 struct mgpt_error *error);
/* Before a graph is launched, and after. */
enum mgpt_status cuda_keep_before(struct mgpt_device *device, const struct cuda_marks *marks,
                                  struct mgpt_error *error);
void cuda_keep_after(struct mgpt_device *device, const struct cuda_marks *marks);

/* ---- the table (plugin.c), and the probe (driver.c) ---- */

extern const struct mgpt_backend_api cuda_api;

/* MGPT_OK, or what is missing: the driver, a device, compute capability. Opens no device. */
enum mgpt_status cuda_probe(const struct mgpt_host *host, struct mgpt_error *error);

/* ---- ops, as in core/ref ---- */

#define CUDA_OP(name)                                                                              \
    enum mgpt_status name(struct mgpt_device *device, const struct mgpt_op *op,                    \
                          struct mgpt_error *error)
CUDA_OP(cuda_embed);
CUDA_OP(cuda_embed_backward);
CUDA_OP(cuda_norm);
CUDA_OP(cuda_norm_backward);
CUDA_OP(cuda_linear);
CUDA_OP(cuda_linear_backward);
CUDA_OP(cuda_activation);
CUDA_OP(cuda_activation_backward);
CUDA_OP(cuda_attention);
CUDA_OP(cuda_attention_backward);
CUDA_OP(cuda_add);
CUDA_OP(cuda_axpby);
CUDA_OP(cuda_dropout);
CUDA_OP(cuda_cross_entropy);
CUDA_OP(cuda_fill);
CUDA_OP(cuda_clip);
CUDA_OP(cuda_scaler);
#undef CUDA_OP

/* The widest head whose tiles fit in shared memory, and the most blocks along the second and third
 * side of a launch. */
#define CUDA_MAX_HEAD 128
#define CUDA_MAX_SIDE 65535

/* Float data in its own format, F32, BF16 or F16; `at` is NULL when there is none. Kernels read and
 * write it by get and put. (formats.cuh) */
struct cuda_mixed {
    void *at;
    uint32_t format; /* enum mgpt_dtype */
};

/* As operands of products F32 may be rounded to 10 bits of mantissa: beside enum mgpt_dtype. */
#define CUDA_TF32 100u

/* How an op multiplies: in the format of x or qkv, its first input. */
static inline uint32_t cuda_operands(const struct mgpt_device *device, const struct mgpt_op *op)
{
    uint32_t format = op->in[0].dtype;

    return format == MGPT_F32 && op->flags & MGPT_OP_TF32 && device->capability >= CUDA_AMPERE
               ? CUDA_TF32
               : format;
}

static inline struct cuda_mixed cuda_mixed(const struct mgpt_tensor *t)
{
    struct cuda_mixed m = {t->rank ? t->buffer->data + t->offset : NULL, t->dtype};

    return m;
}

/* The data of a slot that is F32, NULL when it is empty. */
static inline float *cuda_f32(const struct mgpt_tensor *t)
{
    return t->rank ? (float *)(void *)(t->buffer->data + t->offset) : NULL;
}

static inline int32_t *cuda_i32(const struct mgpt_tensor *t)
{
    return t->rank ? (int32_t *)(void *)(t->buffer->data + t->offset) : NULL;
}

static inline struct mgpt_step_state *cuda_state(const struct mgpt_tensor *t)
{
    return t->rank ? (struct mgpt_step_state *)(void *)(t->buffer->data + t->offset) : NULL;
}

#ifdef __cplusplus
}
#endif
#endif
