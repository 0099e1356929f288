/* MICROGPT_VALIDATE=1: modules in a normal run wrapped into tables that hold every call to the
 * contract of the kind. Off, nothing of it is reached. */
#ifndef MGPT_PLUGIN_VALIDATE_H
#define MGPT_PLUGIN_VALIDATE_H

#include <string.h>

#include <microgpt/plugin.h>

#include "plugin/registry.h"

/* The module with its table wrapped, for the life of the process, where the user asked for it; the
 * core's own modules, and more than MGPT_VALIDATE_SLOTS of a kind, stay as they are. [main] */
struct mgpt_module mgpt_validated(struct mgpt_module module);

/* ---- for the wrappers ---- */

#define MGPT_VALIDATE_SLOTS 8 /* modules of one kind that can be wrapped */

/* Writes "validate: KIND NAME: FUNCTION: what rule was broken". Returns MGPT_PLUGIN. */
enum mgpt_status mgpt_violation(struct mgpt_error *error, const struct mgpt_component *component,
                                const char *function, const char *format, ...) MGPT_PRINTF(4, 5);
/* The same of a function that cannot fail: the next one that can returns it. */
void mgpt_violation_kept(const struct mgpt_component *component, const char *function,
                         const char *format, ...) MGPT_PRINTF(3, 4);
/* MGPT_OK, or what was kept. */
enum mgpt_status mgpt_violation_due(struct mgpt_error *error);
/* The same of a function after which none may come: it is logged. */
void mgpt_violation_logged(const struct mgpt_component *component, const char *function,
                           const char *format, ...) MGPT_PRINTF(3, 4);
/* A refusal must have a text of one line. Returns `status`, or the violation. */
enum mgpt_status mgpt_validate_refusal(enum mgpt_status status,
                                       const struct mgpt_component *component, const char *function,
                                       struct mgpt_error *error);

/* Copies a table of `size` bytes or fewer into `to`, the rest zero, and says it is whole. */
void mgpt_validate_table(void *to, uint32_t size, const void *from);

/* Each gives the wrapped table of slot i < MGPT_VALIDATE_SLOTS. */
const void *mgpt_validate_backend(const struct mgpt_component *component, int slot);
const void *mgpt_validate_dataset(const struct mgpt_component *component, int slot);
const void *mgpt_validate_logger(const struct mgpt_component *component, int slot);
const void *mgpt_validate_optimizer(const struct mgpt_component *component, int slot);
const void *mgpt_validate_precision(const struct mgpt_component *component, int slot);
const void *mgpt_validate_sampler(const struct mgpt_component *component, int slot);
const void *mgpt_validate_scheduler(const struct mgpt_component *component, int slot);
const void *mgpt_validate_step(const struct mgpt_component *component, int slot);
const void *mgpt_validate_tokenizer(const struct mgpt_component *component, int slot);

#endif
