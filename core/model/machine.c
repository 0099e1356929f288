/* A machine: an open device, completed by the reference, so that every op runs. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "model/machine.h"
#include "plugin/registry.h"
#include "ref/ref.h"

enum mgpt_status mgpt_machine_open(struct mgpt_machine *m, const struct mgpt_backend_api *api,
                                   const struct mgpt_config *config, enum mgpt_fallback fallback,
                                   struct mgpt_error *error)
{
    enum mgpt_status status;

    memset(m, 0, sizeof *m);
    m->api = api;
    m->fallback = fallback;
    m->caps.size = sizeof m->caps;
    m->caps.formats = 1u << MGPT_F32; /* of a device that says nothing */
    status = api->open(mgpt_host(), config, &m->device, error);
    if (status != MGPT_OK)
        return status;
    m->owned = true;
    if (MGPT_HAS(api, caps) && api->caps)
        status = api->caps(m->device, &m->caps, error);
    if (status != MGPT_OK)
        mgpt_machine_close(m);
    return status;
}

void mgpt_machine_borrow(struct mgpt_machine *m, const struct mgpt_step_spec *spec)
{
    memset(m, 0, sizeof *m);
    m->api = spec->backend;
    m->device = spec->device;
    m->caps = *spec->caps;
    m->fallback = spec->fallback;
}

void mgpt_machine_close(struct mgpt_machine *m)
{
    if (m->owned)
        m->api->close(m->device);
    memset(m, 0, sizeof *m);
}

void *mgpt_machine_map(const struct mgpt_machine *m, const struct mgpt_tensor *t)
{
    char *base = NULL;

    if (MGPT_HAS(m->api, map) && m->api->map)
        base = m->api->map(m->device, t->buffer);
    return base ? base + t->offset : NULL;
}

enum mgpt_status mgpt_machine_write(struct mgpt_machine *m, const struct mgpt_tensor *t,
                                    const void *data, struct mgpt_error *error)
{
    return m->api->upload(m->device, t->buffer, t->offset, data, mgpt_tensor_bytes(t), error);
}

enum mgpt_status mgpt_machine_read(struct mgpt_machine *m, const struct mgpt_tensor *t, void *data,
                                   struct mgpt_error *error)
{
    return m->api->download(m->device, t->buffer, t->offset, data, mgpt_tensor_bytes(t), error);
}

enum mgpt_status mgpt_machine_new(struct mgpt_machine *m, enum mgpt_dtype dtype, int64_t n,
                                  struct mgpt_tensor *t, struct mgpt_error *error)
{
    *t = (struct mgpt_tensor){.dtype = dtype, .rank = 1, .shape = {n}};
    enum mgpt_status status =
        m->api->buffer_new(m->device, mgpt_tensor_bytes(t), &t->buffer, error);
    if (status != MGPT_OK)
        return status;
    void *zeros = calloc(1, mgpt_tensor_bytes(t));
    status = zeros ? mgpt_machine_write(m, t, zeros, error)
                   : mgpt_fail(error, MGPT_NOMEM, "out of memory (%llu bytes)",
                               (unsigned long long)mgpt_tensor_bytes(t));
    free(zeros);
    if (status != MGPT_OK)
        mgpt_machine_free(m, t);
    return status;
}

void mgpt_machine_free(struct mgpt_machine *m, struct mgpt_tensor *t)
{
    if (t->buffer)
        m->api->buffer_free(m->device, t->buffer);
    memset(t, 0, sizeof *t);
}

/* ---- ops ---- */

static mgpt_op_fn device_op(const struct mgpt_machine *m, const struct mgpt_op *op)
{
    const struct mgpt_backend_api *api = m->api;

    if (!MGPT_HAS(api, ops) || !api->ops || op->code >= api->n_ops || !api->ops[op->code])
        return NULL;
    if (MGPT_HAS(api, supports) && api->supports && !api->supports(m->device, op))
        return NULL;
    return api->ops[op->code];
}

bool mgpt_machine_supports(const struct mgpt_machine *m, const struct mgpt_op *op)
{
    return device_op(m, op) != NULL;
}

static bool host_visible(const struct mgpt_machine *m, const struct mgpt_op *op)
{
    for (int i = 0; i < MGPT_OP_MAX_IN; i++)
        if (op->in[i].buffer && !mgpt_machine_map(m, &op->in[i]))
            return false;
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        if (op->out[i].buffer && !mgpt_machine_map(m, &op->out[i]))
            return false;
    return true;
}

