/* Device memory: buffers, copies in the order of the ops, scratch; and what errors are called. */
#include <stdlib.h>
#include <string.h>

#include "ops.h"

#define SHARED_USUAL ((size_t)48 << 10)
#define SCRATCH_LEAST ((size_t)1 << 20)

enum mgpt_status cuda_checked(cudaError_t code, const char *call, struct mgpt_error *error)
{
    if (code == cudaSuccess)
        return MGPT_OK;
    (void)cudaGetLastError(); /* one that is not sticky must not be met again */
    return mgpt_fail(error, code == cudaErrorMemoryAllocation ? MGPT_NOMEM : MGPT_DEVICE,
                     "%.*s: %s", (int)strcspn(call, "("), call, cudaGetErrorString(code));
}

enum mgpt_status cuda_enter(const struct mgpt_device *device, struct mgpt_error *error)
{
    return CUDA_CHECK(cudaSetDevice(device->index), error);
}

/* Of what cannot be taken down in a graph, before CUDA says so in fewer words. */
static enum mgpt_status not_capturing(const struct mgpt_device *device, const char *what,
                                      struct mgpt_error *error)
{
    return device->capturing ? mgpt_fail(error, MGPT_INVALID, "%s while a graph is captured", what)
                             : MGPT_OK;
}

enum mgpt_status cuda_sync(struct mgpt_device *device, struct mgpt_error *error)
{
    enum mgpt_status status = not_capturing(device, "waiting for the device", error);

    if (status == MGPT_OK)
        status = cuda_enter(device, error);
    if (status == MGPT_OK)
        status = cuda_flush(device, error);
    if (status == MGPT_OK)
        status = CUDA_CHECK(cudaStreamSynchronize(device->stream), error);
    if (!device->capturing)
        device->staged = 0;
    return status;
}

/* cudaMalloc; what does not fit takes the place of copies, which only save time. */
static enum mgpt_status allocate(struct mgpt_device *device, size_t bytes, void **data,
                                 struct mgpt_error *error)
{
    enum mgpt_status status = CUDA_CHECK(cudaMalloc(data, bytes), error);

    return status == MGPT_NOMEM && cuda_keep_give_up(device)
               ? CUDA_CHECK(cudaMalloc(data, bytes), error)
               : status;
}

/* A piece of scratch that graphs may still write to. */
struct cuda_scratch_kept {
    struct cuda_scratch_kept *next;
    void *data;
};

/* Frees what was scratch, unless a graph knows its address: then it is kept until the end. */
static enum mgpt_status retire(struct mgpt_device *device, void *data, struct mgpt_error *error)
{
    struct cuda_scratch_kept *kept;

    if (!data || !device->captured)
        return CUDA_CHECK(cudaFree(data), error);
    kept = malloc(sizeof *kept);
    if (!kept)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory keeping scratch");
    *kept = (struct cuda_scratch_kept){device->kept, data};
    device->kept = kept;
    return MGPT_OK;
}

enum mgpt_status cuda_scratch(struct mgpt_device *device, size_t bytes, void **data,
                              struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;
    void *larger = NULL;

    if (bytes > device->scratch_bytes) {
        bytes = bytes > SCRATCH_LEAST ? bytes : SCRATCH_LEAST;
        status = cuda_sync(device, error);
        if (status == MGPT_OK)
            status = allocate(device, bytes, &larger, error);
        if (status != MGPT_OK)
            return status;
        status = retire(device, device->scratch, error);
        device->scratch = larger;
        device->scratch_bytes = bytes;
    }
    *data = device->scratch;
    return status;
}

enum mgpt_status cuda_allow_shared(struct mgpt_device *device, const void *kernel, size_t bytes,
                                   struct mgpt_error *error)
{
    enum mgpt_status status;

    if (bytes <= SHARED_USUAL)
        return MGPT_OK;
    for (int i = 0; i < device->n_allowed; i++)
        if (device->allowed[i] == kernel)
            return MGPT_OK;
    status = CUDA_CHECK(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes),
        error);
    if (status == MGPT_OK && device->n_allowed < CUDA_ALLOWED)
        device->allowed[device->n_allowed++] = kernel;
    return status;
}

/* On the way out, entered, so that nobody is left to tell of an error. */
void cuda_memory_finish(struct mgpt_device *device)
{
    (void)cudaFree(device->scratch);
    while (device->kept) {
        struct cuda_scratch_kept *kept = device->kept;
        device->kept = kept->next;
        (void)cudaFree(kept->data);
        free(kept);
    }
    (void)cudaFreeHost(device->staging);
}

