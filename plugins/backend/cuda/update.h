/* The optimizer's rule on the device. */
#ifndef MGPT_CUDA_UPDATE_H
#define MGPT_CUDA_UPDATE_H

#include <microgpt/optimizer.h>

#include "program.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what a program is handed; rule_text.c writes the same in the program's own words ---- */

#define CUDA_RULE_TILE 2048 /* elements that a block does at a time */
#define CUDA_RULE_SETS 4    /* of scalars: one a parameter group */
#define CUDA_RULE_SEGMENTS 128

/* Elements first .. first + count - 1 from p on; `tiles` of this and all segments before it. */
struct cuda_rule_segment {
    int64_t first, count;
    int32_t tiles, set;
};

/* Below 4 KB, the least that a launch may be handed. */
struct cuda_rule_args {
    float *p;
    const float *g;
    float *s[MGPT_MAX_STATE];
    const struct mgpt_step_state *state;
    int32_t n_segments, n_tiles;
    const double *from[CUDA_RULE_SETS]; /* scalars in device memory; NULL: those of h */
    double h[CUDA_RULE_SETS][MGPT_MAX_SCALARS];
    struct cuda_rule_segment segment[CUDA_RULE_SEGMENTS];
};

#define CUDA_RULE_ENTRY "mgpt_update"
#define CUDA_RULE_THREADS 256

/* The program of a rule, malloc'd; NULL when the rule's lists of names are none, or no memory. */
char *cuda_rule_text(const struct mgpt_rule *rule);
/* And all else that makes it a program; `text` as long as that. */
struct mgpt_cuda_source cuda_rule_source(const char *text);

/* ---- updates (update.c) ---- */

/* Gathers calls of one step, which go out as one launch before anything else happens. */
enum mgpt_status cuda_update(struct mgpt_device *device, const struct mgpt_update *update,
                             struct mgpt_error *error);
/* The same with the scalars in device memory. */
enum mgpt_status cuda_update_from(struct mgpt_device *device, const struct mgpt_update *update,
                                  const double *scalars, struct mgpt_error *error);
/* MGPT_OK, or why the rule is not for the device. */
enum mgpt_status cuda_rule_ready(struct mgpt_device *device, const struct mgpt_rule *rule,
                                 struct mgpt_error *error);
void cuda_updates_close(struct cuda_updates *updates);

#ifdef __cplusplus
}
#endif
#endif
