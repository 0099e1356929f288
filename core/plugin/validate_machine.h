/* What validation knows of an open device and its buffers, and the functions that stand in for
 * those of a backend's table. */
#ifndef MGPT_PLUGIN_VALIDATE_MACHINE_H
#define MGPT_PLUGIN_VALIDATE_MACHINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <microgpt/backend.h>
#include <microgpt/cuda_native.h>

#include "plugin/validate.h"

struct mgpt_validate_memory {
    struct mgpt_buffer *buffer;
    uint64_t bytes; /* as asked for */
    struct mgpt_validate_memory *next;
};

struct mgpt_validate_machine {
    const struct mgpt_component *component;
    const struct mgpt_backend_api *api;
    struct mgpt_device *device;
    struct mgpt_validate_memory *memories;
    pthread_t main;
    atomic_int inside; /* [step] functions that run now */
    bool capturing;    /* a graph: what is called now runs later, and nothing can be read */
    const struct mgpt_cuda_native *native; /* the module's own, once it was asked for; or NULL */
    struct mgpt_cuda_native stand_in;      /* what was handed out for it */
    struct mgpt_validate_machine *next;
};

struct mgpt_validate_machine *mgpt_validate_machine_of(const struct mgpt_device *device);
struct mgpt_validate_memory *mgpt_validate_memory_of(const struct mgpt_validate_machine *m,
                                                     const struct mgpt_buffer *buffer);

/* Around each [step] function: no two run at once. */
void mgpt_validate_enter(struct mgpt_validate_machine *m, const char *function);
void mgpt_validate_leave(struct mgpt_validate_machine *m);

/* Is the guard of the buffer what it was? */
enum mgpt_status mgpt_validate_guard(struct mgpt_validate_machine *m,
                                     const struct mgpt_validate_memory *k, const char *function,
                                     struct mgpt_error *error);
/* Within what was asked for? The guard must not be seen. */
enum mgpt_status mgpt_validate_range(const struct mgpt_validate_machine *m,
                                     const struct mgpt_buffer *buffer, uint64_t offset,
                                     uint64_t bytes, struct mgpt_error *error);

/* ---- for the table ---- */

enum mgpt_status mgpt_validate_device_open(const struct mgpt_component *c,
                                           const struct mgpt_host *host,
                                           const struct mgpt_config *config,
                                           struct mgpt_device **device, struct mgpt_error *error);
void mgpt_validate_device_close(struct mgpt_device *device);
enum mgpt_status mgpt_validate_device_buffer_new(struct mgpt_device *device, uint64_t bytes,
                                                 struct mgpt_buffer **buffer,
                                                 struct mgpt_error *error);
void mgpt_validate_device_buffer_free(struct mgpt_device *device, struct mgpt_buffer *buffer);
enum mgpt_status mgpt_validate_device_upload(struct mgpt_device *device, struct mgpt_buffer *buffer,
                                             uint64_t offset, const void *data, uint64_t bytes,
                                             struct mgpt_error *error);
enum mgpt_status mgpt_validate_device_download(struct mgpt_device *device,
                                               struct mgpt_buffer *buffer, uint64_t offset,
                                               void *data, uint64_t bytes,
                                               struct mgpt_error *error);
enum mgpt_status mgpt_validate_device_sync(struct mgpt_device *device, struct mgpt_error *error);
int mgpt_validate_device_supports(struct mgpt_device *device, const struct mgpt_op *op);
const void *mgpt_validate_device_query(struct mgpt_device *device, const char *id);
/* Any op of the table. */
enum mgpt_status mgpt_validate_device_op(struct mgpt_device *device, const struct mgpt_op *op,
                                         struct mgpt_error *error);
/* Gradients stay what they are; in a skipped step nothing moves; in another one no NaN comes of
 * finite numbers. */
enum mgpt_status mgpt_validate_device_update(struct mgpt_device *device,
                                             const struct mgpt_update *u, struct mgpt_error *error);

#endif
