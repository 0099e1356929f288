/* MICROGPT_VALIDATE=1: devices and buffers. They stay the module's own, since extensions hand them
 * on; what is known of them is kept beside, by address. Every buffer is longer than was asked for
 * by a guard. */
#include <config.h>

#include "plugin/validate_machine.h"

#include <inttypes.h>
#include <stdlib.h>

#define GUARD 64
#define GUARD_BYTE 0xa5

static struct mgpt_validate_machine *machines;

struct mgpt_validate_machine *mgpt_validate_machine_of(const struct mgpt_device *device)
{
    struct mgpt_validate_machine *m = machines;

    while (m && m->device != device)
        m = m->next;
    return m;
}

struct mgpt_validate_memory *mgpt_validate_memory_of(const struct mgpt_validate_machine *m,
                                                     const struct mgpt_buffer *buffer)
{
    struct mgpt_validate_memory *k = m->memories;

    while (k && k->buffer != buffer)
        k = k->next;
    return k;
}

/* ---- threads ---- */

void mgpt_validate_enter(struct mgpt_validate_machine *m, const char *function)
{
    if (atomic_fetch_add(&m->inside, 1) > 0)
        mgpt_violation_kept(m->component, function,
                            "was called while another call runs: [step] is one thread at a time");
}

void mgpt_validate_leave(struct mgpt_validate_machine *m)
{
    atomic_fetch_sub(&m->inside, 1);
}

static void on_main(const struct mgpt_validate_machine *m, const char *function)
{
    if (!pthread_equal(m->main, pthread_self()))
        mgpt_violation_kept(m->component, function,
                            "was called by another thread than opened the device: it is [main]");
}

/* ---- life and memory ---- */

enum mgpt_status mgpt_validate_device_open(const struct mgpt_component *c,
                                           const struct mgpt_host *host,
                                           const struct mgpt_config *config,
                                           struct mgpt_device **device, struct mgpt_error *error)
{
    const struct mgpt_backend_api *api = c->api;
    struct mgpt_validate_machine *m = calloc(1, sizeof *m);

    if (!m)
        return mgpt_fail(error, MGPT_NOMEM, "no memory to validate %s", c->name);
    enum mgpt_status status =
        mgpt_validate_refusal(api->open(host, config, device, error), c, "open", error);
    if (status == MGPT_OK && !*device)
        status = mgpt_violation(error, c, "open", "MGPT_OK and no device");
    if (status != MGPT_OK) {
        free(m);
        return status;
    }
    m->component = c;
    m->api = api;
    m->device = *device;
    m->main = pthread_self();
    m->next = machines;
    machines = m;
    return MGPT_OK;
}

enum mgpt_status mgpt_validate_guard(struct mgpt_validate_machine *m,
                                     const struct mgpt_validate_memory *k, const char *function,
                                     struct mgpt_error *error)
{
    unsigned char guard[GUARD];
    enum mgpt_status status = m->api->download(m->device, k->buffer, k->bytes, guard, GUARD, error);

    for (int i = 0; i < GUARD && status == MGPT_OK; i++)
        if (guard[i] != GUARD_BYTE)
            return mgpt_violation(error, m->component, function,
                                  "wrote out of bounds: byte %d past the end of a buffer of "
                                  "%" PRIu64,
                                  i + 1, k->bytes);
    return status;
}

void mgpt_validate_device_close(struct mgpt_device *device)
{
    struct mgpt_validate_machine *m = mgpt_validate_machine_of(device), **at = &machines;
    struct mgpt_error error;
    uint64_t left = 0;

    if (!m)
        return;
    on_main(m, "close");
    while (m->memories) {
        struct mgpt_validate_memory *k = m->memories;
        if (mgpt_validate_guard(m, k, "close", &error) == MGPT_PLUGIN)
            mgpt_violation_logged(m->component, "close", "%s", error.text);
        m->memories = k->next;
        free(k);
        left++;
    }
    if (left)
        mgpt_violation_logged(m->component, "close", "%" PRIu64 " buffers were not freed before",
                              left);
    m->api->close(device);
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    free(m);
}

enum mgpt_status mgpt_validate_device_buffer_new(struct mgpt_device *device, uint64_t bytes,
                                                 struct mgpt_buffer **buffer,
                                                 struct mgpt_error *error)
{
    struct mgpt_validate_machine *m = mgpt_validate_machine_of(device);
    struct mgpt_validate_memory *k = calloc(1, sizeof *k);
    unsigned char guard[GUARD];

