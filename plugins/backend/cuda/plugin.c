/* The table of the cuda backend: the device, and which kernel runs which op. */
#include <stdlib.h>
#include <string.h>

#include "blas.h"
#include "native.h"
#include "update.h"

static void close_device(struct mgpt_device *device)
{
    if (!device)
        return;
    (void)cuda_enter(device, NULL);
    if (device->stream)
        (void)cudaStreamSynchronize(device->stream);
    cuda_updates_close(device->updates);
    cuda_blas_close(device->blas);
    cuda_memory_finish(device);
    if (device->stream)
        (void)cudaStreamDestroy(device->stream);
    free(device);
}

static enum mgpt_status learn_device(struct mgpt_device *d, struct mgpt_error *error)
{
    struct cudaDeviceProp properties;
    int major = 0, minor = 0;
    enum mgpt_status status = CUDA_CHECK(cudaGetDeviceProperties(&properties, d->index), error);

    if (status == MGPT_OK)
        status = CUDA_CHECK(
            cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, d->index), error);
    if (status == MGPT_OK)
        status = CUDA_CHECK(
            cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, d->index), error);
    if (status == MGPT_OK)
        status = CUDA_CHECK(
            cudaDeviceGetAttribute(&d->multiprocessors, cudaDevAttrMultiProcessorCount, d->index),
            error);
    if (status != MGPT_OK)
        return status;
    d->capability = 10 * major + minor;
    d->tensor_large = CUDA_TENSOR_LARGE;
    (void)snprintf(d->name, sizeof d->name, "%.63s", properties.name);
    if (d->capability < CUDA_LEAST_CAPABILITY)
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "device = %d, %s, has compute capability %d.%d, expected %d.%d or more",
                         d->index, d->name, major, minor, CUDA_LEAST_CAPABILITY / 10,
                         CUDA_LEAST_CAPABILITY % 10);
    return MGPT_OK;
}

static enum mgpt_status open_parts(struct mgpt_device *d, const struct mgpt_config *config,
                                   struct mgpt_error *error)
{
    enum mgpt_status status;
    void *staging = NULL;

    if (cudaSetDevice(d->index) != cudaSuccess) {
        (void)cudaGetLastError();
        return mgpt_fail(error, MGPT_UNSUPPORTED, "device = %d: there is no such CUDA device",
                         d->index);
    }
    status = learn_device(d, error);
    if (status == MGPT_OK)
        status = CUDA_CHECK(cudaStreamCreateWithFlags(&d->stream, cudaStreamNonBlocking), error);
    if (status == MGPT_OK)
        status = CUDA_CHECK(cudaMallocHost(&staging, CUDA_STAGING), error);
    d->staging = staging;
    if (status == MGPT_OK)
        status = cuda_native_open(d, error);
    if (status == MGPT_OK && strcmp(d->host->get_text(config, "products"), "auto") == 0)
        status = cuda_blas_open(d, &d->blas, error);
    return status;
}

static enum mgpt_status open_device(const struct mgpt_host *host, const struct mgpt_config *config,
                                    struct mgpt_device **device, struct mgpt_error *error)
{
    enum mgpt_status status = cuda_probe(host, error);
    struct mgpt_device *d;

    if (status != MGPT_OK)
        return status;
    d = calloc(1, sizeof *d);
    if (!d)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for a device");
    d->host = host;
    d->index = (int)host->get_int(config, "device");
    d->keep = host->get_int(config, "keep") != 0;
    status = open_parts(d, config, error);
    if (status == MGPT_OK)
        *device = d;
    else
        close_device(d);
    return status;
}

/* Set of 1u << enum mgpt_dtype. Tensor cores have multiplied BF16 from compute capability 8.0 on,
 * F16 long before. */
static uint32_t cuda_formats(const struct mgpt_device *device)
{
    uint32_t formats = 1u << MGPT_F32 | 1u << MGPT_F16;

    return device->capability >= CUDA_AMPERE ? formats | 1u << MGPT_BF16 : formats;
}

static enum mgpt_status caps_of(struct mgpt_device *device, struct mgpt_caps *caps,
                                struct mgpt_error *error)
{
    struct mgpt_caps ours = {.size = caps->size,
                             .flags = device->capability >= CUDA_AMPERE ? MGPT_CAPS_TF32 : 0,
                             .formats = cuda_formats(device),
                             .copies = device->keep ? cuda_formats(device) & ~(1u << MGPT_F32) : 0};
    size_t unused = 0, total = 0;
    enum mgpt_status status = cuda_enter(device, error);

    if (status == MGPT_OK)
        status = CUDA_CHECK(cudaMemGetInfo(&unused, &total), error);
    if (status != MGPT_OK)
        return status;
    ours.memory_free = unused;
    ours.memory_total = total;
    memcpy(ours.name, device->name, sizeof ours.name);
    memcpy(caps, &ours, caps->size < sizeof ours ? caps->size : sizeof ours);
    return MGPT_OK;
}

/* ---- ops ---- */

