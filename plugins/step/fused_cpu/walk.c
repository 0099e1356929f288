/* The step that walks: chunks, groups, walkers, and how gradients of groups are added up. */
#include <math.h>
#include <string.h>

#include "walk.h"

/* ---- a chunk ---- */

/* Positions up to the last that has a target: what is behind them changes nothing. Draws are
 * counted by all positions, so with dropout all of them walk. */
static int64_t length_of(const struct walk *w, const struct chunk *c)
{
    int64_t columns = c->batch->columns, length = 0;
    const int32_t *targets = c->batch->targets + (size_t)c->row * c->batch->columns;

    if (w->spec.model->dropout > 0)
        return columns;
    for (uint32_t row = 0; row < c->rows; row++, targets += columns)
        for (int64_t t = columns; t > length; t--)
            if (targets[t - 1] >= 0)
                length = t;
    return length;
}

static void copy_rows(const struct chunk *c, const int32_t *from, int64_t length,
                      const struct mgpt_tensor *to)
{
    from += (size_t)c->row * c->batch->columns;
    for (int64_t row = 0; row < c->rows; row++)
        memcpy(cpu_i32(to) + row * length, from + row * c->batch->columns,
               (size_t)length * sizeof *from);
}

static enum mgpt_status walk_one(const struct walk *w, struct walker *walker, const struct chunk *c,
                                 struct mgpt_error *error)
{
    struct walk_tape *t = &walker->tape;
    int64_t length = length_of(w, c);
    enum mgpt_status status = MGPT_OK;

    if (!length)
        return MGPT_OK;
    if (t->batch != c->rows || t->time != length) {
        t->batch = c->rows;
        t->time = length;
        walk_record(t);
    }
    copy_rows(c, c->batch->ids, length, &t->ids);
    copy_rows(c, c->batch->targets, length, &t->targets);
    for (uint32_t i = 0; i < t->n && status == MGPT_OK; i++) {
        struct mgpt_op *op = &t->ops[i];
        if (op->rate > 0)
            op->row = op->code == MGPT_OP_DROPOUT ? c->first * length : c->first;
        status = w->kernels->ops[op->code](&walker->device, op, error);
    }
    return status;
}

/* ---- a group ---- */

/* g += those of the group; the first one overwrites it. */
static enum mgpt_status add_gradients(struct walk *w, struct walker *walker, int64_t group,
                                      struct mgpt_error *error)
{
    struct mgpt_tensor all = {.dtype = MGPT_F32, .rank = 2, .shape = {1}};
    struct mgpt_op op = {.size = sizeof op, .code = MGPT_OP_AXPBY, .scale = 1, .value = 1};

    if (group == 0) {
        memcpy(w->g.data, walker->g.data, (size_t)w->g.bytes);
        return MGPT_OK;
    }
    all.shape[1] = (int64_t)(w->g.bytes / sizeof(float));
    op.in[0] = op.out[0] = op.in[1] = all;
    op.in[0].buffer = op.out[0].buffer = &w->g;
    op.in[1].buffer = &walker->g;
    return w->kernels->ops[MGPT_OP_AXPBY](&walker->device, &op, error);
}

/* Groups are taken in their order, so the one whose turn it is is always being walked. */
static void wait_for_turn(struct walk *w, int64_t group)
{
    pthread_mutex_lock(&w->lock);
    while (w->added < group)
        pthread_cond_wait(&w->turn, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

static void next_turn(struct walk *w, enum mgpt_status status, const struct mgpt_error *error)
{
    pthread_mutex_lock(&w->lock);
    if (status != MGPT_OK && w->status == MGPT_OK) {
        w->status = status;
        w->error = *error;
    }
    w->added++;
    pthread_cond_broadcast(&w->turn);
    pthread_mutex_unlock(&w->lock);
}

static struct walker *walker_of(const struct walk *w, const float *scratch)
{
    size_t at = (size_t)((const char *)(const void *)scratch - w->pool.scratch);

    return &w->walkers[at / w->pool.stride];
}

static void group_task(const void *data, int64_t group, float *scratch)
{
    struct walk *w = *(struct walk *const *)data;
    struct walker *walker = walker_of(w, scratch);
    int64_t from = w->n_chunks * group / w->n_groups, to = w->n_chunks * (group + 1) / w->n_groups;
    struct mgpt_error error = {0};
    enum mgpt_status status = MGPT_OK;

    walker->own = *w->state;
    walker->own.loss = 0;
    memset(walker->g.data, 0, (size_t)walker->g.bytes);
    for (int64_t i = from; i < to && status == MGPT_OK; i++) {
        if (w->chunks[i].stoppable && w->spec.host->canceled())
            status = mgpt_fail(&error, MGPT_CANCELED, "stopped within step %llu",
                               (unsigned long long)walker->own.step + 1);
        else
            status = walk_one(w, walker, &w->chunks[i], &error);
    }
    wait_for_turn(w, group);
    if (status == MGPT_OK)
        status = add_gradients(w, walker, group, &error);
    w->state->loss += walker->own.loss;
    next_turn(w, status, &error);
}

/* ---- a step ---- */

static void cut(struct walk *w, const struct mgpt_step_input *input)
{
    int64_t first = 0;

    w->n_chunks = 0;
    for (uint32_t i = 0; i < w->spec.micro_batches; i++) {
        const struct mgpt_batch *b = &input->batches[i];
        uint32_t rows = (uint32_t)walk_chunk(b->columns);
        for (uint32_t row = 0; row < b->rows; row += rows)
            w->chunks[w->n_chunks++] =
                (struct chunk){.batch = b,
                               .row = row,
                               .rows = b->rows - row < rows ? b->rows - row : rows,
                               .first = first + row,
                               .stoppable = i > 0};
        first += b->rows;
    }
    w->n_groups = w->n_chunks ? cpu_min(w->n_chunks, WALK_GROUPS) : 1;
}

enum mgpt_status walk_run(struct walk *w, const struct mgpt_step_input *input,
                          struct mgpt_error *error)
{
    cut(w, input);
    w->added = 0;
    w->status = MGPT_OK;
    w->state->step = input->step;
    w->state->inv_targets = 1.0 / (double)input->targets;
    w->state->loss = 0;
    cpu_run(&w->pool, group_task, &w, w->n_groups, INFINITY);
    if (w->status != MGPT_OK && error)
        *error = w->error;
    return w->status;
}
