/* microgpt train --explain: what a run would do, and why, for people and for programs. */
#include <config.h>

#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "ref/ref.h"
#include "run/explain.h"

static const char *covers_name(uint32_t covers)
{
    static const char *const names[] = {"nothing", "FB", "FBC", "FBCU", "FBCUS"};

    return covers < sizeof names / sizeof *names ? names[covers] : "nothing";
}

static const char *format_name(uint32_t dtype)
{
    static const char *const names[] = {"", "F32", "F64", "F16", "BF16"};

    return dtype < sizeof names / sizeof *names ? names[dtype] : "?";
}

/* ---- text ---- */

static void print_precision(const struct mgpt_explanation *x)
{
    const struct mgpt_precision_plan *p = &x->run.session.precision;

    printf("precision  %s: %s\n", x->run.session.choice.precision,
           x->run.session.choice.precision_why);
    printf("           weights, gradients and sums %s, activations %s, products of %s%s\n",
           format_name(p->master), format_name(p->activation), format_name(p->product),
           p->tf32 ? " rounded to TF32" : "");
    if (p->scale_interval)
        printf("           the loss times %g at first, times %g after %" PRIu32
               " good steps, times %g after one that overflows\n",
               p->scale_initial, p->scale_growth, p->scale_interval, p->scale_backoff);
}

static void print_step(const struct mgpt_explanation *x)
{
    if (x->step_why[0])
        printf("step       %s, which covers %s: %s\n", x->stepper.name,
               covers_name(x->stepper.covers), x->step_why);
    else
        printf("step       none\n");
    for (size_t i = 0; i < x->n_answers; i++) {
        const struct mgpt_answer *a = &x->answers[i];
        printf("           %s bids %" PRId32, a->name, a->bid.score);
        if (a->bid.score > 0)
            printf(" for %s", covers_name(a->bid.covers));
        printf(": %s\n", a->bid.reason);
    }
}

static void print_ops(const struct mgpt_explanation *x)
{
    uint32_t calls[MGPT_PATHS] = {0};

    for (uint32_t code = 1; code < MGPT_OP_COUNT; code++)
        for (int path = 0; path < MGPT_PATHS; path++)
            calls[path] += x->ops[code].calls[path];
    printf("ops        %" PRIu32 " that the core calls: %" PRIu32 " on the device, %" PRIu32
           " by the core on its memory, %" PRIu32 " by the core on copies\n",
           calls[0] + calls[1] + calls[2], calls[0], calls[1], calls[2]);
    for (uint32_t code = 1; code < MGPT_OP_COUNT; code++) {
        const struct mgpt_tally *t = &x->ops[code];
        if (t->calls[MGPT_PATH_HOST])
            printf("           %s: %" PRIu32 " by the core on the device's memory\n",
                   mgpt_op_name(code), t->calls[MGPT_PATH_HOST]);
        if (t->calls[MGPT_PATH_STAGED])
            printf("           %s: %" PRIu32 " by the core on copies, %" PRIu64 " bytes\n",
                   mgpt_op_name(code), t->calls[MGPT_PATH_STAGED], t->staged);
    }
    printf("staged     %" PRIu64 " bytes a step\n", x->staged);
}

static void print_text(const struct mgpt_explanation *x)
{
    const struct mgpt_session *s = &x->run.session;

    if (s->machine.api)
        printf("device     %s (%s): %s\n", s->choice.backend, s->machine.caps.name,
               s->choice.backend_why);
    for (size_t i = 0; i < x->n_others; i++)
        printf("           not %s: %s\n", x->others[i].name, x->others[i].why);
    if (s->precision.master)
        print_precision(x);
    if (x->n_answers)
        print_step(x);
    if (x->counted) {
        printf("optimizer  %s\n", x->update);
        print_ops(x);
        printf("memory     %" PRIu64 " bytes, of which parameters, gradients and state %" PRIu64
               "\n",
               x->plan.total, x->plan.params + x->plan.gradients + x->plan.state);
    }
}

