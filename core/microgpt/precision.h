/* Kind "precision/1": which number formats where. A plan, not kernels: steps and ops read it. */
#ifndef MICROGPT_PRECISION_H
#define MICROGPT_PRECISION_H

#include <microgpt/backend.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a component of this kind states. */
#define MGPT_KIND_PRECISION "precision/1"

/* Grows at the tail. Formats are enum mgpt_dtype. Softmax, norm statistics, the residual stream,
 * logits, their gradients, reductions and the loss have the master format. Narang et al. 2017
 * (mixed precision training). */
struct mgpt_precision_plan {
    uint32_t size;
    uint32_t master;     /* parameters, gradients, optimizer state, residual stream: F32 or F64 */
    uint32_t activation; /* activations kept for backward, and their gradients */
    uint32_t product;    /* inputs of matrix products; accumulation is in master */
    uint32_t tf32;       /* 1: ops get MGPT_OP_TF32; the device has MGPT_CAPS_TF32 */
    uint32_t scale_interval; /* good steps before the loss scale grows; 0: no loss scaling */
    /* First scale; factors after `scale_interval` good steps, and after one that is not finite. */
    double scale_initial; /* a power of two */
    double scale_growth;  /* above 1 */
    double scale_backoff; /* below 1 */
    /* Another module of this kind whose plan is to be taken: instead of this one or, where `plan`
     * refuses, if the user left the choice of the device open. Empty: none (ABI 1.1). */
    char use[32];
    char reason[240]; /* why this, or that: one line, or empty (ABI 1.1) */
};

/* Grows at the tail. */
struct mgpt_precision_api {
    uint32_t size, reserved;
    /* Fills *plan, which comes zeroed, or MGPT_UNSUPPORTED with what the device lacks. With `use`
     * the rest of the plan is not read. [main] */
    enum mgpt_status (*plan)(const struct mgpt_host *host, const struct mgpt_config *config,
                             const struct mgpt_caps *caps, struct mgpt_precision_plan *plan,
                             struct mgpt_error *error);
};

#ifdef __cplusplus
}
#endif
#endif
