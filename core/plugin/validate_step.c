/* MICROGPT_VALIDATE=1: steps: the order of run, fence and adopt; what a fence reports; and that a
 * skipped step has moved nothing. */
#include <config.h>

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include <microgpt/step.h>

#include "plugin/validate_slots.h"

struct mgpt_step {
    const struct mgpt_component *component;
    const struct mgpt_step_api *api;
    struct mgpt_step *it;
    const struct mgpt_step_spec *spec;
    uint32_t covers;
    uint64_t first;        /* step of the first that runs */
    uint32_t n;            /* steps that run, not fenced yet */
    unsigned char *before; /* parameters and state, before they ran */
    size_t size;
};

MGPT_VALIDATE_TABLES(step)

static void step_bid(int slot, const struct mgpt_step_spec *spec, struct mgpt_bid *bid)
{
    const struct mgpt_component *c = step_slots[slot].component;
    const struct mgpt_step_api *api = c->api;
    uint32_t size = bid->size;

    api->bid(spec, bid);
    if (bid->size != size)
        mgpt_violation_kept(c, "bid", "changed the bid's size to %u", bid->size);
    if (!memchr(bid->reason, '\0', sizeof bid->reason) || !bid->reason[0])
        mgpt_violation_kept(c, "bid", "score %d, and no reason", bid->score);
    if (bid->score > 0 && (bid->covers < MGPT_COVERS_FB || bid->covers > MGPT_COVERS_FBCUS))
        mgpt_violation_kept(c, "bid", "covers %u, which is no set of stages", bid->covers);
    if (bid->score > 0 && spec->ranks > 1 && bid->covers != MGPT_COVERS_FB)
        mgpt_violation_kept(c, "bid", "with %u ranks only FORWARD and BACKWARD can be covered",
                            spec->ranks);
}

/* Parameters and state, one after the other. */
static enum mgpt_status copy_values(const struct mgpt_step *s, unsigned char *to,
                                    struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;

    for (uint32_t i = 0; i <= s->spec->n_state && status == MGPT_OK; i++) {
        const struct mgpt_tensor *t = i ? &s->spec->state[i - 1] : &s->spec->p;
        if (!t->rank)
            continue;
        status = s->spec->backend->download(s->spec->device, t->buffer, t->offset, to,
                                            mgpt_tensor_bytes(t), error);
        to += mgpt_tensor_bytes(t);
    }
    return status;
}

static enum mgpt_status step_open(int slot, const struct mgpt_host *host,
                                  const struct mgpt_config *config,
                                  const struct mgpt_step_spec *spec, struct mgpt_step **out,
                                  struct mgpt_error *error)
{
    const struct mgpt_component *c = step_slots[slot].component;
    struct mgpt_step *s = calloc(1, sizeof *s);
    struct mgpt_bid bid = {.size = sizeof bid};
    enum mgpt_status status;

    if (!s)
        return mgpt_fail(error, MGPT_NOMEM, "no memory to validate %s", c->name);
    *s = (struct mgpt_step){.component = c, .api = c->api, .spec = spec};
    for (uint32_t i = 0; i <= spec->n_state; i++)
        s->size += mgpt_tensor_bytes(i ? &spec->state[i - 1] : &spec->p);
    s->before = malloc(s->size + 1);
    s->api->bid(spec, &bid);
    s->covers = bid.covers;
    status = s->before ? s->api->open(host, config, spec, &s->it, error)
                       : mgpt_fail(error, MGPT_NOMEM, "no memory to validate %s", c->name);
    status = mgpt_validate_refusal(status, c, "open", error);
    if (status == MGPT_OK) {
        *out = s;
    } else {
        free(s->before);
        free(s);
    }
    return status;
}

static void step_close(struct mgpt_step *s)
{
    if (!s)
        return;
    s->api->close(s->it);
    free(s->before);
    free(s);
}

static enum mgpt_status step_run(struct mgpt_step *s, const struct mgpt_step_input *inputs,
                                 uint32_t n, struct mgpt_error *error)
{
    if (s->n + n > MGPT_STEP_RING || n < 1 || (s->covers < MGPT_COVERS_FBCUS && n != 1))
        return mgpt_violation(error, s->component, "run", "was called with %u steps, %u run", n,
                              s->n);
    enum mgpt_status status = s->n ? MGPT_OK : copy_values(s, s->before, error);
    if (status == MGPT_OK)
        status = s->api->run(s->it, inputs, n, error);
    if (!s->n)
        s->first = inputs[0].step;
    s->n += n;
    return mgpt_validate_refusal(status, s->component, "run", error);
}

