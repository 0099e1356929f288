/* Validation: the mean loss over documents that training does not see. */
#ifndef MGPT_RUN_EVAL_H
#define MGPT_RUN_EVAL_H

#include "run/session.h"

struct mgpt_eval {
    double loss; /* mean over all targets */
    uint64_t batches, targets;
};

/* Over the first `limit` evaluation batches of a part (0: all there are). Touches nothing that
 * training reads. */
enum mgpt_status mgpt_evaluate(struct mgpt_session *s, enum mgpt_part part, uint64_t limit,
                               struct mgpt_eval *eval, struct mgpt_error *error);

#endif
