/* What a training run would do, and why, found by the code that decides it; nothing is trained. */
#ifndef MGPT_RUN_EXPLAIN_H
#define MGPT_RUN_EXPLAIN_H

#include "run/plan.h"
#include "run/training.h"

/* A backend that was not chosen. */
struct mgpt_other {
    char name[64];
    bool usable; /* it could have been */
    char why[sizeof(struct mgpt_error)];
};

/* Zero-initialise. What comes after a failure is empty. */
struct mgpt_explanation {
    struct mgpt_training run;
    struct mgpt_other *others;
    size_t n_others;
    struct mgpt_answer *answers; /* of all step modules */
    size_t n_answers;
    struct mgpt_stepper stepper; /* chosen, not open */
    char step_why[256];
    struct mgpt_plan plan;
    struct mgpt_tally ops[MGPT_OP_COUNT]; /* what the core calls in a step, one an op code */
    bool counted;
    char update[256];       /* where the optimizer's rule runs */
    uint64_t staged_update; /* bytes that it copies */
    uint64_t staged;        /* all bytes that a step copies between device and host */
};

/* MGPT_OK, or what training would fail with; then what was found before it is there. */
enum mgpt_status mgpt_explain(struct mgpt_explanation *x, const struct mgpt_train *options,
                              struct mgpt_error *error);
void mgpt_explain_finish(struct mgpt_explanation *x);

#endif