/* Copies of a staged op: every tensor from the device, and the outputs back. */
static uint64_t staged_bytes(const struct mgpt_op *op)
{
    uint64_t bytes = 0;

    for (int i = 0; i < MGPT_OP_MAX_IN; i++)
        bytes += mgpt_tensor_bytes(&op->in[i]);
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        bytes += 2 * mgpt_tensor_bytes(&op->out[i]);
    return bytes;
}

static void count_call(struct mgpt_machine *m, const struct mgpt_call *call)
{
    struct mgpt_tally *tally = &m->tally[call->op.code];
    enum mgpt_path path = call->run    ? MGPT_PATH_DEVICE
                          : call->host ? MGPT_PATH_HOST
                                       : MGPT_PATH_STAGED;

    tally->calls[path]++;
    tally->staged += path == MGPT_PATH_STAGED ? staged_bytes(&call->op) : 0;
}

enum mgpt_status mgpt_machine_plan(struct mgpt_machine *m, const struct mgpt_op *op,
                                   struct mgpt_call *call, struct mgpt_error *error)
{
    enum mgpt_status status = mgpt_op_check(op, error);

    if (status != MGPT_OK)
        return status;
    *call = (struct mgpt_call){.op = *op, .run = device_op(m, op)};
    call->host = !call->run && host_visible(m, op);
    if (m->tally)
        count_call(m, call);
    if (call->run || call->host)
        return MGPT_OK;
    if (m->fallback == MGPT_FALLBACK_ERROR)
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "device %s has no op %s for these shapes and formats, and [backend] "
                         "fallback = error",
                         m->caps.name, mgpt_op_name(op->code));
    if (m->fallback == MGPT_FALLBACK_WARN && !m->warned[op->code]++)
        mgpt_log(MGPT_LOG_WARN,
                 "device %s has no op %s: it runs on the host, through copies (slow)", m->caps.name,
                 mgpt_op_name(op->code));
    return MGPT_OK;
}

/* Copies of all tensors of an op in host memory: slots 0..MAX_IN-1 are in, the rest out. */
#define N_SLOTS (MGPT_OP_MAX_IN + MGPT_OP_MAX_OUT)

static enum mgpt_status run_staged(struct mgpt_machine *m, const struct mgpt_op *op,
                                   struct mgpt_error *error)
{
    void *copy[N_SLOTS] = {NULL};
    const void *in[MGPT_OP_MAX_IN];
    void *out[MGPT_OP_MAX_OUT];
    enum mgpt_status status = MGPT_OK;

    for (int i = 0; i < N_SLOTS && status == MGPT_OK; i++) {
        const struct mgpt_tensor *t =
            i < MGPT_OP_MAX_IN ? &op->in[i] : &op->out[i - MGPT_OP_MAX_IN];
        if (!t->rank)
            continue;
        copy[i] = malloc(mgpt_tensor_bytes(t));
        status = copy[i] ? mgpt_machine_read(m, t, copy[i], error)
                         : mgpt_fail(error, MGPT_NOMEM, "out of memory staging op %s",
                                     mgpt_op_name(op->code));
    }
    for (int i = 0; i < MGPT_OP_MAX_IN; i++)
        in[i] = copy[i];
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        out[i] = copy[MGPT_OP_MAX_IN + i];
    if (status == MGPT_OK)
        status = mgpt_ref_run(op, in, out, error);
    for (int i = 0; i < MGPT_OP_MAX_OUT && status == MGPT_OK; i++)
        if (out[i])
            status = mgpt_machine_write(m, &op->out[i], out[i], error);
    for (int i = 0; i < N_SLOTS; i++)
        free(copy[i]);
    return status;
}

static enum mgpt_status run_mapped(struct mgpt_machine *m, const struct mgpt_op *op,
                                   struct mgpt_error *error)
{
    const void *in[MGPT_OP_MAX_IN];
    void *out[MGPT_OP_MAX_OUT];
    enum mgpt_status status = m->api->sync(m->device, error);

    if (status != MGPT_OK)
        return status;
    for (int i = 0; i < MGPT_OP_MAX_IN; i++)
        in[i] = op->in[i].rank ? mgpt_machine_map(m, &op->in[i]) : NULL;
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        out[i] = op->out[i].rank ? mgpt_machine_map(m, &op->out[i]) : NULL;
    return mgpt_ref_run(op, in, out, error);
}

