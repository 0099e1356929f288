/* Stage UPDATE as the core runs it: the optimizer's rule over the parameters, and what the
 * optimizer wrote down for those that it updates as whole tensors. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "ref/ref.h"
#include "run/plan.h"
#include "run/update.h"

struct mgpt_recorder {
    struct mgpt_updater *updater; /* NULL: only count */
    const char *param;            /* whose update is being written down */
    double flops;
};

/* ---- writing down ---- */

static struct mgpt_move *new_move(struct mgpt_updater *u, struct mgpt_error *error)
{
    if (u->n == u->capacity) {
        uint32_t capacity = u->capacity ? 2 * u->capacity : 16;
        struct mgpt_move *moves = realloc(u->moves, capacity * sizeof *moves);
        if (!moves) {
            mgpt_fail(error, MGPT_NOMEM, "out of memory for the update of the parameters");
            return NULL;
        }
        u->moves = moves;
        u->capacity = capacity;
    }
    return &u->moves[u->n];
}

static enum mgpt_status append_op(struct mgpt_recorder *r, const struct mgpt_op *op,
                                  struct mgpt_error *error)
{
    struct mgpt_move *move = new_move(r->updater, error);
    enum mgpt_status status;

    if (!move)
        return MGPT_NOMEM;
    move->is_rule = false;
    status = mgpt_machine_plan(r->updater->machine, op, &move->call, error);
    if (status == MGPT_OK)
        r->updater->n++;
    return status;
}

/* Is t a rank 1 tensor of p's length and format? */
static bool goes_with(const struct mgpt_tensor *t, const struct mgpt_tensor *p)
{
    return t->rank == 1 && t->shape[0] == p->shape[0] && t->dtype == p->dtype;
}

static bool is_update(const struct mgpt_update *u)
{
    bool good = u->size >= sizeof *u && u->rule && u->n_state == u->rule->n_state &&
                u->n_state <= MGPT_MAX_STATE && u->n_scalars == u->rule->n_scalars &&
                (u->p.dtype == MGPT_F32 || u->p.dtype == MGPT_F64) && goes_with(&u->p, &u->p) &&
                goes_with(&u->g, &u->p) && u->step_state.rank;

    for (uint32_t k = 0; good && k < u->n_state; k++)
        good = goes_with(&u->state[k], &u->p);
    return good;
}

static enum mgpt_status append_rule(struct mgpt_recorder *r, const struct mgpt_update *update,
                                    struct mgpt_error *error)
{
    struct mgpt_move *move;

    if (!is_update(update))
        return mgpt_fail(error, MGPT_INVALID,
                         "%s: a rule takes tensors of rank 1, one length and one format, F32 or "
                         "F64, as many as it names",
                         r->param);
    move = new_move(r->updater, error);
    if (!move)
        return MGPT_NOMEM;
    move->is_rule = true;
    move->update = *update;
    r->updater->n++;
    return MGPT_OK;
}

static enum mgpt_status record_whole(struct mgpt_updater *u, const struct mgpt_step_spec *spec,
                                     uint32_t i, struct mgpt_error *error)
{
    const struct mgpt_param *param = &spec->params[i];
    struct mgpt_recorder recorder = {.updater = u, .param = param->name};
    struct mgpt_whole whole = {.size = sizeof whole,
                               .param = param,
                               .place = &spec->places[i],
                               .scalars = u->scalars[param->decays],
                               .step_state = spec->step_state,
                               .scratch = u->scratch,
                               .recorder = &recorder,
                               .op = append_op,
                               .rule = append_rule};

    return spec->optimizer->record(spec->optimizer_instance, &whole, error);
}

/* `n` elements of a whole buffer from where the tensor `first` starts. */
static struct mgpt_tensor run_of(struct mgpt_tensor whole, const struct mgpt_tensor *first,
                                 int64_t n)
{
    whole.offset += first->offset;
    whole.shape[0] = n;
    return whole;
}

/* The rule over parameters i..end-1, which lie side by side in every buffer. */
static enum mgpt_status record_rule(struct mgpt_updater *u, const struct mgpt_step_spec *spec,
                                    uint32_t i, uint32_t end, struct mgpt_error *error)
{
    struct mgpt_recorder recorder = {.updater = u, .param = spec->params[i].name};
    const struct mgpt_param *first = &spec->params[i];
    uint64_t size = mgpt_dtype_size(spec->p.dtype);
    uint64_t to = end < spec->n_params ? spec->params[end].p.offset
                                       : (uint64_t)mgpt_tensor_count(&spec->p) * size;
    int64_t n = (int64_t)((to - first->p.offset) / size);
    struct mgpt_update update = {.size = sizeof update,
                                 .n_state = spec->n_state,
                                 .n_scalars = spec->optimizer->rule->n_scalars,
                                 .rule = spec->optimizer->rule,
                                 .scalars = u->scalars[first->decays],
                                 .p = run_of(spec->p, &first->p, n),
                                 .g = run_of(spec->g, &first->p, n),
                                 .step_state = spec->step_state};

    for (uint32_t k = 0; k < spec->n_state; k++)
        update.state[k] = run_of(spec->state[k], &first->state[k], n);
    return append_rule(&recorder, &update, error);
}

/* ---- life ---- */

