/* The plan of a run: what it will hold in memory and how much it will compute, known before
 * anything is allocated on the device. */
#include <config.h>

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "run/block.h"
#include "run/composed.h"
#include "run/passes.h"
#include "run/plan.h"
#include "run/update.h"

/* ---- arithmetic ---- */

double mgpt_op_flops(const struct mgpt_op *op)
{
    const struct mgpt_tensor *x = &op->in[0];
    double product, pairs;

    switch (op->code) {
    case MGPT_OP_LINEAR:
    case MGPT_OP_LINEAR_BACKWARD:
        product = 2.0 * (double)mgpt_tensor_count(x) * (double)op->in[1].shape[0];
        if (op->code == MGPT_OP_LINEAR)
            return product;
        return product * ((op->out[0].rank ? 1 : 0) + (op->out[1].rank ? 1 : 0));
    case MGPT_OP_ATTENTION:
    case MGPT_OP_ATTENTION_BACKWARD: /* see mgpt_step_flops: what it recomputes is not counted */
        x = op->code == MGPT_OP_ATTENTION ? &op->out[0] : &op->in[1];
        pairs = (double)mgpt_tensor_rows(x) * ((double)x->shape[x->rank - 2] + 1) / 2;
        return (op->code == MGPT_OP_ATTENTION ? 4 : 8) * pairs * (double)mgpt_tensor_columns(x);
    default: return 0;
    }
}

double mgpt_step_flops(const struct mgpt_model *m, uint64_t sequences, uint64_t time)
{
    double C = m->embd, T = (double)time, kv = 2.0 * m->kv_heads * (C / m->heads);
    double layer = C * (C + kv) + C * C + 2 * C * m->mlp;
    double weights = m->layers * layer + C * m->vocab;
    double attention = m->layers * C * (T + 1);

    return (double)sequences * T * (6 * weights + 6 * attention);
}

static uint64_t add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

bool mgpt_plan_is_absurd(const struct mgpt_step_spec *spec)
{
    const struct mgpt_model *m = spec->model;
    double row = (double)m->layers * (m->embd + m->mlp) + m->embd + m->vocab;

    return (double)spec->rows * spec->columns * row > 1e15;
}

/* Elements of a whole buffer: up to the end of the last tensor, filled up to 64 bytes. */
static uint64_t bytes_of_params(const struct mgpt_step_spec *spec, uint64_t *count)
{
    uint64_t end = 0;

    *count = 0;
    for (uint32_t i = 0; i < spec->n_params; i++) {
        const struct mgpt_tensor *t = &spec->params[i].p;
        uint64_t n = (uint64_t)mgpt_tensor_count(t);
        *count += n;
        end = t->offset + n * mgpt_dtype_size(t->dtype);
    }
    return (end + 63) / 64 * 64;
}

uint64_t mgpt_plan_copies(const struct mgpt_step_spec *spec)
{
    const struct mgpt_precision_plan *plan = spec->precision;
    uint64_t count;

    if (plan->master != MGPT_F32 || !(spec->caps->copies >> plan->activation & 1))
        return 0;
    return bytes_of_params(spec, &count) / sizeof(float) * mgpt_dtype_size(plan->activation);
}

/* All arrays of state and, where tensors are updated as a whole, what that works in. */
static uint64_t bytes_of_state(const struct mgpt_step_spec *spec, uint64_t params)
{
    uint64_t bytes = mgpt_updater_scratch(spec);

    if (!spec->places)
        return spec->n_state * params;
    for (uint32_t i = 0; i < spec->n_params; i++) {
        const struct mgpt_param *param = &spec->params[i];
        struct mgpt_needs needs;
        uint32_t keeps = mgpt_optimizer_takes(spec->optimizer, spec->optimizer_instance, param,
                                              &spec->places[i], &needs)
                             ? needs.state
                             : UINT32_MAX;
        for (uint32_t k = 0; k < spec->n_state; k++)
            if (keeps >> k & 1)
                bytes += ((uint64_t)mgpt_tensor_count(&param->p) * mgpt_dtype_size(param->p.dtype) +
                          63) /
                         64 * 64;
    }
    return bytes;
}

