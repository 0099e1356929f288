/* An open backend, and ops run on it between guards. */
#ifndef MGPT_CHECK_DEVICE_H
#define MGPT_CHECK_DEVICE_H

#include <microgpt/backend.h>

#include "check/check.h"
#include "check/op_cases.h"

struct mgpt_check_device {
    const struct mgpt_backend_api *api;
    struct mgpt_device *device;
    struct mgpt_config *config;
};

/* With `key` = `value` when key is not NULL; `try` may be refused. Close it in any case. */
enum mgpt_status mgpt_check_device_try(struct mgpt_check_device *d,
                                       const struct mgpt_component *component, const char *key,
                                       const char *value, struct mgpt_error *said);
struct mgpt_check_device mgpt_check_device_open(const struct mgpt_component *component,
                                                const char *key, const char *value);
void mgpt_check_device_close(struct mgpt_check_device *d);

/* Set of 1u << enum mgpt_dtype; flags of the caps. */
uint32_t mgpt_check_device_formats(const struct mgpt_check_device *d);
struct mgpt_caps mgpt_check_device_caps(const struct mgpt_check_device *d);
/* Does it have the op itself? */
int mgpt_check_device_has(const struct mgpt_check_device *d, const struct mgpt_op *op,
                          uint32_t dtype);

/* A buffer of the tensor between guards, and the tensor in it; free it. */
void mgpt_check_device_put(const struct mgpt_check_device *d, struct mgpt_tensor *t,
                           const void *data);
/* Its data, after a look at the guards: fails where something was written around it. `what` is for
 * the message. */
void mgpt_check_device_get(const struct mgpt_check_device *d, const struct mgpt_tensor *t,
                           void *data, const char *what);

/* Runs the case on the device and downloads its outputs into the case's own data. Fails where it
 * wrote past a tensor or into an input, and, when the op fails, where it wrote at all. */
enum mgpt_status mgpt_check_device_run(const struct mgpt_check_device *d, struct mgpt_op_case *c,
                                       struct mgpt_error *refused);

/* Of backend_ops.c. */
void mgpt_check_ops(const struct mgpt_component *component);
void mgpt_check_choices(const struct mgpt_component *component);
void mgpt_check_tf32(const struct mgpt_component *component);
void mgpt_check_long_norm(const struct mgpt_component *component);
void mgpt_check_bad_ids(const struct mgpt_component *component);

#endif
