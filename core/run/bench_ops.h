/* The benchmark's first half: each op of a recorded training step, timed where it stands. */
#ifndef MGPT_RUN_BENCH_OPS_H
#define MGPT_RUN_BENCH_OPS_H

#include "run/bench.h"

/* Fills op_backend, op_precision and ops for the configured backend and precision, in about
 * `seconds`. The whole pass is repeated and every call timed in its turn, so that each finds the
 * values and the caches that it would find in a run. */
enum mgpt_status mgpt_bench_ops(struct mgpt_bench *bench, double seconds, struct mgpt_conf *conf,
                                struct mgpt_registry *registry, struct mgpt_error *error);

#endif
