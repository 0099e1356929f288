/* An open backend, and ops run on it between guards. */
#include <config.h>

#include "check/device.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define BEFORE 128 /* offset of every tensor in its buffer */
#define BEHIND 192 /* bytes of its buffer that follow it */
#define GUARD 0xa5 /* as a float -2.9e-16: an op that adds to it shows, too */

enum mgpt_status mgpt_check_device_try(struct mgpt_check_device *d, const struct mgpt_component *c,
                                       const char *key, const char *value, struct mgpt_error *said)
{
    char section[80];

    (void)snprintf(section, sizeof section, "backend.%s", c->name);
    check_ok(
        mgpt_config_create(&d->config, section, c->options, c->n_options, c->option_size, error));
    if (key)
        check_ok(mgpt_config_set(d->config, key, value, "a check", error));
    return d->api->open(mgpt_host(), d->config, &d->device, said);
}

struct mgpt_check_device mgpt_check_device_open(const struct mgpt_component *c, const char *key,
                                                const char *value)
{
    struct mgpt_check_device d = {.api = c->api};

    check_ok(mgpt_check_device_try(&d, c, key, value, error));
    return d;
}

void mgpt_check_device_close(struct mgpt_check_device *d)
{
    d->api->close(d->device);
    mgpt_config_destroy(d->config);
}

struct mgpt_caps mgpt_check_device_caps(const struct mgpt_check_device *d)
{
    struct mgpt_caps caps = {.size = sizeof caps, .formats = 1u << MGPT_F32};

    if (MGPT_HAS(d->api, caps) && d->api->caps)
        check_ok(d->api->caps(d->device, &caps, error));
    return caps;
}

uint32_t mgpt_check_device_formats(const struct mgpt_check_device *d)
{
    return mgpt_check_device_caps(d).formats;
}

int mgpt_check_device_has(const struct mgpt_check_device *d, const struct mgpt_op *op,
                          uint32_t dtype)
{
    const struct mgpt_backend_api *api = d->api;

    if (!MGPT_HAS(api, ops) || !api->ops || op->code >= api->n_ops || !api->ops[op->code])
        return 0;
    if (MGPT_HAS(api, supports) && api->supports)
        return api->supports(d->device, op);
    return dtype == MGPT_F32;
}

/* ---- guards ---- */

void mgpt_check_device_put(const struct mgpt_check_device *d, struct mgpt_tensor *t,
                           const void *data)
{
    size_t size = mgpt_tensor_bytes(t), whole = BEFORE + size + BEHIND;
    unsigned char *bytes = malloc(whole);

    check_that(bytes, "out of memory");
    memset(bytes, GUARD, whole);
    memcpy(bytes + BEFORE, data, size);
    t->offset = BEFORE;
    check_ok(d->api->buffer_new(d->device, whole, &t->buffer, error));
    check_ok(d->api->upload(d->device, t->buffer, 0, bytes, whole, error));
    free(bytes);
}

/* Bytes of bytes[0..n) that are no guard any more: the first of them, or n. */
static size_t first_broken(const unsigned char *bytes, size_t n)
{
    size_t i = 0;

    while (i < n && bytes[i] == GUARD)
        i++;
    return i;
}

void mgpt_check_device_get(const struct mgpt_check_device *d, const struct mgpt_tensor *t,
                           void *data, const char *what)
{
    size_t size = mgpt_tensor_bytes(t), whole = BEFORE + size + BEHIND, at;
    unsigned char *bytes = malloc(whole);

    check_that(bytes, "out of memory");
    check_ok(d->api->download(d->device, t->buffer, 0, bytes, whole, error));
    at = first_broken(bytes, BEFORE);
    check_that(at == BEFORE, "%s: wrote out of bounds, %zu bytes before the start", what,
               BEFORE - at);
    at = first_broken(bytes + BEFORE + size, BEHIND);
    check_that(at == BEHIND, "%s: wrote out of bounds, byte %zu past the end", what, at + 1);
    memcpy(data, bytes + BEFORE, size);
    free(bytes);
}

/* ---- running ---- */

static void put_all(const struct mgpt_check_device *d, struct mgpt_op_case *c)
{
    struct mgpt_op *op = &c->op;

    for (int i = 0; i < MGPT_OP_MAX_IN; i++)
        if (c->in[i])
            mgpt_check_device_put(d, &op->in[i], c->in[i]);
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++) {
        if (c->alias[i] >= 0)
            op->out[i] = op->in[c->alias[i]];
        else if (c->out[i])
            mgpt_check_device_put(d, &op->out[i], c->out[i]);
    }
}

static bool is_output(const struct mgpt_op_case *c, int in)
{
    bool found = false;

    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        found = found || c->alias[i] == in;
    return found;
}

/* Inputs that are no outputs must be what they were. */
static void look_at_inputs(const struct mgpt_check_device *d, const struct mgpt_op_case *c)
{
    for (int i = 0; i < MGPT_OP_MAX_IN; i++)
        if (c->in[i] && !is_output(c, i)) {
            char what[240];
            size_t size = mgpt_tensor_bytes(&c->op.in[i]);
            void *back = malloc(size);
            check_that(back, "out of memory");
            (void)snprintf(what, sizeof what, "%s: input %d", c->label, i);
            mgpt_check_device_get(d, &c->op.in[i], back, what);
            check_that(memcmp(back, c->in[i], size) == 0, "%s: it wrote into it", what);
            free(back);
        }
}

static void get_outputs(const struct mgpt_check_device *d, struct mgpt_op_case *c, bool failed)
{
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        if (c->out[i]) {
            char what[240];
            size_t size = mgpt_tensor_bytes(&c->op.out[i]);
            void *back = malloc(size);
            check_that(back, "out of memory");
            (void)snprintf(what, sizeof what, "%s: output %d", c->label, i);
            mgpt_check_device_get(d, &c->op.out[i], back, what);
            check_that(!failed || memcmp(back, c->out[i], size) == 0,
                       "%s: the op failed and has written", what);
            memcpy(c->out[i], back, size);
            free(back);
        }
}

static void free_all(const struct mgpt_check_device *d, const struct mgpt_op_case *c)
{
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        if (c->out[i] && c->alias[i] < 0)
            d->api->buffer_free(d->device, c->op.out[i].buffer);
    for (int i = 0; i < MGPT_OP_MAX_IN; i++)
        if (c->in[i])
            d->api->buffer_free(d->device, c->op.in[i].buffer);
}

enum mgpt_status mgpt_check_device_run(const struct mgpt_check_device *d, struct mgpt_op_case *c,
                                       struct mgpt_error *refused)
{
    enum mgpt_status status;

    put_all(d, c);
    status = d->api->ops[c->op.code](d->device, &c->op, refused);
    if (status == MGPT_OK)
        status = d->api->sync(d->device, refused);
    look_at_inputs(d, c);
    get_outputs(d, c, status != MGPT_OK);
    free_all(d, c);
    return status;
}
