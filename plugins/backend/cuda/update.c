/* The optimizer's rule: calls of one step are gathered and go out as one launch.
 *
 * The core calls once for each run of parameters of one group. As long as p, g and the state lie at
 * the same distances from each other, a call is only one segment more; anything else that happens
 * on the device comes after the launch (cuda_flush). */
#include "update.h"

#include <stdlib.h>
#include <string.h>

#define PROGRAMS 8 /* rules that are remembered; a run has one */

struct entry {
    const struct mgpt_rule *rule;
    struct mgpt_cuda_program *program; /* NULL: it could not be compiled */
};

struct cuda_updates {
    struct entry entries[PROGRAMS];
    int n_entries;
    /* gathered so far, when n_segments is not 0 */
    const struct mgpt_cuda_program *program;
    uint32_t n_state, n_sets, n_scalars;
    struct cuda_rule_args args;
};

void cuda_updates_close(struct cuda_updates *updates)
{
    if (!updates)
        return;
    for (int i = 0; i < updates->n_entries; i++)
        cuda_program_unload(updates->entries[i].program);
    free(updates);
}

enum mgpt_status cuda_flush(struct mgpt_device *device, struct mgpt_error *error)
{
    struct cuda_updates *u = device->updates;
    struct mgpt_cuda_launch launch = {{1, 1, 1}, {CUDA_RULE_THREADS, 1, 1}, 0, 0};
    void *args[1];

    if (!u || !u->args.n_segments)
        return MGPT_OK;
    launch.grid[0] = u->args.n_tiles < 65535 ? (uint32_t)u->args.n_tiles : 65535;
    args[0] = &u->args;
    enum mgpt_status status =
        cuda_program_launch(u->program, 0, &launch, device->stream, args, error);
    u->args.n_segments = 0;
    return status;
}

void cuda_forget(struct mgpt_device *device)
{
    if (device->updates)
        device->updates->args.n_segments = 0;
}

/* ---- programs ---- */

static enum mgpt_status build(const struct mgpt_device *device, const struct mgpt_rule *rule,
                              struct mgpt_cuda_program **program, struct mgpt_error *error)
{
    char *text = cuda_rule_text(rule);
    struct mgpt_cuda_source source = cuda_rule_source(text);
    enum mgpt_status status;

    if (!text)
        return mgpt_fail(error, MGPT_UNSUPPORTED, "the names %s %s are not understood", rule->state,
                         rule->scalars);
    status = cuda_program_new(device, &source, program, error);
    free(text);
    return status;
}

/* The program of a rule; when there is none the cause is said once, in the log. */
static enum mgpt_status program_of(struct mgpt_device *device, const struct mgpt_rule *rule,
                                   const struct mgpt_cuda_program **program,
                                   struct mgpt_error *error)
{
    struct cuda_updates *u = device->updates;
    struct mgpt_error why = {0};
    struct entry *e;
    char line[1200];

    if (!u)
        u = device->updates = calloc(1, sizeof *u);
    if (!u)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for updates");
    for (e = u->entries; e < u->entries + u->n_entries; e++)
        if (e->rule == rule)
            break;
    if (e == u->entries + PROGRAMS)
        return mgpt_fail(error, MGPT_UNSUPPORTED, "rule %s is one more than %d", rule->name,
                         PROGRAMS);
    if (e == u->entries + u->n_entries) {
        u->n_entries++;
        e->rule = rule;
        if (build(device, rule, &e->program, &why) != MGPT_OK) {
            e->program = NULL;
            (void)snprintf(line, sizeof line, "backend cuda: rule %s is not compiled: %s",
                           rule->name, why.text);
            (device->host->log)(MGPT_LOG_WARN, line); /* log is a macro of tgmath.h */
        }
    }
    *program = e->program;
    return e->program ? MGPT_OK
                      : mgpt_fail(error, MGPT_UNSUPPORTED, "rule %s is not compiled", rule->name);
}

enum mgpt_status cuda_rule_ready(struct mgpt_device *device, const struct mgpt_rule *rule,
                                 struct mgpt_error *error)
{
    const struct mgpt_cuda_program *program;
    enum mgpt_status status = cuda_enter(device, error);

    return status == MGPT_OK ? program_of(device, rule, &program, error) : status;
}

/* ---- gathering ---- */

