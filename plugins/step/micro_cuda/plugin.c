/* Step "micro_cuda": micro.h says what it is. The host hands the device the documents of all steps
 * of a call, launches the program for as many steps at once as [step.micro_cuda] steps allows, and
 * fetches the results when it fences. */
#include <string.h>

#include "micro.h"

static enum mgpt_status check_batch(const struct mgpt_step *s, const struct mgpt_batch *b,
                                    struct mgpt_error *error)
{
    int32_t vocab = (int32_t)s->spec.model->vocab;

    if (b->rows > s->spec.rows || b->columns > s->spec.columns)
        return mgpt_fail(error, MGPT_INVALID,
                         "a batch of %u rows and %u columns, at most %u and %u", b->rows,
                         b->columns, s->spec.rows, s->spec.columns);
    for (size_t i = 0; i < (size_t)b->rows * b->columns; i++)
        if (b->ids[i] < 0 || b->ids[i] >= vocab || b->targets[i] < -1 || b->targets[i] >= vocab)
            return mgpt_fail(error, MGPT_INVALID,
                             "id %d or target %d at index %zu of a batch is not in 0..%d",
                             b->ids[i], b->targets[i], i, vocab - 1);
    return MGPT_OK;
}

/* Row `row` of a batch; `index`: among the rows of the step. What lies behind the last target of a
 * row changes nothing. */
static void put_document(const struct mgpt_batch *b, uint32_t row, uint64_t index, uint32_t columns,
                         struct micro_document *d)
{
    const int32_t *ids = b->ids + (size_t)row * b->columns;
    const int32_t *targets = b->targets + (size_t)row * b->columns;

    d->length = d->columns = (int32_t)b->columns;
    d->row = index;
    while (d->length && targets[d->length - 1] < 0)
        d->length--;
    memcpy(d->ids, ids, b->columns * sizeof *ids);
    memcpy(d->ids + micro_pad(columns), targets, b->columns * sizeof *targets);
}

static enum mgpt_status put_step(const struct mgpt_step *s, const struct mgpt_step_input *input,
                                 char *to, struct mgpt_error *error)
{
    const struct mgpt_step_spec *spec = &s->spec;
    struct micro_input *head = (struct micro_input *)(void *)to;
    uint64_t bytes = micro_document_bytes(spec->columns), n = 0;
    enum mgpt_status status = MGPT_OK;

    memset(to, 0, micro_step_bytes(spec, s->plan.documents));
    head->step = input->step;
    head->inv_targets = 1.0 / (double)input->targets;
    memcpy(head->scalars, input->scalars, sizeof head->scalars);
    to += sizeof *head;
    for (uint32_t i = 0; i < spec->micro_batches && status == MGPT_OK; i++) {
        const struct mgpt_batch *batch = &input->batches[i];
        status = check_batch(s, batch, error);
        for (uint32_t row = 0; row < batch->rows && status == MGPT_OK; row++, n++)
            put_document(batch, row, n, spec->columns,
                         (struct micro_document *)(void *)(to + n * bytes));
    }
    return status;
}

/* n steps whose data is at `from` on the device, in one launch. */
static enum mgpt_status launch(struct mgpt_step *s, uint32_t from, uint32_t n,
                               struct mgpt_error *error)
{
    struct mgpt_cuda_launch shape = {{s->blocks, 1, 1},
                                     {s->plan.threads, 1, 1},
                                     (uint32_t)s->plan.shared,
                                     s->plan.documents > 1 ? MGPT_CUDA_COOPERATIVE : 0};
    struct micro_args args = s->args;
    void *const pointers[] = {&args};

    args.steps += from * micro_step_bytes(&s->spec, s->plan.documents);
    args.results += s->n_results;
    args.n = n;
    s->n_results += n;
    return s->cuda->launch(s->spec.device, s->program, 0, &shape, pointers, error);
}

/* n steps, at most as many as there is room for. */
static enum mgpt_status run_some(struct mgpt_step *s, const struct mgpt_step_input *inputs,
                                 uint32_t n, struct mgpt_error *error)
{
    const struct mgpt_step_spec *spec = &s->spec;
    uint64_t bytes = micro_step_bytes(spec, s->plan.documents);
    enum mgpt_status status = MGPT_OK;
    uint32_t from;

    if (s->n_steps + n > s->plan.capacity) { /* copies under way read what is there */
        status = spec->backend->sync(spec->device, error);
        s->n_steps = 0;
    }
    from = s->n_steps;
    for (uint32_t i = 0; i < n && status == MGPT_OK; i++)
        status = put_step(s, &inputs[i], s->steps + (from + i) * bytes, error);
    if (status == MGPT_OK)
        status = s->cuda->copy(spec->device, (char *)(uintptr_t)s->args.steps + from * bytes,
                               s->steps + from * bytes, n * bytes, error);
    for (uint32_t i = 0, m; i < n && status == MGPT_OK; i += m) {
        m = n - i < s->at_once ? n - i : s->at_once;
        status = launch(s, from + i, m, error);
    }
    s->n_steps = from + n;
    return status;
}

static enum mgpt_status run(struct mgpt_step *s, const struct mgpt_step_input *inputs, uint32_t n,
                            struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;

    if (s->n_results + n > MGPT_STEP_RING)
        return mgpt_fail(error, MGPT_INVALID, "more than %d steps without a fence", MGPT_STEP_RING);
    for (uint32_t i = 0, m; i < n && status == MGPT_OK; i += m) {
        m = n - i < s->plan.capacity ? n - i : s->plan.capacity;
        status = run_some(s, inputs + i, m, error);
    }
    return status;
}

static enum mgpt_status fence(struct mgpt_step *s, struct mgpt_step_result *results, uint32_t *n,
                              struct mgpt_error *error)
{
    size_t bytes = s->n_results * sizeof *results;
    bool ours = s->plan.updates; /* else the core makes the results */
    enum mgpt_status status = MGPT_OK;

    if (ours && bytes)
        status = s->cuda->copy(s->spec.device, s->results, s->args.results, bytes, error);
    if (status == MGPT_OK)
        status = s->spec.backend->sync(s->spec.device, error);
    if (status != MGPT_OK)
        return status;
    if (ours)
        memcpy(results, s->results, bytes);
    *n = ours ? s->n_results : 0;
    s->n_results = s->n_steps = 0;
    return MGPT_OK;
}

/* Between two launches everything is in the buffers of the run. */
static enum mgpt_status adopt(struct mgpt_step *s, struct mgpt_error *error)
{
    (void)s;
    (void)error;
    return MGPT_OK;
}

static const struct mgpt_step_api api = {
    .size = sizeof api,
    .bid = micro_bid,
    .open = micro_open,
    .close = micro_close,
    .run = run,
    .fence = fence,
    .adopt = adopt,
};

static const struct mgpt_option options[] = {
    {.key = "steps",
     .value = "64",
     .help = "steps in one launch, at most",
     .min = 1,
     .max = MGPT_STEP_RING,
     .type = MGPT_OPTION_INT},
    {.key = "threads",
     .value = "0",
     .help = "threads of a block, a multiple of 32; 0: as many as are of use",
     .max = 1024,
     .type = MGPT_OPTION_INT},
};

static const struct mgpt_component component = {
    .size = sizeof component,
    MGPT_OPTIONS(options),
    .kind = MGPT_KIND_STEP,
    .name = "micro_cuda",
    .summary = "small models on a GPU: the whole step in one launch, or many steps",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.step.micro_cuda", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
