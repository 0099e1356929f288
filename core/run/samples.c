/* Samples, one after the other or in lockstep. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/draws.h"
#include "base/stop.h"
#include "run/lockstep.h"
#include "run/samples.h"

/* ---- one after the other ---- */

static enum mgpt_status make_one(struct mgpt_generator *g, const int32_t *prompt, size_t n,
                                 uint64_t number, mgpt_take take, void *context,
                                 struct mgpt_error *error)
{
    struct mgpt_string text = {0};
    enum mgpt_status status = mgpt_generate(g, prompt, n, mgpt_emit_string, &text, error);

    if (status == MGPT_OK)
        status = take(context, number, &text, error);
    mgpt_string_finish(&text);
    return status;
}

/* ---- in lockstep ---- */

struct sample {
    struct mgpt_draws draws;
    struct mgpt_stream stream; /* over it */
    struct mgpt_endings endings;
    struct mgpt_string text;
    int32_t *ids; /* the prompt, then what was drawn; room for all */
};

struct group {
    struct mgpt_generator *g;
    struct mgpt_lockstep lockstep;
    size_t rows;
    struct sample *samples;
    const int32_t **going; /* ids of the samples that have not ended, else NULL */
    double *logits;        /* (rows,vocab) */
};

static void group_finish(struct group *group)
{
    for (size_t i = 0; group->samples && i < group->rows; i++) {
        mgpt_endings_finish(&group->samples[i].endings);
        mgpt_string_finish(&group->samples[i].text);
        free(group->samples[i].ids);
    }
    free(group->samples);
    free(group->going);
    free(group->logits);
    mgpt_lockstep_finish(&group->lockstep);
}

static enum mgpt_status group_init(struct group *group, size_t n, struct mgpt_error *error)
{
    struct mgpt_generator *g = group->g;
    size_t rows = group->rows;
    enum mgpt_status status = MGPT_OK;
    bool room;

    group->samples = calloc(rows, sizeof *group->samples);
    group->going = calloc(rows, sizeof *group->going);
    group->logits = calloc(rows * g->session->model.vocab, sizeof *group->logits);
    room = group->samples && group->going && group->logits;
    for (size_t i = 0; room && i < rows && status == MGPT_OK; i++) {
        group->samples[i].ids = calloc(n + g->max, sizeof *group->samples[i].ids);
        room = group->samples[i].ids != NULL;
        status = mgpt_generate_stops(g->session, &group->samples[i].endings, error);
    }
    if (!room)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for %zu samples of %zu ids", rows,
                         g->max);
    group->lockstep.window = g->window; /* its settings; the row of logits is its own */
    group->lockstep.window.raw = NULL;
    return status == MGPT_OK ? mgpt_lockstep_init(&group->lockstep, rows, error) : status;
}

/* The samples first.., as many as there are rows, or `left`, begin. */
static void begin(struct group *group, const int32_t *prompt, size_t n, uint64_t first,
                  uint64_t left)
{
    uint64_t seed = mgpt_conf_seed(group->g->session->conf, "train", "seed");

    mgpt_lockstep_reset(&group->lockstep);
    for (size_t i = 0; i < group->rows; i++) {
        struct sample *sample = &group->samples[i];
        group->going[i] = i < left ? sample->ids : NULL;
        memcpy(sample->ids, prompt, n * sizeof *prompt);
        mgpt_endings_reset(&sample->endings);
        sample->text.size = 0;
        sample->stream = mgpt_draws_stream(&sample->draws, seed, (uint32_t)(first + i));
    }
}

/* An id more for each sample that has not ended; *going: how many go on. */
static enum mgpt_status step(struct group *group, size_t n, size_t *going, struct mgpt_error *error)
{
    struct mgpt_generator *g = group->g;
    size_t V = g->session->model.vocab;
    enum mgpt_status status =
        mgpt_lockstep_logits(&group->lockstep, group->going, n, group->logits, error);

    *going = 0;
    for (size_t i = 0; i < group->rows && status == MGPT_OK; i++) {
        struct sample *sample = &group->samples[i];
        bool ended;
        if (!group->going[i])
            continue;
        status =
            mgpt_generator_extend(g, group->logits + i * V, &sample->stream, &sample->endings,
                                  &sample->ids[n], &ended, mgpt_emit_string, &sample->text, error);
        if (ended)
            group->going[i] = NULL;
        *going += !ended;
    }
    return status;
}

static enum mgpt_status make_group(struct group *group, size_t n, struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;
    size_t going = 1;

    for (size_t i = 0; i < group->g->max && going && status == MGPT_OK; i++) {
        if (mgpt_stop_requested())
            return mgpt_fail(error, MGPT_CANCELED, "stopped");
        status = step(group, n + i, &going, error);
    }
    for (size_t i = 0; i < group->rows && status == MGPT_OK; i++)
        if (group->going[i])
            status = mgpt_generator_end(&group->samples[i].endings, mgpt_emit_string,
                                        &group->samples[i].text, error);
    return status;
}

static enum mgpt_status make_groups(struct mgpt_generator *g, const int32_t *prompt, size_t n,
                                    uint64_t count, mgpt_take take, void *context,
                                    struct mgpt_error *error)
{
    struct group group = {.g = g, .rows = (size_t)(g->batch < count ? g->batch : count)};
    enum mgpt_status status = group_init(&group, n, error);

    for (uint64_t first = 1; first <= count && status == MGPT_OK; first += group.rows) {
        uint64_t left = count - first + 1;
        begin(&group, prompt, n, first, left);
        status = make_group(&group, n, error);
        for (uint64_t i = 0; i < group.rows && i < left && status == MGPT_OK; i++)
            status = take(context, first + i, &group.samples[i].text, error);
    }
    group_finish(&group);
    return status;
}

enum mgpt_status mgpt_samples_make(struct mgpt_generator *g, const int32_t *prompt, size_t n,
                                   uint64_t count, mgpt_take take, void *context,
                                   struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;

    mgpt_generator_tell(g, n);
    if (g->batch > 1 && count)
        return make_groups(g, prompt, n, count, take, context, error);
    for (uint64_t i = 1; i <= count && status == MGPT_OK; i++)
        status = make_one(g, prompt, n, i, take, context, error);
    return status;
}
