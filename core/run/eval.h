/* Evaluation: the mean loss over data, most often what training does not see. */
#ifndef MGPT_RUN_EVAL_H
#define MGPT_RUN_EVAL_H

#include "run/session.h"

struct mgpt_eval {
    double loss; /* mean over all targets */
    uint64_t batches, targets;
};

/* Over the first [train] val_docs evaluation batches of a part; where these are drawn at random,
 * over val_batches of them. Touches nothing that training reads. MGPT_CANCELED after a signal. */
enum mgpt_status mgpt_evaluate(struct mgpt_session *s, enum mgpt_part part, struct mgpt_eval *eval,
                               struct mgpt_error *error);

#endif
