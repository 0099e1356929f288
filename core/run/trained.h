/* A trained model, opened from the checkpoint that the configuration names. */
#ifndef MGPT_RUN_TRAINED_H
#define MGPT_RUN_TRAINED_H

#include <stdbool.h>

#include "run/session.h"

/* The run in [run] dir, the checkpoint that [generate] checkpoint names; with `data` also the
 * dataset, ready for mgpt_evaluate; without it the sampler, ready for mgpt_generate. `session`
 * comes with its first three fields set; close it in any case. */
enum mgpt_status mgpt_trained_open(struct mgpt_session *session, bool data, char **checkpoint,
                                   struct mgpt_error *error);

#endif
