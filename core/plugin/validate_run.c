/* MICROGPT_VALIDATE=1: the kinds of the host: scheduler, optimizer, sampler, logger, precision.
 * Their instances are wrapped, so that each call knows its module. */
#include <config.h>

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>

#include <microgpt/logger.h>
#include <microgpt/optimizer.h>
#include <microgpt/precision.h>
#include <microgpt/sampler.h>
#include <microgpt/scheduler.h>

#include "plugin/validate_slots.h"

/* ---- scheduler ---- */

MGPT_VALIDATE_INSTANCE(scheduler, )

static enum mgpt_status scheduler_create(int slot, const struct mgpt_host *host,
                                         const struct mgpt_config *config,
                                         struct mgpt_scheduler **out, struct mgpt_error *error)
{
    enum mgpt_status status = scheduler_new(slot, out, error);

    if (status == MGPT_OK)
        status = (*out)->api->create(host, config, &(*out)->it, error);
    return scheduler_keep(slot, status, out, "create", error);
}

static void scheduler_destroy(struct mgpt_scheduler *s)
{
    if (s)
        s->api->destroy(s->it);
    free(s);
}

static double scheduler_lr(const struct mgpt_scheduler *s, uint64_t step, uint64_t total,
                           double base)
{
    double lr = s->api->lr(s->it, step, total, base), again = s->api->lr(s->it, step, total, base);

    if (!isfinite(lr) || lr < 0)
        mgpt_violation_kept(s->component, "lr",
                            "%g at step %" PRIu64 " of %" PRIu64 ", expected 0 or more", lr, step,
                            total);
    else if (lr != again)
        mgpt_violation_kept(s->component, "lr",
                            "%.17g at step %" PRIu64 ", then %.17g: it must be pure", lr, step,
                            again);
    return lr;
}

MGPT_SLOT_FUNCTIONS(scheduler_create,
                    (const struct mgpt_host *host, const struct mgpt_config *config,
                     struct mgpt_scheduler **out, struct mgpt_error *error),
                    host, config, out, error)

const void *mgpt_validate_scheduler(const struct mgpt_component *component, int slot)
{
    struct mgpt_scheduler_api *table = scheduler_table(component, slot);

    table->create = scheduler_create_slots[slot];
    table->destroy = scheduler_destroy;
    table->lr = scheduler_lr;
    return table;
}

/* ---- optimizer ---- */

MGPT_VALIDATE_INSTANCE(optimizer, )

#define CANARY 12345.678

static enum mgpt_status optimizer_create(int slot, const struct mgpt_host *host,
                                         const struct mgpt_config *config,
                                         struct mgpt_optimizer **out, struct mgpt_error *error)
{
    enum mgpt_status status = optimizer_new(slot, out, error);

    if (status == MGPT_OK)
        status = (*out)->api->create(host, config, &(*out)->it, error);
    return optimizer_keep(slot, status, out, "create", error);
}

static void optimizer_destroy(struct mgpt_optimizer *o)
{
    if (o)
        o->api->destroy(o->it);
    free(o);
}

static bool takes_whole(const struct mgpt_optimizer_api *api)
{
    return MGPT_HAS(api, takes) && api->takes;
}

static void optimizer_scalars(const struct mgpt_optimizer *o, const struct mgpt_tick *tick,
                              double *h)
{
    double first[MGPT_MAX_SCALARS + 1], again[MGPT_MAX_SCALARS + 1];
    uint32_t n = o->api->rule->n_scalars, most = takes_whole(o->api) ? MGPT_MAX_SCALARS : n;

    for (int i = 0; i <= MGPT_MAX_SCALARS; i++)
        first[i] = again[i] = CANARY;
    o->api->scalars(o->it, tick, first);
    o->api->scalars(o->it, tick, again);
    for (uint32_t i = 0; i < n; i++)
        if (!isfinite(first[i]))
            mgpt_violation_kept(o->component, "scalars", "scalar %u is %g at step %" PRIu64, i,
                                first[i], tick->step);
    for (uint32_t i = most; i <= MGPT_MAX_SCALARS; i++)
        if (first[i] != CANARY)
            mgpt_violation_kept(o->component, "scalars", "wrote scalar %u of %u", i, n);
    if (memcmp(first, again, sizeof first) != 0)
        mgpt_violation_kept(o->component, "scalars",
                            "two calls for step %" PRIu64 " differ: it must be pure", tick->step);
    memcpy(h, first, most * sizeof *h);
}