static enum mgpt_status measure(struct mgpt_plan *plan, const struct mgpt_step_spec *spec,
                                bool composed, struct mgpt_error *error)
{
    struct mgpt_machine machine;
    struct mgpt_net net = mgpt_composed_net(spec, &machine);
    enum mgpt_status status = MGPT_OK;

    mgpt_machine_borrow(&machine, spec);
    plan->activations = plan->validation = UINT64_MAX;
    if (mgpt_plan_is_absurd(spec))
        return MGPT_OK;
    plan->activations = 0;
    if (composed)
        status = mgpt_passes_measure(&net, MGPT_MODE_TRAIN, spec->rows, spec->columns,
                                     &plan->activations, error);
    if (status == MGPT_OK)
        status = mgpt_passes_measure(&net, MGPT_MODE_LOSS, spec->rows, spec->columns,
                                     &plan->validation, error);
    return status;
}

enum mgpt_status mgpt_plan_make(struct mgpt_plan *plan, const struct mgpt_step_spec *spec,
                                bool composed, struct mgpt_error *error)
{
    uint64_t sequences = (uint64_t)spec->rows * spec->micro_batches;
    enum mgpt_status status;

    memset(plan, 0, sizeof *plan);
    status = measure(plan, spec, composed, error);
    if (status != MGPT_OK)
        return status;
    plan->params = plan->gradients = bytes_of_params(spec, &plan->parameters);
    plan->state = bytes_of_state(spec, plan->params);
    plan->copies = plan->spare = composed ? mgpt_plan_copies(spec) : 0;
    plan->batches = mgpt_block_bytes(spec->rows, spec->columns, spec->micro_batches);
    plan->tokens = sequences * spec->columns;
    plan->flops = mgpt_step_flops(spec->model, sequences, spec->columns);
    plan->update_flops = mgpt_updater_flops(spec);
    plan->total = add(plan->params, plan->gradients);
    plan->total = add(plan->total, plan->state);
    plan->total = add(plan->total, plan->copies);
    plan->total = add(plan->total, plan->activations);
    plan->total = add(plan->total, plan->validation);
    plan->total = add(plan->total, plan->batches);
    plan->available =
        spec->caps->flags & MGPT_CAPS_HOST ? mgpt_memory_available() : spec->caps->memory_free;
    return MGPT_OK;
}

enum mgpt_status mgpt_plan_for(struct mgpt_plan *plan, const struct mgpt_stepper *stepper,
                               struct mgpt_error *error)
{
    bool composes = mgpt_stepper_composes(stepper);
    enum mgpt_status status = mgpt_plan_make(plan, &stepper->spec, composes, error);

    if (status == MGPT_OK && !composes) {
        uint64_t copies = mgpt_plan_copies(&stepper->spec);
        plan->activations = stepper->bytes;
        plan->spare = copies < stepper->bytes ? copies : stepper->bytes;
        plan->total = add(plan->total, stepper->bytes);
    }
    return status;
}

/* ---- words ---- */

void mgpt_add_duration(struct mgpt_string *out, double seconds)
{
    static const struct {
        double most, unit;
        const char *name;
    } units[] = {{120, 1, "s"}, {7200, 60, "min"}, {172800, 3600, "h"}, {1e300, 86400, "days"}};
    int i = 0;

    if (seconds < 1) {
        mgpt_string_format(out, "under a second");
        return;
    }
    while (seconds >= units[i].most && i < 3)
        i++;
    mgpt_string_format(out, "%.3g %s", seconds / units[i].unit, units[i].name);
}

void mgpt_add_amount(struct mgpt_string *out, double value, const char *unit)
{
    static const char *const prefixes[] = {"", "k", "M", "G", "T", "P", "E"};
    int i = 0;

    for (; value >= 999.5 && i < 6; i++)
        value /= 1000;
    mgpt_string_format(out, "%.3g %s%s", value, prefixes[i], unit);
}