/* What the results and the step state say against each other, and against the parameters. */
static enum mgpt_status check_results(struct mgpt_step *s, const struct mgpt_step_result *results,
                                      uint32_t n, struct mgpt_error *error)
{
    uint32_t skipped = 0;
    unsigned char *after;
    enum mgpt_status status;

    for (uint32_t i = 0; i < n; i++) {
        if (results[i].step != s->first + i)
            return mgpt_violation(error, s->component, "fence",
                                  "result %u is of step %" PRIu64 ", expected %" PRIu64, i,
                                  results[i].step, s->first + i);
        if (!results[i].skipped && !isfinite(results[i].loss))
            return mgpt_violation(error, s->component, "fence",
                                  "the loss of step %" PRIu64 " is %g, and it was not skipped",
                                  results[i].step, results[i].loss);
        skipped += results[i].skipped != 0;
    }
    if (skipped < n || (!n && s->covers >= MGPT_COVERS_FBCU))
        return MGPT_OK;
    after = malloc(s->size + 1);
    status = after ? copy_values(s, after, error)
                   : mgpt_fail(error, MGPT_NOMEM, "no memory to validate a step");
    if (status == MGPT_OK && memcmp(s->before, after, s->size) != 0)
        status = n ? mgpt_violation(error, s->component, "fence",
                                    "a step that is not finite changed parameters or state")
                   : mgpt_violation(error, s->component, "fence",
                                    "changed parameters or state, and does not cover UPDATE");
    free(after);
    return status;
}

static enum mgpt_status step_fence(struct mgpt_step *s, struct mgpt_step_result *results,
                                   uint32_t *n, struct mgpt_error *error)
{
    enum mgpt_status status = s->api->fence(s->it, results, n, error);
    uint32_t due = s->covers < MGPT_COVERS_FBCUS ? 0 : s->n, again = 0;
    struct mgpt_step_result none[MGPT_STEP_RING];
    bool ran = s->n > 0;

    s->n = 0;
    if (status == MGPT_OK && *n != due)
        return mgpt_violation(error, s->component, "fence", "reports %u steps, %u ran", *n, due);
    if (status == MGPT_OK && ran)
        status = check_results(s, results, *n, error);
    if (status == MGPT_OK)
        status = s->api->fence(s->it, none, &again, error);
    if (status == MGPT_OK && again)
        return mgpt_violation(error, s->component, "fence", "reports %u steps a second time",
                              again);
    return mgpt_validate_refusal(status, s->component, "fence", error);
}

static enum mgpt_status step_adopt(struct mgpt_step *s, struct mgpt_error *error)
{
    if (s->n)
        return mgpt_violation(error, s->component, "adopt", "was called before fence");
    return mgpt_validate_refusal(s->api->adopt(s->it, error), s->component, "adopt", error);
}

MGPT_SLOT_FUNCTIONS(step_open,
                    (const struct mgpt_host *host, const struct mgpt_config *config,
                     const struct mgpt_step_spec *spec, struct mgpt_step **out,
                     struct mgpt_error *error),
                    host, config, spec, out, error)

#define BID(i, function)                                                                           \
    static void function##_##i(const struct mgpt_step_spec *spec, struct mgpt_bid *bid)            \
    {                                                                                              \
        function(i, spec, bid);                                                                    \
    }
MGPT_EACH_SLOT(BID, step_bid)
#undef BID

const void *mgpt_validate_step(const struct mgpt_component *component, int slot)
{
    static void (*const bid[])(const struct mgpt_step_spec *,
                               struct mgpt_bid *) = {MGPT_EACH_SLOT(MGPT_SLOT_NAME, step_bid)};
    struct mgpt_step_api *table = step_table(component, slot);

    table->bid = bid[slot];
    table->open = step_open_slots[slot];
    table->close = step_close;
    table->run = step_run;
    table->fence = step_fence;
    table->adopt = step_adopt;
    return table;
}
