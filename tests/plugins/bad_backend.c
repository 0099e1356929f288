/* Backend "wrong", for tests: on host memory, with one op of its own, fill, which is a little off;
 * or, with a name that run_broken.sh defines, has another fault. */
#include <stdlib.h>
#include <string.h>

#include <microgpt/backend.h>
#include <microgpt/optimizer.h>

struct mgpt_device {
    int open;
};

struct mgpt_buffer {
    char *data;
};

static enum mgpt_status wrong_open(const struct mgpt_host *host, const struct mgpt_config *config,
                                   struct mgpt_device **device, struct mgpt_error *error)
{
    (void)host;
    (void)config;
    *device = calloc(1, sizeof **device);
    return *device ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "out of memory for a device");
}

static void wrong_close(struct mgpt_device *device)
{
    free(device);
}

static enum mgpt_status wrong_buffer_new(struct mgpt_device *device, uint64_t bytes,
                                         struct mgpt_buffer **buffer, struct mgpt_error *error)
{
    struct mgpt_buffer *b = calloc(1, sizeof *b);

    (void)device;
    if (b)
        b->data = aligned_alloc(64, (size_t)(bytes + 63) / 64 * 64);
    if (!b || !b->data) {
        free(b);
        return mgpt_fail(error, MGPT_NOMEM, "out of memory");
    }
    *buffer = b;
    return MGPT_OK;
}

static void wrong_buffer_free(struct mgpt_device *device, struct mgpt_buffer *buffer)
{
    (void)device;
#ifndef BACKEND_LEAKS
    if (buffer)
        free(buffer->data);
#endif
    free(buffer);
}

static enum mgpt_status wrong_upload(struct mgpt_device *device, struct mgpt_buffer *buffer,
                                     uint64_t offset, const void *data, uint64_t bytes,
                                     struct mgpt_error *error)
{
    (void)device;
    (void)error;
    memcpy(buffer->data + offset, data, bytes);
    return MGPT_OK;
}

static enum mgpt_status wrong_download(struct mgpt_device *device, struct mgpt_buffer *buffer,
                                       uint64_t offset, void *data, uint64_t bytes,
                                       struct mgpt_error *error)
{
    (void)device;
    (void)error;
    memcpy(data, buffer->data + offset, bytes);
    return MGPT_OK;
}

static enum mgpt_status wrong_sync(struct mgpt_device *device, struct mgpt_error *error)
{
    (void)device;
    (void)error;
    return MGPT_OK;
}

static void *wrong_map(struct mgpt_device *device, struct mgpt_buffer *buffer)
{
    (void)device;
    return buffer->data;
}

static enum mgpt_status wrong_fill(struct mgpt_device *device, const struct mgpt_op *op,
                                   struct mgpt_error *error)
{
    const struct mgpt_tensor *y = &op->out[0];
    float *data = (float *)(void *)(y->buffer->data + y->offset);

    (void)device;
    (void)error;
#ifdef BACKEND_WRITES_OUT_OF_BOUNDS
    for (int64_t i = 0; i <= mgpt_tensor_count(y); i++)
        data[i] = (float)op->value;
#elif defined BACKEND_FAILS_HALFWAY
    data[0] = (float)op->value + 1;
    return mgpt_fail(error, MGPT_DEVICE, "the device is full of fill");
#else
    for (int64_t i = 0; i < mgpt_tensor_count(y); i++)
        data[i] = (float)op->value + 1e-3F;
#endif
    return MGPT_OK;
}

#if defined UPDATE_MAKES_NAN || defined UPDATE_WRITES_GRADIENTS
static float *numbers(const struct mgpt_tensor *t)
{
    return (float *)(void *)(t->buffer->data + t->offset);
}

static enum mgpt_status wrong_update(struct mgpt_device *device, const struct mgpt_update *u,
                                     struct mgpt_error *error)
{
    const struct mgpt_step_state *state =
        (const struct mgpt_step_state *)(void *)numbers(&u->step_state);
    float *s[4], *p = numbers(&u->p), *g = numbers(&u->g);

    (void)device;
    (void)error;
    for (uint32_t k = 0; k < u->n_state; k++)
        s[k] = numbers(&u->state[k]);
    if (!state->nonfinite)
        u->rule->f32((size_t)mgpt_tensor_count(&u->p), p, g, s, u->scalars, state->grad_scale);
#ifdef UPDATE_MAKES_NAN
    p[0] -= p[0];
    p[0] /= p[0];
#else
    g[0] *= (float)state->grad_scale / 2;
#endif
    return MGPT_OK;
}
#define UPDATE wrong_update
#else
#define UPDATE NULL
#endif

static const mgpt_op_fn ops[MGPT_OP_COUNT] = {[MGPT_OP_FILL] = wrong_fill};

static const struct mgpt_backend_api api = {
    .size = sizeof api,
    .n_ops = MGPT_OP_COUNT,
    .open = wrong_open,
    .close = wrong_close,
    .buffer_new = wrong_buffer_new,
    .buffer_free = wrong_buffer_free,
    .upload = wrong_upload,
    .download = wrong_download,
    .sync = wrong_sync,
    .map = wrong_map,
    .ops = ops,
    .update = UPDATE,
};

static const struct mgpt_component component = {sizeof(struct mgpt_component),
                                                MGPT_NO_OPTIONS,
                                                0,
                                                MGPT_KIND_BACKEND,
                                                "wrong",
                                                "for tests: a fill that is a little off",
                                                NULL,
                                                NULL,
                                                &api};

MGPT_PLUGIN_DEFINE("org.microgpt.test.wrong", "0.1.0", "MIT", "microgpt", NULL, &component)
