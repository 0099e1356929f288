/* microgpt plugins: which modules there are, what they take, and why others were refused. Opens no
 * device. */
#include <config.h>

#include "cli/plugins.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/text.h"
#include "plugin/cure.h"
#include "plugin/kinds.h"
#include "plugin/options.h"
#include "plugin/registry.h"
#include "plugin/rule.h"
#include "ref/ref.h"

#include <microgpt/backend.h>
#include <microgpt/optimizer.h>

/* What a person wants to know of a module, wherever it comes from. */
struct facts {
    struct mgpt_module module;
    char kind[32]; /* "optimizer" */
    const char *name, *summary;
    const char *version, *license;
    char abi[24], sha256[MGPT_SHA256_HEX]; /* of the file; "" for what is in the core */
    bool runs;
    char why_not[512]; /* when it does not run here */
    bool ruled;        /* an optimizer, whose rule devices compile */
    char refused[512]; /* by them: why; or "" */
};

static struct facts facts_of(const struct mgpt_module *m)
{
    const struct mgpt_component *c = m->component;
    struct facts f = {.module = *m,
                      .name = c->name,
                      .summary = c->summary,
                      .version = m->plugin ? m->plugin->version : PACKAGE_VERSION,
                      .license = m->plugin ? m->plugin->license : "MIT"};
    struct mgpt_error error = {0, ""};
    (void)snprintf(f.kind, sizeof f.kind, "%.*s", (int)strcspn(c->kind, "/"), c->kind);
    (void)snprintf(f.abi, sizeof f.abi, "%u.%u",
                   m->plugin ? (unsigned)m->plugin->abi_major : MGPT_ABI_MAJOR,
                   m->plugin ? (unsigned)m->plugin->abi_minor : MGPT_ABI_MINOR);
    if (!m->plugin || mgpt_sha256_file(m->path, f.sha256, NULL) != MGPT_OK)
        f.sha256[0] = '\0';
    f.ruled = strcmp(c->kind, MGPT_KIND_OPTIMIZER) == 0;
    if (f.ruled && mgpt_rule_check(((const struct mgpt_optimizer_api *)c->api)->rule, &error))
        (void)snprintf(f.refused, sizeof f.refused, "%.*s", (int)sizeof f.refused - 1, error.text);
    error.text[0] = '\0';
    f.runs = mgpt_module_probe_apart(m, MGPT_PLUGINS_PATIENCE, &error) == MGPT_OK;
    (void)snprintf(f.why_not, sizeof f.why_not, "%.*s", (int)sizeof f.why_not - 1, error.text);
    return f;
}

/* What it covers of what its kind may: the ops of a backend, the rule of an optimizer. Adds nothing
 * for kinds that have no choice. */
static void add_covers(const struct mgpt_component *c, struct mgpt_string *out)
{
    if (strcmp(c->kind, MGPT_KIND_BACKEND) == 0) {
        const struct mgpt_backend_api *api = c->api;
        bool table = MGPT_HAS(api, ops) && api->ops;
        for (uint32_t code = 1; table && code < api->n_ops && code < MGPT_OP_COUNT; code++)
            if (api->ops[code])
                mgpt_string_format(out, "%s%s", out->size ? " " : "ops: ", mgpt_op_name(code));
        if (!out->size)
            mgpt_string_format(out, "no ops: the core has them all");
        if (MGPT_HAS(api, update) && api->update)
            mgpt_string_format(out, "; the update");
    } else if (strcmp(c->kind, MGPT_KIND_OPTIMIZER) == 0) {
        const struct mgpt_optimizer_api *api = c->api;
        mgpt_string_format(out, "every element by rule %s, state %s, scalars %s", api->rule->name,
                           api->rule->state, api->rule->scalars);
        if (MGPT_HAS(api, record) && api->takes && api->record)
            mgpt_string_format(out, "; some parameters as whole tensors");
    }
}

/* ---- JSON ---- */

