/* Generation: ids after ids, sampled from the model's logits. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/stop.h"
#include "run/generate.h"

enum mgpt_status mgpt_prompt_ids(struct mgpt_session *s, const char *prompt, int32_t **ids,
                                 size_t *n, struct mgpt_error *error)
{
    const struct mgpt_tokenizer_api *api = s->tokenizer_api;
    int32_t bos = api->bos(s->tokenizer);
    size_t size = strlen(prompt), start = bos >= 0;
    int64_t count = api->encode(s->tokenizer, prompt, size, NULL, 0, error);

    if (count < 0)
        return error ? (enum mgpt_status)error->status : MGPT_USAGE;
    *ids = calloc((size_t)count + 1, sizeof **ids);
    if (!*ids)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for the prompt");
    if (start)
        (*ids)[0] = bos;
    api->encode(s->tokenizer, prompt, size, *ids + start, (uint64_t)count, error);
    *n = (size_t)count + start;
    *n = *n ? *n : 1; /* no BOS, no prompt: id 0 */
    return MGPT_OK;
}

enum mgpt_status mgpt_generate_stops(struct mgpt_session *s, struct mgpt_endings *endings,
                                     struct mgpt_error *error)
{
    const char *stop = mgpt_conf_text(s->conf, "generate", "stop");
    struct mgpt_error why;
    enum mgpt_status status = mgpt_endings_parse(endings, stop, &why);

    if (status == MGPT_OK)
        return MGPT_OK;
    return mgpt_fail(error, status, "%s: [generate] stop = %s: %s",
                     mgpt_conf_origin(s->conf, "generate", "stop"), stop, why.text);
}

void mgpt_generator_limit(struct mgpt_generator *g)
{
    g->max = (size_t)mgpt_conf_int(g->session->conf, "generate", "max_tokens");
    g->max = g->max ? g->max : g->session->model.context;
}

enum mgpt_status mgpt_generator_weigh(struct mgpt_generator *g, struct mgpt_error *error)
{
    if (!g->kept)
        g->kept = calloc(g->session->model.vocab, sizeof *g->kept);
    return g->kept ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "out of memory for logits");
}

enum mgpt_status mgpt_generator_init(struct mgpt_generator *g, struct mgpt_session *s,
                                     struct mgpt_error *error)
{
    g->session = s;
    mgpt_generator_limit(g);
    g->window.passes = &s->passes;
    g->window.past = (enum mgpt_window_past)mgpt_conf_choice(s->conf, "generate", "window");
    g->batch = (uint64_t)mgpt_conf_int(s->conf, "generate", "batch");
    enum mgpt_status status = mgpt_generate_stops(s, &g->endings, error);
    if (status == MGPT_OK)
        status = mgpt_window_init(&g->window, error);
    if (status != MGPT_OK)
        return status;
    g->logits = calloc(s->model.vocab, sizeof *g->logits);
    return g->logits ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "out of memory for logits");
}

void mgpt_generator_finish(struct mgpt_generator *g)
{
    mgpt_window_finish(&g->window);
    mgpt_endings_finish(&g->endings);
    free(g->logits);
    free(g->kept);
    free(g->text);
    memset(g, 0, sizeof *g);
}

/* Text of one id into g->text, which grows as needed. */
static enum mgpt_status decode(struct mgpt_generator *g, int32_t id, size_t *size,
                               struct mgpt_error *error)
{
    const struct mgpt_tokenizer_api *api = g->session->tokenizer_api;
    struct mgpt_tokenizer *tokenizer = g->session->tokenizer;
    int64_t need = api->decode(tokenizer, &id, 1, g->text, g->text_size, error);

    if (need > (int64_t)g->text_size) {
        char *text = realloc(g->text, (size_t)need);
        if (!text)
            return mgpt_fail(error, MGPT_NOMEM, "out of memory decoding id %d", id);
        g->text = text;
        g->text_size = (size_t)need;
        need = api->decode(tokenizer, &id, 1, text, (uint64_t)need, error);
    }
    if (need < 0)
        return error ? (enum mgpt_status)error->status : MGPT_INTERNAL;
    *size = (size_t)need;
    return MGPT_OK;
}

/* A document ends by itself, long before the context as a rule: unless a length was asked for, its
 * samples are not thought to pass it. */
static bool may_hop(const struct mgpt_generator *g, size_t n)
{
    const struct mgpt_session *s = g->session;
    bool asked = mgpt_conf_int(s->conf, "generate", "max_tokens") > 0;

    return g->window.past == MGPT_WINDOW_HOP && n + g->max > (size_t)s->model.context + 1 &&
           (asked || s->tokenizer_api->bos(s->tokenizer) < 0);
}

