/* MICROGPT_VALIDATE=1: the extension MGPT_CUDA_NATIVE. While a graph is captured nothing runs and
 * nothing can be read, so ops are only looked at from outside: whoever validates must know. */
#include <config.h>

#include <string.h>

#include "plugin/validate_machine.h"

static enum mgpt_status capture_begin(struct mgpt_device *device, struct mgpt_error *error)
{
    struct mgpt_validate_machine *m = mgpt_validate_machine_of(device);

    mgpt_validate_enter(m, "capture_begin");
    enum mgpt_status status = m->native->capture_begin(device, error);
    mgpt_validate_leave(m);
    m->capturing = status == MGPT_OK;
    return mgpt_validate_refusal(status, m->component, "capture_begin", error);
}

static enum mgpt_status capture_end(struct mgpt_device *device, struct mgpt_cuda_graph **graph,
                                    struct mgpt_error *error)
{
    struct mgpt_validate_machine *m = mgpt_validate_machine_of(device);

    mgpt_validate_enter(m, "capture_end");
    enum mgpt_status status = m->native->capture_end(device, graph, error);
    mgpt_validate_leave(m);
    m->capturing = false;
    return mgpt_validate_refusal(status, m->component, "capture_end", error);
}

const void *mgpt_validate_device_query(struct mgpt_device *device, const char *id)
{
    struct mgpt_validate_machine *m = mgpt_validate_machine_of(device);
    const void *extension = m->api->query(device, id);

    if (!extension || strcmp(id, MGPT_CUDA_NATIVE) != 0)
        return extension;
    m->native = extension;
    if (!MGPT_HAS(m->native, capture_end)) /* then it takes nothing down */
        return extension;
    memcpy(&m->stand_in, m->native,
           m->native->size < sizeof m->stand_in ? m->native->size : sizeof m->stand_in);
    if (m->stand_in.size > sizeof m->stand_in)
        m->stand_in.size = sizeof m->stand_in;
    m->stand_in.capture_begin = capture_begin;
    m->stand_in.capture_end = capture_end;
    return &m->stand_in;
}
