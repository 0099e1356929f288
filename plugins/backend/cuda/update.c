/* The optimizer's rule: calls of one step are gathered and go out as one launch.
 *
 * The core calls once for each run of parameters of one group. As long as p, g and the state lie at
 * the same distances from each other, a call is only one segment more; anything else that happens on
 * the device comes after the launch (cuda_flush). */
#include "update.h"

#include <stdlib.h>
#include <string.h>

#define PROGRAMS 8 /* rules that are remembered; a run has one */

struct entry {
    const struct mgpt_rule *rule;
    struct cuda_program *program; /* NULL: it could not be compiled */
};

struct cuda_updates {
    struct entry entries[PROGRAMS];
    int n_entries;
    /* gathered so far, when n_segments is not 0 */
    const struct cuda_program *program;
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
    int tiles;

    if (!u || !u->args.n_segments)
        return MGPT_OK;
    tiles = u->args.n_tiles < 65535 ? u->args.n_tiles : 65535;
    enum mgpt_status status =
        cuda_program_launch(u->program, device->stream, (unsigned)tiles, &u->args, error);
    u->args.n_segments = 0;
    return status;
}

/* ---- programs ---- */

/* Compiles, or takes what was compiled before: *image is malloc'd. */
static enum mgpt_status image_of(const struct mgpt_device *device, const char *text, char **image,
                                 size_t *size, struct mgpt_error *error)
{
    char versions[256];
    size_t room = strlen(text) + sizeof versions + 2;
    char *key = malloc(room);
    enum mgpt_status status = MGPT_OK;

    if (!key)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for a program");
    cuda_compile_key(device->capability, versions, sizeof versions);
    (void)snprintf(key, room, "%s\n%s", versions, text);
    *image = cuda_cache_read(key, size);
    if (!*image) {
        status = cuda_compile(text, device->capability, image, size, error);
        if (status == MGPT_OK)
            cuda_cache_write(key, *image, *size);
    }
    free(key);
    return status;
}

static enum mgpt_status build(const struct mgpt_device *device, const struct mgpt_rule *rule,
                              struct cuda_program **program, struct mgpt_error *error)
{
    char *text = cuda_rule_text(rule), *image = NULL;
    size_t size = 0;
    enum mgpt_status status;

    if (!text)
        return mgpt_fail(error, MGPT_UNSUPPORTED, "the names %s %s are not understood", rule->state,
                         rule->scalars);
    status = image_of(device, text, &image, &size, error);
    if (status == MGPT_OK)
        status = cuda_program_load(image, size, program, error);
    free(image);
    free(text);
    return status;
}

/* The program of a rule, NULL when there is none: then the cause was said, once. */
static const struct cuda_program *program_of(struct mgpt_device *device,
                                             const struct mgpt_rule *rule)
{
    struct cuda_updates *u = device->updates;
    struct mgpt_error why = {0};
    struct entry *e;
    char line[1200];

    for (int i = 0; i < u->n_entries; i++)
        if (u->entries[i].rule == rule)
            return u->entries[i].program;
    if (u->n_entries == PROGRAMS)
        return NULL;
    e = &u->entries[u->n_entries++];
    e->rule = rule;
    if (build(device, rule, &e->program, &why) != MGPT_OK) {
        e->program = NULL;
        (void)snprintf(line, sizeof line, "backend cuda: rule %s is not compiled: %s", rule->name,
                       why.text);
        (device->host->log)(MGPT_LOG_WARN, line); /* log is a macro of tgmath.h */
    }
    return e->program;
}

/* ---- gathering ---- */

static const struct mgpt_step_state *state_of(const struct mgpt_update *update)
{
    return cuda_state(&update->step_state);
}

/* May the call join those that were gathered? */
static int joins(const struct cuda_updates *u, const struct cuda_program *program,
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

/* Index of the scalars among those gathered; -1: no room. */
static int set_of(struct cuda_updates *u, const struct mgpt_update *update)
{
    size_t size = update->n_scalars * sizeof(double);

    for (uint32_t i = 0; i < u->n_sets; i++)
        if (memcmp(u->args.h[i], update->scalars, size) == 0)
            return (int)i;
    if (u->n_sets == CUDA_RULE_SETS)
        return -1;
    memcpy(u->args.h[u->n_sets], update->scalars, size);
    return (int)u->n_sets++;
}

static void begin(struct cuda_updates *u, const struct cuda_program *program,
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

enum mgpt_status cuda_update(struct mgpt_device *device, const struct mgpt_update *update,
                             struct mgpt_error *error)
{
    const struct cuda_program *program;
    enum mgpt_status status = CUDA_CHECK(cudaSetDevice(device->index), error);
    int set = -1;

    if (status != MGPT_OK)
        return status;
    if (update->p.dtype != MGPT_F32 || update->n_state > MGPT_MAX_STATE ||
        update->n_scalars > MGPT_MAX_SCALARS)
        return mgpt_fail(error, MGPT_UNSUPPORTED, "update takes F32 and at most %d arrays of state",
                         MGPT_MAX_STATE);
    if (!device->updates)
        device->updates = calloc(1, sizeof *device->updates);
    if (!device->updates)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for updates");
    program = program_of(device, update->rule);
    if (!program)
        return mgpt_fail(error, MGPT_UNSUPPORTED, "rule %s is not compiled", update->rule->name);
    if (device->updates->args.n_segments && joins(device->updates, program, update))
        set = set_of(device->updates, update);
    if (set < 0) {
        status = cuda_flush(device, error);
        begin(device->updates, program, update);
        set = set_of(device->updates, update);
    }
    append(device->updates, update, set);
    return status;
}