enum mgpt_status mgpt_machine_run(struct mgpt_machine *m, const struct mgpt_call *call,
                                  struct mgpt_error *error)
{
    if (call->run)
        return call->run(m->device, &call->op, error);
    return call->host ? run_mapped(m, &call->op, error) : run_staged(m, &call->op, error);
}

enum mgpt_status mgpt_machine_do(struct mgpt_machine *m, const struct mgpt_op *op,
                                 struct mgpt_error *error)
{
    struct mgpt_call call;
    enum mgpt_status status = mgpt_machine_plan(m, op, &call, error);

    return status == MGPT_OK ? mgpt_machine_run(m, &call, error) : status;
}

/* ---- the optimizer's rule ---- */

static void apply_rule(const struct mgpt_update *u, const struct mgpt_step_state *step, void *p,
                       const void *g, void *const *state)
{
    size_t n = (size_t)mgpt_tensor_count(&u->p);

    if (step->nonfinite)
        return;
    if (u->p.dtype == MGPT_F64)
        u->rule->f64(n, p, g, (double *const *)state, u->scalars, step->grad_scale);
    else
        u->rule->f32(n, p, g, (float *const *)state, u->scalars, step->grad_scale);
}

static enum mgpt_status update_staged(struct mgpt_machine *m, const struct mgpt_update *u,
                                      struct mgpt_error *error)
{
    const struct mgpt_tensor *tensors[2 + MGPT_MAX_STATE] = {&u->p, &u->g};
    void *copy[2 + MGPT_MAX_STATE] = {NULL};
    uint32_t n = 2 + u->n_state;
    struct mgpt_step_state step;
    enum mgpt_status status = mgpt_machine_read(m, &u->step_state, &step, error);

    for (uint32_t i = 0; i < u->n_state; i++)
        tensors[2 + i] = &u->state[i];
    for (uint32_t i = 0; i < n && status == MGPT_OK; i++) {
        copy[i] = malloc(mgpt_tensor_bytes(tensors[i]));
        status = copy[i] ? mgpt_machine_read(m, tensors[i], copy[i], error)
                         : mgpt_fail(error, MGPT_NOMEM, "out of memory staging the update");
    }
    if (status == MGPT_OK)
        apply_rule(u, &step, copy[0], copy[1], copy + 2);
    for (uint32_t i = 0; i < n && status == MGPT_OK; i++)
        if (i != 1) /* gradients are never rewritten */
            status = mgpt_machine_write(m, tensors[i], copy[i], error);
    for (uint32_t i = 0; i < n; i++)
        free(copy[i]);
    return status;
}

static enum mgpt_status update_mapped(struct mgpt_machine *m, const struct mgpt_update *u,
                                      struct mgpt_error *error)
{
    void *state[MGPT_MAX_STATE] = {NULL};
    enum mgpt_status status = m->api->sync(m->device, error);

    for (uint32_t i = 0; i < u->n_state; i++)
        state[i] = mgpt_machine_map(m, &u->state[i]);
    if (status == MGPT_OK)
        apply_rule(u, mgpt_machine_map(m, &u->step_state), mgpt_machine_map(m, &u->p),
                   mgpt_machine_map(m, &u->g), state);
    return status;
}

enum mgpt_status mgpt_machine_update(struct mgpt_machine *m, const struct mgpt_update *u,
                                     struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_UNSUPPORTED;

    m->update_path = MGPT_PATH_DEVICE;
    if (MGPT_HAS(m->api, update) && m->api->update)
        status = m->api->update(m->device, u, error);
    if (status != MGPT_UNSUPPORTED)
        return status;
    m->update_path = MGPT_PATH_HOST;
    if (mgpt_machine_map(m, &u->p))
        return update_mapped(m, u, error);
    m->update_path = MGPT_PATH_STAGED;
    if (m->fallback == MGPT_FALLBACK_ERROR)
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "device %s cannot run an optimizer's rule, and [backend] fallback = error",
                         m->caps.name);
    if (m->fallback == MGPT_FALLBACK_WARN && !m->warned[0]++)
        mgpt_log(MGPT_LOG_WARN,
                 "device %s cannot run the optimizer's rule: it runs on the host, through copies "
                 "(slow)",
                 m->caps.name);
    return update_staged(m, u, error);
}
