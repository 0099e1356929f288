/* Kind "precision/1": which number formats where. A plan, not kernels: steps and ops read it. */
#ifndef MICROGPT_PRECISION_H
#define MICROGPT_PRECISION_H

#include <microgpt/backend.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MGPT_KIND_PRECISION "precision/1"

/* Grows at the tail. Formats are enum mgpt_dtype. Softmax, norm statistics, the residual stream,
 * reductions and the loss have the master format. Narang et al. 2017 (mixed precision training). */
struct mgpt_precision_plan {
    uint32_t size;
    uint32_t master;     /* parameters, gradients, optimizer state, residual stream: F32 or F64 */
    uint32_t activation; /* activations kept for backward */
    uint32_t product;    /* inputs of matrix products; accumulation is in master */
    uint32_t tf32;       /* 1: F32 products may round their inputs to 10 bits of mantissa */
    uint32_t scale_interval; /* good steps before the loss scale grows; 0: no loss scaling */
    double scale_initial, scale_growth, scale_backoff;
};

/* Grows at the tail. */
struct mgpt_precision_api {
    uint32_t size, reserved;
    /* Fills *plan, or MGPT_UNSUPPORTED with what the device lacks. [main] */
    enum mgpt_status (*plan)(const struct mgpt_host *host, const struct mgpt_config *config,
                             const struct mgpt_caps *caps, struct mgpt_precision_plan *plan,
                             struct mgpt_error *error);
};

#ifdef __cplusplus
}
#endif
#endif
