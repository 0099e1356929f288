/* The device that the composed step sees: it hands calls on, and knows where a step begins, where a
 * micro-batch does and where the step ends. */
#include <stdlib.h>
#include <string.h>

#include "graph.h"

#define OPS 64 /* codes that are handed on: more than there are */

/* ---- from piece to piece ---- */

/* Ends the piece at hand. */
static enum mgpt_status finish_piece(struct mgpt_step *s, struct mgpt_error *error)
{
    struct piece *piece = s->piece;
    enum mode mode = s->mode;
    enum mgpt_status status = MGPT_OK;

    s->piece = NULL;
    s->mode = MODE_IDLE;
    if (!piece || mode == MODE_SKIP)
        return MGPT_OK;
    if (mode == MODE_TAKE) {
        status = graph_enqueue_parts(s, error);
        if (status == MGPT_OK)
            status = s->cuda->capture_end(s->device, &piece->graph, error);
        else
            (void)s->cuda->capture_end(s->device, NULL, NULL);
        if (status == MGPT_OK)
            status = graph_launch(s, piece, s->input, s->at, error);
    }
    if (status == MGPT_OK)
        piece->stage = mode == MODE_TAKE ? STAGE_GRAPH : STAGE_WARM;
    return status;
}

/* The piece of micro-batch i begins; before that the one at hand ends. */
static enum mgpt_status begin_piece(struct mgpt_step *s, uint32_t i, struct mgpt_error *error)
{
    enum mgpt_status status = finish_piece(s, error);
    int64_t first = 0;

    if (status != MGPT_OK)
        return status;
    for (uint32_t k = 0; k < i; k++)
        first += s->input->batches[k].rows;
    s->at = i;
    s->has_ids = false;
    s->n_parts = 0;
    s->piece = graph_piece(s, s->input, i, first);
    if (!s->piece)
        return mgpt_fail(error, MGPT_INTERNAL, "step graph_cuda has no room for a piece");
    switch (s->piece->stage) {
    case STAGE_NEW: s->mode = MODE_RUN; break;
    case STAGE_WARM:
        s->mode = MODE_TAKE;
        s->piece->n_sets = 0;
        return s->cuda->capture_begin(s->device, error);
    case STAGE_GRAPH: s->mode = MODE_SKIP; return graph_launch(s, s->piece, s->input, i, error);
    }
    return MGPT_OK;
}

/* ---- uploads ---- */

static enum mgpt_status add_part(struct mgpt_step *s, const struct mgpt_tensor *to, uint32_t from,
                                 uint64_t bytes, struct mgpt_error *error)
{
    if (s->n_parts == MOST_PARTS)
        return mgpt_fail(error, MGPT_INTERNAL, "step graph_cuda: uploads without an op");
    s->parts[s->n_parts++] = (struct part){s->cuda->address(s->device, to), from, (uint32_t)bytes};
    return MGPT_OK;
}

static bool is_state(const struct mgpt_step *s, const struct mgpt_buffer *buffer, uint64_t offset)
{
    return buffer == s->spec.step_state.buffer && offset == s->spec.step_state.offset;
}

/* Of whatever is not part of a step: zeros in new buffers. */
static enum mgpt_status upload_elsewhere(struct mgpt_step *s, struct mgpt_buffer *buffer,
                                         uint64_t offset, const void *data, uint64_t bytes,
                                         struct mgpt_error *error)
{
    if (s->mode == MODE_TAKE || s->mode == MODE_SKIP)
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "the step uploads what step graph_cuda does not know: [step] use = "
                         "composed runs it");
    return s->backend->upload(s->device, buffer, offset, data, bytes, error);
}

/* Of the micro-batch at hand, or of the next one, when its own are there. */
static bool is_next_ids(const struct mgpt_step *s, const void *data)
{
    uint32_t i = s->at + s->has_ids;

    return i < s->spec.micro_batches && data == s->input->batches[i].ids;
}

static enum mgpt_status upload(struct mgpt_device *device, struct mgpt_buffer *buffer,
                               uint64_t offset, const void *data, uint64_t bytes,
                               struct mgpt_error *error)
{
    struct mgpt_step *s = device->step;
    struct mgpt_tensor to = {.buffer = buffer, .offset = offset, .rank = 1};
    enum mgpt_status status = MGPT_OK;
    uint32_t from = FEED_HEAD;

    if (!s->input)
        return upload_elsewhere(s, buffer, offset, data, bytes, error);
    if (is_state(s, buffer, offset) && bytes == HEAD_BYTES) {
        status = begin_piece(s, 0, error);
    } else if (s->piece && data == s->input->batches[s->at].targets) {
        from = graph_targets_at(&s->piece->key);
    } else if (s->piece && is_next_ids(s, data)) {
        status = s->has_ids ? begin_piece(s, s->at + 1, error) : MGPT_OK;
        s->has_ids = true;
        from = FEED_IDS;
    } else {
        return upload_elsewhere(s, buffer, offset, data, bytes, error);
    }
    if (status != MGPT_OK)
        return status;
    switch (s->mode) {
    case MODE_SKIP: return MGPT_OK;
    case MODE_TAKE: return add_part(s, &to, from, bytes, error);
    default: return s->backend->upload(s->device, buffer, offset, data, bytes, error);
    }
}

/* ---- everything else ---- */

