/* The window: what the model sees of a growing row of ids, and the logits after the last one. */
#ifndef MGPT_RUN_WINDOW_H
#define MGPT_RUN_WINDOW_H

#include <stdbool.h>

#include "run/passes.h"

/* What happens when the ids outgrow the context. Learned positions make every cached row wrong once
 * the window moves, so either way rows are computed anew. */
enum mgpt_window_past {
    MGPT_WINDOW_RECOMPUTE = 0, /* the last `context` ids are read again for every new one */
    MGPT_WINDOW_HOP = 1 /* the older half is dropped, the rest read again; then on as before */
};

/* Zero-initialise, set the first two (and no_cache), init. */
struct mgpt_window {
    struct mgpt_passes *passes;
    enum mgpt_window_past past;
    bool no_cache;       /* whole passes, always: what the cache is held against in tests */
    size_t first, known; /* ids[first..known) are in the cache, at positions 0.. */
    uint64_t hops;       /* since reset */
    void *raw;           /* a row of logits, as the device has it */
};

enum mgpt_status mgpt_window_init(struct mgpt_window *window, struct mgpt_error *error);
void mgpt_window_finish(struct mgpt_window *window);
/* Forgets the ids: another sample begins. */
void mgpt_window_reset(struct mgpt_window *window);

/* The logits (vocab) after ids[n - 1], as doubles. `ids` begins with those of the call before. Not
 * finite: MGPT_NONFINITE. */
enum mgpt_status mgpt_window_logits(struct mgpt_window *window, const int32_t *ids, size_t n,
                                    double *logits, struct mgpt_error *error);

/* ---- for lockstep.c ---- */

/* Moves the window so that ids[..n) fit; true when nothing in the cache holds any more. */
bool mgpt_window_move(struct mgpt_window *window, size_t n);
/* n logits, as the device has them in the format of `t`, to doubles. */
enum mgpt_status mgpt_logits_widen(const struct mgpt_tensor *t, const void *raw, size_t n,
                                   double *logits, struct mgpt_error *error);

#endif
