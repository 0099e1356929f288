/* MICROGPT_VALIDATE=1: backends. Devices and buffers stay the module's own, since extensions hand
 * them on; what is known of them is kept beside, by address. Every buffer is longer than was asked
 * for by a guard. Over 500 lines because all of it works on struct machine. */
#include <config.h>

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include <microgpt/backend.h>
#include <microgpt/optimizer.h>

#include "plugin/validate.h"
#include "ref/ops.h"
#include "ref/ref.h"

#define SLOTS MGPT_VALIDATE_SLOTS
#define GUARD 64
#define GUARD_BYTE 0xa5

struct memory {
    struct mgpt_buffer *buffer;
    uint64_t bytes; /* as asked for */
    struct memory *next;
};

struct machine {
    const struct mgpt_component *component;
    const struct mgpt_backend_api *api;
    struct mgpt_device *device;
    struct memory *memories;
    pthread_t main;
    atomic_int inside; /* [step] functions that run now */
    struct machine *next;
};

static struct {
    const struct mgpt_component *component;
    struct mgpt_backend_api table;
    mgpt_op_fn ops[MGPT_OP_COUNT];
} slots[SLOTS];

static struct machine *machines;

static struct machine *machine_of(const struct mgpt_device *device)
{
    struct machine *m = machines;

    while (m && m->device != device)
        m = m->next;
    return m;
}

static struct memory *memory_of(const struct machine *m, const struct mgpt_buffer *buffer)
{
    struct memory *k = m->memories;

    while (k && k->buffer != buffer)
        k = k->next;
    return k;
}

/* ---- threads ---- */

static void enter(struct machine *m, const char *function)
{
    if (atomic_fetch_add(&m->inside, 1) > 0)
        mgpt_violation_kept(m->component, function,
                            "was called while another call runs: [step] is one thread at a time");
}

static void leave(struct machine *m)
{
    atomic_fetch_sub(&m->inside, 1);
}

static void on_main(const struct machine *m, const char *function)
{
    if (!pthread_equal(m->main, pthread_self()))
        mgpt_violation_kept(m->component, function,
                            "was called by another thread than opened the device: it is [main]");
}

/* ---- life and memory ---- */

static enum mgpt_status backend_open(int slot, const struct mgpt_host *host,
                                     const struct mgpt_config *config, struct mgpt_device **device,
                                     struct mgpt_error *error)
{
    const struct mgpt_component *c = slots[slot].component;
    const struct mgpt_backend_api *api = c->api;
    struct machine *m = calloc(1, sizeof *m);

    if (!m)
        return mgpt_fail(error, MGPT_NOMEM, "no memory to validate %s", c->name);
    enum mgpt_status status =
        mgpt_validate_refusal(api->open(host, config, device, error), c, "open", error);
    if (status == MGPT_OK && !*device)
        status = mgpt_violation(error, c, "open", "MGPT_OK and no device");
    if (status != MGPT_OK) {
        free(m);
        return status;
    }
    m->component = c;
    m->api = api;
    m->device = *device;
    m->main = pthread_self();
    m->next = machines;
    machines = m;
    return MGPT_OK;
}

/* Is the guard of the buffer what it was? */
static enum mgpt_status look_behind(struct machine *m, const struct memory *k, const char *function,
                                    struct mgpt_error *error)
{
    unsigned char guard[GUARD];
    enum mgpt_status status = m->api->download(m->device, k->buffer, k->bytes, guard, GUARD, error);

    for (int i = 0; i < GUARD && status == MGPT_OK; i++)
        if (guard[i] != GUARD_BYTE)
            return mgpt_violation(error, m->component, function,
                                  "wrote out of bounds: byte %d past the end of a buffer of "
                                  "%" PRIu64,
                                  i + 1, k->bytes);
    return status;
}

static void backend_close(struct mgpt_device *device)
{
    struct machine *m = machine_of(device), **at = &machines;
    struct mgpt_error error;
    uint64_t left = 0;

    if (!m)
        return;
    on_main(m, "close");
    while (m->memories) {
        struct memory *k = m->memories;
        if (look_behind(m, k, "close", &error) == MGPT_PLUGIN)
            mgpt_violation_logged(m->component, "close", "%s", error.text);
        m->memories = k->next;
        free(k);
        left++;
    }
    if (left)
        mgpt_violation_logged(m->component, "close", "%" PRIu64 " buffers were not freed before",
                              left);
    m->api->close(device);
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    free(m);
}

static enum mgpt_status backend_buffer_new(struct mgpt_device *device, uint64_t bytes,
                                           struct mgpt_buffer **buffer, struct mgpt_error *error)
{
    struct machine *m = machine_of(device);
    struct memory *k = calloc(1, sizeof *k);
    unsigned char guard[GUARD];