static const struct mgpt_step_state *state_of(const struct mgpt_update *update)
{
    return cuda_state(&update->step_state);
}

/* May the call join those that were gathered? */
static int joins(const struct cuda_updates *u, const struct mgpt_cuda_program *program,
                 const struct mgpt_update *update)
{
    const char *p = (const char *)cuda_f32(&update->p), *base = (const char *)u->args.p;

    if (u->program != program || u->n_state != update->n_state ||
        u->n_scalars != update->n_scalars || u->args.state != state_of(update) ||
        u->args.n_segments == CUDA_RULE_SEGMENTS ||
        (const char *)cuda_f32(&update->g) - p != (const char *)u->args.g - base)
        return 0;
    for (uint32_t k = 0; k < update->n_state; k++)
        if ((const char *)cuda_f32(&update->state[k]) - p != (const char *)u->args.s[k] - base)
            return 0;
    return 1;
}

/* Index of the scalars among those gathered; -1: no room. `from`: they are on the device, there. */
static int set_of(struct cuda_updates *u, const struct mgpt_update *update, const double *from)
{
    size_t size = update->n_scalars * sizeof(double);

    for (uint32_t i = 0; i < u->n_sets; i++)
        if (u->args.from[i] == from && (from || memcmp(u->args.h[i], update->scalars, size) == 0))
            return (int)i;
    if (u->n_sets == CUDA_RULE_SETS)
        return -1;
    u->args.from[u->n_sets] = from;
    if (!from)
        memcpy(u->args.h[u->n_sets], update->scalars, size);
    return (int)u->n_sets++;
}

static void begin(struct cuda_updates *u, const struct mgpt_cuda_program *program,
                  const struct mgpt_update *update)
{
    u->program = program;
    u->n_state = update->n_state;
    u->n_scalars = update->n_scalars;
    u->n_sets = 0;
    memset(&u->args, 0, sizeof u->args);
    u->args.p = cuda_f32(&update->p);
    u->args.g = cuda_f32(&update->g);
    for (uint32_t k = 0; k < update->n_state; k++)
        u->args.s[k] = cuda_f32(&update->state[k]);
    u->args.state = state_of(update);
}

static void append(struct cuda_updates *u, const struct mgpt_update *update, int set)
{
    struct cuda_rule_segment *e = &u->args.segment[u->args.n_segments++];
    int64_t count = update->p.shape[0];

    e->first = cuda_f32(&update->p) - u->args.p;
    e->count = count;
    e->set = set;
    u->args.n_tiles += (int32_t)((count + CUDA_RULE_TILE - 1) / CUDA_RULE_TILE);
    e->tiles = u->args.n_tiles;
}

static enum mgpt_status gather(struct mgpt_device *device, const struct mgpt_update *update,
                               const double *from, struct mgpt_error *error)
{
    const struct mgpt_cuda_program *program;
    enum mgpt_status status = cuda_enter(device, error);
    int set = -1;

    if (status != MGPT_OK)
        return status;
    if (update->p.dtype != MGPT_F32 || update->n_state > MGPT_MAX_STATE ||
        update->n_scalars > MGPT_MAX_SCALARS)
        return mgpt_fail(error, MGPT_UNSUPPORTED, "update takes F32 and at most %d arrays of state",
                         MGPT_MAX_STATE);
    status = program_of(device, update->rule, &program, error);
    if (status != MGPT_OK)
        return status;
    if (device->updates->args.n_segments && joins(device->updates, program, update))
        set = set_of(device->updates, update, from);
    if (set < 0) {
        status = cuda_flush(device, error);
        begin(device->updates, program, update);
        set = set_of(device->updates, update, from);
    }
    append(device->updates, update, set);
    cuda_keep_updated(device, &update->p);
    for (uint32_t k = 0; k < update->n_state; k++)
        cuda_keep_written(device, update->state[k].buffer);
    return status;
}

enum mgpt_status cuda_update(struct mgpt_device *device, const struct mgpt_update *update,
                             struct mgpt_error *error)
{
    return gather(device, update, NULL, error);
}

enum mgpt_status cuda_update_from(struct mgpt_device *device, const struct mgpt_update *update,
                                  const double *scalars, struct mgpt_error *error)
{
    return gather(device, update, scalars, error);
}