/* "parameters 6.5 MB, gradients 6.5 MB, ..." */
static void add_terms(const struct mgpt_plan *plan, struct mgpt_string *out)
{
    const struct {
        const char *name;
        uint64_t bytes;
    } terms[] = {{"parameters", plan->params},       {"gradients", plan->gradients},
                 {"optimizer", plan->state},         {"copies of weights", plan->copies},
                 {"activations", plan->activations}, {"validation", plan->validation},
                 {"batches", plan->batches}};

    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++) {
        if (!terms[i].bytes)
            continue;
        mgpt_string_format(out, "%s%s ", i ? ", " : "", terms[i].name);
        mgpt_add_amount(out, (double)terms[i].bytes, "B");
    }
}

/* Rows of a micro-batch that would fit beside `weights` bytes; 0: not even one. */
static uint32_t rows_that_fit(const struct mgpt_plan *plan, const struct mgpt_step_spec *spec,
                              uint64_t weights)
{
    double row = (double)add(plan->activations, plan->validation) / spec->rows;
    uint64_t batches = plan->batches;
    uint32_t rows = spec->rows;

    for (int i = 0; i < 2; i++) { /* how many batches are made ready depends on the answer */
        uint64_t rest = add(weights, batches);
        double fits = plan->available > rest ? (double)(plan->available - rest) / row : 0;
        rows = fits < rows ? (uint32_t)fits : rows;
        if (rows)
            batches = mgpt_block_bytes(rows, spec->columns, spec->micro_batches);
    }
    return rows;
}

/* What to shrink: the term that is largest, and the keys that it grows with. */
static void add_advice(const struct mgpt_plan *plan, const struct mgpt_step_spec *spec,
                       struct mgpt_string *out)
{
    const struct mgpt_model *m = spec->model;
    uint64_t weights = add(add(plan->params, plan->gradients), add(plan->state, plan->copies));
    uint64_t passes = add(plan->activations, plan->validation);

    if (plan->batches > weights && plan->batches > passes) {
        mgpt_string_format(out, "most is ids of batches: shrink [train] accumulate = %u",
                           spec->micro_batches);
    } else if (weights > passes) {
        mgpt_string_format(out,
                           "most is parameters and what goes with each: shrink [model] embd = %u "
                           "(they grow with its square), layers = %u or mlp = %u",
                           m->embd, m->layers, m->mlp);
    } else {
        uint32_t rows = rows_that_fit(plan, spec, weights);
        mgpt_string_format(out, "most is activations: shrink [train] batch = %u", spec->rows);
        if (rows)
            mgpt_string_format(out, " (to %u or less; accumulate makes up for it)", rows);
        mgpt_string_format(out, ", [model] context = %u, layers = %u or embd = %u", m->context,
                           m->layers, m->embd);
    }
}

enum mgpt_status mgpt_plan_check(const struct mgpt_plan *plan, const struct mgpt_step_spec *spec,
                                 struct mgpt_error *error)
{
    struct mgpt_string text = {0};

    if (!plan->available || plan->total - plan->spare <= plan->available)
        return MGPT_OK;
    mgpt_string_format(&text, "this run needs ");
    mgpt_add_amount(&text, (double)plan->total, "B");
    mgpt_string_format(&text, " of memory and device %s has ", spec->caps->name);
    mgpt_add_amount(&text, (double)plan->available, "B");
    mgpt_string_format(&text, " left (");
    add_terms(plan, &text);
    mgpt_string_format(&text, "); ");
    add_advice(plan, spec, &text);
    mgpt_fail(error, MGPT_CONFIG, "%s", text.failed ? "this run needs too much memory" : text.data);
    mgpt_string_finish(&text);
    return MGPT_CONFIG;
}

/* ---- pace ---- */

/* Seconds of the fastest of some calls, which together take a few hundredths of a second, or one
 * call; 0 when it failed. */
static double fastest(struct mgpt_machine *machine, const struct mgpt_call *call)
{
    double begun = mgpt_seconds(), best = 0;

    for (int i = 0; i < 100 && (i == 0 || mgpt_seconds() - begun < 0.03); i++) {
        double start = mgpt_seconds();
        if (mgpt_machine_run(machine, call, NULL) != MGPT_OK ||
            machine->api->sync(machine->device, NULL) != MGPT_OK)
            return 0;
        double seconds = mgpt_seconds() - start;
        best = i == 0 || seconds < best ? seconds : best;
    }
    return best;
}

