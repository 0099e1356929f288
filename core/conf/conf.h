/* The configuration: microgpt.ini and --set, checked against the schemas of the core and of the
 * modules. */
#ifndef MGPT_CONF_CONF_H
#define MGPT_CONF_CONF_H

#include <stdbool.h>
#include <stdio.h>

#include "base/text.h"
#include "plugin/options.h"
#include "plugin/registry.h"

struct mgpt_conf;

enum mgpt_status mgpt_conf_create(struct mgpt_conf **conf, struct mgpt_error *error);
void mgpt_conf_destroy(struct mgpt_conf *conf);

/* Adds the keys of an INI file. MGPT_CONFIG with file, line, offending text, what was expected; a
 * missing or unreadable file is MGPT_CONFIG too. A key that stands twice in one file is refused. */
enum mgpt_status mgpt_conf_read(struct mgpt_conf *conf, const char *path, struct mgpt_error *error);
/* The same of an INI in memory; `name` stands for the path in messages. */
enum mgpt_status mgpt_conf_read_text(struct mgpt_conf *conf, const char *name, const char *text,
                                     size_t size, struct mgpt_error *error);
/* One override "section.key=value" (the section may itself hold dots: the last dot before '=' parts
 * them). `origin` is what the user typed ("--steps 10") and lives as long as conf. Later ones win
 * over earlier ones and over files. */
enum mgpt_status mgpt_conf_set(struct mgpt_conf *conf, const char *assignment, const char *origin,
                               struct mgpt_error *error);

/* Kinds (NULL-terminated, lives as long as conf; or NULL) whose module may be missing: the check
 * then passes over it. */
void mgpt_conf_spare(struct mgpt_conf *conf, const char *const *kinds);

/* Is `name`, given to `use` of a kind, a word for something else than a module: auto, none? */
bool mgpt_conf_reserved(const char *kind, const char *name);

/* Applies [plugins] to the registry, then checks every key against its schema, loading the modules
 * that `use` names. Sections of modules that are not in use are checked when the module is found,
 * else a warning. After it the getters may be used. Once a conf; the registry must outlive it.
 * MGPT_CONFIG (file, line, key, value, expected, nearest) or MGPT_PLUGIN. */
enum mgpt_status mgpt_conf_check(struct mgpt_conf *conf, struct mgpt_registry *registry,
                                 struct mgpt_error *error);

/* From here on reading, setting and checking collect mistakes (they outlive conf) and go on after
 * each, so that all are found. What another mistake may have caused is not among them. MGPT_OK then
 * does not say that there were none. */
struct mgpt_faults;
void mgpt_conf_collect(struct mgpt_conf *conf, struct mgpt_faults *faults);
/* Is what `section` says, with its defaults, what was meant: no mistake in it, nothing lost? */
bool mgpt_conf_sound(const struct mgpt_conf *conf, const char *section);
/* A mistake that showed later, by the value of a key of the core; as mgpt_conf_forgive. */
enum mgpt_status mgpt_conf_blame(struct mgpt_conf *conf, const char *section, const char *key,
                                 enum mgpt_status status, struct mgpt_error *error);

/* Values of the core's sections, given or default. The key must be in the schema (else abort: a
 * bug). */
int64_t mgpt_conf_int(const struct mgpt_conf *conf, const char *section, const char *key);
double mgpt_conf_float(const struct mgpt_conf *conf, const char *section, const char *key);
uint64_t mgpt_conf_seed(const struct mgpt_conf *conf, const char *section, const char *key);
bool mgpt_conf_bool(const struct mgpt_conf *conf, const char *section, const char *key);
const char *mgpt_conf_text(const struct mgpt_conf *conf, const char *section, const char *key);
/* Index in the choices of an ENUM; a set of bits 1 << index in the choices of a LIST. */
int mgpt_conf_choice(const struct mgpt_conf *conf, const char *section, const char *key);
unsigned mgpt_conf_choices(const struct mgpt_conf *conf, const char *section, const char *key);
/* Where a value came from: "microgpt.ini:12", "--steps 10", "default". */
const char *mgpt_conf_origin(const struct mgpt_conf *conf, const char *section, const char *key);

/* After the check: what a value such as `builtin:given-names` turned out to mean, so that the
 * effective configuration says it. One that no INI could hold stays as it was. `origin` lives as
 * long as conf. */
enum mgpt_status mgpt_conf_settle(struct mgpt_conf *conf, const char *section, const char *key,
                                  const char *value, const char *origin, struct mgpt_error *error);

/* The section [kind.name] as the module sees it; lives with conf. NULL when there is no such
 * module. */
const struct mgpt_config *mgpt_conf_module(struct mgpt_conf *conf, const char *kind,
                                           const char *name);

/* Walking along all sections that have values: the core's in the order of the schema, each kind's
 * modules after it. */
size_t mgpt_conf_count(const struct mgpt_conf *conf);
const struct mgpt_config *mgpt_conf_at(const struct mgpt_conf *conf, size_t i);

/* All effective values as an INI that reads back to the same configuration (PATH values made
 * absolute). With origins, each line ends in a comment that says where the value came from. */
void mgpt_conf_print(const struct mgpt_conf *conf, bool origins, struct mgpt_string *out);

#endif