    if (!k)
        return mgpt_fail(error, MGPT_NOMEM, "no memory to validate a buffer");
    on_main(m, "buffer_new");
    memset(guard, GUARD_BYTE, sizeof guard);
    enum mgpt_status status = bytes > UINT64_MAX - GUARD
                                  ? mgpt_fail(error, MGPT_NOMEM, "no memory for the guard")
                                  : m->api->buffer_new(device, bytes + GUARD, buffer, error);
    status = mgpt_validate_refusal(status, m->component, "buffer_new", error);
    if (status == MGPT_OK)
        status = m->api->upload(device, *buffer, bytes, guard, GUARD, error);
    if (status == MGPT_OK && MGPT_HAS(m->api, map) && m->api->map &&
        (uintptr_t)m->api->map(device, *buffer) % 64)
        status = mgpt_violation(error, m->component, "buffer_new", "not aligned to 64 bytes");
    if (status != MGPT_OK) {
        free(k);
        return status;
    }
    *k = (struct memory){*buffer, bytes, m->memories};
    m->memories = k;
    return MGPT_OK;
}

static void backend_buffer_free(struct mgpt_device *device, struct mgpt_buffer *buffer)
{
    struct machine *m = machine_of(device);
    struct memory **at = m ? &m->memories : NULL, *k;
    struct mgpt_error error;

    if (!buffer || !m)
        return;
    on_main(m, "buffer_free");
    while (*at && (*at)->buffer != buffer)
        at = &(*at)->next;
    k = *at;
    if (!k) {
        mgpt_violation_kept(m->component, "buffer_free", "was handed a buffer that is not there");
        return;
    }
    if (look_behind(m, k, "buffer_free", &error) == MGPT_PLUGIN)
        mgpt_violation_kept(m->component, "buffer_free", "%s", error.text);
    *at = k->next;
    free(k);
    m->api->buffer_free(device, buffer);
}

/* Within what was asked for? The guard must not be seen. */
static enum mgpt_status check_range(const struct machine *m, const struct mgpt_buffer *buffer,
                                    uint64_t offset, uint64_t bytes, struct mgpt_error *error)
{
    const struct memory *k = memory_of(m, buffer);

    if (k && offset <= k->bytes && bytes <= k->bytes - offset)
        return MGPT_OK;
    return mgpt_fail(error, MGPT_INVALID, "%" PRIu64 " bytes at offset %" PRIu64 " of %s", bytes,
                     offset, k ? "a buffer that is shorter" : "a buffer that is not there");
}

static enum mgpt_status backend_upload(struct mgpt_device *device, struct mgpt_buffer *buffer,
                                       uint64_t offset, const void *data, uint64_t bytes,
                                       struct mgpt_error *error)
{
    struct machine *m = machine_of(device);
    enum mgpt_status status = check_range(m, buffer, offset, bytes, error);

    if (status != MGPT_OK)
        return status;
    enter(m, "upload");
    status = m->api->upload(device, buffer, offset, data, bytes, error);
    leave(m);
    return mgpt_validate_refusal(status, m->component, "upload", error);
}

static enum mgpt_status backend_download(struct mgpt_device *device, struct mgpt_buffer *buffer,
                                         uint64_t offset, void *data, uint64_t bytes,
                                         struct mgpt_error *error)
{
    struct machine *m = machine_of(device);
    enum mgpt_status status = check_range(m, buffer, offset, bytes, error);

    if (status != MGPT_OK)
        return status;
    enter(m, "download");
    status = m->api->download(device, buffer, offset, data, bytes, error);
    leave(m);
    return mgpt_validate_refusal(status, m->component, "download", error);
}

static enum mgpt_status backend_sync(struct mgpt_device *device, struct mgpt_error *error)
{
    struct machine *m = machine_of(device);

    enter(m, "sync");
    enum mgpt_status status = m->api->sync(device, error);
    leave(m);
    return mgpt_validate_refusal(status, m->component, "sync", error);
}

