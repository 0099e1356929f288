/* The registry: modules by kind and name, loaded when first asked for. All of it [main]. */
#ifndef MGPT_PLUGIN_REGISTRY_H
#define MGPT_PLUGIN_REGISTRY_H

#include <microgpt/plugin.h>

struct mgpt_registry;

/* One module that was found. `component` lives for the process. */
struct mgpt_module {
    const struct mgpt_component *component;
    const struct mgpt_plugin *plugin; /* NULL: built into the core */
    const char *path; /* of the shared object; "built in". Lives with the registry */
};

enum mgpt_status mgpt_registry_create(struct mgpt_registry **registry, struct mgpt_error *error);
void mgpt_registry_destroy(struct mgpt_registry *registry);

/* From now on every file is first loaded in another process, and refused when that crashes or takes
 * longer than `seconds`: for those who look at modules and use none. */
void mgpt_registry_doubt(struct mgpt_registry *registry, double seconds);

/* Search order: folders added here, in order (-P DIR, then [plugins] path), then
 * MICROGPT_PLUGIN_PATH, then the installed folder. `directory` must be absolute: MGPT_PLUGIN. */
enum mgpt_status mgpt_registry_add_path(struct mgpt_registry *registry, const char *directory,
                                        struct mgpt_error *error);
/* [plugins] load: an absolute path; registers every component of the file. MGPT_PLUGIN. */
enum mgpt_status mgpt_registry_load(struct mgpt_registry *registry, const char *path,
                                    struct mgpt_error *error);
/* A component of the core itself. */
enum mgpt_status mgpt_registry_add_builtin(struct mgpt_registry *registry,
                                           const struct mgpt_component *component,
                                           struct mgpt_error *error);

/* The module `name` of `kind` ("optimizer", without version), loading KIND_NAME.so if need be;
 * MGPT_PLUGIN with each path tried, each refusal and the nearest known name. Of a file that was
 * found by its name only that one module is registered: what else it holds takes
 * mgpt_registry_load. */
enum mgpt_status mgpt_registry_find(struct mgpt_registry *registry, const char *kind,
                                    const char *name, struct mgpt_module *module,
                                    struct mgpt_error *error);
/* find, then the kind's table, with its major version checked against `want` ("optimizer/1") and
 * probe() asked: MGPT_UNSUPPORTED with its reason when the module cannot run here. */
enum mgpt_status mgpt_registry_use(struct mgpt_registry *registry, const char *want,
                                   const char *name, struct mgpt_module *module,
                                   struct mgpt_error *error);
/* Can it run on this machine? MGPT_OK, or MGPT_UNSUPPORTED with the module's reason. */
enum mgpt_status mgpt_module_probe(const struct mgpt_module *module, struct mgpt_error *error);
/* The same, asked in another process: a probe that crashes or hangs cannot run here. */
enum mgpt_status mgpt_module_probe_apart(const struct mgpt_module *module, double seconds,
                                         struct mgpt_error *error);

/* Loads the modules of one kind (NULL: all) that the search path holds, so that they can be listed.
 * Refusals are kept, not returned. */
void mgpt_registry_scan(struct mgpt_registry *registry, const char *kind);
/* Modules known so far, of one kind (NULL: all), in order of kind and name. */
size_t mgpt_registry_count(const struct mgpt_registry *registry, const char *kind);
struct mgpt_module mgpt_registry_at(const struct mgpt_registry *registry, const char *kind,
                                    size_t index);
/* Of the modules of a kind (NULL: of any) that are known or have a file in the search path, the
 * name nearest to `name` (malloc), or NULL when none is near. */
char *mgpt_registry_nearest(const struct mgpt_registry *registry, const char *kind,
                            const char *name);

/* Paths tried and what came of it, oldest first: "loaded" or the reason of the refusal. */
struct mgpt_attempt {
    const char *path, *outcome;
    int loaded;
};
size_t mgpt_registry_attempts(const struct mgpt_registry *registry);
struct mgpt_attempt mgpt_registry_attempt(const struct mgpt_registry *registry, size_t index);

/* The services handed to every module. */
const struct mgpt_host *mgpt_host(void);
/* Who is told from now on that a module asks for an option it does not have, and does not return;
 * at first that ends the process with an error and exit code 4. [main] */
void mgpt_host_on_misuse(void (*handler)(const char *text));
/* What `query` of the host finds by that id from now on; both static. For the layers above.
 * [main] */
void mgpt_host_offer(const char *id, const void *extension);

#endif