static int optimizer_takes(const struct mgpt_optimizer *o, const struct mgpt_param *param,
                           const struct mgpt_place *place, struct mgpt_needs *needs)
{
    return o->api->takes(o->it, param, place, needs);
}

static enum mgpt_status optimizer_record(const struct mgpt_optimizer *o,
                                         const struct mgpt_whole *whole, struct mgpt_error *error)
{
    return mgpt_validate_refusal(o->api->record(o->it, whole, error), o->component, "record",
                                 error);
}

MGPT_SLOT_FUNCTIONS(optimizer_create,
                    (const struct mgpt_host *host, const struct mgpt_config *config,
                     struct mgpt_optimizer **out, struct mgpt_error *error),
                    host, config, out, error)

const void *mgpt_validate_optimizer(const struct mgpt_component *component, int slot)
{
    struct mgpt_optimizer_api *table = optimizer_table(component, slot);

    table->create = optimizer_create_slots[slot];
    table->destroy = optimizer_destroy;
    table->scalars = optimizer_scalars;
    if (table->takes) {
        table->takes = optimizer_takes;
        table->record = optimizer_record;
    }
    return table;
}

/* ---- sampler ---- */

MGPT_VALIDATE_INSTANCE(sampler, )

static enum mgpt_status sampler_create(int slot, const struct mgpt_host *host,
                                       const struct mgpt_config *config, uint32_t vocab,
                                       struct mgpt_sampler **out, struct mgpt_error *error)
{
    enum mgpt_status status = sampler_new(slot, out, error);

    if (status == MGPT_OK)
        status = (*out)->api->create(host, config, vocab, &(*out)->it, error);
    return sampler_keep(slot, status, out, "create", error);
}

static void sampler_destroy(struct mgpt_sampler *s)
{
    if (s)
        s->api->destroy(s->it);
    free(s);
}

static int32_t sampler_next(struct mgpt_sampler *s, double *logits, uint32_t n,
                            const struct mgpt_stream *stream)
{
    for (uint32_t i = 0; i < n; i++)
        if (!isfinite(logits[i]))
            mgpt_violation_kept(s->component, "next", "was handed logit %u = %g", i, logits[i]);
    int32_t id = s->api->next(s->it, logits, n, stream);
    if (id >= 0 && (uint32_t)id < n)
        return id;
    mgpt_violation_kept(s->component, "next", "gave id %" PRId32 " of %" PRIu32, id, n);
    return 0;
}

MGPT_SLOT_FUNCTIONS(sampler_create,
                    (const struct mgpt_host *host, const struct mgpt_config *config, uint32_t vocab,
                     struct mgpt_sampler **out, struct mgpt_error *error),
                    host, config, vocab, out, error)

const void *mgpt_validate_sampler(const struct mgpt_component *component, int slot)
{
    struct mgpt_sampler_api *table = sampler_table(component, slot);

    table->create = sampler_create_slots[slot];
    table->destroy = sampler_destroy;
    table->next = sampler_next;
    return table;
}

/* ---- logger: also the place where what was kept comes out, since each step has an event ---- */

MGPT_VALIDATE_INSTANCE(logger, )

static enum mgpt_status logger_open(int slot, const struct mgpt_host *host,
                                    const struct mgpt_config *config,
                                    const struct mgpt_run_info *run, struct mgpt_logger **out,
                                    struct mgpt_error *error)
{
    enum mgpt_status status = logger_new(slot, out, error);

    if (status == MGPT_OK)
        status = (*out)->api->open(host, config, run, &(*out)->it, error);
    return logger_keep(slot, status, out, "open", error);
}

static void logger_close(struct mgpt_logger *l)
{
    if (l)
        l->api->close(l->it);
    free(l);
}

