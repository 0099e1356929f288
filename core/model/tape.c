/* A tape: the ops of one pass over one shape, recorded once, then run step after step. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "model/forward.h"
#include "model/tape.h"

#define ALIGNMENT 64

struct mgpt_tensor mgpt_tape_tensor(struct mgpt_tape *tape, uint32_t dtype, uint32_t rank,
                                    const int64_t *shape)
{
    struct mgpt_tensor t = {
        .buffer = tape->buffer, .offset = tape->used, .dtype = dtype, .rank = rank};

    for (uint32_t i = 0; i < rank; i++)
        t.shape[i] = shape[i];
    tape->used += (uint64_t)mgpt_tensor_count(&t) * mgpt_dtype_size(dtype);
    tape->used = (tape->used + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    tape->peak = tape->used > tape->peak ? tape->used : tape->peak;
    return t;
}

const struct mgpt_param *mgpt_tape_param(const struct mgpt_tape *tape, int layer, const char *name)
{
    char full[64];

    if (layer < 0)
        snprintf(full, sizeof full, "%s", name);
    else
        snprintf(full, sizeof full, "h.%d.%s", layer, name);
    for (uint32_t i = 0; i < tape->net->n_params; i++)
        if (strcmp(tape->net->params[i].name, full) == 0)
            return &tape->net->params[i];
    return NULL;
}

struct mgpt_op mgpt_tape_op(const struct mgpt_tape *tape, uint32_t code)
{
    const struct mgpt_model *m = tape->net->model;
    bool multiplies = code == MGPT_OP_LINEAR || code == MGPT_OP_LINEAR_BACKWARD ||
                      code == MGPT_OP_ATTENTION || code == MGPT_OP_ATTENTION_BACKWARD;

    return (struct mgpt_op){.size = sizeof(struct mgpt_op),
                            .code = code,
                            .flags = multiplies && tape->net->precision->tf32 ? MGPT_OP_TF32 : 0,
                            .norm = m->norm,
                            .eps = m->norm_eps,
                            .heads = m->heads,
                            .kv_heads = m->kv_heads};
}

static void append(struct mgpt_tape *tape, const struct mgpt_op *op)
{
    if (!tape->buffer && !tape->lacks && !mgpt_machine_supports(tape->net->machine, op))
        tape->lacks = op->code;
    if (tape->status != MGPT_OK || !tape->buffer)
        return;
    if (tape->n == tape->capacity) {
        uint32_t capacity = tape->capacity ? 2 * tape->capacity : 64;
        void *calls = realloc(tape->calls, capacity * sizeof *tape->calls);
        if (!calls) {
            tape->status = mgpt_fail(&tape->error, MGPT_NOMEM, "out of memory recording a pass");
            return;
        }
        tape->calls = calls;
        tape->capacity = capacity;
    }
    tape->status = mgpt_machine_plan(tape->net->machine, op, &tape->calls[tape->n], &tape->error);
    tape->n += tape->status == MGPT_OK;
}

/* ---- the ladder: the fused op, else its parts where the device has them, else the reference ----
 */

static struct mgpt_op part(uint32_t code)
{
    return (struct mgpt_op){.size = sizeof(struct mgpt_op), .code = code};
}

/* y = act(x w^T + b): the product, then the activation. */
static void split_linear(const struct mgpt_op *op, struct mgpt_op parts[2])
{
    parts[0] = *op;
    parts[0].activation = MGPT_ACT_NONE;
    parts[0].out[0] = op->out[1].rank ? op->out[1] : op->out[0];
    parts[0].out[1] = (struct mgpt_tensor){0};
    parts[1] = part(MGPT_OP_ACTIVATION);
    parts[1].activation = op->activation;
    parts[1].in[0] = parts[0].out[0];
    parts[1].out[0] = op->out[0];
}

