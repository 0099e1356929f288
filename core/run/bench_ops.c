/* The benchmark's first half: each op of a recorded training step, timed where it stands. */
#include <config.h>

#include "run/bench_ops.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/stop.h"
#include "ref/ref.h"
#include "run/block.h"
#include "run/plan.h"
#include "run/rig.h"
#include "run/update.h"

#define MOST_PASSES 101

/* The calls of a step and what was measured: calls[i] took seconds[i * MOST_PASSES + pass]. */
struct bench_ops {
    struct mgpt_rig rig;
    struct mgpt_passes passes;
    struct mgpt_tape *tape;
    struct mgpt_call zero, clip;
    struct mgpt_updater updater;
    struct mgpt_step_input input; /* a rate of 0: the weights stay */
    uint32_t n;                   /* zero, those of the tape, clip, update */
    uint32_t passes_done;
    double *seconds;
};

/* ---- what an op is ---- */

static void add_shape(struct mgpt_string *out, const struct mgpt_tensor *t)
{
    for (uint32_t i = 0; i < t->rank; i++)
        mgpt_string_format(out, "%s%lld", i ? "x" : out->size ? " " : "", (long long)t->shape[i]);
}

/* "linear", "4096x128 512x128": what it reads first, of products and look-ups the matrix too. */
static void describe(const struct mgpt_op *op, struct mgpt_bench_op *out)
{
    struct mgpt_string text = {0};
    const struct mgpt_tensor *first = op->in[0].rank ? &op->in[0] : &op->out[0];

    (void)snprintf(out->name, sizeof out->name, "%s", mgpt_op_name(op->code));
    add_shape(&text, first);
    if (op->code == MGPT_OP_LINEAR || op->code == MGPT_OP_LINEAR_BACKWARD ||
        op->code == MGPT_OP_EMBED)
        add_shape(&text, &op->in[1]);
    if (op->activation)
        mgpt_string_format(&text, " act");
    if (op->code == MGPT_OP_NORM && op->in[1].rank)
        mgpt_string_format(&text, " residual");
    (void)snprintf(out->shape, sizeof out->shape, "%s", text.data ? text.data : "");
    mgpt_string_finish(&text);
    out->flops = mgpt_op_flops(op);
}

/* ---- setting up ---- */

static enum mgpt_status plan_ends(struct bench_ops *b, struct mgpt_error *error)
{
    const struct mgpt_step_spec *spec = &b->rig.spec;
    struct mgpt_op zero = {.size = sizeof zero, .code = MGPT_OP_FILL, .out = {spec->g}};
    struct mgpt_op clip = {.size = sizeof clip,
                           .code = MGPT_OP_CLIP,
                           .scale = spec->clip,
                           .in = {spec->g, spec->step_state},
                           .out = {spec->step_state}};
    struct mgpt_machine *machine = &b->rig.session.machine;
    enum mgpt_status status = mgpt_machine_plan(machine, &zero, &b->zero, error);

    if (status == MGPT_OK)
        status = mgpt_machine_plan(machine, &clip, &b->clip, error);
    if (status == MGPT_OK)
        status = mgpt_updater_open(&b->updater, machine, spec, error);
    mgpt_block_scalars(&b->rig.session, 0, 0, &b->input);
    return status;
}

static enum mgpt_status record(struct bench_ops *b, struct mgpt_error *error)
{
    const struct mgpt_step_spec *spec = &b->rig.spec;
    struct mgpt_net net = {.machine = &b->rig.session.machine,
                           .model = spec->model,
                           .params = spec->params,
                           .n_params = spec->n_params,
                           .precision = spec->precision,
                           .state = spec->step_state,
                           .seed = spec->seed};
    struct mgpt_step_state state = {.inv_targets = 1.0 / ((double)spec->rows * spec->columns),
                                    .loss_scale = 1};
    enum mgpt_status status = mgpt_machine_write(net.machine, &spec->step_state, &state, error);

    if (status == MGPT_OK)
        status =
            mgpt_passes_open(&b->passes, &net, MGPT_MODE_TRAIN, spec->rows, spec->columns, error);
    mgpt_rig_fill(&b->rig, spec->rows, spec->columns);
    if (status == MGPT_OK)
        status =
            mgpt_passes_run(&b->passes, MGPT_MODE_TRAIN, &b->rig.batches[0], 0, &b->tape, error);
    if (status != MGPT_OK)
        return status;
    b->n = b->tape->n + 3;
    b->seconds = calloc((size_t)b->n * MOST_PASSES, sizeof *b->seconds);
    return b->seconds ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "out of memory for timings");
}

/* ---- timing ---- */

static enum mgpt_status run_one(struct bench_ops *b, uint32_t i, struct mgpt_error *error)
{
    struct mgpt_machine *machine = &b->rig.session.machine;
    enum mgpt_status status;