#define OPS(X)                                                                                     \
    X(EMBED, embed)                                                                                \
    X(EMBED_BACKWARD, embed_backward)                                                              \
    X(NORM, norm)                                                                                  \
    X(NORM_BACKWARD, norm_backward)                                                                \
    X(LINEAR, linear)                                                                              \
    X(LINEAR_BACKWARD, linear_backward)                                                            \
    X(ACTIVATION, activation)                                                                      \
    X(ACTIVATION_BACKWARD, activation_backward)                                                    \
    X(ATTENTION, attention)                                                                        \
    X(ATTENTION_BACKWARD, attention_backward)                                                      \
    X(ADD, add)                                                                                    \
    X(DROPOUT, dropout)                                                                            \
    X(CROSS_ENTROPY, cross_entropy)                                                                \
    X(FILL, fill)                                                                                  \
    X(CLIP, clip)                                                                                  \
    X(SCALER, scaler)                                                                              \
    X(AXPBY, axpby)

#define KERNEL(code, name) [MGPT_OP_##code] = cuda_##name,
static const mgpt_op_fn kernels[MGPT_OP_COUNT] = {OPS(KERNEL)};
#undef KERNEL

/* What may be in which slot, a letter each: a any of the device's formats; f F32; - no float. Sums
 * over rows for gradients of parameters, and statistics, are F32. */
static const struct {
    char in[MGPT_OP_MAX_IN + 1], out[MGPT_OP_MAX_OUT + 1];
} slots[MGPT_OP_COUNT] = {
    [MGPT_OP_EMBED] = {"-aa---", "a---"},
    [MGPT_OP_EMBED_BACKWARD] = {"-a----", "ff--"},
    [MGPT_OP_NORM] = {"aaaa--", "afa-"},
    [MGPT_OP_NORM_BACKWARD] = {"afaa--", "aff-"},
    [MGPT_OP_LINEAR] = {"aaa---", "aa--"},
    [MGPT_OP_LINEAR_BACKWARD] = {"aaaa--", "aff-"},
    [MGPT_OP_ACTIVATION] = {"a-----", "a---"},
    [MGPT_OP_ACTIVATION_BACKWARD] = {"aa----", "a---"},
    [MGPT_OP_ATTENTION] = {"a-----", "afa-"},
    [MGPT_OP_ATTENTION_BACKWARD] = {"aafa--", "a---"},
    [MGPT_OP_ADD] = {"aa----", "a---"},
    [MGPT_OP_DROPOUT] = {"a-----", "a---"},
    [MGPT_OP_CROSS_ENTROPY] = {"a-----", "-a--"},
    [MGPT_OP_FILL] = {"------", "a---"},
    [MGPT_OP_CLIP] = {"f-----", "----"},
    [MGPT_OP_SCALER] = {"------", "----"},
    [MGPT_OP_AXPBY] = {"aa----", "a---"},
};

static int fits(const struct mgpt_device *device, const char *letters,
                const struct mgpt_tensor *tensors, int n)
{
    for (int i = 0; i < n; i++) {
        uint32_t dtype = tensors[i].dtype;
        uint32_t allowed = letters[i] == 'a' ? cuda_formats(device) : 1u << MGPT_F32;
        if (tensors[i].rank && letters[i] != '-' && !(allowed >> dtype & 1))
            return 0;
    }
    return 1;
}

/* Formats, and heads whose tiles fit in shared memory. A launch has at most 65535 blocks along its
 * second and third side, which are heads and sequences in attention. */
static int supports(struct mgpt_device *device, const struct mgpt_op *op)
{
    const struct mgpt_tensor *x = &op->in[0];

    if (op->code < 1 || op->code >= MGPT_OP_COUNT || !kernels[op->code])
        return 0;
    if (!fits(device, slots[op->code].in, op->in, MGPT_OP_MAX_IN) ||
        !fits(device, slots[op->code].out, op->out, MGPT_OP_MAX_OUT))
        return 0;
    if (op->code == MGPT_OP_ATTENTION || op->code == MGPT_OP_ATTENTION_BACKWARD)
        return x->shape[2] / (int64_t)(op->heads + 2 * op->kv_heads) <= CUDA_MAX_HEAD &&
               op->heads <= CUDA_MAX_SIDE && x->shape[0] <= CUDA_MAX_SIDE;
    if (op->code == MGPT_OP_LINEAR || op->code == MGPT_OP_LINEAR_BACKWARD)
        return mgpt_tensor_rows(x) <= 64 * CUDA_MAX_SIDE; /* tiles of matmul.cu */
    return 1;
}

static enum mgpt_status run_op(struct mgpt_device *device, const struct mgpt_op *op,
                               struct mgpt_error *error)
{
    enum mgpt_status status = cuda_enter(device, error);

    if (status == MGPT_OK)
        status = cuda_flush(device, error);
    if (status == MGPT_OK)
        status = kernels[op->code](device, op, error);
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        cuda_keep_written(device, op->out[i].buffer);
    return status;
}

#define RUN(code, name) [MGPT_OP_##code] = run_op,
static const mgpt_op_fn ops[MGPT_OP_COUNT] = {OPS(RUN)};
#undef RUN
#undef OPS

const struct mgpt_backend_api cuda_api = {
    .size = sizeof(struct mgpt_backend_api),
    .n_ops = MGPT_OP_COUNT,
    .open = open_device,
    .close = close_device,
    .buffer_new = cuda_buffer_new,
    .buffer_free = cuda_buffer_free,
    .upload = cuda_upload,
    .download = cuda_download,
    .sync = cuda_sync,
    .caps = caps_of,
    .supports = supports,
    .ops = ops,
    .update = cuda_update,
    .query = cuda_query,
};
