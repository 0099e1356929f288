/* The benchmark: how long the ops of a training step and whole steps take with every backend, step
 * and precision that can run here, and whether all of them compute the same. */
#ifndef MGPT_RUN_BENCH_H
#define MGPT_RUN_BENCH_H

#include <stdbool.h>

#include "conf/conf.h"

struct mgpt_bench_options {
    double seconds;   /* about how long all of it may take */
    uint32_t steps;   /* timed for each combination, at most; 0: as time allows */
    uint32_t vocab;   /* whatever [model] vocab says; 0: that of the data */
    const char *only; /* the one backend to time; NULL: all */
};

/* The ops of one kind and shape in a training step. */
struct mgpt_bench_op {
    char name[32], shape[96];
    uint32_t calls; /* a step (of one micro-batch) */
    double seconds; /* one call: the median over passes, mean over the calls */
    double flops;   /* one call, of products and attention; else 0 */
};

enum mgpt_bench_outcome { MGPT_BENCH_RAN, MGPT_BENCH_SKIPPED, MGPT_BENCH_WRONG };

/* One combination. */
struct mgpt_bench_row {
    char backend[64], precision[64], step[64];
    enum mgpt_bench_outcome outcome;
    char reason[256];                      /* why it was skipped, or what is wrong */
    uint32_t rows, columns, micro_batches; /* of the timed steps */
    uint32_t samples, threads;
    double seconds, fastest; /* a step: median and least */
    double flops;            /* a step, forward and backward: mgpt_step_flops */
    double peak;             /* of that many threads, FLOP/s; 0: not a host device */
    /* The largest differences to `ref` over the first steps, relative (of losses below 1:
     * absolute); and those allowed in the first. */
    double loss_difference, norm_difference, loss_tolerance, norm_tolerance;
    char against[64]; /* precision of `ref`: the row's own, or fp32 where ref has it not */
};

struct mgpt_bench {
    uint32_t vocab, rows, columns, micro_batches; /* configured */
    char note[256];                               /* why the vocabulary is another; or "" */
    uint64_t parameters;
    double flops; /* of a configured step */
    char op_backend[64], op_precision[64];
    struct mgpt_bench_op *ops;
    struct mgpt_bench_row *rows_done;
    size_t n_ops, n_rows;
    struct {
        uint32_t threads;
        double flops; /* a second */
    } peaks[8];
    size_t n_peaks;
    bool wrong; /* some row is */
};

/* Runs it; conf's backend, precision and step are set anew on the way. Finish it in any case.
 * MGPT_CANCELED after a signal. */
enum mgpt_status mgpt_bench_run(struct mgpt_bench *bench, const struct mgpt_bench_options *options,
                                struct mgpt_conf *conf, struct mgpt_registry *registry,
                                const char *config_path, struct mgpt_error *error);
void mgpt_bench_finish(struct mgpt_bench *bench);

#endif
