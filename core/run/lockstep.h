/* Lockstep: rows of ids that grow together, one id each at a time, all of one length; and the
 * logits after the last ones. Where the cache holds, a step is one pass over all rows; where it
 * does not, at the prompt and when the window moves, each row is read apart. */
#ifndef MGPT_RUN_LOCKSTEP_H
#define MGPT_RUN_LOCKSTEP_H

#include "run/window.h"

/* Fewer rows than this are computed as this many. Products of a few rows may add up in an order of
 * their own; so what a row gets does not depend on how few there are. */
#define MGPT_LOCKSTEP_LEAST 8

/* Zero-initialise, set the window as for one row, init. */
struct mgpt_lockstep {
    struct mgpt_window window; /* where all rows stand */
    size_t rows;
    int32_t *last; /* an id of each lane */
    void *raw;     /* logits of all lanes, as the device has them */
};

enum mgpt_status mgpt_lockstep_init(struct mgpt_lockstep *lockstep, size_t rows,
                                    struct mgpt_error *error);
void mgpt_lockstep_finish(struct mgpt_lockstep *lockstep);
/* Other rows begin. */
void mgpt_lockstep_reset(struct mgpt_lockstep *lockstep);

/* logits (rows,vocab) after ids[row][n - 1], as mgpt_window_logits has them. ids[row] NULL: a row
 * that nobody reads any more, whose logits are left as they are. */
enum mgpt_status mgpt_lockstep_logits(struct mgpt_lockstep *lockstep, const int32_t *const *ids,
                                      size_t n, double *logits, struct mgpt_error *error);

#endif
