/* Generation: ids after ids, sampled from the model's logits. */
#ifndef MGPT_RUN_GENERATE_H
#define MGPT_RUN_GENERATE_H

#include "base/text.h"
#include "run/endings.h"
#include "run/session.h"
#include "run/window.h"

/* Called for each sampled id with the text that may go out by now: whole characters, and nothing
 * that may begin a stop string; size may be 0. At the end with id -1, where text was held back.
 * Anything but MGPT_OK stops. `text` lives for the call. */
typedef enum mgpt_status (*mgpt_emit)(void *context, int32_t id, const char *text, size_t size,
                                      struct mgpt_error *error);

/* What the samples of one command share. Zero-initialise. */
struct mgpt_generator {
    struct mgpt_session *session;
    size_t max; /* ids of a sample */
    struct mgpt_window window;
    struct mgpt_endings endings;
    double *logits;
    char *text; /* of one id */
    size_t text_size;
    bool told; /* that the window hops */
};

/* Reads [generate]. The session has parameters, passes, sampler and stream, and lives as long. Also
 * after a failure: finish. */
enum mgpt_status mgpt_generator_init(struct mgpt_generator *generator, struct mgpt_session *session,
                                     struct mgpt_error *error);
void mgpt_generator_finish(struct mgpt_generator *generator);

/* Ids of a prompt, after the BOS where the tokenizer has one; without either, id 0 starts (malloc).
 * Characters that the tokenizer does not know: MGPT_USAGE. */
enum mgpt_status mgpt_prompt_ids(struct mgpt_session *s, const char *prompt, int32_t **ids,
                                 size_t *n, struct mgpt_error *error);

/* One sample: up to [generate] max_tokens ids, until BOS or a stop string. Samples are made one
 * after the other: they share one stream of draws, and where a sample begins to draw is known only
 * when the one before has ended. */
enum mgpt_status mgpt_generate(struct mgpt_generator *generator, const int32_t *prompt, size_t n,
                               mgpt_emit emit, void *context, struct mgpt_error *error);

/* An mgpt_emit that appends to the struct mgpt_string `context`. */
enum mgpt_status mgpt_emit_string(void *context, int32_t id, const char *text, size_t size,
                                  struct mgpt_error *error);

#endif
