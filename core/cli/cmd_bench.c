/* microgpt bench: how fast every backend, step and precision is here, and whether they agree. */
#include <config.h>

#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "run/bench.h"
#include "run/plan.h"

/* ---- options ---- */

static enum mgpt_status read_options(const struct mgpt_cli *cli, struct mgpt_bench_options *options,
                                     struct mgpt_error *error)
{
    const char *seconds = mgpt_cli_value(cli, "seconds"), *value;
    const struct {
        const char *name;
        uint32_t *to;
    } counts[] = {{"steps", &options->steps}, {"vocab", &options->vocab}};
    int64_t n;

    options->seconds = 10;
    options->only = mgpt_cli_value(cli, "only");
    if (seconds && (!mgpt_parse_float(seconds, &options->seconds) || options->seconds <= 0 ||
                    options->seconds > 1e6))
        return mgpt_fail(error, MGPT_USAGE, "--seconds %s: expected a number above 0", seconds);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        value = mgpt_cli_value(cli, counts[i].name);
        if (!value)
            continue;
        if (!mgpt_parse_int(value, &n) || n < 1 || n > 10000000)
            return mgpt_fail(error, MGPT_USAGE,
                             "--%s %s: expected a whole number from 1 to 10000000", counts[i].name,
                             value);
        *counts[i].to = (uint32_t)n;
    }
    return MGPT_OK;
}

/* ---- text ---- */

static double rate(double flops, double seconds)
{
    return seconds > 0 ? flops / seconds : 0;
}

/* 12.3 us, 4.56 ms, 7.89 s: in columns of eleven. */
static void print_time(double seconds)
{
    double us = 1e6 * seconds;

    printf("  %8.*f us", us < 10 ? 3 : us < 10000 ? 1 : 0, us);
}

static void print_ops(const struct mgpt_bench *bench)
{
    double all = 0;

    for (size_t i = 0; i < bench->n_ops; i++)
        all += bench->ops[i].calls * bench->ops[i].seconds;
    printf("\nops of one micro-batch, %s in %s\n%-19s %-24s %5s %12s %6s %9s\n", bench->op_backend,
           bench->op_precision, "op", "shape", "calls", "a call", "share", "GFLOP/s");
    for (size_t i = 0; i < bench->n_ops; i++) {
        const struct mgpt_bench_op *op = &bench->ops[i];
        printf("%-19s %-24s %5u", op->name, op->shape, op->calls);
        print_time(op->seconds);
        printf(" %5.1f%%", 100 * op->calls * op->seconds / all);
        if (op->flops > 0)
            printf(" %9.1f", 1e-9 * rate(op->flops, op->seconds));
        printf("\n");
    }
    printf("%-50s", "all");
    print_time(all);
    printf("\n");
}

static void print_row(const struct mgpt_bench_row *row)
{
    printf("%-8s %-9s %-10s ", row->backend, row->precision, row->step);
    if (row->outcome == MGPT_BENCH_SKIPPED) {
        printf("skipped: %s\n", row->reason);
        return;
    }
    printf("%5ux%-5u", row->rows * row->micro_batches, row->columns);
    print_time(row->seconds);
    print_time(row->fastest);
    printf(" %9.1f", 1e-9 * rate(row->flops, row->seconds));
    if (row->peak > 0)
        printf(" %5.1f%%", 100 * rate(row->flops, row->seconds) / row->peak);
    else
        printf(" %6s", "-");
    printf("  %8.1e %8.1e %s%s\n", row->loss_difference, row->norm_difference, row->against,
           row->outcome == MGPT_BENCH_WRONG ? "  WRONG" : "");
}

static void print_text(const struct mgpt_bench *bench)
{
    struct mgpt_string flops = {0};

    mgpt_add_amount(&flops, bench->flops, "FLOP");
    printf("model: %llu parameters, vocabulary %u; a step: %u x %u tokens, %s\n",
           (unsigned long long)bench->parameters, bench->vocab, bench->rows * bench->micro_batches,
           bench->columns, flops.data ? flops.data : "");
    mgpt_string_finish(&flops);
    if (*bench->note)
        printf("note: %s\n", bench->note);
    for (size_t i = 0; i < bench->n_peaks; i++)
        printf("peak: %.1f GFLOP/s of fp32 multiply-adds in registers, %u thread%s\n",
               1e-9 * bench->peaks[i].flops, bench->peaks[i].threads,
               bench->peaks[i].threads == 1 ? "" : "s");
    print_ops(bench);
    printf("\nwhole steps\n%-8s %-9s %-10s %11s %12s %12s %9s %6s  %8s %8s %s\n", "backend",
           "precision", "step", "tokens   ", "median", "fastest", "GFLOP/s", "peak", "loss +-",
           "norm +-", "of ref in");
    for (size_t i = 0; i < bench->n_rows; i++)
        print_row(&bench->rows_done[i]);
}

