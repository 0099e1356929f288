/* Opening step micro_cuda: the program, and the memory of the device that it works in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "micro.h"

/* ---- memory ---- */

static uint64_t rounded(uint64_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* One piece of the device's memory in the order of struct micro_args; page-locked, the steps and
 * the results once more. */
static enum mgpt_status open_memory(struct mgpt_step *s, struct mgpt_error *error)
{
    const struct mgpt_step_spec *spec = &s->spec;
    const struct micro_plan *plan = &s->plan;
    uint64_t steps = rounded(plan->capacity * micro_step_bytes(spec, plan->documents));
    uint64_t results = rounded(MGPT_STEP_RING * sizeof(struct mgpt_step_result));
    uint64_t shares = 0, losses = 0, squares = 0;
    struct mgpt_tensor all = {.dtype = MGPT_U8, .rank = 1, .shape = {1}};
    enum mgpt_status status;
    char *at;

    if (plan->documents > 1) {
        shares = rounded((uint64_t)plan->shares * (uint64_t)plan->elements * sizeof(float));
        losses = rounded(plan->documents * sizeof(double));
        squares = rounded(plan->slices * sizeof(double));
    }
    status = spec->backend->buffer_new(spec->device, steps + results + shares + losses + squares,
                                       &s->memory, error);
    if (status == MGPT_OK)
        status = s->cuda->pinned_new(spec->device, steps, (void **)&s->steps, error);
    if (status == MGPT_OK)
        status = s->cuda->pinned_new(spec->device, results, (void **)&s->results, error);
    if (status != MGPT_OK)
        return status;
    all.buffer = s->memory;
    at = s->cuda->address(spec->device, &all);
    s->args.steps = at;
    s->args.results = (void *)(at += steps);
    s->args.shares = (void *)(at += results);
    s->args.losses = (void *)(at += shares);
    s->args.squares = (void *)(at += losses);
    return MGPT_OK;
}

/* What lies between two parameters is 0 in every share, as it is in the gradients. */
static enum mgpt_status clear_shares(struct mgpt_step *s, struct mgpt_error *error)
{
    const struct mgpt_step_spec *spec = &s->spec;
    uint64_t from = (uint64_t)((char *)s->args.shares - s->args.steps);
    uint64_t bytes = (uint64_t)s->plan.elements * sizeof(float);
    void *zeros = s->plan.documents > 1 ? calloc(1, bytes) : NULL;
    enum mgpt_status status = MGPT_OK;

    if (s->plan.documents == 1)
        return MGPT_OK;
    if (!zeros)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory opening step micro_cuda");
    for (uint32_t i = 0; i < s->plan.shares && status == MGPT_OK; i++)
        status =
            spec->backend->upload(spec->device, s->memory, from + i * bytes, zeros, bytes, error);
    free(zeros);
    return status;
}

static void find_buffers(struct mgpt_step *s)
{
    const struct mgpt_step_spec *spec = &s->spec;

    s->args.p = s->cuda->address(spec->device, &spec->p);
    s->args.g = s->cuda->address(spec->device, &spec->g);
    s->args.state = s->cuda->address(spec->device, &spec->step_state);
    for (uint32_t k = 0; k < spec->n_state && s->plan.updates; k++)
        s->args.s[k] = s->cuda->address(spec->device, &spec->state[k]);
}

/* ---- the program ---- */

/* No contraction of products and sums: where fused ones are wanted they are written down. Quotients
 * and roots, of which the rules have the most, within 2 units of the last place: to be exact takes
 * branches, in which elements wait for each other. */
static const char *const options[] = {"--fmad=false", "--prec-div=false", "--prec-sqrt=false",
                                      NULL};
static const char *const kernels[] = {MICRO_ENTRY, NULL};

static enum mgpt_status open_program(struct mgpt_step *s, struct mgpt_error *error)
{
    struct mgpt_cuda_source source = {
        .size = sizeof source, .name = "micro_cuda", .kernels = kernels, .options = options};
    char *text = NULL;
    enum mgpt_status status = micro_text(&s->spec, &s->plan, &text, error);

    source.text = text;
    if (status == MGPT_OK)
        status = s->cuda->program_new(s->spec.device, &source, &s->program, error);
    free(text);
    return status;
}

/* As many blocks as have something to do, and can be there at once. */
static enum mgpt_status choose_blocks(struct mgpt_step *s, struct mgpt_error *error)
{
    struct mgpt_cuda_launch launch = {
        {1, 1, 1}, {s->plan.threads, 1, 1}, (uint32_t)s->plan.shared, MGPT_CUDA_COOPERATIVE};
    uint32_t resident = 0;
    enum mgpt_status status =
        s->cuda->resident(s->spec.device, s->program, 0, &launch, &resident, error);

    if (status == MGPT_OK && resident == 0)
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "step micro_cuda: a block of %u threads with %llu bytes of shared memory "
                         "does not fit a multiprocessor",
                         s->plan.threads, (unsigned long long)s->plan.shared);
    s->blocks = 1;
    if (s->plan.documents > 1) {
        s->blocks = s->plan.shares > s->plan.slices ? s->plan.shares : s->plan.slices;
        if (s->blocks > resident * s->cuda->multiprocessors)
            s->blocks = resident * s->cuda->multiprocessors;
    }
    return status;
}

