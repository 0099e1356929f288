/* Backend "ref": host memory and the reference ops of the core. Slow, in every format, the measure
 * of the others. */
#include <stdlib.h>
#include <string.h>

#include <microgpt/backend.h>
#include <microgpt/optimizer.h>

struct mgpt_device {
    const struct mgpt_host *host;
};

struct mgpt_buffer {
    uint64_t bytes;
    char *data; /* aligned to 64 */
};

static enum mgpt_status ref_open(const struct mgpt_host *host, const struct mgpt_config *config,
                                 struct mgpt_device **device, struct mgpt_error *error)
{
    (void)config;
    *device = calloc(1, sizeof **device);
    if (!*device)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for a device");
    (*device)->host = host;
    return MGPT_OK;
}

static void ref_close(struct mgpt_device *device)
{
    free(device);
}

static enum mgpt_status ref_buffer_new(struct mgpt_device *device, uint64_t bytes,
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

static void ref_buffer_free(struct mgpt_device *device, struct mgpt_buffer *buffer)
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

static enum mgpt_status ref_upload(struct mgpt_device *device, struct mgpt_buffer *buffer,
                                   uint64_t offset, const void *data, uint64_t bytes,
                                   struct mgpt_error *error)
{
    enum mgpt_status status = check_range(buffer, offset, bytes, error);

    (void)device;
    if (status == MGPT_OK && bytes)
        memcpy(buffer->data + offset, data, bytes);
    return status;
}

static enum mgpt_status ref_download(struct mgpt_device *device, struct mgpt_buffer *buffer,
                                     uint64_t offset, void *data, uint64_t bytes,
                                     struct mgpt_error *error)
{
    enum mgpt_status status = check_range(buffer, offset, bytes, error);

    (void)device;
    if (status == MGPT_OK && bytes)
        memcpy(data, buffer->data + offset, bytes);
    return status;
}

static enum mgpt_status ref_sync(struct mgpt_device *device, struct mgpt_error *error)
{
    (void)device;
    (void)error;
    return MGPT_OK;
}

static enum mgpt_status ref_caps(struct mgpt_device *device, struct mgpt_caps *caps,
                                 struct mgpt_error *error)
{
    const struct mgpt_caps ours = {.size = caps->size,
                                   .flags = MGPT_CAPS_HOST | MGPT_CAPS_TF32,
                                   .formats = 1u << MGPT_F32 | 1u << MGPT_F64 | 1u << MGPT_F16 |
                                              1u << MGPT_BF16,
                                   .threads = 1,
                                   .name = "reference"};

    (void)device;
    (void)error;
    memcpy(caps, &ours, caps->size < sizeof ours ? caps->size : sizeof ours);
    return MGPT_OK;
}

static void *ref_map(struct mgpt_device *device, struct mgpt_buffer *buffer)
{
    (void)device;
    return buffer->data;
}

/* Address of a tensor's data, NULL for an empty slot. */
static enum mgpt_status resolve(const struct mgpt_tensor *t, char **data, struct mgpt_error *error)
{
    uint64_t bytes = (uint64_t)mgpt_tensor_count(t) * mgpt_dtype_size(t->dtype);
    enum mgpt_status status = MGPT_OK;

    *data = NULL;
    if (t->rank) {
        status = check_range(t->buffer, t->offset, bytes, error);
        if (status == MGPT_OK)
            *data = t->buffer->data + t->offset;
    }
    return status;
}

static enum mgpt_status ref_op(struct mgpt_device *device, const struct mgpt_op *op,
                               struct mgpt_error *error)
{
    const void *in[MGPT_OP_MAX_IN];
    void *out[MGPT_OP_MAX_OUT];
    enum mgpt_status status = MGPT_OK;
    char *data;

    for (int i = 0; i < MGPT_OP_MAX_IN && status == MGPT_OK; i++) {
        status = resolve(&op->in[i], &data, error);
        in[i] = data;
    }
    for (int i = 0; i < MGPT_OP_MAX_OUT && status == MGPT_OK; i++) {
        status = resolve(&op->out[i], &data, error);
        out[i] = data;
    }
    return status == MGPT_OK ? device->host->reference(op, in, out, error) : status;
}

static void update_f32(const struct mgpt_update *u, double grad_scale)
{
    size_t n = (size_t)u->p.shape[0];
    float *s[4] = {NULL};

    for (uint32_t i = 0; i < u->n_state; i++)
        s[i] = (float *)(u->state[i].buffer->data + u->state[i].offset);
    u->rule->f32(n, (float *)(u->p.buffer->data + u->p.offset),
                 (const float *)(u->g.buffer->data + u->g.offset), s, u->scalars, grad_scale);
}

static void update_f64(const struct mgpt_update *u, double grad_scale)
{
    size_t n = (size_t)u->p.shape[0];
    double *s[4] = {NULL};

    for (uint32_t i = 0; i < u->n_state; i++)
        s[i] = (double *)(u->state[i].buffer->data + u->state[i].offset);
    u->rule->f64(n, (double *)(u->p.buffer->data + u->p.offset),
                 (const double *)(u->g.buffer->data + u->g.offset), s, u->scalars, grad_scale);
}

static enum mgpt_status ref_update(struct mgpt_device *device, const struct mgpt_update *u,
                                   struct mgpt_error *error)
{
    const struct mgpt_step_state *state;
    enum mgpt_status status;
    char *data;

    (void)device;
    if (u->n_state > MGPT_MAX_STATE || (u->p.dtype != MGPT_F32 && u->p.dtype != MGPT_F64))
        return mgpt_fail(error, MGPT_UNSUPPORTED, "update takes F32 and F64, at most %d arrays",
                         MGPT_MAX_STATE);
    status = resolve(&u->step_state, &data, error);
    state = (const void *)data;
    if (status == MGPT_OK)
        status = resolve(&u->p, &data, error);
    if (status == MGPT_OK)
        status = resolve(&u->g, &data, error);
    for (uint32_t i = 0; i < u->n_state && status == MGPT_OK; i++)
        status = resolve(&u->state[i], &data, error);
    if (status != MGPT_OK || state->nonfinite)
        return status;
    if (u->p.dtype == MGPT_F32)
        update_f32(u, state->grad_scale);
    else
        update_f64(u, state->grad_scale);
    return MGPT_OK;
}

/* Everything: without this function it would be F32 alone. */
static int ref_supports(struct mgpt_device *device, const struct mgpt_op *op)
{
    (void)device;
    return op->code >= 1 && op->code < MGPT_OP_COUNT;
}

static const mgpt_op_fn ops[MGPT_OP_COUNT] = {
    [MGPT_OP_EMBED] = ref_op,         [MGPT_OP_EMBED_BACKWARD] = ref_op,
    [MGPT_OP_NORM] = ref_op,          [MGPT_OP_NORM_BACKWARD] = ref_op,
    [MGPT_OP_LINEAR] = ref_op,        [MGPT_OP_LINEAR_BACKWARD] = ref_op,
    [MGPT_OP_ACTIVATION] = ref_op,    [MGPT_OP_ACTIVATION_BACKWARD] = ref_op,
    [MGPT_OP_ATTENTION] = ref_op,     [MGPT_OP_ATTENTION_BACKWARD] = ref_op,
    [MGPT_OP_ADD] = ref_op,           [MGPT_OP_DROPOUT] = ref_op,
    [MGPT_OP_CROSS_ENTROPY] = ref_op, [MGPT_OP_FILL] = ref_op,
    [MGPT_OP_CLIP] = ref_op,          [MGPT_OP_SCALER] = ref_op,
    [MGPT_OP_AXPBY] = ref_op,
};

static const struct mgpt_backend_api api = {
    .size = sizeof(struct mgpt_backend_api),
    .n_ops = MGPT_OP_COUNT,
    .open = ref_open,
    .close = ref_close,
    .buffer_new = ref_buffer_new,
    .buffer_free = ref_buffer_free,
    .upload = ref_upload,
    .download = ref_download,
    .sync = ref_sync,
    .caps = ref_caps,
    .map = ref_map,
    .supports = ref_supports,
    .ops = ops,
    .update = ref_update,
};

static const struct mgpt_component component = {sizeof(struct mgpt_component),
                                                MGPT_NO_OPTIONS,
                                                0,
                                                MGPT_KIND_BACKEND,
                                                "ref",
                                                "the reference ops of the core, on host memory",
                                                NULL,
                                                NULL,
                                                &api};

MGPT_PLUGIN_DEFINE("org.microgpt.backend.ref", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
