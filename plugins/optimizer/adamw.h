/* The rule of AdamW and its scalars: of optimizer adamw, and of those that leave some parameters to
 * it. Adam (Kingma & Ba 2015, algorithm 1) with decoupled weight decay (Loshchilov & Hutter 2019,
 * algorithm 2, the decay times lr). At step t = 1, 2, ...
 *
 *   m = beta1 m + (1 - beta1) g            v = beta2 v + (1 - beta2) g^2
 *   p = p - lr (m k1 / (sqrt(v k2) + eps) + decay p)
 *   k1 = 1 / (1 - beta1^t)                 k2 = 1 / (1 - beta2^t) */
#ifndef MGPT_OPTIMIZER_ADAMW_H
#define MGPT_OPTIMIZER_ADAMW_H

#include <math.h>

#include <microgpt/optimizer.h>

/* clang-format off */
/* --- idea: optimizer --- */
MGPT_RULE(adamw, (m, v), (lr, b1, c1, b2, c2, k1, k2, eps, decay),
    m = b1 * m + c1 * g;
    v = b2 * v + c2 * g * g;
    p -= lr * (m * k1 / (sqrt(v * k2) + eps) + decay * p);)
/* --- end of idea --- */
/* clang-format on */

#define ADAMW_SCALARS 9

struct adamw {
    double beta1, beta2, eps;
};

/* --- idea: optimizer --- */
static inline void adamw_scalars(const struct adamw *o, const struct mgpt_tick *tick, double *h)
{
    double t = (double)tick->step + 1;

    h[0] = tick->lr;
    h[1] = o->beta1;
    h[2] = 1 - o->beta1;
    h[3] = o->beta2;
    h[4] = 1 - o->beta2;
    h[5] = 1 / (1 - pow(o->beta1, t));
    h[6] = 1 / (1 - pow(o->beta2, t));
    h[7] = o->eps;
    h[8] = tick->weight_decay;
}
/* --- end of idea --- */

#endif