/* ---- JSON ---- */

static json_t *op_json(const struct mgpt_bench_op *op)
{
    return json_pack("{s:s, s:s, s:i, s:f, s:f}", "op", op->name, "shape", op->shape, "calls",
                     (int)op->calls, "seconds", op->seconds, "flops", op->flops);
}

static json_t *row_json(const struct mgpt_bench_row *row)
{
    static const char *const outcomes[] = {"ran", "skipped", "wrong"};
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s}", "backend", row->backend, "precision", row->precision,
                  "step", row->step, "outcome", outcomes[row->outcome]);

    if (!object || row->outcome == MGPT_BENCH_SKIPPED || *row->reason)
        if (!object || json_object_set_new(object, "reason", mgpt_json_words(row->reason)))
            return object;
    if (row->outcome == MGPT_BENCH_SKIPPED)
        return object;
    json_t *numbers = json_pack(
        "{s:i, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:o, s:s}", "rows",
        (int)(row->rows * row->micro_batches), "columns", (int)row->columns, "threads",
        (int)row->threads, "samples", (int)row->samples, "seconds", row->seconds, "fastest",
        row->fastest, "flops", row->flops, "flops_per_second", rate(row->flops, row->seconds),
        "share_of_peak",
        row->peak > 0 ? json_real(rate(row->flops, row->seconds) / row->peak) : json_null(),
        "against", row->against);
    json_object_update(object, numbers);
    json_decref(numbers);
    /* A difference that is no number has no place in JSON. */
    json_object_set_new(object, "loss_difference", json_real(row->loss_difference));
    json_object_set_new(object, "norm_difference", json_real(row->norm_difference));
    return object;
}

static enum mgpt_status print_json(const struct mgpt_bench *bench, struct mgpt_error *error)
{
    json_t *ops = json_array(), *rows = json_array(), *peaks = json_array();

    for (size_t i = 0; i < bench->n_ops; i++)
        json_array_append_new(ops, op_json(&bench->ops[i]));
    for (size_t i = 0; i < bench->n_rows; i++)
        json_array_append_new(rows, row_json(&bench->rows_done[i]));
    for (size_t i = 0; i < bench->n_peaks; i++)
        json_array_append_new(peaks,
                              json_pack("{s:i, s:f}", "threads", (int)bench->peaks[i].threads,
                                        "flops_per_second", bench->peaks[i].flops));
    json_t *object = json_pack(
        "{s:s, s:I, s:i, s:i, s:i, s:f, s:o, s:s, s:s, s:o, s:o, s:o}", "version", PACKAGE_VERSION,
        "parameters", (json_int_t)bench->parameters, "vocab", (int)bench->vocab, "rows",
        (int)(bench->rows * bench->micro_batches), "columns", (int)bench->columns, "flops",
        bench->flops, "note", mgpt_json_words(bench->note), "op_backend", bench->op_backend,
        "op_precision", bench->op_precision, "peaks", peaks, "ops", ops, "steps", rows);
    return mgpt_json_print(object, error);
}

static enum mgpt_status say(const struct mgpt_cli *cli, const struct mgpt_bench *bench,
                            struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;

    if (cli->json)
        status = print_json(bench, error);
    else
        print_text(bench);
    for (size_t i = 0; i < bench->n_rows && status == MGPT_OK; i++)
        if (bench->rows_done[i].outcome == MGPT_BENCH_WRONG)
            status = mgpt_fail(error, MGPT_INTERNAL, "backend %s, precision %s, step %s: %s",
                               bench->rows_done[i].backend, bench->rows_done[i].precision,
                               bench->rows_done[i].step, bench->rows_done[i].reason);
    return status;
}

enum mgpt_status mgpt_cmd_bench(struct mgpt_cli *cli, struct mgpt_error *error)
{
    struct mgpt_bench_options options = {0};
    struct mgpt_bench bench = {0};
    struct mgpt_conf *conf;
    struct mgpt_registry *registry;
    enum mgpt_status status = read_options(cli, &options, error);

    if (status == MGPT_OK)
        status = mgpt_cli_configure(cli, &conf, &registry, error);
    if (status != MGPT_OK)
        return status;
    status = mgpt_bench_run(&bench, &options, conf, registry, cli->config_path, error);
    if (status == MGPT_OK)
        status = say(cli, &bench, error);
    mgpt_bench_finish(&bench);
    mgpt_conf_destroy(conf);
    mgpt_registry_destroy(registry);
    return status;
}