/* dx = (dy w) act'(pre): the product, then the activation's backward, in place. */
static void split_linear_backward(const struct mgpt_op *op, struct mgpt_op parts[2])
{
    parts[0] = *op;
    parts[0].activation = MGPT_ACT_NONE;
    parts[0].in[3] = (struct mgpt_tensor){0};
    parts[1] = part(MGPT_OP_ACTIVATION_BACKWARD);
    parts[1].activation = op->activation;
    parts[1].in[0] = op->in[3];
    parts[1].in[1] = parts[1].out[0] = op->out[0];
}

/* s = x + residual; y = norm(s): the sum, then the norm. */
static void split_norm(const struct mgpt_op *op, struct mgpt_op parts[2])
{
    parts[0] = part(MGPT_OP_ADD);
    parts[0].in[0] = op->in[0];
    parts[0].in[1] = op->in[1];
    parts[0].out[0] = op->out[2];
    parts[1] = *op;
    parts[1].in[0] = op->out[2];
    parts[1].in[1] = parts[1].out[2] = (struct mgpt_tensor){0};
}

static bool split(const struct mgpt_op *op, struct mgpt_op parts[2])
{
    if (op->code == MGPT_OP_LINEAR && op->activation)
        split_linear(op, parts);
    else if (op->code == MGPT_OP_LINEAR_BACKWARD && op->activation)
        split_linear_backward(op, parts);
    else if (op->code == MGPT_OP_NORM && op->in[1].rank && op->out[2].rank)
        split_norm(op, parts);
    else
        return false;
    return true;
}

void mgpt_tape_add(struct mgpt_tape *tape, const struct mgpt_op *op)
{
    const struct mgpt_machine *machine = tape->net->machine;
    struct mgpt_op parts[2];

    if (!mgpt_machine_supports(machine, op) && split(op, parts) &&
        mgpt_machine_supports(machine, &parts[0]) && mgpt_machine_supports(machine, &parts[1])) {
        append(tape, &parts[0]);
        append(tape, &parts[1]);
    } else {
        append(tape, op);
    }
}

/* ---- record, run ---- */

enum mgpt_status mgpt_tape_record(struct mgpt_tape *tape, struct mgpt_error *error)
{
    struct mgpt_pass pass = {0};
    int64_t shape[] = {tape->batch, tape->time};

    tape->ids = mgpt_tape_tensor(tape, MGPT_I32, 2, shape);
    tape->targets = mgpt_tape_tensor(tape, MGPT_I32, 2, shape);
    tape->rows = tape->time;
    pass.layers = calloc(tape->net->model->layers, sizeof *pass.layers);
    if (!pass.layers)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory recording a pass");
    mgpt_forward(tape, &pass);
    if (tape->mode <= MGPT_MODE_LOSS)
        mgpt_loss(tape, &pass);
    if (tape->mode == MGPT_MODE_TRAIN)
        mgpt_backward(tape, &pass);
    tape->logits = pass.logits;
    free(pass.layers);
    if (tape->status != MGPT_OK && error)
        *error = tape->error;
    return tape->status;
}

/* What changes from run to run: the number of draws before these, and where one row is decoded. */
static void patch(const struct mgpt_tape *tape, int64_t first, struct mgpt_op *op)
{
    if (op->rate > 0)
        op->row = op->code == MGPT_OP_DROPOUT ? first * tape->time : first;
    if (tape->mode == MGPT_MODE_DECODE && tape->time == 1 &&
        (op->code == MGPT_OP_EMBED || op->code == MGPT_OP_ATTENTION))
        op->position = tape->position;
}

enum mgpt_status mgpt_tape_run(struct mgpt_tape *tape, int64_t first, struct mgpt_error *error)
{
    for (uint32_t i = 0; i < tape->n; i++) {
        struct mgpt_call *call = &tape->calls[i];
        patch(tape, first, &call->op);
        enum mgpt_status status = mgpt_machine_run(tape->net->machine, call, error);
        if (status != MGPT_OK)
            return status;
    }
    return MGPT_OK;
}

void mgpt_tape_finish(struct mgpt_tape *tape)
{
    free(tape->calls);
    memset(tape, 0, sizeof *tape);
}