static bool takes(const struct mgpt_step_spec *spec, uint32_t i, struct mgpt_needs *needs)
{
    return spec->places && mgpt_optimizer_takes(spec->optimizer, spec->optimizer_instance,
                                                &spec->params[i], &spec->places[i], needs);
}

uint64_t mgpt_updater_scratch(const struct mgpt_step_spec *spec)
{
    struct mgpt_needs needs;
    uint64_t most = 0;

    for (uint32_t i = 0; i < spec->n_params; i++)
        if (takes(spec, i, &needs) && needs.scratch > most)
            most = needs.scratch;
    return most;
}

static enum mgpt_status count_op(struct mgpt_recorder *r, const struct mgpt_op *op,
                                 struct mgpt_error *error)
{
    (void)error;
    r->flops += mgpt_op_flops(op);
    return MGPT_OK;
}

static enum mgpt_status count_rule(struct mgpt_recorder *r, const struct mgpt_update *update,
                                   struct mgpt_error *error)
{
    (void)r, (void)update, (void)error;
    return MGPT_OK;
}

/* What cannot be written down counts nothing here: who opens the updater hears of it. */
double mgpt_updater_flops(const struct mgpt_step_spec *spec)
{
    const double scalars[MGPT_MAX_SCALARS] = {0};
    struct mgpt_recorder recorder = {0};
    struct mgpt_needs needs;

    for (uint32_t i = 0; i < spec->n_params; i++) {
        struct mgpt_whole whole = {.size = sizeof whole,
                                   .param = &spec->params[i],
                                   .place = spec->places ? &spec->places[i] : NULL,
                                   .scalars = scalars,
                                   .step_state = spec->step_state,
                                   .recorder = &recorder,
                                   .op = count_op,
                                   .rule = count_rule};
        if (!takes(spec, i, &needs))
            continue;
        whole.scratch =
            (struct mgpt_tensor){.dtype = MGPT_U8, .rank = 1, .shape = {(int64_t)needs.scratch}};
        (void)spec->optimizer->record(spec->optimizer_instance, &whole, NULL);
    }
    return recorder.flops;
}

/* What follows parameter i of one group and is the rule's, too. */
static uint32_t end_of_run(const struct mgpt_step_spec *spec, uint32_t i)
{
    struct mgpt_needs needs;
    uint32_t end = i + 1;

    while (end < spec->n_params && spec->params[end].decays == spec->params[i].decays &&
           !takes(spec, end, &needs))
        end++;
    return end;
}

static enum mgpt_status record_all(struct mgpt_updater *u, const struct mgpt_step_spec *spec,
                                   struct mgpt_error *error)
{
    struct mgpt_needs needs;
    enum mgpt_status status = MGPT_OK;

    for (uint32_t i = 0, end; i < spec->n_params && status == MGPT_OK; i = end) {
        end = takes(spec, i, &needs) ? i + 1 : end_of_run(spec, i);
        status = takes(spec, i, &needs) ? record_whole(u, spec, i, error)
                                        : record_rule(u, spec, i, end, error);
    }
    return status;
}

enum mgpt_status mgpt_updater_open(struct mgpt_updater *u, struct mgpt_machine *machine,
                                   const struct mgpt_step_spec *spec, struct mgpt_error *error)
{
    uint64_t scratch = mgpt_updater_scratch(spec);
    enum mgpt_status status = MGPT_OK;

    u->machine = machine;
    if (scratch > INT64_MAX)
        return mgpt_fail(error, MGPT_PLUGIN, "the optimizer asks for %llu bytes to work in",
                         (unsigned long long)scratch);
    if (scratch)
        status = mgpt_machine_new(machine, MGPT_U8, (int64_t)scratch, &u->scratch, error);
    return status == MGPT_OK ? record_all(u, spec, error) : status;
}

enum mgpt_status mgpt_updater_resident(struct mgpt_machine *machine,
                                       const struct mgpt_step_spec *spec, struct mgpt_error *error)
{
    struct mgpt_updater u = {
        .machine = machine,
        .scratch = {.dtype = MGPT_U8, .rank = 1, .shape = {(int64_t)mgpt_updater_scratch(spec)}}};
    enum mgpt_status status = record_all(&u, spec, error);

    for (uint32_t i = 0; i < u.n && status == MGPT_OK; i++)
        if (!u.moves[i].is_rule && !u.moves[i].call.run)
            status = mgpt_fail(error, MGPT_UNSUPPORTED,
                               "device %s has no op %s, which the optimizer's update takes",
                               machine->caps.name, mgpt_op_name(u.moves[i].call.op.code));
    mgpt_updater_close(&u);
    return status;
}

enum mgpt_status mgpt_updater_run(struct mgpt_updater *u, const struct mgpt_step_input *input,
                                  struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;

    memcpy(u->scalars, input->scalars, sizeof u->scalars);
    for (uint32_t i = 0; i < u->n && status == MGPT_OK; i++)
        status = u->moves[i].is_rule ? mgpt_machine_update(u->machine, &u->moves[i].update, error)
                                     : mgpt_machine_run(u->machine, &u->moves[i].call, error);
    return status;
}

void mgpt_updater_close(struct mgpt_updater *u)
{
    if (u->machine)
        mgpt_machine_free(u->machine, &u->scratch);
    free(u->moves);
    memset(u, 0, sizeof *u);
}
