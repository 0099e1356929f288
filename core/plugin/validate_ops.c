/* MICROGPT_VALIDATE=1: ops and updates of a backend: each is called in a form that it has, writes
 * within its tensors, and makes no NaN of finite numbers. */
#include <config.h>

#include "plugin/validate_machine.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include <microgpt/optimizer.h>

#include "ref/ops.h"
#include "ref/ref.h"

int mgpt_validate_device_supports(struct mgpt_device *device, const struct mgpt_op *op)
{
    struct mgpt_validate_machine *m = mgpt_validate_machine_of(device);
    int one = m->api->supports(device, op);

    if (!one != !m->api->supports(device, op))
        mgpt_violation_kept(m->component, "supports", "%s: another answer when asked again",
                            mgpt_op_name(op->code));
    if (one && !(MGPT_HAS(m->api, ops) && op->code < m->api->n_ops && m->api->ops[op->code]))
        mgpt_violation_kept(m->component, "supports", "%s: says yes, and has no such op",
                            mgpt_op_name(op->code));
    return one;
}

/* ---- ops ---- */

/* Of one op: its outputs before it ran. */
struct look {
    unsigned char *out[MGPT_OP_MAX_OUT];
    bool poisoned; /* something that it reads is not finite */
};

/* How many are NaN; `all`: or infinite. */
static int64_t count_bad(const struct mgpt_tensor *t, const void *data, bool all)
{
    int64_t n = mgpt_tensor_count(t), bad = 0;
    double value;

    for (int64_t i = 0; mgpt_dtype_is_float(t->dtype) && i < n; i++) {
        mgpt_ref_load(t->dtype, (const char *)data + (size_t)i * mgpt_dtype_size(t->dtype), &value,
                      1);
        bad += all ? !isfinite(value) : value != value;
    }
    return bad;
}

static enum mgpt_status fetch(const struct mgpt_validate_machine *m, const struct mgpt_tensor *t,
                              unsigned char **data, struct mgpt_error *error)
{
    *data = malloc(mgpt_tensor_bytes(t) + 1);
    if (!*data)
        return mgpt_fail(error, MGPT_NOMEM, "no memory to validate an op");
    return m->api->download(m->device, t->buffer, t->offset, *data, mgpt_tensor_bytes(t), error);
}

/* Is every tensor within its buffer? */
static enum mgpt_status check_places(const struct mgpt_validate_machine *m,
                                     const struct mgpt_op *op, struct mgpt_error *error)
{
    struct mgpt_error why;

    for (int i = 0; i < MGPT_OP_MAX_IN + MGPT_OP_MAX_OUT; i++) {
        const struct mgpt_tensor *t =
            i < MGPT_OP_MAX_IN ? &op->in[i] : &op->out[i - MGPT_OP_MAX_IN];
        if (t->rank &&
            mgpt_validate_range(m, t->buffer, t->offset, mgpt_tensor_bytes(t), &why) != MGPT_OK)
            return mgpt_violation(error, m->component, mgpt_op_name(op->code),
                                  "was handed a tensor past its buffer: %s", why.text);
    }
    return MGPT_OK;
}

static bool accumulates(const struct mgpt_op *op)
{
    return op->code == MGPT_OP_EMBED_BACKWARD || op->code == MGPT_OP_NORM_BACKWARD ||
           op->code == MGPT_OP_LINEAR_BACKWARD || op->code == MGPT_OP_ATTENTION;
}

static enum mgpt_status look_before(const struct mgpt_validate_machine *m, const struct mgpt_op *op,
                                    struct look *look, struct mgpt_error *error)
{
    enum mgpt_status status = check_places(m, op, error);