    if (!k)
        return mgpt_fail(error, MGPT_NOMEM, "no memory to validate a buffer");
    on_main(m, "buffer_new");
    memset(guard, GUARD_BYTE, sizeof guard);
    enum mgpt_status status = bytes > UINT64_MAX - GUARD
                                  ? mgpt_fail(error, MGPT_NOMEM, "no memory for the guard")
                                  : m->api->buffer_new(device, bytes + GUARD, buffer, error);
    status = mgpt_validate_refusal(status, m->component, "buffer_new", error);
    if (status == MGPT_OK)
        status = m->api->upload(device, *buffer, bytes, guard, GUARD, error);
    if (status == MGPT_OK && MGPT_HAS(m->api, map) && m->api->map &&
        (uintptr_t)m->api->map(device, *buffer) % 64)
        status = mgpt_violation(error, m->component, "buffer_new", "not aligned to 64 bytes");
    if (status != MGPT_OK) {
        free(k);
        return status;
    }
    *k = (struct mgpt_validate_memory){*buffer, bytes, m->memories};
    m->memories = k;
    return MGPT_OK;
}

void mgpt_validate_device_buffer_free(struct mgpt_device *device, struct mgpt_buffer *buffer)
{
    struct mgpt_validate_machine *m = mgpt_validate_machine_of(device);
    struct mgpt_validate_memory **at = m ? &m->memories : NULL, *k;
    struct mgpt_error error;

    if (!buffer || !m)
        return;
    on_main(m, "buffer_free");
    while (*at && (*at)->buffer != buffer)
        at = &(*at)->next;
    k = *at;
    if (!k) {
        mgpt_violation_kept(m->component, "buffer_free", "was handed a buffer that is not there");
        return;
    }
    if (mgpt_validate_guard(m, k, "buffer_free", &error) == MGPT_PLUGIN)
        mgpt_violation_kept(m->component, "buffer_free", "%s", error.text);
    *at = k->next;
    free(k);
    m->api->buffer_free(device, buffer);
}

enum mgpt_status mgpt_validate_range(const struct mgpt_validate_machine *m,
                                     const struct mgpt_buffer *buffer, uint64_t offset,
                                     uint64_t bytes, struct mgpt_error *error)
{
    const struct mgpt_validate_memory *k = mgpt_validate_memory_of(m, buffer);

    if (k && offset <= k->bytes && bytes <= k->bytes - offset)
        return MGPT_OK;
    return mgpt_fail(error, MGPT_INVALID, "%" PRIu64 " bytes at offset %" PRIu64 " of %s", bytes,
                     offset, k ? "a buffer that is shorter" : "a buffer that is not there");
}

enum mgpt_status mgpt_validate_device_upload(struct mgpt_device *device, struct mgpt_buffer *buffer,
                                             uint64_t offset, const void *data, uint64_t bytes,
                                             struct mgpt_error *error)
{
    struct mgpt_validate_machine *m = mgpt_validate_machine_of(device);
    enum mgpt_status status = mgpt_validate_range(m, buffer, offset, bytes, error);

    if (status != MGPT_OK)
        return status;
    mgpt_validate_enter(m, "upload");
    status = m->api->upload(device, buffer, offset, data, bytes, error);
    mgpt_validate_leave(m);
    return mgpt_validate_refusal(status, m->component, "upload", error);
}

enum mgpt_status mgpt_validate_device_download(struct mgpt_device *device,
                                               struct mgpt_buffer *buffer, uint64_t offset,
                                               void *data, uint64_t bytes, struct mgpt_error *error)
{
    struct mgpt_validate_machine *m = mgpt_validate_machine_of(device);
    enum mgpt_status status = mgpt_validate_range(m, buffer, offset, bytes, error);

    if (status != MGPT_OK)
        return status;
    mgpt_validate_enter(m, "download");
    status = m->api->download(device, buffer, offset, data, bytes, error);
    mgpt_validate_leave(m);
    return mgpt_validate_refusal(status, m->component, "download", error);
}

enum mgpt_status mgpt_validate_device_sync(struct mgpt_device *device, struct mgpt_error *error)
{
    struct mgpt_validate_machine *m = mgpt_validate_machine_of(device);

    mgpt_validate_enter(m, "sync");
    enum mgpt_status status = m->api->sync(device, error);
    mgpt_validate_leave(m);
    return mgpt_validate_refusal(status, m->component, "sync", error);
}
