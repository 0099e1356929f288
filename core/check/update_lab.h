/* Stage UPDATE alone: a small model with any optimizer, gradients that the test chooses. */
#ifndef MGPT_CHECK_UPDATE_LAB_H
#define MGPT_CHECK_UPDATE_LAB_H

#include "check/check.h"
#include "check/net.h"
#include "run/update.h"

struct mgpt_update_lab {
    struct mgpt_check_net net;
    const struct mgpt_optimizer_api *api;
    struct mgpt_optimizer *optimizer;
    struct mgpt_step_spec spec;
    struct mgpt_updater updater;
    uint64_t step;
};

/* `config` as the optimizer's settings; it is destroyed. */
void mgpt_update_lab_open(struct mgpt_update_lab *lab, const char *backend,
                          const struct mgpt_model *model, uint32_t dtype,
                          const struct mgpt_optimizer_api *api, struct mgpt_config *config);
void mgpt_update_lab_close(struct mgpt_update_lab *lab);

/* Gradients: uniform in -size..size, the same for the same seed. */
void mgpt_update_lab_draw(struct mgpt_update_lab *lab, uint64_t seed, double size);
/* All gradients at once, `value`. */
void mgpt_update_lab_fill(struct mgpt_update_lab *lab, double value);
/* One update; with `nonfinite` it is a step that is skipped, which counts as attempted. */
void mgpt_update_lab_run(struct mgpt_update_lab *lab, double lr, double decay, double grad_scale,
                         bool nonfinite);

/* A tensor's elements as doubles (malloc). */
double *mgpt_update_lab_read(struct mgpt_update_lab *lab, const struct mgpt_tensor *tensor);
/* All parameters and state in one piece of memory (malloc), for comparison by memcmp. */
char *mgpt_update_lab_bits(struct mgpt_update_lab *lab, size_t *size);

/* Puts such a piece back. */
void mgpt_update_lab_restore(struct mgpt_update_lab *lab, const char *bits);

#endif