    for (int i = 0; i < MGPT_OP_MAX_IN && status == MGPT_OK; i++) {
        unsigned char *data = NULL;
        if (!op->in[i].rank)
            continue;
        status = fetch(m, &op->in[i], &data, error);
        look->poisoned |= status == MGPT_OK && count_bad(&op->in[i], data, true);
        free(data);
    }
    for (int i = 0; i < MGPT_OP_MAX_OUT && status == MGPT_OK; i++) {
        if (!op->out[i].rank)
            continue;
        status = fetch(m, &op->out[i], &look->out[i], error);
        look->poisoned |=
            status == MGPT_OK && accumulates(op) && count_bad(&op->out[i], look->out[i], true);
    }
    return status;
}

/* A failed op has written nothing; a sound one made no NaN of finite numbers, and kept to its
 * buffers. */
static enum mgpt_status look_after(struct mgpt_validate_machine *m, const struct mgpt_op *op,
                                   const struct look *look, enum mgpt_status result,
                                   struct mgpt_error *error)
{
    const char *name = mgpt_op_name(op->code);
    enum mgpt_status status = MGPT_OK;

    for (int i = 0; i < MGPT_OP_MAX_OUT && status == MGPT_OK; i++) {
        const struct mgpt_tensor *t = &op->out[i];
        unsigned char *data = NULL;
        int64_t bad;
        if (!t->rank)
            continue;
        status = fetch(m, t, &data, error);
        if (status == MGPT_OK && result != MGPT_OK &&
            memcmp(data, look->out[i], mgpt_tensor_bytes(t)))
            status = mgpt_violation(error, m->component, name,
                                    "failed with status %d and has written output %d", result, i);
        else if (status == MGPT_OK && result == MGPT_OK && !look->poisoned &&
                 (bad = count_bad(t, data, false)))
            status = mgpt_violation(error, m->component, name,
                                    "made %" PRId64 " NaN of finite numbers, in output %d", bad, i);
        if (status == MGPT_OK)
            status = mgpt_validate_guard(m, mgpt_validate_memory_of(m, t->buffer), name, error);
        free(data);
    }
    return status;
}

/* What is taken down in a graph runs later: only its form and its places can be looked at. */
static enum mgpt_status take_down(struct mgpt_validate_machine *m, const struct mgpt_op *op,
                                  struct mgpt_error *error)
{
    enum mgpt_status status = check_places(m, op, error);

    if (status == MGPT_OK)
        status = m->api->ops[op->code](m->device, op, error);
    return mgpt_validate_refusal(status, m->component, mgpt_op_name(op->code), error);
}

enum mgpt_status mgpt_validate_device_op(struct mgpt_device *device, const struct mgpt_op *op,
                                         struct mgpt_error *error)
{
    struct mgpt_validate_machine *m = mgpt_validate_machine_of(device);
    struct look look = {{NULL}, false};
    enum mgpt_status broken, status = mgpt_op_check(op, error);

    if (status != MGPT_OK)
        return mgpt_violation(error, m->component, mgpt_op_name(op->code),
                              "was called in a form that it does not have");
    mgpt_validate_enter(m, mgpt_op_name(op->code));
    status = m->capturing ? take_down(m, op, error) : look_before(m, op, &look, error);
    if (status == MGPT_OK && !m->capturing) {
        status = m->api->ops[op->code](device, op, error);
        if (status == MGPT_OK)
            status = m->api->sync(device, error);
        struct mgpt_error said = {0};
        broken = look_after(m, op, &look, status, &said);
        if (broken != MGPT_OK)
            status = mgpt_fail(error, broken, "%s", said.text);
        else
            status = mgpt_validate_refusal(status, m->component, mgpt_op_name(op->code), error);
    }
    mgpt_validate_leave(m);
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        free(look.out[i]);
    return status;
}

/* ---- updates ---- */

/* Of one update: what it reads and writes, before it ran. */
struct update_look {
    unsigned char *before[2 + MGPT_MAX_STATE]; /* p, g, state */
    bool skipped, poisoned;                    /* the step is; something it reads is not finite */
};

