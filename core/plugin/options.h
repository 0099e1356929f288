/* Option tables, and a section's values checked against one: struct mgpt_config. The sections of
 * modules and those of the core go through the same. */
#ifndef MGPT_PLUGIN_OPTIONS_H
#define MGPT_PLUGIN_OPTIONS_H

#include <stdbool.h>

#include <microgpt/plugin.h>

#include "plugin/value.h"

/* Entry `i` of a component's table, whose entries are option_size bytes apart. */
const struct mgpt_option *mgpt_option_at(const struct mgpt_component *component, uint32_t i);
/* Is one entry sound: names, type, choices, and a default that it would accept itself? MGPT_PLUGIN.
 */
enum mgpt_status mgpt_option_check(const struct mgpt_option *option, struct mgpt_error *error);

/* ---- struct mgpt_config: the values of one section ---- */

/* All defaults. `section` ("optimizer.adamw") is copied; the table must be sound and outlive the
 * config. */
enum mgpt_status mgpt_config_create(struct mgpt_config **config, const char *section,
                                    const struct mgpt_option *options, uint32_t n,
                                    uint32_t option_size, struct mgpt_error *error);
void mgpt_config_destroy(struct mgpt_config *config);

/* Gives `key` a value. `origin` ("microgpt.ini:12") begins the message and lives as long as the
 * config. MGPT_CONFIG: no such key, with the nearest; or not a value of it, with what was expected.
 */
enum mgpt_status mgpt_config_set(struct mgpt_config *config, const char *key, const char *value,
                                 const char *origin, struct mgpt_error *error);

const char *mgpt_config_section(const struct mgpt_config *config);
/* Walking along: option, value and origin ("default" where nothing was given) of entry i < count.
 */
size_t mgpt_config_count(const struct mgpt_config *config);
const struct mgpt_option *mgpt_config_option(const struct mgpt_config *config, size_t i);
const struct mgpt_value *mgpt_config_value(const struct mgpt_config *config, size_t i);
const char *mgpt_config_origin(const struct mgpt_config *config, size_t i);

/* Index of `key`, or count. */
size_t mgpt_config_index(const struct mgpt_config *config, const char *key);

/* Which types a getter has values of: bits 1 << enum mgpt_option_type. */
enum mgpt_config_types {
    MGPT_TYPES_INT = 1 << MGPT_OPTION_INT | 1 << MGPT_OPTION_BOOL,
    MGPT_TYPES_FLOAT = 1 << MGPT_OPTION_FLOAT,
    MGPT_TYPES_SEED = 1 << MGPT_OPTION_SEED,
    MGPT_TYPES_TEXT = 1 << MGPT_OPTION_TEXT | 1 << MGPT_OPTION_ENUM | 1 << MGPT_OPTION_PATH |
                      1 << MGPT_OPTION_LIST
};
/* Is `key` in the table, with one of these types? A config of NULL has none. [any] */
bool mgpt_config_has(const struct mgpt_config *config, const char *key, unsigned types);

/* Values by key, as the get_* of struct mgpt_host. A key that is not in the table, or of another
 * type, is a bug of the caller: abort. [any] */
int64_t mgpt_config_int(const struct mgpt_config *config, const char *key);
double mgpt_config_float(const struct mgpt_config *config, const char *key);
uint64_t mgpt_config_seed(const struct mgpt_config *config, const char *key);
const char *mgpt_config_text(const struct mgpt_config *config, const char *key);

#endif