/* ---- life ---- */

void micro_close(struct mgpt_step *s)
{
    struct mgpt_error ignored;

    if (!s)
        return;
    (void)s->spec.backend->sync(s->spec.device, &ignored); /* closing in any case */
    s->cuda->program_free(s->spec.device, s->program);
    s->cuda->pinned_free(s->spec.device, s->steps);
    s->cuda->pinned_free(s->spec.device, s->results);
    s->spec.backend->buffer_free(s->spec.device, s->memory);
    free(s);
}

static enum mgpt_status make_plan(struct mgpt_step *s, uint32_t threads, struct mgpt_error *error)
{
    const char *needs = micro_needs(&s->spec);

    if (needs)
        return mgpt_fail(error, MGPT_UNSUPPORTED, "step micro_cuda needs %s", needs);
    if (threads % 32)
        return mgpt_fail(error, MGPT_INVALID,
                         "[step.micro_cuda] threads = %u: a multiple of 32 is expected", threads);
    micro_plan_make(&s->spec, threads ? threads : MICRO_THREADS, s->cuda->shared_most, &s->plan);
    if (!s->plan.shared)
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "step micro_cuda: one document takes %llu bytes of shared memory with %u "
                         "threads, and a block has %u here",
                         (unsigned long long)s->plan.activations, s->plan.threads,
                         s->cuda->shared_most);
    return MGPT_OK;
}

enum mgpt_status micro_open(const struct mgpt_host *host, const struct mgpt_config *config,
                            const struct mgpt_step_spec *spec, struct mgpt_step **out,
                            struct mgpt_error *error)
{
    const struct mgpt_cuda_native *cuda = micro_native(spec);
    struct mgpt_step *s = calloc(1, sizeof *s);
    enum mgpt_status status;

    if (!s || !cuda) {
        free(s);
        return cuda ? mgpt_fail(error, MGPT_NOMEM, "out of memory opening step micro_cuda")
                    : mgpt_fail(error, MGPT_UNSUPPORTED, "step micro_cuda needs a CUDA device");
    }
    s->spec = *spec;
    s->cuda = cuda;
    s->at_once = (uint32_t)host->get_int(config, "steps");
    status = make_plan(s, (uint32_t)host->get_int(config, "threads"), error);
    if (status == MGPT_OK)
        status = open_program(s, error);
    if (status == MGPT_OK)
        status = choose_blocks(s, error);
    if (status == MGPT_OK)
        status = open_memory(s, error);
    if (status == MGPT_OK)
        status = clear_shares(s, error);
    if (status != MGPT_OK) {
        micro_close(s);
        return status;
    }
    find_buffers(s);
    *out = s;
    return MGPT_OK;
}