/* Reading the step state ends a step. */
static enum mgpt_status download(struct mgpt_device *device, struct mgpt_buffer *buffer,
                                 uint64_t offset, void *data, uint64_t bytes,
                                 struct mgpt_error *error)
{
    struct mgpt_step *s = device->step;
    enum mgpt_status status = MGPT_OK;

    if (!s->piece || !is_state(s, buffer, offset))
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "the step downloads what step graph_cuda does not know: [step] use = "
                         "composed runs it");
    memset(data, 0, (size_t)bytes);
    if (s->mode == MODE_TAKE)
        status = graph_enqueue_parts(s, error);
    if (status == MGPT_OK && s->mode != MODE_SKIP)
        status = graph_enqueue_keep(s, error);
    return status == MGPT_OK ? finish_piece(s, error) : status;
}

static enum mgpt_status run_op(struct mgpt_device *device, const struct mgpt_op *op,
                               struct mgpt_error *error)
{
    struct mgpt_step *s = device->step;
    enum mgpt_status status = MGPT_OK;

    if (s->mode == MODE_SKIP)
        return MGPT_OK;
    if (s->mode == MODE_TAKE)
        status = graph_enqueue_parts(s, error);
    return status == MGPT_OK ? s->backend->ops[op->code](s->device, op, error) : status;
}

static enum mgpt_status run_update(struct mgpt_device *device, const struct mgpt_update *update,
                                   struct mgpt_error *error)
{
    struct mgpt_step *s = device->step;
    const char *feed;
    int set;

    if (s->mode == MODE_SKIP)
        return MGPT_OK;
    if (s->mode != MODE_TAKE)
        return s->backend->update(s->device, update, error);
    set = graph_set(s->piece, update->scalars, update->n_scalars);
    if (set < 0)
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "rules are given more than %u sets of scalars: [step] use = composed runs "
                         "this optimizer",
                         MOST_SETS);
    feed = s->cuda->address(s->device, &s->feed);
    feed += FEED_SETS + (uint32_t)set * SET_BYTES;
    return s->cuda->update(s->device, update, (const double *)(const void *)feed, error);
}

/* The composed step waits when its results are read; this one does in `fence`. */
static enum mgpt_status no_sync(struct mgpt_device *device, struct mgpt_error *error)
{
    (void)device;
    (void)error;
    return MGPT_OK;
}

static enum mgpt_status new_buffer(struct mgpt_device *device, uint64_t bytes,
                                   struct mgpt_buffer **buffer, struct mgpt_error *error)
{
    return device->step->backend->buffer_new(device->step->device, bytes, buffer, error);
}

static void free_buffer(struct mgpt_device *device, struct mgpt_buffer *buffer)
{
    device->step->backend->buffer_free(device->step->device, buffer);
}

static int supports(struct mgpt_device *device, const struct mgpt_op *op)
{
    const struct mgpt_backend_api *backend = device->step->backend;

    return op->code < OPS && op->code < backend->n_ops && backend->ops[op->code] &&
           (!backend->supports || backend->supports(device->step->device, op));
}

/* All alike: which of them the device has, `supports` says. */
#define FOUR(X) X, X, X, X
#define SIXTEEN(X) FOUR(X), FOUR(X), FOUR(X), FOUR(X)
static const mgpt_op_fn ops[OPS] = {FOUR(SIXTEEN(run_op))};
#undef FOUR
#undef SIXTEEN

void graph_proxy_init(struct mgpt_step *s)
{
    s->proxy.step = s;
    s->proxy_api = (struct mgpt_backend_api){.size = sizeof s->proxy_api,
                                             .n_ops = OPS,
                                             .buffer_new = new_buffer,
                                             .buffer_free = free_buffer,
                                             .upload = upload,
                                             .download = download,
                                             .sync = no_sync,
                                             .supports = supports,
                                             .ops = ops,
                                             .update = run_update};
}

/* ---- a step ---- */

/* What the last piece will do decides whether its scalars are values or marks. */
static bool will_take(struct mgpt_step *s, const struct mgpt_step_input *input)
{
    uint32_t last = s->spec.micro_batches - 1;
    const struct piece *piece;
    int64_t first = 0;

    for (uint32_t k = 0; k < last; k++)
        first += input->batches[k].rows;
    piece = graph_piece(s, input, last, first);
    return piece && piece->stage == STAGE_WARM;
}

enum mgpt_status graph_run_through(struct mgpt_step *s, const struct mgpt_step_input *input,
                                   struct mgpt_error *error)
{
    struct mgpt_step_input marked = *input;
    struct mgpt_step_result unread[MGPT_STEP_RING];
    uint32_t n = 0;
    enum mgpt_status status = MGPT_OK;

    if (s->n_pieces + s->spec.micro_batches > s->most_pieces)
        status = graph_forget(s, error);
    if (status != MGPT_OK)
        return status;
    if (will_take(s, input))
        for (uint32_t k = 0; k < 2 * MGPT_MAX_SCALARS; k++)
            marked.scalars[k / MGPT_MAX_SCALARS][k % MGPT_MAX_SCALARS] = graph_mark(k);
    s->input = input;
    status = s->composed->run(s->inner, &marked, 1, error);
    if (s->mode == MODE_TAKE) /* it went wrong half-way */
        (void)s->cuda->capture_end(s->device, NULL, NULL);
    s->mode = MODE_IDLE;
    s->piece = NULL;
    s->input = NULL;
    if (status == MGPT_OK)
        status = s->composed->fence(s->inner, unread, &n, error);
    return status;
}
