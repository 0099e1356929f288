/* The services handed to every module. */
#include <config.h>

#include <string.h>

#include "plugin/registry.h"

#include "base/log.h"
#include "base/stop.h"
#include "plugin/options.h"
#include "ref/ref.h"

/* One is enough so far. */
static struct {
    const char *id;
    const void *extension;
} offered;

void mgpt_host_offer(const char *id, const void *extension)
{
    offered.id = id;
    offered.extension = extension;
}

static const void *query(const char *id)
{
    return offered.id && strcmp(id, offered.id) == 0 ? offered.extension : NULL;
}

const struct mgpt_host *mgpt_host(void)
{
    static const struct mgpt_host host = {
        .size = (uint32_t)sizeof(struct mgpt_host),
        .abi_minor = MGPT_ABI_MINOR,
        .version = PACKAGE_VERSION,
        .log = mgpt_log_line,
        .get_int = mgpt_config_int,
        .get_float = mgpt_config_float,
        .get_seed = mgpt_config_seed,
        .get_text = mgpt_config_text,
        .canceled = mgpt_stop_requested,
        .reference = mgpt_ref_run,
        .query = query,
    };
    return &host;
}
