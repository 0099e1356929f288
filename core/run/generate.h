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
    size_t max;     /* ids of a sample */
    uint64_t batch; /* samples at once, samples.h; 1: one after the other */
    struct mgpt_window window;
    struct mgpt_endings endings;
    double *logits;
    char *text; /* of one id */
    size_t text_size;
    bool told;          /* that the window hops */
    double *kept;       /* the logits of a draw, which a sampler overwrites; NULL: nobody asks */
    double probability; /* of the id drawn last; see mgpt_generator_weigh */
};

/* Reads [generate]. The session has parameters, passes, sampler and stream, and lives as long. Also
 * after a failure: finish. */
enum mgpt_status mgpt_generator_init(struct mgpt_generator *generator, struct mgpt_session *session,
                                     struct mgpt_error *error);
void mgpt_generator_finish(struct mgpt_generator *generator);
/* Reads [generate] max_tokens again. */
void mgpt_generator_limit(struct mgpt_generator *generator);
/* From now on, when an id is emitted, `probability` is its share of softmax(logits): what the model
 * gave it, whatever temperature and filters made of it. */
enum mgpt_status mgpt_generator_weigh(struct mgpt_generator *generator, struct mgpt_error *error);

/* Ids of a prompt, after the BOS where the tokenizer has one; without either, id 0 starts (malloc).
 * Characters that the tokenizer does not know: MGPT_USAGE. */
enum mgpt_status mgpt_prompt_ids(struct mgpt_session *s, const char *prompt, int32_t **ids,
                                 size_t *n, struct mgpt_error *error);

/* Says, once, that the window will hop when a sample after n ids gets as long as it may. Before the
 * first text of a sample is shown: mgpt_generate does, for who shows nothing earlier. */
void mgpt_generator_tell(struct mgpt_generator *generator, size_t n);

/* One sample: up to [generate] max_tokens ids, until BOS or a stop string. It draws from the
 * session's stream, so where the next sample begins to draw is known only when this one has ended:
 * samples that share a stream are made one after the other. */
enum mgpt_status mgpt_generate(struct mgpt_generator *generator, const int32_t *prompt, size_t n,
                               mgpt_emit emit, void *context, struct mgpt_error *error);

/* ---- for samples.c ---- */

/* [generate] stop. */
enum mgpt_status mgpt_generate_stops(struct mgpt_session *s, struct mgpt_endings *endings,
                                     struct mgpt_error *error);
/* One step of a sample: draws the id that logits (which it may overwrite) and `stream` give, and
 * emits what its text makes ready. *ended: the sample is complete, by BOS or by a stop string; all
 * of it was emitted. */
enum mgpt_status mgpt_generator_extend(struct mgpt_generator *generator, double *logits,
                                       const struct mgpt_stream *stream,
                                       struct mgpt_endings *endings, int32_t *id, bool *ended,
                                       mgpt_emit emit, void *context, struct mgpt_error *error);
/* The sample ends here in any case: emits what was held back. */
enum mgpt_status mgpt_generator_end(struct mgpt_endings *endings, mgpt_emit emit, void *context,
                                    struct mgpt_error *error);

/* An mgpt_emit that appends to the struct mgpt_string `context`. */
enum mgpt_status mgpt_emit_string(void *context, int32_t id, const char *text, size_t size,
                                  struct mgpt_error *error);

#endif
