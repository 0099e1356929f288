/* A rig: a model on random ids, with all that its training steps need, for the benchmark. */
#ifndef MGPT_RUN_RIG_H
#define MGPT_RUN_RIG_H

#include "run/session.h"
#include "run/step.h"

/* Zero-initialise; close takes any state. */
struct mgpt_rig {
    struct mgpt_session session;
    struct mgpt_tensor step_state;
    struct mgpt_step_spec spec;
    struct mgpt_stepper stepper;
    struct mgpt_batch *batches; /* of one step */
    int32_t *cells;             /* of all its batches, of the configured size */
    uint64_t step;              /* completed */
};

/* Device and precision by [backend], [precision]; the table of parameters; who would run the step.
 * Nothing is allocated on the device: spec can be planned. */
enum mgpt_status mgpt_rig_open(struct mgpt_rig *rig, struct mgpt_conf *conf,
                               struct mgpt_registry *registry, uint32_t vocab,
                               struct mgpt_error *error);
/* The rest: parameters as a run with the same seed draws them, batches and, when `steps`, the step
 * program. */
enum mgpt_status mgpt_rig_start(struct mgpt_rig *rig, bool steps, struct mgpt_error *error);
void mgpt_rig_close(struct mgpt_rig *rig);

/* Ids and targets of the next steps: rows x columns in each micro-batch, the same every time. */
void mgpt_rig_fill(struct mgpt_rig *rig, uint32_t rows, uint32_t columns);
/* Runs n steps on them, n <= MGPT_STEP_RING; *seconds: all of them together. */
enum mgpt_status mgpt_rig_run(struct mgpt_rig *rig, uint32_t n, double lr,
                              struct mgpt_step_result *results, double *seconds,
                              struct mgpt_error *error);

int mgpt_compare_doubles(const void *a, const void *b); /* for qsort: least first */

#endif
