/* Training by step micro_cuda on the emulated device, and by the reference: what its tests
 * share. */
#ifndef MGPT_TESTS_MICRO_RIG_H
#define MGPT_TESTS_MICRO_RIG_H

#include <stdbool.h>

#include "check/step_rig.h"

#define MICRO_STEPS RIG_LONG

/* What is trained, and how. */
struct micro_subject {
    struct mgpt_model model;
    struct mgpt_rig_setup setup;
    const char *order;   /* of threads */
    const char *threads; /* of a block */
    uint32_t at_once;    /* steps a launch */
    /* Number formats and loss scaling. NULL: F32; the reference then computes in double. */
    const struct mgpt_precision_plan *precision;
    uint32_t blocks; /* that the device holds at once; 0: as many as it likes */
    uint32_t
        shared; /* bytes of shared memory that a block can have; 0: as many as the device has */
};

struct micro_trained {
    struct mgpt_step_result results[MICRO_STEPS + 1];
    double *values; /* of all parameters, one after the other */
    size_t n, starts[64], n_tensors;
    unsigned long launches, others; /* of the module, and of all other kernels and products */
    unsigned long barriers;         /* of blocks, or of the grid */
    uint32_t covers, blocks;        /* of a launch */
};

/* The recipe of names, narrower: the issue is with layers and ids. */
struct mgpt_model micro_narrow(uint32_t layers, uint32_t vocab);

/* `steps` steps from the start, op by op on ref, and by micro_cuda on cuda_emu. out->values is
 * malloc'd. */
void micro_reference(const struct micro_subject *s, uint32_t steps, struct micro_trained *out);
void micro_train(const struct micro_subject *s, uint32_t steps, struct micro_trained *out);

/* A rig for it on cuda_emu, and the module opened on that. */
struct micro_rig {
    struct mgpt_step_rig rig;
    const struct mgpt_step_api *api;
    struct mgpt_config *config;
    struct mgpt_step *step;
    struct mgpt_bid bid;
};
void micro_rig_open(struct micro_rig *r, const struct micro_subject *s);
/* Its bid alone, which may be 0. */
void micro_rig_bid(const struct micro_subject *s, struct mgpt_bid *bid);
void micro_rig_close(struct micro_rig *r);

/* How far the values from..to are from each other, relative to their size. */
double micro_distance(const struct micro_trained *a, const struct micro_trained *b, size_t from,
                      size_t to);

#endif
