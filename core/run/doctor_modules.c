/* What works on this machine and what does not: modules and devices. Whatever may crash does so in
 * a process of its own. */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <microgpt/backend.h>

#include "base/apart.h"
#include "plugin/cure.h"
#include "plugin/kinds.h"
#include "plugin/left_out.h"
#include "run/doctor.h"

#define NVIDIA_DRIVER "/proc/driver/nvidia/version"

/* ---- the search path ---- */

static void check_attempt(struct mgpt_findings *f, const struct mgpt_attempt *a)
{
    size_t n = strlen(a->path);
    bool file = n > 3 && strcmp(a->path + n - 3, ".so") == 0;
    bool missing = strcmp(a->outcome, "not there") == 0;
    const char *cure = mgpt_plugin_cure(a->outcome);

    if (a->loaded || (file && missing))
        return;
    if (!file && missing && strcmp(a->path, MGPT_PLUGINDIR) == 0)
        mgpt_findings_note(f, "modules", "none are installed in %s", a->path);
    else if (!file && missing)
        mgpt_findings_problem(f, MGPT_PLUGIN, "modules",
                              "take it out of MICROGPT_PLUGIN_PATH, -P or [plugins] path",
                              "%s: this folder of the search path is not there", a->path);
    else if (strncmp(a->outcome, "hidden by", 9) == 0)
        mgpt_findings_note(f, "modules", "%s: %s", a->path, a->outcome);
    else
        mgpt_findings_problem(f, MGPT_PLUGIN, "modules",
                              cure ? cure : "do what the reason says, or remove the file", "%s: %s",
                              a->path, a->outcome);
}

static void say_left_out(struct mgpt_findings *f, const struct mgpt_registry *registry)
{
    for (const struct mgpt_left_out *m = &mgpt_left_out[0]; m->kind; m++) {
        bool there = false; /* from elsewhere */
        for (size_t i = 0; i < mgpt_registry_count(registry, m->kind); i++)
            there |= !strcmp(mgpt_registry_at(registry, m->kind, i).component->name, m->name);
        if (!there)
            mgpt_findings_note(f, "modules", "this microgpt was built without %s %s (%s)", m->kind,
                               m->name, m->why);
    }
}

static void check_kinds(struct mgpt_findings *f, const struct mgpt_registry *registry)
{
    struct mgpt_string missing = {0};

    for (size_t i = 0; i < mgpt_n_kinds; i++)
        if (!mgpt_registry_count(registry, mgpt_kinds[i].name))
            mgpt_string_format(&missing, "%s%s", missing.size ? ", no " : "", mgpt_kinds[i].name);
    if (missing.size)
        mgpt_findings_problem(f, MGPT_PLUGIN, "modules",
                              "install them (make install), or name where they are built: "
                              "MICROGPT_PLUGIN_PATH=BUILD/plugins/.libs",
                              "there is no %s", missing.data);
    f->failed |= missing.failed;
    mgpt_string_finish(&missing);
}

/* ---- modules ---- */

static bool is_chosen(const struct mgpt_conf *conf, const struct mgpt_component *c)
{
    char kind[32];

    (void)snprintf(kind, sizeof kind, "%.*s", (int)strcspn(c->kind, "/"), c->kind);
    return conf && strcmp(kind, "logger") != 0 && strcmp(kind, "comm") != 0 &&
           strcmp(mgpt_conf_text(conf, kind, "use"), c->name) == 0;
}

/* A module that cannot run here is no problem until it is wanted, or its hardware is there. */
static void say_why_not(struct mgpt_findings *f, const struct mgpt_conf *conf,
                        const struct mgpt_component *c, const char *why)
{
    if (strcmp(c->name, "cuda") == 0 && access(NVIDIA_DRIVER, R_OK) == 0)
        mgpt_findings_problem(f, MGPT_UNSUPPORTED, "cuda",
                              "install what it misses, beside the driver that is there", "%s", why);
    else if (is_chosen(conf, c))
        mgpt_findings_problem(f, MGPT_UNSUPPORTED, "modules",
                              "take another one: --set KIND.use=NAME (microgpt plugins list)", "%s",
                              why);
    else
        mgpt_findings_note(f, "modules", "%s", why);
}

/* ---- devices ---- */

/* What the child hands back, in memory that both see. */
struct visit {
    const struct mgpt_backend_api *api;
    const struct mgpt_config *config;
    struct mgpt_caps caps;
};

