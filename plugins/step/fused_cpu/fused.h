/* Inside step fused_cpu: an open step. */
#ifndef MGPT_FUSED_H
#define MGPT_FUSED_H

#include "micro.h"
#include "walk.h"

/* A run of parameters of one group. */
struct group {
    int64_t from, to; /* elements of the whole buffers */
    uint32_t decays;
};

struct mgpt_step {
    struct mgpt_step_spec spec;
    struct walk *walk; /* NULL: all that follows is of the other path */
    const struct micro_kernels *kernels;
    mgpt_rule_f32 rule;
    struct micro micro;
    struct mgpt_step_state *state;
    float *p, *g, *opt[MGPT_MAX_STATE];
    float *memory; /* of all activations */
    struct group *groups;
    uint32_t n_groups, n_results;
    struct mgpt_step_result results[MGPT_STEP_RING];
};

/* What the path in micro.h lacks for this, or NULL. */
const char *fused_micro_needs(const struct mgpt_step_spec *spec);
void fused_bid(const struct mgpt_step_spec *spec, struct mgpt_bid *out);
enum mgpt_status fused_open(const struct mgpt_host *host, const struct mgpt_config *config,
                            const struct mgpt_step_spec *spec, struct mgpt_step **out,
                            struct mgpt_error *error);
void fused_close(struct mgpt_step *step);

#endif