/* ---- json ---- */

static json_t *device_json(const struct mgpt_explanation *x)
{
    const struct mgpt_session *s = &x->run.session;
    json_t *others = json_array();

    for (size_t i = 0; i < x->n_others; i++)
        json_array_append_new(others, json_pack("{s:s, s:b, s:o}", "name", x->others[i].name,
                                                "usable", (int)x->others[i].usable, "why",
                                                mgpt_json_words(x->others[i].why)));
    return json_pack("{s:s, s:o, s:o, s:o}", "name", s->choice.backend, "device",
                     mgpt_json_words(s->machine.caps.name), "why",
                     mgpt_json_words(s->choice.backend_why), "others", others);
}

static json_t *precision_json(const struct mgpt_explanation *x)
{
    const struct mgpt_precision_plan *p = &x->run.session.precision;
    const struct mgpt_choice *c = &x->run.session.choice;

    return json_pack("{s:s, s:o, s:s, s:s, s:s, s:b, s:b}", "name", c->precision, "why",
                     mgpt_json_words(c->precision_why), "weights", format_name(p->master),
                     "activations", format_name(p->activation), "products", format_name(p->product),
                     "tf32", (int)p->tf32, "loss_scaling", p->scale_interval > 0);
}

static json_t *step_json(const struct mgpt_explanation *x)
{
    json_t *bids = json_array();

    for (size_t i = 0; i < x->n_answers; i++) {
        const struct mgpt_answer *a = &x->answers[i];
        json_array_append_new(
            bids, json_pack("{s:s, s:i, s:s, s:o}", "name", a->name, "score", (int)a->bid.score,
                            "covers", a->bid.score > 0 ? covers_name(a->bid.covers) : "nothing",
                            "reason", mgpt_json_words(a->bid.reason)));
    }
    if (!x->step_why[0])
        return json_pack("{s:n, s:o}", "name", "bids", bids);
    return json_pack("{s:s, s:s, s:o, s:o}", "name", x->stepper.name, "covers",
                     covers_name(x->stepper.covers), "why", mgpt_json_words(x->step_why), "bids",
                     bids);
}

static json_t *ops_json(const struct mgpt_explanation *x)
{
    json_t *ops = json_object();

    for (uint32_t code = 1; code < MGPT_OP_COUNT; code++) {
        const struct mgpt_tally *t = &x->ops[code];
        if (t->calls[0] + t->calls[1] + t->calls[2])
            json_object_set_new(
                ops, mgpt_op_name(code),
                json_pack("{s:i, s:i, s:i, s:I}", "device", (int)t->calls[MGPT_PATH_DEVICE], "host",
                          (int)t->calls[MGPT_PATH_HOST], "staged", (int)t->calls[MGPT_PATH_STAGED],
                          "staged_bytes", (json_int_t)t->staged));
    }
    return ops;
}

static enum mgpt_status print_json(const struct mgpt_explanation *x, struct mgpt_error *error)
{
    json_t *object =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "device", device_json(x), "precision",
                  precision_json(x), "step", step_json(x), "optimizer", mgpt_json_words(x->update),
                  "ops", ops_json(x), "staged_bytes", (json_int_t)x->staged, "memory_bytes",
                  (json_int_t)(x->plan.total > INT64_MAX ? INT64_MAX : x->plan.total));
    return mgpt_json_print(object, error);
}

enum mgpt_status mgpt_cli_explain(const struct mgpt_cli *cli, const struct mgpt_train *train,
                                  struct mgpt_error *error)
{
    struct mgpt_explanation *x = calloc(1, sizeof *x);
    enum mgpt_status status;

    if (!x)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory");
    status = mgpt_explain(x, train, error);
    if (!cli->json)
        print_text(x);
    else if (status == MGPT_OK)
        status = print_json(x, error);
    mgpt_explain_finish(x);
    free(x);
    return status;
}
