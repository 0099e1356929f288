/* Opening a step that walks: its weights by name, its walkers, and what they hold. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "walk.h"

/* ---- sizes ---- */

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t walk_chunks(const struct mgpt_step_spec *spec)
{
    return cpu_pieces(spec->rows, walk_chunk(spec->columns)) * spec->micro_batches;
}

uint32_t walk_threads(const struct mgpt_step_spec *spec)
{
    uint32_t threads = spec->caps->threads ? spec->caps->threads : 1;

    return (uint32_t)smaller(threads, smaller(walk_chunks(spec), WALK_GROUPS));
}

/* Of the largest chunk: shorter columns than those of the spec make chunks of up to WALK_ROWS. */
static struct walk_tape measure(const struct mgpt_step_spec *spec)
{
    int64_t most = (int64_t)spec->rows * spec->columns;
    struct walk_tape tape = {.model = spec->model,
                             .activation = spec->precision->activation,
                             .batch = 1,
                             .time = spec->columns};

    if (tape.time < WALK_ROWS)
        tape.time = smaller(WALK_ROWS, most);
    walk_record(&tape);
    return tape;
}

static uint64_t gradient_bytes(const struct mgpt_step_spec *spec)
{
    uint64_t end = 0;

    for (uint32_t i = 0; i < spec->n_params; i++) {
        const struct mgpt_tensor *g = &spec->params[i].g;
        uint64_t to = g->offset + (uint64_t)mgpt_tensor_count(g) * sizeof(float);
        end = to > end ? to : end;
    }
    return (end + 63) / 64 * 64;
}

uint64_t walk_bytes(const struct mgpt_step_spec *spec)
{
    return walk_threads(spec) * (measure(spec).peak + gradient_bytes(spec) + CPU_SCRATCH);
}

/* ---- weights ---- */

static const struct mgpt_param *find(const struct mgpt_step_spec *spec, const char *prefix,
                                     const char *name, const char *suffix)
{
    char full[96];

    (void)snprintf(full, sizeof full, "%s%s.%s", prefix, name, suffix);
    for (uint32_t i = 0; i < spec->n_params; i++)
        if (strcmp(spec->params[i].name, full) == 0)
            return &spec->params[i];
    return NULL;
}

static void find_pair(const struct mgpt_step_spec *spec, const char *prefix, const char *name,
                      struct walk_weight *out)
{
    out->weight = find(spec, prefix, name, "weight");
    out->bias = find(spec, prefix, name, "bias");
}

static enum mgpt_status find_weights(struct walk *w, struct mgpt_error *error)
{
    static const char *const once[WALK_ONCE] = {"wte", "wpe", "ln_e", "ln_f", "lm_head"};
    static const char *const parts[WALK_PARTS] = {"ln_1", "attn.qkv", "attn.proj",
                                                  "ln_2", "mlp.fc",   "mlp.proj"};
    const struct mgpt_step_spec *spec = &w->spec;
    size_t layers = spec->model->layers;
    int complete;

    w->weights = calloc(WALK_ONCE + layers * WALK_PARTS, sizeof *w->weights);
    if (!w->weights)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory opening step fused_cpu");
    for (int i = 0; i < WALK_ONCE; i++)
        find_pair(spec, "", once[i], &w->weights[i]);
    if (spec->model->tied)
        w->weights[WALK_HEAD].weight = w->weights[WALK_WTE].weight;
    complete =
        w->weights[WALK_WTE].weight && w->weights[WALK_WPE].weight && w->weights[WALK_HEAD].weight;
    for (size_t l = 0; l < layers; l++) {
        struct walk_weight *layer = &w->weights[WALK_ONCE + l * WALK_PARTS];
        char prefix[32];
        (void)snprintf(prefix, sizeof prefix, "h.%zu.", l);
        for (int i = 0; i < WALK_PARTS; i++)
            find_pair(spec, prefix, parts[i], &layer[i]);
        complete = complete && layer[WALK_QKV].weight && layer[WALK_PROJ].weight &&
                   layer[WALK_FC].weight && layer[WALK_OUT].weight;
    }
    return complete ? MGPT_OK
                    : mgpt_fail(error, MGPT_INTERNAL,
                                "step fused_cpu: the model lacks a parameter that it should have");
}

/* ---- memory ---- */

static void *mapped(const struct mgpt_step_spec *spec, struct mgpt_buffer *buffer)
{
    return spec->backend->map(spec->device, buffer);
}

