/* Logits in a file, for whoever holds this program against another one. */
#ifndef MGPT_RUN_LOGITS_H
#define MGPT_RUN_LOGITS_H

#include "run/session.h"

/* The first batch of validation, through the model: `path` gets ids and targets (rows,columns),
 * I32, and logits (rows,columns,vocab), in the format that the device computes them in, as
 * safetensors.
 * A target of -1 is none. MGPT_IO; what was there before is replaced. */
enum mgpt_status mgpt_logits_save(struct mgpt_session *s, const char *path,
                                  struct mgpt_error *error);

#endif
