/* What kind step's contract is tried on: the models, backends and settings that a module bids
 * on. */
#include <config.h>

#include "check/step_subject.h"

#include "run/composed.h"

static const char *const backends[] = {"ref", "cpu", "slow", "cuda", "cuda_emu", NULL};

void mgpt_subject_open_rig(struct mgpt_step_rig *rig, const struct mgpt_subject *s)
{
    struct mgpt_precision_plan *plan = &rig->net.precision;

    mgpt_step_rig_open_as(rig, s->backend, &s->model, MGPT_F32, &s->setup);
    if (s->threads)
        rig->net.machine.caps.threads = s->threads;
    if (!s->formats)
        return;
    plan->activation = plan->product = s->formats->half ? s->formats->half : MGPT_F32;
    plan->tf32 = s->formats->tf32;
    plan->scale_interval = s->formats->scale_interval;
    plan->scale_initial = 1; /* as the rig's step state has it */
    plan->scale_growth = 2;
    plan->scale_backoff = 0.5;
}

void mgpt_step_pair_open(struct mgpt_step_pair *pair, const struct mgpt_subject *s,
                         struct mgpt_step_rig *rig)
{
    *pair = (struct mgpt_step_pair){.subject = s, .rig = rig};
    check_ok(s->api->open(mgpt_host(), s->config, &rig->spec, &pair->step, error));
    if (s->covers < MGPT_COVERS_FBCUS)
        check_ok(mgpt_composed_open_rest(&rig->spec, &pair->rest, error));
}

void mgpt_step_pair_close(struct mgpt_step_pair *pair)
{
    const struct mgpt_step_api *composed = mgpt_composed.api;

    pair->subject->api->close(pair->step);
    composed->close(pair->rest);
}

void mgpt_step_pair_run(struct mgpt_step_pair *pair, uint32_t first, uint32_t n,
                        struct mgpt_step_result *results)
{
    const struct mgpt_subject *s = pair->subject;
    const struct mgpt_step_input *inputs = pair->rig->inputs + first;
    uint32_t k = 0;

    if (!pair->rest) {
        check_ok(s->api->run(pair->step, inputs, n, error));
        check_ok(s->api->fence(pair->step, results, &k, error));
        check_that(k == n, "%u steps ran, fence reports %u", n, k);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        check_ok(s->api->run(pair->step, &inputs[i], 1, error));
        check_ok(s->api->fence(pair->step, results, &k, error));
        check_that(k == 0, "covers less than all, and reports %u results", k);
        check_ok(mgpt_composed_rest(pair->rest, &inputs[i], s->covers, error));
        struct mgpt_step_state state = mgpt_step_rig_state(pair->rig);
        results[i] = (struct mgpt_step_result){.step = inputs[i].step,
                                               .loss = state.loss,
                                               .grad_norm = state.grad_norm,
                                               .loss_scale = state.loss_scale,
                                               .skipped = state.nonfinite != 0};
    }
}

double *mgpt_subject_train(const struct mgpt_subject *s, uint32_t steps, uint32_t at_once,
                           struct mgpt_step_result *results, size_t *n)
{
    struct mgpt_step_rig rig;
    struct mgpt_step_pair pair;
    struct mgpt_step_result none[RIG_LONG];

    mgpt_subject_open_rig(&rig, s);
    mgpt_step_pair_open(&pair, s, &rig);
    for (uint32_t i = 0; i < steps; i += at_once) {
        uint32_t count = steps - i < at_once ? steps - i : at_once, k = 0;
        mgpt_step_pair_run(&pair, i, count, results + i);
        check_ok(s->api->fence(pair.step, none, &k, error)); /* idempotent */
        check_that(k == 0, "a second fence reports %u results again", k);
        check_ok(s->api->adopt(pair.step, error));
    }
    double *values = mgpt_step_rig_values(&rig, n);
    mgpt_step_pair_close(&pair);
    mgpt_step_rig_close(&rig);
    return values;
}

