/* Lockstep: rows of ids that grow together, one id each at a time. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "run/lockstep.h"

static size_t lanes(const struct mgpt_lockstep *l)
{
    return l->rows < MGPT_LOCKSTEP_LEAST ? MGPT_LOCKSTEP_LEAST : l->rows;
}

enum mgpt_status mgpt_lockstep_init(struct mgpt_lockstep *l, size_t rows, struct mgpt_error *error)
{
    size_t V = l->window.passes->net.model->vocab;

    l->rows = rows;
    l->last = calloc(lanes(l), sizeof *l->last);
    l->raw = calloc(lanes(l) * V, sizeof(double));
    if (!l->last || !l->raw)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for the logits of %zu samples", rows);
    return mgpt_window_init(&l->window, error);
}

void mgpt_lockstep_finish(struct mgpt_lockstep *l)
{
    mgpt_window_finish(&l->window);
    free(l->last);
    free(l->raw);
    l->last = NULL;
    l->raw = NULL;
}

void mgpt_lockstep_reset(struct mgpt_lockstep *l)
{
    mgpt_window_reset(&l->window);
}

/* Each row's window from its first id on. A row like the one before it, as all are at the prompt,
 * gets what that one got. */
static enum mgpt_status read_apart(struct mgpt_lockstep *l, const int32_t *const *ids, size_t n,
                                   double *logits, struct mgpt_error *error)
{
    struct mgpt_window *w = &l->window;
    size_t V = w->passes->net.model->vocab, seen = n - w->first;
    bool lasts =
        seen < w->passes->net.model->context && !w->no_cache; /* is the cache read again? */
    const int32_t *like = NULL;
    const double *same = NULL;
    enum mgpt_status status =
        lasts ? mgpt_passes_widen(w->passes, (int64_t)lanes(l), error) : MGPT_OK;

    for (size_t i = 0; i < l->rows && status == MGPT_OK; i++) {
        if (!ids[i])
            continue;
        if (like && memcmp(like + w->first, ids[i] + w->first, seen * sizeof *like) == 0) {
            memcpy(logits + i * V, same, V * sizeof *same);
        } else {
            w->known = w->first;
            status = mgpt_window_logits(w, ids[i], n, logits + i * V, error);
            like = ids[i];
            same = logits + i * V;
        }
        if (status == MGPT_OK && lasts)
            status = mgpt_passes_keep(w->passes, (int64_t)i, (int64_t)seen, error);
    }
    return status;
}

/* The newest id of every row in one pass. */
static enum mgpt_status read_together(struct mgpt_lockstep *l, const int32_t *const *ids, size_t n,
                                      double *logits, struct mgpt_error *error)
{
    struct mgpt_window *w = &l->window;
    size_t V = w->passes->net.model->vocab;
    struct mgpt_tape *tape;

    for (size_t i = 0; i < l->rows; i++)
        l->last[i] = ids[i] ? ids[i][n - 1] : 0;
    enum mgpt_status status =
        mgpt_passes_decode_lanes(w->passes, l->last, (int64_t)(n - 1 - w->first), &tape, error);
    if (status == MGPT_OK)
        status = mgpt_machine_read(w->passes->net.machine, &tape->logits, l->raw, error);
    w->known = status == MGPT_OK ? n : w->first;
    for (size_t i = 0; i < l->rows && status == MGPT_OK; i++)
        if (ids[i])
            status = mgpt_logits_widen(&tape->logits,
                                       (char *)l->raw + i * V * mgpt_dtype_size(tape->logits.dtype),
                                       V, logits + i * V, error);
    return status;
}

enum mgpt_status mgpt_lockstep_logits(struct mgpt_lockstep *l, const int32_t *const *ids, size_t n,
                                      double *logits, struct mgpt_error *error)
{
    bool apart = mgpt_window_move(&l->window, n) || l->window.no_cache;

    return (apart ? read_apart : read_together)(l, ids, n, logits, error);
}
