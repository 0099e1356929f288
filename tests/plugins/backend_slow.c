/* Backend "slow", for tests: the seven required functions and nothing more. Its memory holds every
 * byte inverted, so that a host that reads it without download() gets nonsense. */
#include <stdlib.h>
#include <string.h>

#include <microgpt/backend.h>

struct mgpt_device {
    int open;
};

struct mgpt_buffer {
    uint64_t bytes;
    unsigned char *data;
};

static enum mgpt_status slow_open(const struct mgpt_host *host, const struct mgpt_config *config,
                                  struct mgpt_device **device, struct mgpt_error *error)
{
    (void)host;
    (void)config;
    *device = calloc(1, sizeof **device);
    return *device ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "out of memory for a device");
}

static void slow_close(struct mgpt_device *device)
{
    free(device);
}

static enum mgpt_status slow_buffer_new(struct mgpt_device *device, uint64_t bytes,
                                        struct mgpt_buffer **buffer, struct mgpt_error *error)
{
    struct mgpt_buffer *b = calloc(1, sizeof *b);

    (void)device;
    if (b && bytes && bytes < SIZE_MAX - 64)
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

static void slow_buffer_free(struct mgpt_device *device, struct mgpt_buffer *buffer)
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

static void invert(unsigned char *to, const unsigned char *from, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes; i++)
        to[i] = (unsigned char)~from[i];
}

static enum mgpt_status slow_upload(struct mgpt_device *device, struct mgpt_buffer *buffer,
                                    uint64_t offset, const void *data, uint64_t bytes,
                                    struct mgpt_error *error)
{
    enum mgpt_status status = check_range(buffer, offset, bytes, error);

    (void)device;
    if (status == MGPT_OK)
        invert(buffer->data + offset, data, bytes);
    return status;
}

static enum mgpt_status slow_download(struct mgpt_device *device, struct mgpt_buffer *buffer,
                                      uint64_t offset, void *data, uint64_t bytes,
                                      struct mgpt_error *error)
{
    enum mgpt_status status = check_range(buffer, offset, bytes, error);

    (void)device;
    if (status == MGPT_OK)
        invert(data, buffer->data + offset, bytes);
    return status;
}

static enum mgpt_status slow_sync(struct mgpt_device *device, struct mgpt_error *error)
{
    (void)device;
    (void)error;
    return MGPT_OK;
}

static const struct mgpt_backend_api api = {
    .size = offsetof(struct mgpt_backend_api, sync) + sizeof api.sync, /* an old plugin's table */
    .open = slow_open,
    .close = slow_close,
    .buffer_new = slow_buffer_new,
    .buffer_free = slow_buffer_free,
    .upload = slow_upload,
    .download = slow_download,
    .sync = slow_sync,
};

static const struct mgpt_component component = {sizeof(struct mgpt_component),
                                                MGPT_NO_OPTIONS,
                                                0,
                                                MGPT_KIND_BACKEND,
                                                "slow",
                                                "for tests: memory that the host cannot read",
                                                NULL,
                                                NULL,
                                                &api};

MGPT_PLUGIN_DEFINE("org.microgpt.test.slow", "0.1.0", "MIT", "microgpt", NULL, &component)