static json_t *json_of_option(const struct mgpt_option *option)
{
    struct mgpt_string takes = {0};
    mgpt_option_describe(option, &takes);
    json_t *o = json_object();
    json_object_set_new(o, "key", mgpt_json_words(option->key));
    json_object_set_new(o, "default", mgpt_json_words(option->value));
    json_object_set_new(o, "help", mgpt_json_words(option->help));
    json_object_set_new(o, "unit", mgpt_json_words(option->unit));
    json_object_set_new(o, "takes", mgpt_json_words(takes.data));
    if (option->min != 0 || option->max != 0) {
        json_object_set_new(o, "min", json_real(option->min));
        json_object_set_new(o, "max", json_real(option->max));
    }
    if (option->choices) {
        json_t *choices = json_array();
        for (size_t i = 0; option->choices[i]; i++)
            json_array_append_new(choices, mgpt_json_words(option->choices[i]));
        json_object_set_new(o, "choices", choices);
    }
    mgpt_string_finish(&takes);
    return o;
}

static json_t *json_of_module(const struct mgpt_module *module)
{
    const struct facts f = facts_of(module);
    const struct mgpt_plugin *p = module->plugin;
    json_t *o = json_object();
    json_object_set_new(o, "kind", mgpt_json_words(f.kind));
    json_object_set_new(o, "api", mgpt_json_words(module->component->kind));
    json_object_set_new(o, "name", mgpt_json_words(f.name));
    json_object_set_new(o, "version", mgpt_json_words(f.version));
    json_object_set_new(o, "license", mgpt_json_words(f.license));
    json_object_set_new(o, "abi", mgpt_json_words(f.abi));
    json_object_set_new(o, "file", p ? mgpt_json_words(module->path) : json_null());
    json_object_set_new(o, "sha256", f.sha256[0] ? mgpt_json_words(f.sha256) : json_null());
    json_object_set_new(o, "summary", mgpt_json_words(f.summary));
    json_object_set_new(o, "runs", json_boolean(f.runs));
    if (!f.runs)
        json_object_set_new(o, "why_not", mgpt_json_words(f.why_not));
    if (f.ruled)
        json_object_set_new(o, "devices", json_boolean(!f.refused[0]));
    if (f.refused[0])
        json_object_set_new(o, "devices_why_not", mgpt_json_words(f.refused));
    struct mgpt_string covers = {0};
    add_covers(module->component, &covers);
    json_object_set_new(o, "covers", mgpt_json_words(covers.data));
    mgpt_string_finish(&covers);
    if (p)
        json_object_set_new(o, "plugin",
                            json_pack("{s:o, s:o, s:o, s:[i,i]}", "id", mgpt_json_words(p->id),
                                      "vendor", mgpt_json_words(p->vendor), "url",
                                      mgpt_json_words(p->url), "abi", (int)p->abi_major,
                                      (int)p->abi_minor));
    json_t *list = json_array();
    for (uint32_t i = 0; i < module->component->n_options; i++)
        json_array_append_new(list, json_of_option(mgpt_option_at(module->component, i)));
    json_object_set_new(o, "options", list);
    return o;
}

/* Of one path, or of all (NULL). */
static json_t *json_of_attempts(const struct mgpt_registry *registry, const char *path)
{
    json_t *list = json_array();
    for (size_t i = 0; i < mgpt_registry_attempts(registry); i++) {
        struct mgpt_attempt a = mgpt_registry_attempt(registry, i);
        if (!path || strcmp(a.path, path) == 0)
            json_array_append_new(
                list, json_pack("{s:o, s:o, s:o, s:b}", "path", mgpt_json_words(a.path), "outcome",
                                mgpt_json_words(a.outcome), "cure",
                                mgpt_json_words(a.loaded ? NULL : mgpt_plugin_cure(a.outcome)),
                                "loaded", a.loaded));
    }
    return list;
}

/* ---- plugins list ---- */

