/* Stage UPDATE alone: a small model with any optimizer, gradients that the test chooses. */
#ifndef MGPT_CHECK_UPDATE_LAB_H
#define MGPT_CHECK_UPDATE_LAB_H

#include "check/check.h"
#include "check/net.h"
#include "run/update.h"

struct update_lab {
    struct test_net net;
    const struct mgpt_optimizer_api *api;
    struct mgpt_optimizer *optimizer;
    struct mgpt_step_spec spec;
    struct mgpt_updater updater;
    uint64_t step;
};

/* `config` as the optimizer's settings; it is destroyed. */
void update_lab_open(struct update_lab *lab, const char *backend, const struct mgpt_model *model,
                     uint32_t dtype, const struct mgpt_optimizer_api *api,
                     struct mgpt_config *config);
void update_lab_close(struct update_lab *lab);

/* Gradients: uniform in -size..size, the same for the same seed. */
void update_lab_draw(struct update_lab *lab, uint64_t seed, double size);
/* All gradients at once, `value`. */
void update_lab_fill(struct update_lab *lab, double value);
/* One update; with `nonfinite` it is a step that is skipped, which counts as attempted. */
void update_lab_run(struct update_lab *lab, double lr, double decay, double grad_scale,
                    bool nonfinite);

/* A tensor's elements as doubles (malloc). */
double *update_lab_read(struct update_lab *lab, const struct mgpt_tensor *tensor);
/* All parameters and state in one piece of memory (malloc), for comparison by memcmp. */
char *update_lab_bits(struct update_lab *lab, size_t *size);

/* Puts such a piece back. */
void update_lab_restore(struct update_lab *lab, const char *bits);

#endif
