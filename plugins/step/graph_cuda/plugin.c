/* Step "graph_cuda": any model whose ops all run on a CUDA device; each micro-batch of the composed
 * step is one graph, and the host never waits between steps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph.h"

#define SCORE 10
#define SLOTS_BYTES ((uint64_t)32 << 20) /* of page-locked memory, unless four slots take more */
#define LEAST_SLOTS 4
#define PIECES 256 /* that are kept, at least; documents of a few tens of lengths make as many */

static const struct mgpt_composed *composed_of(const struct mgpt_host *host)
{
    const struct mgpt_composed *composed =
        MGPT_HAS(host, query) && host->query ? host->query(MGPT_COMPOSED) : NULL;

    return composed && MGPT_HAS(composed, resident) ? composed : NULL;
}

static const struct mgpt_cuda_native *native_of(const struct mgpt_step_spec *spec)
{
    const struct mgpt_backend_api *backend = spec->backend;
    const struct mgpt_cuda_native *cuda = NULL;

    if (MGPT_HAS(backend, query) && backend->query && spec->device)
        cuda = backend->query(spec->device, MGPT_CUDA_NATIVE);
    return cuda && MGPT_HAS(cuda, update) ? cuda : NULL;
}

/* ---- bid ---- */

/* Slots that the host fills before it has to wait. */
static uint32_t slots_of(const struct mgpt_step_spec *spec, uint64_t feed)
{
    uint64_t all = (uint64_t)MGPT_STEP_RING * spec->micro_batches, room = SLOTS_BYTES / feed;

    room = room > LEAST_SLOTS ? room : LEAST_SLOTS;
    return (uint32_t)(all < room ? all : room);
}

/* NULL, or what is missing; then *bytes is what an open step holds on the device. */
static const char *lacks(const struct mgpt_step_spec *spec, uint64_t *bytes,
                         struct mgpt_error *error)
{
    const struct mgpt_composed *composed = composed_of(spec->host);
    const struct mgpt_cuda_native *cuda = native_of(spec);
    const struct mgpt_model *m = spec->model;
    const struct mgpt_precision_plan *plan = spec->precision;

    if (!cuda)
        return "the backend is no CUDA device (it has no " MGPT_CUDA_NATIVE ")";
    if (!composed)
        return "the core does not hand out its composed step (" MGPT_COMPOSED ")";
    if (spec->ranks > 1)
        return "needs one rank";
    if (!mgpt_rest_is_zero(spec, spec->size, sizeof *spec) ||
        !mgpt_rest_is_zero(m, m->size, sizeof *m) ||
        !mgpt_rest_is_zero(plan, plan->size, sizeof *plan))
        return "the model, the step or the precision has settings that this module does not know";
    if (composed->resident(spec, bytes, error) != MGPT_OK)
        return error->text;
    if (cuda->rule_ready(spec->device, spec->optimizer->rule, error) != MGPT_OK)
        return error->text;
    *bytes += graph_feed_bytes(spec->rows, spec->columns) + RING_BYTES;
    return NULL;
}

static void bid(const struct mgpt_step_spec *spec, struct mgpt_bid *out)
{
    struct mgpt_error error = {0};
    uint64_t bytes = 0;
    const char *why = lacks(spec, &bytes, &error);

    out->score = why ? 0 : SCORE;
    out->covers = MGPT_COVERS_FBCUS;
    if (!why && MGPT_HAS(out, bytes))
        out->bytes = bytes;
    (void)snprintf(out->reason, sizeof out->reason, "%.230s",
                   why ? why : "the composed step as CUDA graphs, one a micro-batch");
}

/* ---- life ---- */

static void close_step(struct mgpt_step *s)
{
    if (!s)
        return;
    (void)graph_forget(s, NULL);
    if (s->inner)
        s->composed->close(s->inner);
    s->cuda->program_free(s->device, s->program);
    s->backend->buffer_free(s->device, s->feed.buffer);
    s->backend->buffer_free(s->device, s->ring.buffer);
    s->cuda->pinned_free(s->device, s->slots);
    s->cuda->pinned_free(s->device, s->results);
    free(s->pieces);
    free(s);
}

/* A new buffer as a U8 tensor, all zeros. */
static enum mgpt_status new_bytes(struct mgpt_step *s, uint64_t bytes, struct mgpt_tensor *out,
                                  struct mgpt_error *error)
{
    struct mgpt_tensor t = {.dtype = MGPT_U8, .rank = 1, .shape = {(int64_t)bytes}};
    void *zeros = calloc(1, (size_t)bytes);
    enum mgpt_status status;

    if (!zeros)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory opening step graph_cuda");
    status = s->backend->buffer_new(s->device, bytes, &t.buffer, error);
    if (status == MGPT_OK) {
        *out = t;
        status = s->backend->upload(s->device, t.buffer, 0, zeros, bytes, error);
    }
    free(zeros);
    return status;
}

static enum mgpt_status open_memory(struct mgpt_step *s, struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;
    void *slots = NULL, *results = NULL;

    s->feed_bytes = graph_feed_bytes(s->spec.rows, s->spec.columns);
    s->n_slots = slots_of(&s->spec, s->feed_bytes);
    s->most_pieces = PIECES + s->spec.micro_batches;
    s->pieces = calloc(s->most_pieces, sizeof *s->pieces);
    if (!s->pieces)
        status = mgpt_fail(error, MGPT_NOMEM, "out of memory opening step graph_cuda");
    if (status == MGPT_OK)
        status = new_bytes(s, s->feed_bytes, &s->feed, error);
    if (status == MGPT_OK)
        status = new_bytes(s, RING_BYTES, &s->ring, error);
    if (status == MGPT_OK)
        status = s->cuda->pinned_new(s->device, s->n_slots * s->feed_bytes, &slots, error);
    s->slots = slots;
    if (status == MGPT_OK)
        status =
            s->cuda->pinned_new(s->device, MGPT_STEP_RING * sizeof *s->results, &results, error);
    s->results = results;
    return status;
}