static void print_why(FILE *out, const struct mgpt_registry *registry, const struct facts *facts,
                      size_t n)
{
    fputs("\nPaths tried, in order:\n", out);
    for (size_t i = 0; i < mgpt_registry_attempts(registry); i++) {
        struct mgpt_attempt a = mgpt_registry_attempt(registry, i);
        const char *cure = a.loaded ? NULL : mgpt_plugin_cure(a.outcome);
        fprintf(out, "  %s: %s%s%s\n", a.path, a.outcome, cure ? "; " : "", cure ? cure : "");
    }
    fputs("\nModules that cannot run on this machine:\n", out);
    size_t lame = 0;
    for (size_t i = 0; i < n; i++)
        if (!facts[i].runs) {
            fprintf(out, "  %s\n", facts[i].why_not);
            lame++;
        }
    if (lame == 0)
        fputs("  none\n", out);
}

static void widen(int *width, const char *text)
{
    int n = (int)strlen(text);
    if (*width < n)
        *width = n;
}

static void print_table(FILE *out, const struct facts *facts, size_t n)
{
    static const char *const titles[] = {"KIND", "NAME", "VERSION", "LICENSE", "ABI", "FILE"};
    enum { N = sizeof titles / sizeof titles[0] };
    int width[N] = {0};
    for (size_t c = 0; c < N; c++)
        widen(&width[c], titles[c]);
    for (size_t i = 0; i < n; i++) {
        const char *const cells[] = {facts[i].kind,    facts[i].name, facts[i].version,
                                     facts[i].license, facts[i].abi,  facts[i].module.path};
        for (size_t c = 0; c < N; c++)
            widen(&width[c], cells[c]);
    }
    for (size_t c = 0; c < N; c++)
        fprintf(out, "%-*s  ", width[c], titles[c]);
    fputs("SUMMARY\n", out);
    for (size_t i = 0; i < n; i++) {
        const char *const cells[] = {facts[i].kind,    facts[i].name, facts[i].version,
                                     facts[i].license, facts[i].abi,  facts[i].module.path};
        for (size_t c = 0; c < N; c++)
            fprintf(out, "%-*s  ", width[c], cells[c]);
        fprintf(out, "%s%s\n", facts[i].summary,
                facts[i].runs ? "" : " (cannot run here: see --why)");
    }
}

static enum mgpt_status list(struct mgpt_registry *registry, bool why, bool json, FILE *out,
                             struct mgpt_error *error)
{
    mgpt_registry_scan(registry, NULL);
    size_t n = mgpt_registry_count(registry, NULL);
    if (json) {
        json_t *modules = json_array(), *all = json_object();
        for (size_t i = 0; i < n; i++) {
            struct mgpt_module module = mgpt_registry_at(registry, NULL, i);
            json_array_append_new(modules, json_of_module(&module));
        }
        json_object_set_new(all, "modules", modules);
        if (why)
            json_object_set_new(all, "attempts", json_of_attempts(registry, NULL));
        return mgpt_json_print(all, error);
    }
    struct facts *facts = calloc(n + 1, sizeof *facts);
    if (!facts)
        return mgpt_fail(error, MGPT_NOMEM, "no memory for a list of %zu modules", n);
    for (size_t i = 0; i < n; i++) {
        struct mgpt_module module = mgpt_registry_at(registry, NULL, i);
        facts[i] = facts_of(&module);
    }
    print_table(out, facts, n);
    if (why)
        print_why(out, registry, facts, n);
    free(facts);
    return MGPT_OK;
}

/* ---- plugins inspect ---- */

