/* Backend my-name: a device in host memory, with two ops of its own.
 *
 * The seven functions from open to sync make it a device; all ops that it lacks are computed by
 * microgpt, in place because `map` shows where the memory is. For a device with a memory of its own
 * leave `map` out and let upload and download copy. Then give it one op after the other: every one
 * is faster than the fallback. */
#include <stdlib.h>
#include <string.h>

#include <microgpt/backend.h>

struct mgpt_device {
    uint64_t bytes, limit; /* in use, and at most; 0: no limit */
};

struct mgpt_buffer {
    uint64_t bytes;
    char *data;
};

/* ---- memory ---- */

static enum mgpt_status open_device(const struct mgpt_host *host, const struct mgpt_config *config,
                                    struct mgpt_device **device, struct mgpt_error *error)
{
    struct mgpt_device *d = (struct mgpt_device *)calloc(1, sizeof *d);

    if (!d)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for backend my-name");
    d->limit = (uint64_t)host->get_int(config, "memory") << 20;
    *device = d;
    return MGPT_OK;
}

static void close_device(struct mgpt_device *d)
{
    free(d);
}

static enum mgpt_status buffer_new(struct mgpt_device *d, uint64_t bytes,
                                   struct mgpt_buffer **buffer, struct mgpt_error *error)
{
    struct mgpt_buffer *b = (struct mgpt_buffer *)calloc(1, sizeof *b);
    int fits = !d->limit || (d->bytes <= d->limit && bytes <= d->limit - d->bytes);

    if (b && fits && bytes <= SIZE_MAX - 63)
        b->data = (char *)aligned_alloc(64, (size_t)(bytes + 63) / 64 * 64);
    if (!b || !b->data) {
        free(b);
        return mgpt_fail(error, MGPT_NOMEM, "no room for %llu bytes beside %llu",
                         (unsigned long long)bytes, (unsigned long long)d->bytes);
    }
    b->bytes = bytes;
    d->bytes += bytes;
    *buffer = b;
    return MGPT_OK;
}

static void buffer_free(struct mgpt_device *d, struct mgpt_buffer *b)
{
    if (!b)
        return;
    d->bytes -= b->bytes;
    free(b->data);
    free(b);
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

static enum mgpt_status upload(struct mgpt_device *d, struct mgpt_buffer *b, uint64_t offset,
                               const void *data, uint64_t bytes, struct mgpt_error *error)
{
    enum mgpt_status status = check_range(b, offset, bytes, error);

    (void)d;
    if (status == MGPT_OK && bytes)
        memcpy(b->data + offset, data, bytes);
    return status;
}

static enum mgpt_status download(struct mgpt_device *d, struct mgpt_buffer *b, uint64_t offset,
                                 void *data, uint64_t bytes, struct mgpt_error *error)
{
    enum mgpt_status status = check_range(b, offset, bytes, error);

    (void)d;
    if (status == MGPT_OK && bytes)
        memcpy(data, b->data + offset, bytes);
    return status;
}

/* Its ops are done when they return. A device that runs on its own waits here, and says what went
 * wrong meanwhile. */
static enum mgpt_status sync_device(struct mgpt_device *d, struct mgpt_error *error)
{
    (void)d, (void)error;
    return MGPT_OK;
}

/* The caller says how much of it he knows of; nothing behind that is written. */
static enum mgpt_status caps(struct mgpt_device *d, struct mgpt_caps *caps,
                             struct mgpt_error *error)
{
    struct mgpt_caps mine;

    (void)error;
    memset(&mine, 0, sizeof mine);
    mine.size = caps->size;
    mine.flags = MGPT_CAPS_HOST;
    mine.formats = 1u << MGPT_F32;
    mine.threads = 1;
    mine.memory_total = d->limit;
    mine.memory_free = d->limit > d->bytes ? d->limit - d->bytes : 0;
    strcpy(mine.name, "my-name");
    memcpy(caps, &mine, caps->size < sizeof mine ? caps->size : sizeof mine);
    return MGPT_OK;
}

static void *map(struct mgpt_device *d, struct mgpt_buffer *b)
{
    (void)d;
    return b->data;
}

/* ---- ops: shapes and formats were checked, and all tensors here are F32 ---- */

static float *data(const struct mgpt_tensor *t)
{
    return (float *)(void *)(t->buffer->data + t->offset);
}

/* y = value, everywhere */
static enum mgpt_status fill(struct mgpt_device *d, const struct mgpt_op *op,
                             struct mgpt_error *error)
{
    int64_t n = mgpt_tensor_count(&op->out[0]);
    float *y = data(&op->out[0]), value = (float)op->value;

    (void)d, (void)error;
    for (int64_t i = 0; i < n; i++)
        y[i] = value;
    return MGPT_OK;
}

/* y = a + b; b (C) is added to each row of a (N,C). y may be a or b. */
static enum mgpt_status add(struct mgpt_device *d, const struct mgpt_op *op,
                            struct mgpt_error *error)
{
    int64_t n = mgpt_tensor_count(&op->out[0]), period = mgpt_tensor_count(&op->in[1]);
    const float *a = data(&op->in[0]), *b = data(&op->in[1]);
    float *y = data(&op->out[0]);

    (void)d, (void)error;
    for (int64_t row = 0; row < n; row += period)
        for (int64_t i = 0; i < period; i++)
            y[row + i] = a[row + i] + b[i];
    return MGPT_OK;
}

/* Asked once, before the first run, for each op of a model. FILL is also used on bytes. */
static int supports(struct mgpt_device *d, const struct mgpt_op *op)
{
    (void)d;
    return op->out[0].dtype == MGPT_F32 && (op->code == MGPT_OP_FILL || op->code == MGPT_OP_ADD);
}

/* By op code; NULL where there is none. */
#define NONE NULL
static const mgpt_op_fn ops[] = {
    /* 0 */ NONE,
    /* embed */ NONE,
    NONE,
    /* norm */ NONE,
    NONE,
    /* linear */ NONE,
    NONE,
    /* activation */ NONE,
    NONE,
    /* attention */ NONE,
    NONE,
    add,
    /* dropout */ NONE,
    /* cross entropy */ NONE,
    fill,
};
#undef NONE

/* ---- the tables ---- */

/* key, default, help, unit, least, most (both 0: no limit), choices, type, 0 */
static const struct mgpt_option options[] = {
    {"memory", "0", "how much it may take; 0: no limit", "MiB", 0, 1e9, NULL, MGPT_OPTION_INT, 0},
};

static const struct mgpt_backend_api api = {
    .size = sizeof api,
    .n_ops = sizeof ops / sizeof ops[0],
    .open = open_device,
    .close = close_device,
    .buffer_new = buffer_new,
    .buffer_free = buffer_free,
    .upload = upload,
    .download = download,
    .sync = sync_device,
    .caps = caps,
    .map = map,
    .supports = supports,
    .ops = ops,
};

static const struct mgpt_component component = {
    .size = sizeof component,
    .n_options = sizeof options / sizeof options[0],
    .option_size = sizeof options[0],
    .kind = MGPT_KIND_BACKEND,
    .name = "my-name",
    .summary = "host memory, with two ops of its own",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.example.my-name", "0.1.0", "LicenseRef-none-yet", "YOUR NAME", NULL,
                   &component)