static enum mgpt_status visit_device(void *context, struct mgpt_error *error)
{
    struct visit *v = context;
    struct mgpt_device *device;
    enum mgpt_status status = v->api->open(mgpt_host(), v->config, &device, error);

    v->caps.size = sizeof v->caps;
    if (status == MGPT_OK)
        status = v->api->caps(device, &v->caps, error);
    if (status == MGPT_OK)
        v->api->close(device);
    return status;
}

static void say_device(struct mgpt_findings *f, const char *name, const struct mgpt_caps *caps)
{
    char threads[48] = "", memory[64] = "";

    if (caps->threads)
        (void)snprintf(threads, sizeof threads, ", %u thread%s", caps->threads,
                       caps->threads == 1 ? "" : "s");
    if (caps->memory_total)
        (void)snprintf(memory, sizeof memory, ", %.1f GB of %.1f GB free",
                       (double)caps->memory_free / 1e9, (double)caps->memory_total / 1e9);
    mgpt_findings_ok(f, "device", "%s: %.64s%s%s", name, caps->name, threads, memory);
}

static void check_device(struct mgpt_findings *f, struct mgpt_conf *conf,
                         const struct mgpt_component *c)
{
    struct mgpt_error error;
    const struct mgpt_config *config = conf ? mgpt_conf_module(conf, "backend", c->name) : NULL;
    struct visit *v;

    if (!config) /* its options are not known: the configuration is not sound */
        return;
    v = mmap(NULL, sizeof *v, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (v == MAP_FAILED) {
        f->failed = true;
        return;
    }
    *v = (struct visit){.api = c->api, .config = config};
    if (mgpt_apart(visit_device, v, MGPT_DOCTOR_PATIENCE, &error) == MGPT_OK)
        say_device(f, c->name, &v->caps);
    else
        mgpt_findings_problem(f, MGPT_DEVICE, "device", "take another one: --set backend.use=cpu",
                              "%s does not open: %.512s", c->name, error.text);
    (void)munmap(v, sizeof *v);
}

/* The driver's own words: "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.54  ..." */
static void check_driver(struct mgpt_findings *f, const struct mgpt_registry *registry)
{
    char line[200];
    bool cuda = false;
    FILE *file = fopen(NVIDIA_DRIVER, "re");

    for (size_t i = 0; i < mgpt_registry_count(registry, "backend"); i++)
        cuda |= strcmp(mgpt_registry_at(registry, "backend", i).component->name, "cuda") == 0;
    if (file && fgets(line, sizeof line, file))
        mgpt_findings_ok(f, "cuda", "driver: %.*s", (int)strcspn(line, "\n"), line);
    if (file && !cuda)
        mgpt_findings_problem(f, MGPT_PLUGIN, "cuda",
                              "install the CUDA toolkit, then ../configure --with-cuda && make "
                              "install",
                              "there is an NVIDIA driver, but no backend cuda for it");
    else if (!cuda)
        mgpt_findings_note(f, "cuda", "neither an NVIDIA driver nor a backend cuda is here");
    if (file)
        fclose(file);
}

void mgpt_doctor_modules(struct mgpt_findings *f, struct mgpt_registry *registry,
                         struct mgpt_conf *conf)
{
    struct mgpt_error why;
    size_t run = 0;

    mgpt_registry_scan(registry, NULL);
    for (size_t i = 0; i < mgpt_registry_attempts(registry); i++) {
        struct mgpt_attempt a = mgpt_registry_attempt(registry, i);
        check_attempt(f, &a);
    }
    check_kinds(f, registry);
    say_left_out(f, registry);
    check_driver(f, registry);
    for (size_t i = 0; i < mgpt_registry_count(registry, NULL); i++) {
        const struct mgpt_module module = mgpt_registry_at(registry, NULL, i);
        const struct mgpt_component *c = module.component;
        if (mgpt_module_probe_apart(&module, MGPT_DOCTOR_PATIENCE, &why) != MGPT_OK) {
            say_why_not(f, conf, c, why.text);
            continue;
        }
        run++;
        if (strcmp(c->kind, MGPT_KIND_BACKEND) == 0)
            check_device(f, conf, c);
    }
    mgpt_findings_ok(f, "modules", "%zu of %zu can run here", run,
                     mgpt_registry_count(registry, NULL));
}