/* Operations a second in y (N,F) = x (N,C) w (F,C)^T, the largest product of a layer, over as many
 * rows as a step has, up to a thousand, in the formats of the step; 0 when it cannot be told. */
static double probe(const struct mgpt_step_spec *spec)
{
    const struct mgpt_model *m = spec->model;
    int64_t tokens = (int64_t)spec->rows * spec->columns, rows = tokens < 1024 ? tokens : 1024;
    struct mgpt_machine machine;
    struct mgpt_tensor t[3];
    struct mgpt_call call;
    const int64_t shapes[3][2] = {{rows, m->embd}, {m->mlp, m->embd}, {rows, m->mlp}};
    const uint32_t formats[3] = {spec->precision->activation, spec->precision->master,
                                 spec->precision->activation};
    enum mgpt_status status = MGPT_OK;
    double seconds = 0;

    mgpt_machine_borrow(&machine, spec);
    memset(t, 0, sizeof t);
    for (int i = 0; i < 3 && status == MGPT_OK; i++) {
        status = mgpt_machine_new(&machine, (enum mgpt_dtype)formats[i],
                                  shapes[i][0] * shapes[i][1], &t[i], NULL);
        t[i].rank = 2;
        memcpy(t[i].shape, shapes[i], sizeof shapes[i]);
    }
    struct mgpt_op op = {.size = sizeof op,
                         .code = MGPT_OP_LINEAR,
                         .flags = spec->precision->tf32 ? MGPT_OP_TF32 : 0,
                         .in = {t[0], t[1]},
                         .out = {t[2]}};
    if (status == MGPT_OK)
        status = mgpt_machine_plan(&machine, &op, &call, NULL);
    if (status == MGPT_OK)
        seconds = fastest(&machine, &call);
    for (int i = 0; i < 3; i++)
        mgpt_machine_free(&machine, &t[i]);
    return seconds > 0 ? 2.0 * (double)rows * m->embd * m->mlp / seconds : 0;
}

void mgpt_plan_say(const struct mgpt_plan *plan, const struct mgpt_step_spec *spec, uint64_t steps)
{
    struct mgpt_string memory = {0}, time = {0}, work = {0};
    double pace = probe(spec);

    mgpt_add_amount(&memory, (double)plan->total, "B");
    if (plan->available) {
        mgpt_string_format(&memory, " of ");
        mgpt_add_amount(&memory, (double)plan->available, "B");
    }
    mgpt_string_format(&memory, ": ");
    add_terms(plan, &memory);
    mgpt_add_amount(&work, plan->flops + plan->update_flops, "FLOP");
    if (pace > 0) {
        double seconds = (plan->flops + plan->update_flops) * (double)steps / pace;
        mgpt_add_duration(&time, seconds);
        mgpt_string_format(&time, seconds < 1 ? ", at the " : " or more, at the ");
        mgpt_add_amount(&time, pace, "FLOP/s of an mlp product here");
    }
    mgpt_log(MGPT_LOG_INFO, "plan: %llu parameters; %llu steps of up to %llu tokens and %s",
             (unsigned long long)plan->parameters, (unsigned long long)steps,
             (unsigned long long)plan->tokens, work.data ? work.data : "");
    mgpt_log(MGPT_LOG_INFO, "plan: memory %s", memory.data ? memory.data : "not known");
    mgpt_log(MGPT_LOG_INFO, "plan: time %s", time.data ? time.data : "not known");
    mgpt_string_finish(&work);
    mgpt_string_finish(&memory);
    mgpt_string_finish(&time);
}

enum mgpt_status mgpt_plan_run(const struct mgpt_step_spec *spec, struct mgpt_registry *registry,
                               const char *use, struct mgpt_plan *plan, struct mgpt_error *error)
{
    struct mgpt_stepper stepper = {0};
    enum mgpt_status status = mgpt_stepper_choose(&stepper, use, registry, spec, error);

    if (status == MGPT_OK)
        status = mgpt_plan_for(plan, &stepper, error);
    if (status == MGPT_OK)
        status = mgpt_plan_check(plan, spec, error);
    mgpt_stepper_close(&stepper);
    return status;
}
