/* A block of training steps: the inputs of up to MGPT_STEP_RING of them, made ready together. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run/block.h"

#define MOST_CELLS                                                                                 \
    (1u << 19) /* ids and targets in one block: 2 MiB each, unless one step is larger */

static uint32_t capacity(size_t batch, size_t micro)
{
    size_t steps = MOST_CELLS / batch / micro;

    return steps < 1 ? 1 : steps > MGPT_STEP_RING ? MGPT_STEP_RING : (uint32_t)steps;
}

uint64_t mgpt_block_bytes(uint32_t rows, uint32_t columns, uint32_t micro_batches)
{
    size_t batch = (size_t)rows * columns;

    return (uint64_t)capacity(batch, micro_batches) * micro_batches * 2 * batch * sizeof(int32_t);
}

/* What the scalars of every step depend on, looked up once. */
static void read_settings(struct mgpt_block *block, const struct mgpt_session *s)
{
    block->total = (uint64_t)mgpt_conf_int(s->conf, "train", "steps");
    block->base = mgpt_conf_float(s->conf, "train", "lr");
    block->decay = mgpt_conf_float(s->conf, "train", "weight_decay");
    for (uint32_t i = 0; i < s->params.n; i++)
        block->has[s->params.items[i].decays != 0] = true;
}

enum mgpt_status mgpt_block_open(struct mgpt_block *block, const struct mgpt_session *s,
                                 struct mgpt_error *error)
{
    size_t batch = (size_t)mgpt_conf_int(s->conf, "train", "batch") * s->model.context;
    size_t micro = (size_t)mgpt_conf_int(s->conf, "train", "accumulate");

    memset(block, 0, sizeof *block);
    read_settings(block, s);
    block->micro = (uint32_t)micro;
    block->capacity = capacity(batch, micro);
    size_t n = block->capacity * micro;
    block->batches = calloc(n, sizeof *block->batches);
    block->cells = calloc(n, 2 * batch * sizeof *block->cells);
    if (!block->batches || !block->cells) {
        mgpt_block_close(block);
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for %zu batches of %zu ids", n, batch);
    }
    for (size_t i = 0; i < n; i++) {
        block->batches[i].ids = block->cells + 2 * i * batch;
        block->batches[i].targets = block->cells + (2 * i + 1) * batch;
    }
    for (uint32_t i = 0; i < block->capacity; i++)
        block->inputs[i].batches = block->batches + i * micro;
    return MGPT_OK;
}

void mgpt_block_close(struct mgpt_block *block)
{
    free(block->batches);
    free(block->cells);
    memset(block, 0, sizeof *block);
}

/* The rule's scalars for the groups of parameters that there are. */
static void scalars(const struct mgpt_block *block, const struct mgpt_session *s, double lr,
                    struct mgpt_step_input *input)
{
    for (int group = 0; group < 2; group++) {
        struct mgpt_tick tick = {.step = input->step,
                                 .total = block->total,
                                 .lr = lr,
                                 .weight_decay = group ? block->decay : 0};
        if (block->has[group])
            s->optimizer_api->scalars(s->optimizer, &tick, input->scalars[group]);
    }
}

void mgpt_block_scalars(const struct mgpt_session *s, uint64_t step, double lr,
                        struct mgpt_step_input *input)
{
    struct mgpt_block settings = {0};

    read_settings(&settings, s);
    input->step = step;
    scalars(&settings, s, lr, input);
}

enum mgpt_status mgpt_block_fill(struct mgpt_block *block, const struct mgpt_session *s,
                                 uint64_t first, uint32_t n, struct mgpt_error *error)
{
    block->n = n;
    block->targets = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct mgpt_step_input *input = &block->inputs[i];
        input->step = first + i;
        input->targets = s->dataset_api->targets(s->dataset, input->step);
        block->targets += input->targets;
        for (uint32_t k = 0; k < block->micro; k++)
            s->dataset_api->batch(s->dataset, MGPT_PART_TRAIN, input->step, k,
                                  &block->batches[i * block->micro + k]);
        block->lr[i] = s->scheduler_api->lr(s->scheduler, input->step, block->total, block->base);
        if (!isfinite(block->lr[i]) || block->lr[i] < 0)
            return mgpt_fail(error, MGPT_PLUGIN, "scheduler %s gives lr %g at step %llu",
                             mgpt_conf_text(s->conf, "scheduler", "use"), block->lr[i],
                             (unsigned long long)input->step + 1);
        scalars(block, s, block->lr[i], input);
    }
    return MGPT_OK;
}