/* ---- what is trained ---- */

/* Sequences that do not fit into one chunk of a step that takes them by and by: everything there is
 * in a model, odd batches, and rows whose ends have no target. */
static size_t fill_long_cases(struct mgpt_subject *out)
{
    const struct mgpt_rig_setup one = {"adamw", 1, 1, 0.5, NULL},
                                three = {"adamw", 3, 2, 0.5, NULL};
    const struct mgpt_rig_setup nine = {"sgd", 9, 1, 0, NULL};
    struct mgpt_model toy = mgpt_check_model_toygpt(), m;
    size_t n = 0;

    toy.embd = 36, toy.mlp = 52, toy.heads = 6, toy.kv_heads = 2, toy.context = 70, toy.vocab = 19;
    out[n++] = (struct mgpt_subject){.model = toy, .setup = one};
    toy.bias |= MGPT_BIAS_QKV; /* not with adamw, which makes steps of a key's gradient, 0 */
    out[n++] = (struct mgpt_subject){.model = toy, .setup = nine};
    toy.bias &= ~(uint32_t)MGPT_BIAS_QKV;
    toy.dropout = 0.3, toy.activation = MGPT_ACT_GELU_TANH;
    out[n++] = (struct mgpt_subject){.model = toy, .setup = three};
    m = mgpt_check_model_names();
    m.embd = 24, m.mlp = 33, m.layers = 2, m.context = 40, m.kv_heads = 1;
    m.init_std = 0.1;
    out[n++] = (struct mgpt_subject){.model = m, .setup = nine};
    m.dropout = 0.1, m.final_norm = 1;
    out[n++] = (struct mgpt_subject){.model = m, .setup = nine};
    return n;
}

/* The recipes at odd sizes, and small models of usual sizes, which fused programs are made for. */
static size_t fill_cases(struct mgpt_subject *out)
{
    const struct mgpt_rig_setup usual = {"adamw", 3, 2, 0.5, NULL},
                                alone = {"adamw", 1, 1, 0.5, NULL};
    const struct mgpt_rig_setup sgd = {"sgd", 3, 1, 0, NULL};
    struct mgpt_model toy = mgpt_check_model_toygpt(), names = mgpt_check_model_names(), m = names;
    size_t n = 0;

    toy.dropout = 0.25;
    m.heads = m.kv_heads = 4;
    m.embd = 16, m.mlp = 64, m.context = 8, m.vocab = 27;
    m.init_std = 0.1;
    struct mgpt_model deep = m, wide = m, longer = m, other = m;
    deep.layers = 2;
    wide.embd = 32, wide.mlp = 128, wide.context = 5, wide.heads = wide.kv_heads = 8;
    longer.heads = longer.kv_heads = 16, longer.context = 12, longer.vocab = 11;
    other.embd = 32, other.mlp = 48, other.heads = other.kv_heads = 2, other.context = 19;
    other.vocab = 40, other.tied = 0, other.final_norm = 1, other.embed_norm = 0;
    out[n++] = (struct mgpt_subject){.model = names, .setup = usual};
    out[n++] = (struct mgpt_subject){.model = toy, .setup = usual};
    out[n++] = (struct mgpt_subject){.model = m, .setup = alone};
    out[n++] = (struct mgpt_subject){.model = deep, .setup = usual};
    out[n++] = (struct mgpt_subject){.model = wide, .setup = alone};
    out[n++] = (struct mgpt_subject){.model = wide, .setup = sgd};
    out[n++] = (struct mgpt_subject){.model = longer, .setup = sgd};
    out[n++] = (struct mgpt_subject){.model = other, .setup = usual};
    return n + fill_long_cases(out + n);
}

bool mgpt_subject_is_emulated(const char *backend)
{
    return strcmp(backend, "cuda_emu") == 0;
}

struct mgpt_bid mgpt_subject_ask(const struct mgpt_subject *s, const struct mgpt_step_spec *spec)
{
    struct mgpt_bid bid = {.size = sizeof bid};