static int backend_supports(struct mgpt_device *device, const struct mgpt_op *op)
{
    struct machine *m = machine_of(device);
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

static enum mgpt_status fetch(const struct machine *m, const struct mgpt_tensor *t,
                              unsigned char **data, struct mgpt_error *error)
{
    *data = malloc(mgpt_tensor_bytes(t) + 1);
    if (!*data)
        return mgpt_fail(error, MGPT_NOMEM, "no memory to validate an op");
    return m->api->download(m->device, t->buffer, t->offset, *data, mgpt_tensor_bytes(t), error);
}

/* Is every tensor within its buffer? */
static enum mgpt_status check_places(const struct machine *m, const struct mgpt_op *op,
                                     struct mgpt_error *error)
{
    struct mgpt_error why;

    for (int i = 0; i < MGPT_OP_MAX_IN + MGPT_OP_MAX_OUT; i++) {
        const struct mgpt_tensor *t =
            i < MGPT_OP_MAX_IN ? &op->in[i] : &op->out[i - MGPT_OP_MAX_IN];
        if (t->rank && check_range(m, t->buffer, t->offset, mgpt_tensor_bytes(t), &why) != MGPT_OK)
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

static enum mgpt_status look_before(const struct machine *m, const struct mgpt_op *op,
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
static enum mgpt_status look_after(struct machine *m, const struct mgpt_op *op,
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
            status = look_behind(m, memory_of(m, t->buffer), name, error);
        free(data);
    }
    return status;
}

static enum mgpt_status backend_op(struct mgpt_device *device, const struct mgpt_op *op,
                                   struct mgpt_error *error)
{
    struct machine *m = machine_of(device);
    struct look look = {{NULL}, false};
    enum mgpt_status broken, status = mgpt_op_check(op, error);

    if (status != MGPT_OK)
        return mgpt_violation(error, m->component, mgpt_op_name(op->code),
                              "was called in a form that it does not have");
    enter(m, mgpt_op_name(op->code));
    status = look_before(m, op, &look, error);
    if (status == MGPT_OK) {
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
    leave(m);
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

static enum mgpt_status look_before_update(const struct machine *m, const struct mgpt_update *u,
                                           struct update_look *look, struct mgpt_error *error)
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
static enum mgpt_status look_after_update(struct machine *m, const struct mgpt_update *u,
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
        status = look_behind(m, memory_of(m, t->buffer), "update", error);
    free(after);
    return status;
}

/* Gradients stay what they are; in a skipped step nothing moves; in another one no NaN comes of
 * finite numbers. */
static enum mgpt_status backend_update(struct mgpt_device *device, const struct mgpt_update *u,
                                       struct mgpt_error *error)
{
    struct machine *m = machine_of(device);
    struct update_look look = {{NULL}, false, false};
    struct mgpt_error said = {0};
    enum mgpt_status broken = MGPT_OK, status = look_before_update(m, u, &look, error);
    bool looked = status == MGPT_OK;

    enter(m, "update");
    if (looked)
        status = m->api->update(device, u, error);
    leave(m);
    looked = looked && (status == MGPT_OK || status == MGPT_UNSUPPORTED);
    for (uint32_t i = 0; looked && i < 2 + u->n_state && broken == MGPT_OK; i++)
        broken = look_after_update(m, u, &look, i, status, &said);
    if (broken != MGPT_OK)
        status = mgpt_fail(error, broken, "%s", said.text);
    for (uint32_t i = 0; i < sizeof look.before / sizeof *look.before; i++)
        free(look.before[i]);
    return status;
}

/* ---- the table ---- */

#define BACKEND(i)                                                                                 \
    static enum mgpt_status backend_open_##i(                                                      \
        const struct mgpt_host *host, const struct mgpt_config *config,                            \
        struct mgpt_device **device, struct mgpt_error *error)                                     \
    {                                                                                              \
        return backend_open(i, host, config, device, error);                                       \
    }
MGPT_EACH_SLOT(BACKEND)
#undef BACKEND

#define OPEN(i) backend_open_##i,
const void *mgpt_validate_backend(const struct mgpt_component *component, int slot)
{
    static enum mgpt_status (*const open[])(const struct mgpt_host *, const struct mgpt_config *,
                                            struct mgpt_device **,
                                            struct mgpt_error *) = {MGPT_EACH_SLOT(OPEN)};
    struct mgpt_backend_api *table = &slots[slot].table;
    mgpt_op_fn *ops = slots[slot].ops;

    slots[slot].component = component;
    mgpt_validate_table(table, (uint32_t)sizeof *table, component->api);
    table->open = open[slot];
    table->close = backend_close;
    table->buffer_new = backend_buffer_new;
    table->buffer_free = backend_buffer_free;
    table->upload = backend_upload;
    table->download = backend_download;
    table->sync = backend_sync;
    if (table->supports)
        table->supports = backend_supports;
    for (uint32_t code = 0; table->ops && code < table->n_ops && code < MGPT_OP_COUNT; code++)
        ops[code] = table->ops[code] ? backend_op : NULL;
    if (table->ops)
        table->ops = ops;
    if (table->n_ops > MGPT_OP_COUNT)
        table->n_ops = MGPT_OP_COUNT;
    if (table->update)
        table->update = backend_update;
    return table;
}
#undef OPEN
