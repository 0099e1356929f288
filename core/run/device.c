/* Which device a run computes on, in which number formats, and why. */
#include <config.h>

#include "run/device.h"

#include <string.h>

#include "base/log.h"
#include "base/text.h"

/* ---- device ---- */

static enum mgpt_status open_backend(struct mgpt_choice *choice, struct mgpt_machine *machine,
                                     struct mgpt_conf *conf, struct mgpt_registry *registry,
                                     const char *name, struct mgpt_error *error)
{
    struct mgpt_module module;
    enum mgpt_status status = mgpt_registry_use(registry, MGPT_KIND_BACKEND, name, &module, error);

    MGPT_PRINT_INTO(choice->backend, "%s", name);
    if (status != MGPT_OK)
        return status;
    return mgpt_machine_open(
        machine, module.component->api, mgpt_conf_module(conf, "backend", name),
        (enum mgpt_fallback)mgpt_conf_choice(conf, "backend", "fallback"), error);
}

/* `auto`: the GPU where there is one, else the CPU, saying why. */
enum mgpt_status mgpt_choose_device(struct mgpt_choice *choice, struct mgpt_machine *machine,
                                    struct mgpt_conf *conf, struct mgpt_registry *registry,
                                    struct mgpt_error *error)
{
    const char *name = mgpt_conf_text(conf, "backend", "use");
    struct mgpt_error why, unknown;
    struct mgpt_module module;

    if (strcmp(name, "auto") != 0) {
        MGPT_PRINT_INTO(choice->backend_why, "%s says so",
                        mgpt_conf_origin(conf, "backend", "use"));
        return open_backend(choice, machine, conf, registry, name, error);
    }
    if (open_backend(choice, machine, conf, registry, "cuda", &why) == MGPT_OK) {
        MGPT_PRINT_INTO(choice->backend_why, "backend = auto: there is a GPU");
        return MGPT_OK;
    }
    MGPT_PRINT_INTO(choice->backend_why, "backend = auto: not cuda (%s), so cpu", why.text);
    /* who has not installed the module need not be told each time */
    mgpt_log(mgpt_registry_find(registry, "backend", "cuda", &module, &unknown) == MGPT_OK
                 ? MGPT_LOG_INFO
                 : MGPT_LOG_DEBUG,
             "%s", choice->backend_why);
    return open_backend(choice, machine, conf, registry, "cpu", error);
}

/* ---- number formats ---- */

/* What the module says of itself; *asked: it was there to be asked. */
static enum mgpt_status ask(const char *name, struct mgpt_precision_plan *plan,
                            const struct mgpt_machine *machine, struct mgpt_conf *conf,
                            struct mgpt_registry *registry, bool *asked, struct mgpt_error *error)
{
    struct mgpt_module module;
    enum mgpt_status status =
        mgpt_registry_use(registry, MGPT_KIND_PRECISION, name, &module, error);

    *asked = status == MGPT_OK;
    if (status != MGPT_OK)
        return status;
    const struct mgpt_precision_api *api = module.component->api;
    memset(plan, 0, sizeof *plan);
    plan->size = sizeof *plan;
    status = api->plan(mgpt_host(), mgpt_conf_module(conf, "precision", name), &machine->caps, plan,
                       error);
    plan->use[sizeof plan->use - 1] = plan->reason[sizeof plan->reason - 1] = 0;
    return status;
}

static enum mgpt_status refuse(const struct mgpt_choice *choice, const struct mgpt_error *why,
                               struct mgpt_error *error)
{
    return mgpt_fail(error, MGPT_PLUGIN, "[precision] use = %s with backend %s: %s",
                     choice->precision, choice->backend, why->text);
}

/* The plan of `use`, which the module chosen so far named. */
static enum mgpt_status take_instead(struct mgpt_choice *choice, struct mgpt_precision_plan *plan,
                                     const struct mgpt_machine *machine, struct mgpt_conf *conf,
                                     struct mgpt_registry *registry, struct mgpt_error *error)
{
    char first[sizeof choice->precision];
    struct mgpt_error why;
    bool asked;

    MGPT_PRINT_INTO(first, "%s", choice->precision);
    MGPT_PRINT_INTO(choice->precision, "%s", plan->use);
    enum mgpt_status status = ask(choice->precision, plan, machine, conf, registry, &asked, &why);
    if (status != MGPT_OK)
        return refuse(choice, &why, error);
    if (*plan->use)
        return mgpt_fail(error, MGPT_PLUGIN, "precision %s names %s, which names %s", first,
                         choice->precision, plan->use);
    return mgpt_conf_settle(conf, "precision", "use", choice->precision, "precision", error);
}

enum mgpt_status mgpt_choose_precision(struct mgpt_choice *choice, struct mgpt_precision_plan *plan,
                                       const struct mgpt_machine *machine, struct mgpt_conf *conf,
                                       struct mgpt_registry *registry, struct mgpt_error *error)
{
    const char *origin = mgpt_conf_origin(conf, "precision", "use");
    bool open = strcmp(mgpt_conf_text(conf, "backend", "use"), "auto") == 0, asked;
    struct mgpt_error why;

    MGPT_PRINT_INTO(choice->precision, "%s", mgpt_conf_text(conf, "precision", "use"));
    MGPT_PRINT_INTO(choice->precision_why, "%s says so", origin);
    enum mgpt_status status = ask(choice->precision, plan, machine, conf, registry, &asked, &why);
    if (!asked)
        return mgpt_fail(error, status, "%s", why.text);
    if (status != MGPT_OK && !(status == MGPT_UNSUPPORTED && open && *plan->use))
        return refuse(choice, &why, error);
    if (!*plan->use)
        return MGPT_OK;
    MGPT_PRINT_INTO(choice->precision_why, "precision = %s: %s%s, so %s", choice->precision,
                    status == MGPT_OK ? "" : "backend = auto found no device for it: ",
                    plan->reason, plan->use);
    if (!choice->silent)
        mgpt_log(status == MGPT_OK ? MGPT_LOG_INFO : MGPT_LOG_WARN, "%s", choice->precision_why);
    return take_instead(choice, plan, machine, conf, registry, error);
}