/* A section of microgpt.ini, as it could be pasted: all that is no key is a comment. */
static void print_module(FILE *out, const struct mgpt_module *module)
{
    const struct facts f = facts_of(module);
    const struct mgpt_component *c = module->component;
    const struct mgpt_plugin *p = module->plugin;
    fprintf(out, "; %s %s: %s\n", f.kind, f.name, f.summary);
    fprintf(out, ";   file     %s\n", module->path);
    fprintf(out, ";   version  %s, license %s\n", f.version, f.license);
    if (p)
        fprintf(out, ";   plugin   %s by %s%s%s\n", p->id, p->vendor, p->url ? ", " : "",
                p->url ? p->url : "");
    fprintf(out, ";   speaks   %s", c->kind);
    if (p)
        fprintf(out, ", built for ABI %u.%u", (unsigned)p->abi_major, (unsigned)p->abi_minor);
    if (f.sha256[0])
        fprintf(out, "\n;   sha256   %s", f.sha256);
    struct mgpt_string covers = {0};
    add_covers(c, &covers);
    if (covers.size)
        fprintf(out, "\n;   covers   %s", covers.data);
    mgpt_string_finish(&covers);
    if (f.ruled)
        fprintf(out, "\n;   devices  %s%s",
                f.refused[0] ? "no: " : "any: the rule is of their language", f.refused);
    fprintf(out, "\n;   runs     %s\n", f.runs ? "on this machine" : f.why_not);
    fprintf(out, "[%s.%s]\n", f.kind, f.name);
    for (uint32_t i = 0; i < c->n_options; i++) {
        const struct mgpt_option *option = mgpt_option_at(c, i);
        struct mgpt_string takes = {0};
        mgpt_option_describe(option, &takes);
        fprintf(out, "; %s: %s%s%s\n", option->help, takes.data ? takes.data : "",
                option->unit ? ", in " : "", option->unit ? option->unit : "");
        fprintf(out, "%s =%s%s\n", option->key, option->value[0] ? " " : "", option->value);
        mgpt_string_finish(&takes);
    }
    if (c->n_options == 0)
        fputs("; no options\n", out);
}

/* What was tried and is no module, from attempt `from` on. */
static enum mgpt_status fail_unknown(const struct mgpt_registry *registry, size_t from,
                                     const char *name, struct mgpt_error *error)
{
    struct mgpt_string refusals = {0};
    for (size_t i = from; i < mgpt_registry_attempts(registry); i++) {
        struct mgpt_attempt a = mgpt_registry_attempt(registry, i);
        if (!a.loaded && strcmp(a.outcome, "not there") != 0)
            mgpt_string_format(&refusals, "; %s: %s", a.path, a.outcome);
    }
    char *nearest = mgpt_registry_nearest(registry, NULL, name);
    mgpt_fail(error, MGPT_PLUGIN,
              "no module of any kind called \"%s\"%s%s%s (microgpt plugins list --why)%s", name,
              nearest && !refusals.size ? ", did you mean " : "",
              nearest && !refusals.size ? nearest : "", nearest && !refusals.size ? "?" : "",
              refusals.data ? refusals.data : "");
    free(nearest);
    mgpt_string_finish(&refusals);
    return MGPT_PLUGIN;
}

/* NAME, KIND/NAME or /FILE: fills modules[0..*n), which has room for one of each kind or, of a
 * file, for all that the registry knows then. */
static enum mgpt_status resolve(struct mgpt_registry *registry, const char *what,
                                struct mgpt_module **modules, size_t *n, struct mgpt_error *error)
{
    const char *slash = strchr(what, '/');
    size_t from = mgpt_registry_attempts(registry);
    char kind[32];
    *n = 0;
    if (what[0] == '/') {
        enum mgpt_status status = mgpt_registry_load(registry, what, error);
        if (status != MGPT_OK)
            return status;
    }
    *modules =
        calloc(mgpt_registry_count(registry, NULL) + mgpt_n_kinds, sizeof(struct mgpt_module));
    if (!*modules)
        return mgpt_fail(error, MGPT_NOMEM, "no memory for a list of modules");
    if (what[0] == '/') {
        for (size_t i = 0; i < mgpt_registry_count(registry, NULL); i++) {
            struct mgpt_module module = mgpt_registry_at(registry, NULL, i);
            if (strcmp(module.path, what) == 0)
                (*modules)[(*n)++] = module;
        }
        return MGPT_OK;
    }
    if (slash) {
        (void)snprintf(kind, sizeof kind, "%.*s", (int)(slash - what), what);
        *n = 1;
        return mgpt_registry_find(registry, kind, slash + 1, *modules, error);
    }
    if (!mgpt_module_name_valid(what)) /* says so */
        return mgpt_registry_find(registry, mgpt_kinds[0].name, what, *modules, error);
    for (size_t i = 0; i < mgpt_n_kinds; i++)
        *n +=
            mgpt_registry_find(registry, mgpt_kinds[i].name, what, *modules + *n, NULL) == MGPT_OK;
    return *n ? MGPT_OK : fail_unknown(registry, from, what, error);
}

