/* Extension "nvidia.cuda-native/1" of the backend. */
#ifndef MGPT_CUDA_NATIVE_OWN_H
#define MGPT_CUDA_NATIVE_OWN_H

#include "ops.h"

/* Fills device->native; the stream is there already. */
enum mgpt_status cuda_native_open(struct mgpt_device *device, struct mgpt_error *error);
/* `query` of the backend. */
const void *cuda_query(struct mgpt_device *device, const char *id);

#endif