void mgpt_generator_tell(struct mgpt_generator *g, size_t n)
{
    bool hops = may_hop(g, n);

    if (hops && !g->told)
        mgpt_log(MGPT_LOG_INFO,
                 "[generate] window = hop: past %u tokens the older half of them is forgotten; "
                 "the text differs from that of window = recompute",
                 g->session->model.context);
    g->told = g->told || hops;
}

/* exp(logits[id]) / sum exp(logits), without overflow. */
static double softmax_at(const double *logits, size_t n, int32_t id)
{
    double most = -INFINITY, sum = 0;

    for (size_t i = 0; i < n; i++)
        most = fmax(most, logits[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp(logits[i] - most);
    return exp(logits[id] - most) / sum;
}

static enum mgpt_status draw(struct mgpt_generator *g, double *logits,
                             const struct mgpt_stream *stream, int32_t *id,
                             struct mgpt_error *error)
{
    struct mgpt_session *s = g->session;
    uint32_t n = mgpt_session_ids(s);

    if (g->kept)
        memcpy(g->kept, logits, n * sizeof *logits);
    *id = s->sampler_api->next(s->sampler, logits, n, stream);
    if (*id < 0 || *id >= (int32_t)n)
        return mgpt_fail(error, MGPT_PLUGIN, "sampler %s returned id %d of %u",
                         mgpt_conf_text(s->conf, "sampler", "use"), *id, n);
    if (g->kept)
        g->probability = softmax_at(g->kept, n, *id);
    return MGPT_OK;
}

/* Emits what is ready. */
static enum mgpt_status send(const struct mgpt_endings *e, int32_t id, mgpt_emit emit,
                             void *context, struct mgpt_error *error)
{
    return emit(context, id, e->ready ? e->held.data : "", e->ready, error);
}

enum mgpt_status mgpt_generator_end(struct mgpt_endings *endings, mgpt_emit emit, void *context,
                                    struct mgpt_error *error)
{
    mgpt_endings_flush(endings);
    return endings->ready ? send(endings, -1, emit, context, error) : MGPT_OK;
}

enum mgpt_status mgpt_generator_extend(struct mgpt_generator *g, double *logits,
                                       const struct mgpt_stream *stream,
                                       struct mgpt_endings *endings, int32_t *id, bool *ended,
                                       mgpt_emit emit, void *context, struct mgpt_error *error)
{
    struct mgpt_session *s = g->session;
    size_t size = 0;
    enum mgpt_status status = draw(g, logits, stream, id, error);

    *ended = status == MGPT_OK && *id == s->tokenizer_api->bos(s->tokenizer);
    if (*ended)
        return mgpt_generator_end(endings, emit, context, error);
    if (status == MGPT_OK)
        status = decode(g, *id, &size, error);
    if (status == MGPT_OK)
        status = mgpt_endings_add(endings, g->text, size, error);
    if (status == MGPT_OK)
        status = send(endings, *id, emit, context, error);
    *ended = endings->ended;
    return status;
}

/* Samples after the n ids of the prompt; `ids` has room for g->max more. */
static enum mgpt_status run(struct mgpt_generator *g, int32_t *ids, size_t n, mgpt_emit emit,
                            void *context, struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;
    bool ended = false;

    for (size_t i = 0; i < g->max && status == MGPT_OK && !ended; i++, n++) {
        if (mgpt_stop_requested())
            return mgpt_fail(error, MGPT_CANCELED, "stopped");
        status = mgpt_window_logits(&g->window, ids, n, g->logits, error);
        if (status != MGPT_OK)
            break;
        status = mgpt_generator_extend(g, g->logits, &g->session->stream, &g->endings, &ids[n],
                                       &ended, emit, context, error);
    }
    return status == MGPT_OK && !ended ? mgpt_generator_end(&g->endings, emit, context, error)
                                       : status;
}

enum mgpt_status mgpt_generate(struct mgpt_generator *g, const int32_t *prompt, size_t n,
                               mgpt_emit emit, void *context, struct mgpt_error *error)
{
    int32_t *ids = calloc(n + g->max, sizeof *ids);
    enum mgpt_status status;

    if (!ids)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for a sample of %zu ids", g->max);
    memcpy(ids, prompt, n * sizeof *prompt);
    mgpt_generator_tell(g, n);
    mgpt_window_reset(&g->window);
    mgpt_endings_reset(&g->endings);
    status = run(g, ids, n, emit, context, error);
    free(ids);
    return status;
}

enum mgpt_status mgpt_emit_string(void *context, int32_t id, const char *text, size_t size,
                                  struct mgpt_error *error)
{
    struct mgpt_string *string = context;

    (void)id;
    mgpt_string_add(string, text, size);
    return string->failed ? mgpt_fail(error, MGPT_NOMEM, "out of memory for a sample") : MGPT_OK;
}