static enum mgpt_status inspect(struct mgpt_registry *registry, const char *what, bool json,
                                FILE *out, struct mgpt_error *error)
{
    struct mgpt_module *modules = NULL;
    size_t n = 0;
    enum mgpt_status status = resolve(registry, what, &modules, &n, error);
    if (status != MGPT_OK)
        goto out;
    const char *file = what[0] == '/' ? what : modules[0].path;
    if (json) {
        json_t *all = json_object(), *array = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(array, json_of_module(&modules[i]));
        json_object_set_new(all, "modules", array);
        if (what[0] == '/')
            json_object_set_new(all, "attempts", json_of_attempts(registry, file));
        status = mgpt_json_print(all, error);
        goto out;
    }
    for (size_t i = 0; i < n; i++) {
        if (i)
            fputc('\n', out);
        print_module(out, &modules[i]);
    }
    for (size_t i = 0; i < mgpt_registry_attempts(registry); i++) {
        struct mgpt_attempt a = mgpt_registry_attempt(registry, i);
        if (!a.loaded && strcmp(a.path, file) == 0)
            fprintf(out, "; not used: %s\n", a.outcome);
    }
out:
    free(modules);
    return status;
}

/* ---- the command ---- */

/* With the folders and files of [plugins] where the configuration is sound. Where it is not, that
 * may be for a module that is missing, which is when this command is wanted most. */
static enum mgpt_status open_registry(struct mgpt_cli *cli, struct mgpt_registry **registry,
                                      struct mgpt_error *error)
{
    struct mgpt_conf *conf;
    struct mgpt_error cause;
    if (mgpt_cli_configure(cli, &conf, registry, &cause) == MGPT_OK) {
        mgpt_conf_destroy(conf);
        return MGPT_OK;
    }
    mgpt_log(MGPT_LOG_WARN, "going on without the configuration: %s", cause.text);
    return mgpt_cli_registry(cli, registry, error);
}

/* The path (malloc) of what is plainly a file, absolute as the registry wants it; NULL: a name. */
static char *file_path(const char *word)
{
    size_t n = strlen(word);
    if (*word != '/' && strncmp(word, "./", 2) != 0 && strncmp(word, "../", 3) != 0 &&
        (n < 3 || strcmp(word + n - 3, ".so") != 0))
        return NULL;
    return mgpt_path_absolute(strncmp(word, "./", 2) ? word : word + 2);
}

static enum mgpt_status look(struct mgpt_cli *cli, const char *what, bool file,
                             struct mgpt_error *error)
{
    struct mgpt_registry *registry;
    /* A file is looked at alone: another of its name may be in use. */
    enum mgpt_status status =
        file ? mgpt_registry_create(&registry, error) : open_registry(cli, &registry, error);
    if (status != MGPT_OK)
        return status;
    mgpt_registry_doubt(registry, MGPT_PLUGINS_PATIENCE);
    status = what ? inspect(registry, what, cli->json, stdout, error)
                  : list(registry, mgpt_cli_flag(cli, "why"), cli->json, stdout, error);
    mgpt_registry_destroy(registry);
    return status;
}

enum mgpt_status mgpt_cmd_plugins(struct mgpt_cli *cli, struct mgpt_error *error)
{
    const char *word = cli->n_operands ? cli->operands[0] : "";
    bool listing = cli->n_operands == 1 && !strcmp(word, "list");
    if (!strcmp(word, "new"))
        return mgpt_plugins_new(cli, error);
    if (!strcmp(word, "check"))
        return mgpt_cmd_plugins_check(cli, error);
    if (!listing && (cli->n_operands != 2 || strcmp(word, "inspect")))
        return mgpt_fail(error, MGPT_USAGE,
                         "plugins: expected list; inspect and one of NAME, KIND/NAME, "
                         "FILE.so; new, a kind and a name; or check and a file");
    char *file = listing ? NULL : file_path(cli->operands[1]);
    const char *what = listing ? NULL : cli->operands[1];
    cli->patience = MGPT_PLUGINS_PATIENCE;
    enum mgpt_status status = look(cli, file ? file : what, file != NULL, error);
    free(file);
    return status;
}