/* The composed step on the proxy: whatever the device refuses is an error, not a detour. */
static enum mgpt_status open_inner(struct mgpt_step *s, struct mgpt_error *error)
{
    struct mgpt_step_spec spec = s->spec;

    graph_proxy_init(s);
    spec.backend = &s->proxy_api;
    spec.device = &s->proxy;
    spec.fallback = MGPT_FALLBACK_ERROR;
    return s->composed->open(s->host, NULL, &spec, &s->inner, error);
}

static enum mgpt_status open_step(const struct mgpt_host *host, const struct mgpt_config *config,
                                  const struct mgpt_step_spec *spec, struct mgpt_step **out,
                                  struct mgpt_error *error)
{
    const struct mgpt_composed *composed = composed_of(host);
    const struct mgpt_cuda_native *cuda = native_of(spec);
    struct mgpt_step *s;
    enum mgpt_status status;

    (void)config;
    if (!composed || !cuda)
        return mgpt_fail(error, MGPT_UNSUPPORTED, "step graph_cuda did not bid on this");
    s = calloc(1, sizeof *s);
    if (!s)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory opening step graph_cuda");
    s->host = host;
    s->spec = *spec;
    s->backend = spec->backend;
    s->device = spec->device;
    s->cuda = cuda;
    s->composed = composed->api;
    s->draws = spec->model->dropout > 0;
    status = graph_program_open(s, error);
    if (status == MGPT_OK)
        status = open_memory(s, error);
    if (status == MGPT_OK)
        status = open_inner(s, error);
    if (status == MGPT_OK)
        *out = s;
    else
        close_step(s);
    return status;
}

/* ---- steps ---- */

/* Launches only, if all pieces are graphs; *ran says whether it did. A step that is alone in its
 * call gives up when the user asks to stop: nothing was updated yet. */
static enum mgpt_status run_graphs(struct mgpt_step *s, const struct mgpt_step_input *input,
                                   bool alone, bool *ran, struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;
    int64_t first = 0;

    *ran = true;
    for (uint32_t i = 0; i < s->spec.micro_batches && *ran; i++) {
        const struct piece *piece = graph_piece(s, input, i, first);
        *ran = piece && piece->stage == STAGE_GRAPH;
        first += input->batches[i].rows;
    }
    first = 0;
    for (uint32_t i = 0; i < s->spec.micro_batches && *ran && status == MGPT_OK; i++) {
        if (alone && i && s->host->canceled())
            return mgpt_fail(error, MGPT_CANCELED, "stopped within step %llu",
                             (unsigned long long)input->step + 1);
        status = graph_launch(s, graph_piece(s, input, i, first), input, i, error);
        first += input->batches[i].rows;
    }
    return status;
}

static enum mgpt_status run(struct mgpt_step *s, const struct mgpt_step_input *inputs, uint32_t n,
                            struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;

    if (s->done - s->fenced + n > MGPT_STEP_RING)
        return mgpt_fail(error, MGPT_INVALID, "more than %d steps without a fence", MGPT_STEP_RING);
    for (uint32_t i = 0; i < n && status == MGPT_OK; i++) {
        bool ran;
        status = run_graphs(s, &inputs[i], n == 1, &ran, error);
        if (!ran && status == MGPT_OK)
            status = graph_run_through(s, &inputs[i], error);
        if (status == MGPT_OK)
            s->numbers[s->done++ % MGPT_STEP_RING] = inputs[i].step;
    }
    return status;
}

static enum mgpt_status fence(struct mgpt_step *s, struct mgpt_step_result *results, uint32_t *n,
                              struct mgpt_error *error)
{
    struct mgpt_tensor places = s->ring;
    enum mgpt_status status = MGPT_OK;

    places.offset += 64;
    *n = 0;
    if (s->done > s->fenced)
        status = s->cuda->copy(s->device, s->results, s->cuda->address(s->device, &places),
                               MGPT_STEP_RING * sizeof *s->results, error);
    if (status == MGPT_OK)
        status = s->backend->sync(s->device, error);
    if (status != MGPT_OK)
        return status;
    s->used = 0;
    for (; s->fenced < s->done; s->fenced++) {
        const struct mgpt_step_state *state = &s->results[s->fenced % MGPT_STEP_RING];
        results[(*n)++] = (struct mgpt_step_result){.step = s->numbers[s->fenced % MGPT_STEP_RING],
                                                    .loss = state->loss,
                                                    .grad_norm = state->grad_norm,
                                                    .loss_scale = state->loss_scale,
                                                    .skipped = state->nonfinite != 0};
    }
    return MGPT_OK;
}

/* It keeps no copies of its own. */
static enum mgpt_status adopt(struct mgpt_step *s, struct mgpt_error *error)
{
    return s->backend->sync(s->device, error);
}

static const struct mgpt_step_api api = {.size = sizeof api,
                                         .bid = bid,
                                         .open = open_step,
                                         .close = close_step,
                                         .run = run,
                                         .fence = fence,
                                         .adopt = adopt};

static const struct mgpt_component component = {
    sizeof(struct mgpt_component),
    MGPT_NO_OPTIONS,
    0,
    MGPT_KIND_STEP,
    "graph_cuda",
    "the composed step as CUDA graphs: any model on a CUDA device",
    NULL,
    NULL,
    &api};

MGPT_PLUGIN_DEFINE("org.microgpt.step.graph_cuda", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