/* Memory of the backend, which knows where large buffers lie well. */
static enum mgpt_status new_memory(const struct mgpt_step_spec *spec, uint64_t bytes,
                                   struct mgpt_buffer **memory, struct mgpt_buffer *out,
                                   struct mgpt_error *error)
{
    enum mgpt_status status = spec->backend->buffer_new(spec->device, bytes, memory, error);

    if (status != MGPT_OK)
        return status;
    *out = (struct mgpt_buffer){.bytes = bytes, .data = mapped(spec, *memory)};
    return out->data ? MGPT_OK
                     : mgpt_fail(error, MGPT_UNSUPPORTED,
                                 "step fused_cpu: the device does not show its memory");
}

static enum mgpt_status open_walker(struct walk *w, struct walker *walker, struct mgpt_error *error)
{
    const struct mgpt_step_spec *spec = &w->spec;
    enum mgpt_status status = cpu_pool_init(&walker->device, 1, error);

    walker->tape = measure(spec);
    if (status == MGPT_OK)
        status = new_memory(spec, walker->tape.peak, &walker->arena_memory, &walker->arena, error);
    if (status == MGPT_OK)
        status = new_memory(spec, gradient_bytes(spec), &walker->g_memory, &walker->g, error);
    if (status != MGPT_OK)
        return status;
    walker->tape.ops = calloc(walker->tape.n, sizeof *walker->tape.ops);
    if (!walker->tape.ops)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory opening step fused_cpu");
    walker->state = (struct mgpt_buffer){.bytes = sizeof walker->own, .data = (char *)&walker->own};
    walker->tape.weights = w->weights;
    walker->tape.p = &w->p;
    walker->tape.g = &walker->g;
    walker->tape.state = &walker->state;
    walker->tape.arena = &walker->arena;
    walker->tape.seed = spec->seed;
    walker->tape.batch = 0; /* nothing is recorded yet */
    return MGPT_OK;
}

static enum mgpt_status open_walkers(struct walk *w, struct mgpt_error *error)
{
    int n = (int)walk_threads(&w->spec);
    enum mgpt_status status = cpu_pool_init(&w->pool, n, error);

    w->walkers = calloc((size_t)n, sizeof *w->walkers);
    if (!w->walkers)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory opening step fused_cpu");
    while (w->n_walkers < n && status == MGPT_OK)
        status = open_walker(w, &w->walkers[w->n_walkers++], error);
    return status;
}

static enum mgpt_status map_all(struct walk *w, struct mgpt_error *error)
{
    const struct mgpt_step_spec *spec = &w->spec;
    char *p = mapped(spec, spec->p.buffer), *g = mapped(spec, spec->g.buffer);
    char *state = mapped(spec, spec->step_state.buffer);

    if (!p || !g || !state)
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "step fused_cpu: the device does not show its memory");
    w->p = (struct mgpt_buffer){.data = p};
    w->g = (struct mgpt_buffer){.bytes = gradient_bytes(spec), .data = g};
    w->state = (struct mgpt_step_state *)(void *)(state + spec->step_state.offset);
    return MGPT_OK;
}

enum mgpt_status walk_open(const struct mgpt_step_spec *spec, const struct cpu_kernels *kernels,
                           struct walk **out, struct mgpt_error *error)
{
    struct walk *w = calloc(1, sizeof *w);
    enum mgpt_status status;

    if (!w)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory opening step fused_cpu");
    *out = w;
    w->spec = *spec;
    w->kernels = kernels;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->turn, NULL);
    w->chunks = calloc((size_t)spec->rows * spec->micro_batches, sizeof *w->chunks);
    status = w->chunks ? map_all(w, error)
                       : mgpt_fail(error, MGPT_NOMEM, "out of memory opening step fused_cpu");
    if (status == MGPT_OK)
        status = find_weights(w, error);
    return status == MGPT_OK ? open_walkers(w, error) : status;
}

static void close_walker(struct walk *w, struct walker *walker)
{
    if (walker->arena_memory)
        w->spec.backend->buffer_free(w->spec.device, walker->arena_memory);
    if (walker->g_memory)
        w->spec.backend->buffer_free(w->spec.device, walker->g_memory);
    free(walker->tape.ops);
    cpu_pool_finish(&walker->device);
}

void walk_close(struct walk *w)
{
    if (!w)
        return;
    for (int i = 0; i < w->n_walkers; i++)
        close_walker(w, &w->walkers[i]);
    if (w->walkers)
        cpu_pool_finish(&w->pool);
    free(w->walkers);
    free(w->weights);
    free(w->chunks);
    pthread_cond_destroy(&w->turn);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
