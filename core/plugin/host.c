/* The services handed to every module. */
#include <config.h>

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/* ---- options ---- */

/* A module's getters return values and have no way to fail. The exit code is that of MGPT_PLUGIN in
 * <microgpt/status.h>; exit() would run what the module has left for the end. */
static void end_here(const char *text)
{
    mgpt_log(MGPT_LOG_ERROR, "%s. It ends here; checkpoints that were written are kept", text);
    (void)fflush(stdout);
    _exit(4);
}

static void (*on_misuse)(const char *text) = end_here;

void mgpt_host_on_misuse(void (*handler)(const char *text))
{
    on_misuse = handler;
}

/* Ends the process when a module asks for what is not in its table; `caller`: where it did. */
static void insist(const struct mgpt_config *config, const char *key, unsigned types,
                   const void *caller)
{
    Dl_info info = {0}, own = {0};
    char text[1024];
    const char *section = config ? mgpt_config_section(config) : "a section that is not there";

    if (mgpt_config_has(config, key, types))
        return;
    /* A call in tail position leaves no trace of who made it. */
    bool named = dladdr(caller, &info) && info.dli_fname && dladdr(&on_misuse, &own) &&
                 info.dli_fbase != own.dli_fbase;
    (void)snprintf(text, sizeof text,
                   "%s%.512s asks for option %.100s of [%.100s], which is not in its table%s",
                   named ? "module " : "a module", named ? info.dli_fname : "", key, section,
                   config && mgpt_config_index(config, key) < mgpt_config_count(config)
                       ? " with that type"
                       : "");
    on_misuse(text);
}

static int64_t get_int(const struct mgpt_config *config, const char *key)
{
    insist(config, key, MGPT_TYPES_INT, __builtin_return_address(0));
    return mgpt_config_int(config, key);
}

static double get_float(const struct mgpt_config *config, const char *key)
{
    insist(config, key, MGPT_TYPES_FLOAT, __builtin_return_address(0));
    return mgpt_config_float(config, key);
}

static uint64_t get_seed(const struct mgpt_config *config, const char *key)
{
    insist(config, key, MGPT_TYPES_SEED, __builtin_return_address(0));
    return mgpt_config_seed(config, key);
}

static const char *get_text(const struct mgpt_config *config, const char *key)
{
    insist(config, key, MGPT_TYPES_TEXT, __builtin_return_address(0));
    return mgpt_config_text(config, key);
}

const struct mgpt_host *mgpt_host(void)
{
    static const struct mgpt_host host = {
        .size = (uint32_t)sizeof(struct mgpt_host),
        .abi_minor = MGPT_ABI_MINOR,
        .version = PACKAGE_VERSION,
        .log = mgpt_log_line,
        .get_int = get_int,
        .get_float = get_float,
        .get_seed = get_seed,
        .get_text = get_text,
        .canceled = mgpt_stop_requested,
        .reference = mgpt_ref_run,
        .query = query,
    };
    return &host;
}
