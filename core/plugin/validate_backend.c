/* MICROGPT_VALIDATE=1: backends: the table that stands in for a module's own. */
#include <config.h>

#include "plugin/validate_machine.h"
#include "plugin/validate_slots.h"

static struct {
    const struct mgpt_component *component;
    struct mgpt_backend_api table;
    mgpt_op_fn ops[MGPT_OP_COUNT];
} slots[MGPT_VALIDATE_SLOTS];

static enum mgpt_status backend_open(int slot, const struct mgpt_host *host,
                                     const struct mgpt_config *config, struct mgpt_device **device,
                                     struct mgpt_error *error)
{
    return mgpt_validate_device_open(slots[slot].component, host, config, device, error);
}

MGPT_SLOT_FUNCTIONS(backend_open,
                    (const struct mgpt_host *host, const struct mgpt_config *config,
                     struct mgpt_device **device, struct mgpt_error *error),
                    host, config, device, error)

const void *mgpt_validate_backend(const struct mgpt_component *component, int slot)
{
    struct mgpt_backend_api *table = &slots[slot].table;
    mgpt_op_fn *ops = slots[slot].ops;

    slots[slot].component = component;
    mgpt_validate_table(table, (uint32_t)sizeof *table, component->api);
    table->open = backend_open_slots[slot];
    table->close = mgpt_validate_device_close;
    table->buffer_new = mgpt_validate_device_buffer_new;
    table->buffer_free = mgpt_validate_device_buffer_free;
    table->upload = mgpt_validate_device_upload;
    table->download = mgpt_validate_device_download;
    table->sync = mgpt_validate_device_sync;
    if (table->supports)
        table->supports = mgpt_validate_device_supports;
    for (uint32_t code = 0; table->ops && code < table->n_ops && code < MGPT_OP_COUNT; code++)
        ops[code] = table->ops[code] ? mgpt_validate_device_op : NULL;
    if (table->ops)
        table->ops = ops;
    if (table->n_ops > MGPT_OP_COUNT)
        table->n_ops = MGPT_OP_COUNT;
    if (table->query)
        table->query = mgpt_validate_device_query;
    if (table->update)
        table->update = mgpt_validate_device_update;
    return table;
}
