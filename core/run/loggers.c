/* The loggers of a run: every event goes to each. */
#include <config.h>

#include <string.h>

#include "run/loggers.h"

static enum mgpt_status open_one(struct mgpt_loggers *loggers, struct mgpt_conf *conf,
                                 struct mgpt_registry *registry, const char *name,
                                 const struct mgpt_run_info *run, struct mgpt_error *error)
{
    struct mgpt_module module;
    enum mgpt_status status;

    if (loggers->n == MGPT_MAX_LOGGERS)
        return mgpt_fail(error, MGPT_CONFIG, "%s: [logger] use: expected at most %d loggers",
                         mgpt_conf_origin(conf, "logger", "use"), MGPT_MAX_LOGGERS);
    status = mgpt_registry_use(registry, MGPT_KIND_LOGGER, name, &module, error);
    if (status != MGPT_OK)
        return status;
    const struct mgpt_logger_api *api = module.component->api;
    status = api->open(mgpt_host(), mgpt_conf_module(conf, "logger", name), run,
                       &loggers->it[loggers->n], error);
    if (status == MGPT_OK)
        loggers->api[loggers->n++] = api;
    return status;
}

enum mgpt_status mgpt_loggers_open(struct mgpt_loggers *loggers, struct mgpt_conf *conf,
                                   struct mgpt_registry *registry, const struct mgpt_run_info *run,
                                   struct mgpt_error *error)
{
    const char *list = mgpt_conf_text(conf, "logger", "use");
    enum mgpt_status status = MGPT_OK;

    if (strcmp(list, "none") == 0)
        return MGPT_OK;
    while (*list && status == MGPT_OK) {
        char name[64];
        list += strspn(list, ", ");
        snprintf(name, sizeof name, "%.*s", (int)strcspn(list, ", "), list);
        list += strcspn(list, ", ");
        if (*name)
            status = open_one(loggers, conf, registry, name, run, error);
    }
    return status;
}

void mgpt_loggers_close(struct mgpt_loggers *loggers)
{
    for (int i = 0; i < loggers->n; i++)
        loggers->api[i]->close(loggers->it[i]);
    memset(loggers, 0, sizeof *loggers);
}

enum mgpt_status mgpt_loggers_event(struct mgpt_loggers *loggers, const struct mgpt_event *event,
                                    struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK, one;

    for (int i = 0; i < loggers->n; i++) {
        one = loggers->api[i]->event(loggers->it[i], event, status == MGPT_OK ? error : NULL);
        if (status == MGPT_OK)
            status = one;
    }
    return status;
}

enum mgpt_status mgpt_loggers_flush(struct mgpt_loggers *loggers, struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;

    for (int i = 0; i < loggers->n && status == MGPT_OK; i++)
        if (MGPT_HAS(loggers->api[i], flush) && loggers->api[i]->flush)
            status = loggers->api[i]->flush(loggers->it[i], error);
    return status;
}
