/* A step module on one backend with one model, and the training of it that its contract looks
 * at. */
#ifndef MGPT_CHECK_STEP_SUBJECT_H
#define MGPT_CHECK_STEP_SUBJECT_H

#include <microgpt/step.h>

#include "check/step_rig.h"

/* Number formats other than F32 throughout, and how near to composed on ref a step with them is. */
struct mgpt_formats {
    const char *name;
    uint32_t half, tf32, scale_interval; /* half: of activations and products */
    double tolerance;
};

/* A module with its settings, and what it is to train. */
struct mgpt_subject {
    const struct mgpt_step_api *api;
    const struct mgpt_config *config;
    const char *backend;
    struct mgpt_model model;
    struct mgpt_rig_setup setup;
    const struct mgpt_formats *formats; /* NULL: F32 */
    enum mgpt_covers covers;            /* as its bid says */
    uint32_t threads;                   /* that the device says it has; 0: its own number */
};

/* Calls check for each case and backend that the module bids on and can be opened on, with each of
 * its instruction sets; `most` of them at most, 0: all. Notes how many, or skips. Returns it. */
int mgpt_subject_each(const struct mgpt_component *component, int most,
                      void (*check)(const struct mgpt_subject *));

/* The same of the composed step on ref, or on another backend. */
struct mgpt_subject mgpt_subject_composed(const struct mgpt_subject *s, const char *backend);
/* A thread at a time: small models and few steps, enough for all that happens in the first ones. */
bool mgpt_subject_is_emulated(const char *backend);

/* What it is trained on; mgpt_step_rig_close. */
void mgpt_subject_open_rig(struct mgpt_step_rig *rig, const struct mgpt_subject *s);
/* Its bid, which must be one. */
struct mgpt_bid mgpt_subject_ask(const struct mgpt_subject *s, const struct mgpt_step_spec *spec);
/* Does it bid on that, and for how much of the step? That goes to s->covers. */
bool mgpt_subject_bids(struct mgpt_subject *s);
/* Can it be opened with these settings on this machine? */
bool mgpt_subject_opens(const struct mgpt_subject *s);

/* A module, and a composed step for what it leaves to the core. */
struct mgpt_step_pair {
    const struct mgpt_subject *subject;
    struct mgpt_step_rig *rig;
    struct mgpt_step *step, *rest;
};

void mgpt_step_pair_open(struct mgpt_step_pair *pair, const struct mgpt_subject *s,
                         struct mgpt_step_rig *rig);
void mgpt_step_pair_close(struct mgpt_step_pair *pair);
/* n steps from `first`, fenced; those that leave something to the core come one by one. */
void mgpt_step_pair_run(struct mgpt_step_pair *pair, uint32_t first, uint32_t n,
                        struct mgpt_step_result *results);

/* `steps` steps on a fresh rig, `at_once` a call. Results, and values as mgpt_step_rig_values. */
double *mgpt_subject_train(const struct mgpt_subject *s, uint32_t steps, uint32_t at_once,
                           struct mgpt_step_result *results, size_t *n);

#endif