    if (i == 0)
        status = mgpt_machine_run(machine, &b->zero, error);
    else if (i <= b->tape->n)
        status = mgpt_machine_run(machine, &b->tape->calls[i - 1], error);
    else if (i == b->tape->n + 1)
        status = mgpt_machine_run(machine, &b->clip, error);
    else
        status = mgpt_updater_run(&b->updater, &b->input, error);
    return status == MGPT_OK ? machine->api->sync(machine->device, error) : status;
}

/* Passes until the time is over, at least three. */
static enum mgpt_status time_passes(struct bench_ops *b, double seconds, struct mgpt_error *error)
{
    double begun = mgpt_seconds();
    enum mgpt_status status = MGPT_OK;

    while (status == MGPT_OK && b->passes_done < MOST_PASSES &&
           (b->passes_done < 3 || mgpt_seconds() - begun < seconds)) {
        if (mgpt_stop_requested())
            return mgpt_fail(error, MGPT_CANCELED, "stopped");
        for (uint32_t i = 0; i < b->n && status == MGPT_OK; i++) {
            double start = mgpt_seconds();
            status = run_one(b, i, error);
            b->seconds[(size_t)i * MOST_PASSES + b->passes_done] = mgpt_seconds() - start;
        }
        b->passes_done++;
    }
    return status;
}

static double median_of(struct bench_ops *b, uint32_t i)
{
    double *seconds = b->seconds + (size_t)i * MOST_PASSES;

    qsort(seconds, b->passes_done, sizeof *seconds, mgpt_compare_doubles);
    return seconds[b->passes_done / 2];
}

/* Adds a call to the op of its name and shape, or as a new one. */
static void count(struct mgpt_bench *bench, const struct mgpt_bench_op *one)
{
    for (size_t i = 0; i < bench->n_ops; i++) {
        struct mgpt_bench_op *op = &bench->ops[i];
        if (strcmp(op->name, one->name) == 0 && strcmp(op->shape, one->shape) == 0 &&
            op->flops >= one->flops && op->flops <= one->flops) {
            op->seconds += (one->seconds - op->seconds) / ++op->calls;
            return;
        }
    }
    bench->ops[bench->n_ops++] = *one;
}

static enum mgpt_status collect(struct bench_ops *b, struct mgpt_bench *bench,
                                struct mgpt_error *error)
{
    bench->ops = calloc(b->n, sizeof *bench->ops);
    if (!bench->ops)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for timings");
    for (uint32_t i = 0; i < b->n; i++) {
        struct mgpt_bench_op one = {.calls = 1};
        if (i == 0)
            describe(&b->zero.op, &one);
        else if (i <= b->tape->n)
            describe(&b->tape->calls[i - 1].op, &one);
        else if (i == b->tape->n + 1)
            describe(&b->clip.op, &one);
        else
            (void)snprintf(one.name, sizeof one.name, "update");
        if (i == b->n - 1)
            (void)snprintf(one.shape, sizeof one.shape, "%lld",
                           (long long)mgpt_tensor_count(&b->rig.spec.p));
        one.seconds = median_of(b, i);
        count(bench, &one);
    }
    return MGPT_OK;
}

enum mgpt_status mgpt_bench_ops(struct mgpt_bench *bench, double seconds, struct mgpt_conf *conf,
                                struct mgpt_registry *registry, struct mgpt_error *error)
{
    struct bench_ops b = {0};
    struct mgpt_plan plan;
    enum mgpt_status status = mgpt_rig_open(&b.rig, conf, registry, bench->vocab, error);

    if (status == MGPT_OK)
        status = mgpt_plan_make(&plan, &b.rig.spec, true, error);
    if (status == MGPT_OK)
        status = mgpt_plan_check(&plan, &b.rig.spec, error);
    if (status == MGPT_OK) {
        bench->parameters = plan.parameters;
        bench->flops = plan.flops;
        bench->rows = b.rig.spec.rows;
        bench->columns = b.rig.spec.columns;
        bench->micro_batches = b.rig.spec.micro_batches;
        (void)snprintf(bench->op_backend, sizeof bench->op_backend, "%s",
                       b.rig.session.choice.backend);
        (void)snprintf(bench->op_precision, sizeof bench->op_precision, "%s",
                       mgpt_conf_text(conf, "precision", "use"));
        status = mgpt_rig_start(&b.rig, false, error);
    }
    if (status == MGPT_OK)
        status = record(&b, error);
    if (status == MGPT_OK)
        status = plan_ends(&b, error);
    if (status == MGPT_OK)
        status = time_passes(&b, seconds, error);
    if (status == MGPT_OK)
        status = collect(&b, bench, error);
    mgpt_passes_close(&b.passes);
    mgpt_updater_close(&b.updater);
    mgpt_rig_close(&b.rig);
    free(b.seconds);
    return status;
}