static const struct mgpt_tensor *operand(const struct mgpt_update *u, uint32_t i)
{
    return i == 0 ? &u->p : i == 1 ? &u->g : &u->state[i - 2];
}

static enum mgpt_status look_before_update(const struct mgpt_validate_machine *m,
                                           const struct mgpt_update *u, struct update_look *look,
                                           struct mgpt_error *error)
{
    struct mgpt_step_state state;
    enum mgpt_status status = m->api->download(m->device, u->step_state.buffer,
                                               u->step_state.offset, &state, sizeof state, error);

    for (uint32_t i = 0; i < 2 + u->n_state && status == MGPT_OK; i++) {
        status = fetch(m, operand(u, i), &look->before[i], error);
        look->poisoned |= status == MGPT_OK && count_bad(operand(u, i), look->before[i], true);
    }
    for (uint32_t i = 0; i < u->n_scalars; i++)
        look->poisoned |= !isfinite(u->scalars[i]);
    look->poisoned |= status == MGPT_OK && !isfinite(state.grad_scale);
    look->skipped = status == MGPT_OK && state.nonfinite;
    return status;
}

/* What is wrong with operand i after the update, which returned `result`. */
static enum mgpt_status look_after_update(struct mgpt_validate_machine *m,
                                          const struct mgpt_update *u,
                                          const struct update_look *look, uint32_t i,
                                          enum mgpt_status result, struct mgpt_error *error)
{
    static const char *const names[] = {"the parameters", "the gradients", "the state"};
    const char *what = names[i < 2 ? i : 2], *rule = u->rule->name;
    const struct mgpt_tensor *t = operand(u, i);
    unsigned char *after = NULL;
    enum mgpt_status status = fetch(m, t, &after, error);
    bool moved = status == MGPT_OK && memcmp(look->before[i], after, mgpt_tensor_bytes(t)) != 0;
    int64_t bad = moved && !look->poisoned ? count_bad(t, after, false) : 0;

    if (moved && i == 1)
        status = mgpt_violation(error, m->component, "update", "rule %s: changed %s", rule, what);
    else if (moved && look->skipped)
        status = mgpt_violation(error, m->component, "update",
                                "rule %s: a step that is not finite changed %s", rule, what);
    else if (moved && result == MGPT_UNSUPPORTED)
        status = mgpt_violation(error, m->component, "update",
                                "rule %s: was refused and has written", rule);
    else if (bad)
        status = mgpt_violation(error, m->component, "update",
                                "rule %s: made %" PRId64 " NaN of finite numbers, in %s", rule, bad,
                                what);
    if (status == MGPT_OK)
        status = mgpt_validate_guard(m, mgpt_validate_memory_of(m, t->buffer), "update", error);
    free(after);
    return status;
}

enum mgpt_status mgpt_validate_device_update(struct mgpt_device *device,
                                             const struct mgpt_update *u, struct mgpt_error *error)
{
    struct mgpt_validate_machine *m = mgpt_validate_machine_of(device);
    struct update_look look = {{NULL}, false, false};
    struct mgpt_error said = {0};
    enum mgpt_status broken = MGPT_OK,
                     status = m->capturing ? MGPT_OK : look_before_update(m, u, &look, error);
    bool looked = status == MGPT_OK && !m->capturing;

    mgpt_validate_enter(m, "update");
    if (status == MGPT_OK)
        status = m->api->update(device, u, error);
    mgpt_validate_leave(m);
    looked = looked && (status == MGPT_OK || status == MGPT_UNSUPPORTED);
    for (uint32_t i = 0; looked && i < 2 + u->n_state && broken == MGPT_OK; i++)
        broken = look_after_update(m, u, &look, i, status, &said);
    if (broken != MGPT_OK)
        status = mgpt_fail(error, broken, "%s", said.text);
    for (uint32_t i = 0; i < sizeof look.before / sizeof *look.before; i++)
        free(look.before[i]);
    return status;
}
