/* Backend "cpu": F32 on the cores of this machine. */
#include <stdlib.h>
#include <string.h>

#include "ops.h"

static enum mgpt_status cpu_open(const struct mgpt_host *host, const struct mgpt_config *config,
                                 struct mgpt_device **device, struct mgpt_error *error)
{
    struct mgpt_device *d = calloc(1, sizeof *d);
    enum mgpt_status status;

    if (!d)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for a device");
    status = cpu_pool_init(d, (int)host->get_int(config, "threads"), error);
    if (status != MGPT_OK) {
        free(d);
        return status;
    }
    *device = d;
    return MGPT_OK;
}

static void cpu_close(struct mgpt_device *device)
{
    if (device)
        cpu_pool_finish(device);
    free(device);
}

static enum mgpt_status cpu_buffer_new(struct mgpt_device *device, uint64_t bytes,
                                       struct mgpt_buffer **buffer, struct mgpt_error *error)
{
    struct mgpt_buffer *b = NULL;

    (void)device;
    if (bytes >= 1 && bytes <= SIZE_MAX - 63)
        b = calloc(1, sizeof *b);
    if (b)
        b->data = aligned_alloc(64, (size_t)(bytes + 63) / 64 * 64);
    if (!b || !b->data) {
        free(b);
        return mgpt_fail(error, bytes ? MGPT_NOMEM : MGPT_INVALID, "cannot allocate %llu bytes",
                         (unsigned long long)bytes);
    }
    b->bytes = bytes;
    *buffer = b;
    return MGPT_OK;
}

static void cpu_buffer_free(struct mgpt_device *device, struct mgpt_buffer *buffer)
{
    (void)device;
    if (buffer)
        free(buffer->data);
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

static enum mgpt_status cpu_upload(struct mgpt_device *device, struct mgpt_buffer *buffer,
                                   uint64_t offset, const void *data, uint64_t bytes,
                                   struct mgpt_error *error)
{
    enum mgpt_status status = check_range(buffer, offset, bytes, error);

    (void)device;
    if (status == MGPT_OK && bytes)
        memcpy(buffer->data + offset, data, bytes);
    return status;
}

static enum mgpt_status cpu_download(struct mgpt_device *device, struct mgpt_buffer *buffer,
                                     uint64_t offset, void *data, uint64_t bytes,
                                     struct mgpt_error *error)
{
    enum mgpt_status status = check_range(buffer, offset, bytes, error);

    (void)device;
    if (status == MGPT_OK && bytes)
        memcpy(data, buffer->data + offset, bytes);
    return status;
}

static enum mgpt_status cpu_sync(struct mgpt_device *device, struct mgpt_error *error)
{
    (void)device;
    (void)error;
    return MGPT_OK;
}

static enum mgpt_status cpu_caps(struct mgpt_device *device, struct mgpt_caps *caps,
                                 struct mgpt_error *error)
{
    const struct mgpt_caps ours = {.size = caps->size,
                                   .flags = MGPT_CAPS_HOST,
                                   .formats = 1u << MGPT_F32,
                                   .threads = (uint32_t)device->threads,
                                   .name = "cpu"};

    (void)error;
    memcpy(caps, &ours, caps->size < sizeof ours ? caps->size : sizeof ours);
    return MGPT_OK;
}

static void *cpu_map(struct mgpt_device *device, struct mgpt_buffer *buffer)
{
    (void)device;
    return buffer->data;
}

static int is_float(const struct mgpt_tensor *t)
{
    return t->dtype == MGPT_F64 || t->dtype == MGPT_F16 || t->dtype == MGPT_BF16;
}

/* All ops, when every float tensor is F32. */
static int cpu_supports(struct mgpt_device *device, const struct mgpt_op *op)
{
    (void)device;
    for (int i = 0; i < MGPT_OP_MAX_IN; i++)
        if (op->in[i].rank && is_float(&op->in[i]))
            return 0;
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        if (op->out[i].rank && is_float(&op->out[i]))
            return 0;
    return op->code >= 1 && op->code < MGPT_OP_COUNT;
}

/* "microgpt.cpu-threads/1": a uint32_t, the most threads that ran at once so far. For tests. */
static const void *cpu_query(struct mgpt_device *device, const char *id)
{
    return strcmp(id, "microgpt.cpu-threads/1") == 0 ? &device->most_threads : NULL;
}

static const mgpt_op_fn ops[MGPT_OP_COUNT] = {
    [MGPT_OP_EMBED] = cpu_embed,
    [MGPT_OP_EMBED_BACKWARD] = cpu_embed_backward,
    [MGPT_OP_NORM] = cpu_norm,
    [MGPT_OP_NORM_BACKWARD] = cpu_norm_backward,
    [MGPT_OP_LINEAR] = cpu_linear,
    [MGPT_OP_LINEAR_BACKWARD] = cpu_linear_backward,
    [MGPT_OP_ACTIVATION] = cpu_activation,
    [MGPT_OP_ACTIVATION_BACKWARD] = cpu_activation_backward,
    [MGPT_OP_ATTENTION] = cpu_attention,
    [MGPT_OP_ATTENTION_BACKWARD] = cpu_attention_backward,
    [MGPT_OP_ADD] = cpu_add,
    [MGPT_OP_DROPOUT] = cpu_dropout,
    [MGPT_OP_CROSS_ENTROPY] = cpu_cross_entropy,
    [MGPT_OP_FILL] = cpu_fill,
    [MGPT_OP_CLIP] = cpu_clip,
    [MGPT_OP_SCALER] = cpu_scaler,
};

static const struct mgpt_backend_api api = {
    .size = sizeof(struct mgpt_backend_api),
    .n_ops = MGPT_OP_COUNT,
    .open = cpu_open,
    .close = cpu_close,
    .buffer_new = cpu_buffer_new,
    .buffer_free = cpu_buffer_free,
    .upload = cpu_upload,
    .download = cpu_download,
    .sync = cpu_sync,
    .caps = cpu_caps,
    .map = cpu_map,
    .supports = cpu_supports,
    .ops = ops,
    .update = cpu_update,
    .query = cpu_query,
};

static const struct mgpt_option options[] = {
    {"threads", "0",
     "threads for large ops, 0: as many as there are cores; no result depends on it", NULL, 0, 1024,
     NULL, MGPT_OPTION_INT, 0},
};

static const struct mgpt_component component = {sizeof(struct mgpt_component),
                                                MGPT_OPTIONS(options),
                                                0,
                                                MGPT_KIND_BACKEND,
                                                "cpu",
                                                "F32 on the cores of this machine",
                                                options,
                                                NULL,
                                                &api};

MGPT_PLUGIN_DEFINE("org.microgpt.backend.cpu", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
