/* Generation: ids after ids, sampled from the model's logits. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "run/generate.h"

/* A sample in the making: `ids` holds the prompt and what was sampled. */
struct sample {
    int32_t *ids;
    size_t n;
    void *raw;      /* the last row of the logits, as the device has it */
    double *logits; /* the same, for the sampler */
    char *text;
    size_t text_size;
};

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

/* The logits after the last id, as doubles. */
static enum mgpt_status last_logits(struct mgpt_session *s, struct sample *sample,
                                    struct mgpt_error *error)
{
    size_t window = sample->n < s->model.context ? sample->n : s->model.context;
    struct mgpt_batch batch = {
        .rows = 1, .columns = (uint32_t)window, .ids = sample->ids + sample->n - window};
    struct mgpt_tape *tape;
    enum mgpt_status status =
        mgpt_passes_run(&s->passes, MGPT_MODE_LOGITS, &batch, 0, &tape, error);

    if (status != MGPT_OK)
        return status;
    struct mgpt_tensor row = tape->logits;
    size_t V = s->model.vocab, size = mgpt_dtype_size(row.dtype);
    row.offset += (window - 1) * V * size;
    row.rank = 1;
    row.shape[0] = (int64_t)V;
    status = mgpt_machine_read(&s->machine, &row, sample->raw, error);
    for (size_t i = 0; i < V && status == MGPT_OK; i++) {
        double x = row.dtype == MGPT_F64 ? ((double *)sample->raw)[i] : ((float *)sample->raw)[i];
        sample->logits[i] = x;
        if (!isfinite(x))
            status = mgpt_fail(error, MGPT_NONFINITE, "the model's logit of id %zu is %g", i, x);
    }
    return status;
}

/* Text of one id into sample->text, which grows as needed. */
static enum mgpt_status decode(struct mgpt_session *s, struct sample *sample, int32_t id,
                               size_t *size, struct mgpt_error *error)
{
    const struct mgpt_tokenizer_api *api = s->tokenizer_api;
    int64_t need = api->decode(s->tokenizer, &id, 1, sample->text, sample->text_size, error);

    if (need > (int64_t)sample->text_size) {
        char *text = realloc(sample->text, (size_t)need);
        if (!text)
            return mgpt_fail(error, MGPT_NOMEM, "out of memory decoding id %d", id);
        sample->text = text;
        sample->text_size = (size_t)need;
        need = api->decode(s->tokenizer, &id, 1, text, (uint64_t)need, error);
    }
    if (need < 0)
        return error ? (enum mgpt_status)error->status : MGPT_INTERNAL;
    *size = (size_t)need;
    return MGPT_OK;
}

static enum mgpt_status run(struct mgpt_session *s, struct sample *sample, size_t max,
                            mgpt_emit emit, void *context, struct mgpt_error *error)
{
    int32_t bos = s->tokenizer_api->bos(s->tokenizer);
    enum mgpt_status status = MGPT_OK;

    for (size_t i = 0; i < max && status == MGPT_OK; i++) {
        size_t size = 0;
        if (mgpt_stop_requested())
            return mgpt_fail(error, MGPT_CANCELED, "stopped");
        status = last_logits(s, sample, error);
        if (status != MGPT_OK)
            return status;
        int32_t id = s->sampler_api->next(s->sampler, sample->logits, s->model.vocab, &s->stream);
        if (id == bos)
            break;
        if (id < 0 || id >= (int32_t)s->model.vocab)
            return mgpt_fail(error, MGPT_PLUGIN, "sampler %s returned id %d of %u",
                             mgpt_conf_text(s->conf, "sampler", "use"), id, s->model.vocab);
        sample->ids[sample->n++] = id;
        status = decode(s, sample, id, &size, error);
        if (status == MGPT_OK)
            status = emit(context, id, sample->text, size, error);
    }
    return status;
}

enum mgpt_status mgpt_generate(struct mgpt_session *s, const int32_t *prompt, size_t n,
                               mgpt_emit emit, void *context, struct mgpt_error *error)
{
    size_t max = (size_t)mgpt_conf_int(s->conf, "generate", "max_tokens");
    struct sample sample = {.n = n};
    enum mgpt_status status = MGPT_OK;

    max = max ? max : s->model.context;
    sample.ids = calloc(n + max, sizeof *sample.ids);
    sample.raw = calloc(s->model.vocab, sizeof(double));
    sample.logits = calloc(s->model.vocab, sizeof(double));
    if (!sample.ids || !sample.raw || !sample.logits)
        status = mgpt_fail(error, MGPT_NOMEM, "out of memory for a sample of %zu ids", max);
    if (status == MGPT_OK) {
        memcpy(sample.ids, prompt, n * sizeof *prompt);
        status = run(s, &sample, max, emit, context, error);
    }
    free(sample.ids);
    free(sample.raw);
    free(sample.logits);
    free(sample.text);
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
