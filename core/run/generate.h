/* Generation: ids after ids, sampled from the model's logits. */
#ifndef MGPT_RUN_GENERATE_H
#define MGPT_RUN_GENERATE_H

#include "base/text.h"
#include "run/session.h"

/* Called for each sampled id with its text; anything but MGPT_OK stops. `text` lives for the call.
 */
typedef enum mgpt_status (*mgpt_emit)(void *context, int32_t id, const char *text, size_t size,
                                      struct mgpt_error *error);

/* Ids of a prompt, after the BOS where the tokenizer has one; without either, id 0 starts (malloc).
 * Characters that the tokenizer does not know: MGPT_USAGE. */
enum mgpt_status mgpt_prompt_ids(struct mgpt_session *s, const char *prompt, int32_t **ids,
                                 size_t *n, struct mgpt_error *error);

/* One sample: up to [generate] max_tokens ids, or until BOS. Past the context the window slides:
 * the last `context` ids are read again for every new one. Needs parameters, passes, sampler,
 * stream. */
enum mgpt_status mgpt_generate(struct mgpt_session *s, const int32_t *prompt, size_t n,
                               mgpt_emit emit, void *context, struct mgpt_error *error);

/* An mgpt_emit that appends to the struct mgpt_string `context`. */
enum mgpt_status mgpt_emit_string(void *context, int32_t id, const char *text, size_t size,
                                  struct mgpt_error *error);

#endif