static enum mgpt_status logger_event(struct mgpt_logger *l, const struct mgpt_event *event,
                                     struct mgpt_error *error)
{
    return mgpt_validate_refusal(l->api->event(l->it, event, error), l->component, "event", error);
}

static enum mgpt_status logger_flush(struct mgpt_logger *l, struct mgpt_error *error)
{
    return mgpt_validate_refusal(l->api->flush(l->it, error), l->component, "flush", error);
}

MGPT_SLOT_FUNCTIONS(logger_open,
                    (const struct mgpt_host *host, const struct mgpt_config *config,
                     const struct mgpt_run_info *run, struct mgpt_logger **out,
                     struct mgpt_error *error),
                    host, config, run, out, error)

const void *mgpt_validate_logger(const struct mgpt_component *component, int slot)
{
    struct mgpt_logger_api *table = logger_table(component, slot);

    table->open = logger_open_slots[slot];
    table->close = logger_close;
    table->event = logger_event;
    if (table->flush)
        table->flush = logger_flush;
    return table;
}

/* ---- precision ---- */

MGPT_VALIDATE_TABLES(precision)

static bool is_among(uint32_t dtype, uint32_t formats)
{
    return dtype < 32 && formats >> dtype & 1;
}

static enum mgpt_status precision_plan(int slot, const struct mgpt_host *host,
                                       const struct mgpt_config *config,
                                       const struct mgpt_caps *caps,
                                       struct mgpt_precision_plan *plan, struct mgpt_error *error)
{
    const struct mgpt_component *c = precision_slots[slot].component;
    const struct mgpt_precision_api *api = c->api;
    uint32_t size = plan->size;
    int exponent;
    enum mgpt_status status = api->plan(host, config, caps, plan, error);

    if (status != MGPT_OK)
        return mgpt_validate_refusal(status, c, "plan", error);
    if (plan->size != size)
        return mgpt_violation(error, c, "plan", "changed the plan's size to %u", plan->size);
    if (*plan->use) {
        if (!memchr(plan->use, '\0', sizeof plan->use) ||
            !memchr(plan->reason, '\0', sizeof plan->reason) || !*plan->reason)
            return mgpt_violation(error, c, "plan", "names another module, and no reason");
        return MGPT_OK; /* the rest is not read */
    }
    if (plan->master != MGPT_F32 && plan->master != MGPT_F64)
        return mgpt_violation(error, c, "plan", "master is %u, expected F32 or F64", plan->master);
    if (!is_among(plan->master, caps->formats) || !is_among(plan->activation, caps->formats) ||
        !is_among(plan->product, caps->formats))
        return mgpt_violation(error, c, "plan", "formats %u, %u, %u of a device that takes %x",
                              plan->master, plan->activation, plan->product, caps->formats);
    if (plan->tf32 &&
        (plan->tf32 != 1 || plan->product != MGPT_F32 || !(caps->flags & MGPT_CAPS_TF32)))
        return mgpt_violation(error, c, "plan", "tf32 is %u, with products of format %u, on %s",
                              plan->tf32, plan->product,
                              caps->flags & MGPT_CAPS_TF32 ? "a device that has it"
                                                           : "a device that has none");
    if (plan->scale_interval &&
        !(plan->scale_initial > 0 && frexp(plan->scale_initial, &exponent) == 0.5 &&
          plan->scale_growth > 1 && plan->scale_backoff > 0 && plan->scale_backoff < 1))
        return mgpt_violation(
            error, c, "plan",
            "loss scale %g, growth %g, backoff %g, expected a power of two, above "
            "1, and below 1",
            plan->scale_initial, plan->scale_growth, plan->scale_backoff);
    return MGPT_OK;
}

MGPT_SLOT_FUNCTIONS(precision_plan,
                    (const struct mgpt_host *host, const struct mgpt_config *config,
                     const struct mgpt_caps *caps, struct mgpt_precision_plan *plan,
                     struct mgpt_error *error),
                    host, config, caps, plan, error)

const void *mgpt_validate_precision(const struct mgpt_component *component, int slot)
{
    struct mgpt_precision_api *table = precision_table(component, slot);

    table->plan = precision_plan_slots[slot];
    return table;
}
