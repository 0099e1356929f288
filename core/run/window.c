/* The window: what the model sees of a growing row of ids, and the logits after the last one. */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include "run/window.h"

enum mgpt_status mgpt_window_init(struct mgpt_window *w, struct mgpt_error *error)
{
    w->raw = calloc(w->passes->net.model->vocab, sizeof(double));
    return w->raw ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "out of memory for logits");
}

void mgpt_window_finish(struct mgpt_window *w)
{
    free(w->raw);
    w->raw = NULL;
}

void mgpt_window_reset(struct mgpt_window *w)
{
    w->first = w->known = 0;
    w->hops = 0;
}

bool mgpt_window_move(struct mgpt_window *w, size_t n)
{
    size_t context = w->passes->net.model->context;

    if (n - w->first <= context)
        return w->known != n - 1 || w->known == w->first;
    if (w->past == MGPT_WINDOW_HOP && w->known > w->first) {
        while (n - w->first > context) {
            w->first += (context + 1) / 2;
            w->hops++;
        }
    } else { /* a prompt longer than the context counts from its end in either case */
        w->first = n - context;
    }
    return true;
}

/* A pass over the new id alone, or over the window where the cache does not hold. */
static enum mgpt_status decode(struct mgpt_window *w, const int32_t *ids, size_t n,
                               struct mgpt_tape **tape, struct mgpt_error *error)
{
    size_t from = mgpt_window_move(w, n) ? w->first : w->known;
    enum mgpt_status status = mgpt_passes_decode(w->passes, ids + from, (int64_t)(n - from),
                                                 (int64_t)(from - w->first), tape, error);

    w->known = status == MGPT_OK ? n : w->first;
    return status;
}

/* A pass over the whole window. */
static enum mgpt_status recompute(struct mgpt_window *w, const int32_t *ids, size_t n,
                                  struct mgpt_tape **tape, struct mgpt_error *error)
{
    (void)mgpt_window_move(w, n);
    struct mgpt_batch batch = {.rows = 1,
                               .columns = (uint32_t)(n - w->first),
                               .ids = (int32_t *)ids + w->first}; /* which are only read */
    w->known = n; /* as with a cache, so that the window moves alike */
    return mgpt_passes_run(w->passes, MGPT_MODE_LOGITS, &batch, 0, tape, error);
}

enum mgpt_status mgpt_logits_widen(const struct mgpt_tensor *t, const void *raw, size_t n,
                                   double *logits, struct mgpt_error *error)
{
    for (size_t i = 0; i < n; i++) {
        double x = t->dtype == MGPT_F64 ? ((const double *)raw)[i] : ((const float *)raw)[i];
        logits[i] = x;
        if (!isfinite(x))
            return mgpt_fail(error, MGPT_NONFINITE, "the model's logit of id %zu is %g", i, x);
    }
    return MGPT_OK;
}

enum mgpt_status mgpt_window_logits(struct mgpt_window *w, const int32_t *ids, size_t n,
                                    double *logits, struct mgpt_error *error)
{
    size_t V = w->passes->net.model->vocab;
    struct mgpt_tape *tape;
    enum mgpt_status status =
        w->no_cache ? recompute(w, ids, n, &tape, error) : decode(w, ids, n, &tape, error);

    if (status != MGPT_OK)
        return status;
    struct mgpt_tensor row = tape->logits; /* its last */
    row.offset += (uint64_t)(mgpt_tensor_rows(&row) - 1) * V * mgpt_dtype_size(row.dtype);
    row.rank = 1;
    row.shape[0] = (int64_t)V;
    status = mgpt_machine_read(w->passes->net.machine, &row, w->raw, error);
    return status == MGPT_OK ? mgpt_logits_widen(&row, w->raw, V, logits, error) : status;
}
