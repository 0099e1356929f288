/* Snapshots: what the device holds, to and from a checkpoint. */
#ifndef MGPT_RUN_SNAPSHOT_H
#define MGPT_RUN_SNAPSHOT_H

#include "run/session.h"

/* What a checkpoint holds besides parameters and the optimizer's state. */
struct mgpt_progress {
    uint64_t step;                 /* completed */
    double best_loss;              /* best validation loss so far; INFINITY before the first */
    uint64_t validated;            /* `step` of the last validation, plus 1; 0: none yet */
    uint64_t stale;                /* validations in a row that were not the best */
    struct mgpt_tensor step_state; /* on the device */
};

/* Writes checkpoints/step-N of the run; it becomes `latest`, and `best` when it is.
 * MGPT_NONFINITE, and nothing is written, when a parameter is not finite. */
enum mgpt_status mgpt_snapshot_write(struct mgpt_session *s, const char *run_dir,
                                     const struct mgpt_progress *progress, bool best,
                                     struct mgpt_error *error);
/* All of a checkpoint: parameters, optimizer's state, stream, progress. The step state's tensor
 * must exist. */
enum mgpt_status mgpt_snapshot_read(struct mgpt_session *s, const char *checkpoint,
                                    struct mgpt_progress *progress, struct mgpt_error *error);
/* The parameters alone. */
enum mgpt_status mgpt_snapshot_read_model(struct mgpt_session *s, const char *checkpoint,
                                          struct mgpt_error *error);

#endif