    s->api->bid(spec, &bid);
    check_that(bid.size == sizeof bid, "it changed the bid's size to %u", bid.size);
    check_that(bid.reason[0], "it gives no reason");
    check_that(memchr(bid.reason, '\0', sizeof bid.reason), "its reason does not end");
    check_that(bid.score <= 0 || (bid.covers >= MGPT_COVERS_FB && bid.covers <= MGPT_COVERS_FBCUS),
               "covers %u, which is no set of stages", bid.covers);
    return bid;
}

bool mgpt_subject_bids(struct mgpt_subject *s)
{
    struct mgpt_step_rig rig;

    mgpt_subject_open_rig(&rig, s);
    struct mgpt_bid bid = mgpt_subject_ask(s, &rig.spec);
    mgpt_step_rig_close(&rig);
    s->covers = (enum mgpt_covers)bid.covers;
    return bid.score > 0;
}

bool mgpt_subject_opens(const struct mgpt_subject *s)
{
    struct mgpt_step_rig rig;
    struct mgpt_step *step;
    struct mgpt_error why = {0};

    mgpt_subject_open_rig(&rig, s);
    bool opened = s->api->open(mgpt_host(), s->config, &rig.spec, &step, &why) == MGPT_OK;
    if (opened)
        s->api->close(step);
    else
        check_that(why.status == MGPT_UNSUPPORTED, "%s", why.text);
    mgpt_step_rig_close(&rig);
    return opened;
}

/* A position takes some thousand turns of threads there. */
static bool too_large_to_emulate(const struct mgpt_subject *s)
{
    return mgpt_subject_is_emulated(s->backend) &&
           s->setup.rows * s->setup.micro * s->model.context > 50;
}

/* What was checked so far, and what is wanted. */
struct tally {
    int checked, most; /* subjects; most 0: all */
    void (*check)(const struct mgpt_subject *);
};

/* A module with one instruction set, on each backend and case that it covers whole. */
static void check_settings(struct tally *tally, const struct mgpt_component *component,
                           const char *isa)
{
    struct mgpt_subject cases[16];
    size_t n = fill_cases(cases);
    struct mgpt_config *config = mgpt_check_settings(component, "isa", isa, "threads", "64", NULL);

    for (int b = 0; backends[b]; b++)
        for (size_t i = 0; i < n && mgpt_check_has(MGPT_KIND_BACKEND, backends[b]); i++) {
            if (tally->most && tally->checked == tally->most)
                break;
            struct mgpt_subject *s = &cases[i];
            s->api = component->api;
            s->config = config;
            s->backend = backends[b];
            if (!too_large_to_emulate(s) && mgpt_subject_bids(s) && mgpt_subject_opens(s)) {
                tally->check(s);
                tally->checked++;
            }
        }
    mgpt_config_destroy(config);
}

int mgpt_subject_each(const struct mgpt_component *component, int most,
                      void (*check)(const struct mgpt_subject *))
{
    static const char *const sets[] = {"base", "avx2", "avx512"};
    struct tally tally = {0, most, check};

    (void)mgpt_check_module(MGPT_KIND_BACKEND, "ref"); /* there must be one */
    if (!mgpt_check_has_option(component, "isa"))
        check_settings(&tally, component, "");
    for (int i = 0; mgpt_check_has_option(component, "isa") && i < 3; i++)
        check_settings(&tally, component, sets[i]);
    if (tally.checked)
        mgpt_check_note("%d models", tally.checked);
    else
        mgpt_check_skip("it bids on none of the models that are tried here");
    return tally.checked;
}

struct mgpt_subject mgpt_subject_composed(const struct mgpt_subject *s, const char *backend)
{
    struct mgpt_subject out = *s;

    out.api = mgpt_composed.api;
    out.config = NULL;
    out.backend = backend;
    out.covers = MGPT_COVERS_FBCUS;
    return out;
}
