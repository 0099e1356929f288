/* The spec of a model: from section [model], to and from a checkpoint's config.json, compared. */
#ifndef MGPT_MODEL_SPEC_H
#define MGPT_MODEL_SPEC_H

#include <microgpt/model.h>

#include "base/text.h"
#include "conf/conf.h"

/* Section [model] for a tokenizer of `ids`. MGPT_CONFIG where keys do not fit each other, or the
 * tokenizer. */
enum mgpt_status mgpt_model_from_conf(const struct mgpt_conf *conf, uint32_t ids,
                                      struct mgpt_model *model, struct mgpt_error *error);

/* The same unchecked; vocab is not looked at. */
void mgpt_model_read(const struct mgpt_conf *conf, uint32_t vocab, struct mgpt_model *model);

/* What pair `i` of keys must be to each other. MGPT_CONFIG, and *key is the one that was given. */
#define MGPT_MODEL_PAIRS 3
enum mgpt_status mgpt_model_check_pair(const struct mgpt_conf *conf, const struct mgpt_model *model,
                                       size_t i, const char **key, struct mgpt_error *error);

/* Do the numbers make a model? MGPT_INVALID says which do not: heads that do not divide embd, ...
 */
enum mgpt_status mgpt_model_check(const struct mgpt_model *model, struct mgpt_error *error);

/* config.json of a checkpoint: the keys of [model], "vocab", and the name of the tokenizer's
 * module. */
enum mgpt_status mgpt_model_to_json(const struct mgpt_model *model, const char *tokenizer,
                                    char **json, struct mgpt_error *error);
enum mgpt_status mgpt_model_from_json(const char *json, size_t size, struct mgpt_model *model,
                                      char **tokenizer, struct mgpt_error *error);

/* Adds the value of a key of [model] as it would stand in the INI. */
void mgpt_model_add_value(const struct mgpt_model *model, const char *key, struct mgpt_string *out);

/* Adds "model.KEY=VALUE" lines that make this model of any configuration, but for its vocabulary
 * and for how it starts. */
void mgpt_model_settings(const struct mgpt_model *model, struct mgpt_string *out);

/* MGPT_DATA naming the first key in which a checkpoint's model is not the configured one: "embd is
 * 32 there, 16 in the configuration". Dropout and init may differ. */
enum mgpt_status mgpt_model_match(const struct mgpt_model *checkpoint,
                                  const struct mgpt_model *configured, struct mgpt_error *error);

#endif