/* ---- buffers ---- */

enum mgpt_status cuda_buffer_new(struct mgpt_device *device, uint64_t bytes,
                                 struct mgpt_buffer **buffer, struct mgpt_error *error)
{
    struct mgpt_buffer *b = calloc(1, sizeof *b);
    enum mgpt_status status;
    void *data = NULL;
    size_t unused = 0, total = 0;

    if (!b || !bytes) {
        free(b);
        return mgpt_fail(error, bytes ? MGPT_NOMEM : MGPT_INVALID, "a buffer of %llu bytes",
                         (unsigned long long)bytes);
    }
    status = not_capturing(device, "new memory", error);
    if (status == MGPT_OK)
        status = cuda_enter(device, error);
    if (status == MGPT_OK)
        status = allocate(device, (size_t)bytes, &data, error);
    if (status == MGPT_NOMEM && cudaMemGetInfo(&unused, &total) == cudaSuccess)
        mgpt_fail(error, status, "a buffer of %.1f MiB does not fit: %.1f of %.1f MiB are free",
                  (double)bytes / 1048576, (double)unused / 1048576, (double)total / 1048576);
    if (status != MGPT_OK) {
        free(b);
        return status;
    }
    b->bytes = bytes;
    b->data = data;
    *buffer = b;
    return MGPT_OK;
}

void cuda_buffer_free(struct mgpt_device *device, struct mgpt_buffer *buffer)
{
    (void)cuda_enter(device, NULL);
    (void)cuda_flush(device, NULL);
    if (!buffer)
        return;
    cuda_keep_freed(device, buffer);
    (void)cudaFree(buffer->data); /* waits for the ops that use it; errors come up in sync */
    free(buffer);
}

static enum mgpt_status check_range(const struct mgpt_buffer *b, uint64_t offset, uint64_t bytes,
                                    struct mgpt_error *error)
{
    if (offset <= b->bytes && bytes <= b->bytes - offset)
        return MGPT_OK;
    return mgpt_fail(error, MGPT_INVALID, "%llu bytes at offset %llu of a buffer of %llu",
                     (unsigned long long)bytes, (unsigned long long)offset,
                     (unsigned long long)b->bytes);
}

/* Small uploads, as a step makes them, go through page-locked memory: a copy from there needs no
 * waiting, and `data` is free at once. Only when it is full, or for large ones, the host waits. */
enum mgpt_status cuda_upload(struct mgpt_device *device, struct mgpt_buffer *buffer,
                             uint64_t offset, const void *data, uint64_t bytes,
                             struct mgpt_error *error)
{
    enum mgpt_status status = check_range(buffer, offset, bytes, error);
    const void *from = data;
    int small = bytes <= CUDA_STAGING / 4;

    if (status != MGPT_OK || bytes == 0)
        return status;
    status = not_capturing(device, "upload", error);
    if (status == MGPT_OK)
        status = cuda_enter(device, error);
    if (status == MGPT_OK)
        status = cuda_flush(device, error);
    if (status != MGPT_OK)
        return status;
    if (small) {
        if (device->staged + bytes > CUDA_STAGING)
            status = cuda_sync(device, error);
        if (status != MGPT_OK)
            return status;
        from = memcpy(device->staging + device->staged, data, (size_t)bytes);
        device->staged += ((size_t)bytes + 63) / 64 * 64;
    }
    cuda_keep_written(device, buffer);
    status = CUDA_CHECK(cudaMemcpyAsync(buffer->data + offset, from, (size_t)bytes,
                                        cudaMemcpyHostToDevice, device->stream),
                        error);
    return status == MGPT_OK && !small ? cuda_sync(device, error) : status;
}

enum mgpt_status cuda_download(struct mgpt_device *device, struct mgpt_buffer *buffer,
                               uint64_t offset, void *data, uint64_t bytes,
                               struct mgpt_error *error)
{
    enum mgpt_status status = check_range(buffer, offset, bytes, error);

    if (status != MGPT_OK || bytes == 0)
        return status;
    status = not_capturing(device, "download", error);
    if (status == MGPT_OK)
        status = cuda_enter(device, error);
    if (status == MGPT_OK)
        status = cuda_flush(device, error);
    if (status != MGPT_OK)
        return status;
    status = CUDA_CHECK(cudaMemcpyAsync(data, buffer->data + offset, (size_t)bytes,
                                        cudaMemcpyDeviceToHost, device->stream),
                        error);
    return status == MGPT_OK ? cuda_sync(device, error) : status;
}
