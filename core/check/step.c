/* Kind step: it computes what the composed step computes, keeps the protocol, and covers what its
 * bid says. Over 500 lines because the contract is one list. */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include "check/check.h"
#include "check/step_rig.h"
#include "run/composed.h"

static const char *const backends[] = {"ref", "cpu", "slow", "cuda", "cuda_emu", NULL};

/* Number formats other than F32 throughout, and how near to composed on ref a step with them is. */
struct formats {
    const char *name;
    uint32_t half, tf32, scale_interval; /* half: of activations and products */
    double tolerance;
};

/* A module with its settings, and what it is to train. */
struct subject {
    const struct mgpt_step_api *api;
    const struct mgpt_config *config;
    const char *backend;
    struct mgpt_model model;
    struct rig_setup setup;
    const struct formats *formats; /* NULL: F32 */
    enum mgpt_covers covers;       /* as its bid says */
    uint32_t threads;              /* that the device says it has; 0: its own number */
};

static int checked;                                   /* subjects so far */
static int most;                                      /* that are wanted; 0: all */
static void (*check_subject)(const struct subject *); /* what is checked of each */

static void open_rig(struct step_rig *rig, const struct subject *s)
{
    struct mgpt_precision_plan *plan = &rig->net.precision;

    step_rig_open_as(rig, s->backend, &s->model, MGPT_F32, &s->setup);
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

/* A module, and a composed step for what it leaves to the core. */
struct pair {
    const struct subject *subject;
    struct step_rig *rig;
    struct mgpt_step *step, *rest;
};

static void open_pair(struct pair *pair, const struct subject *s, struct step_rig *rig)
{
    *pair = (struct pair){.subject = s, .rig = rig};
    check_ok(s->api->open(mgpt_host(), s->config, &rig->spec, &pair->step, error));
    if (s->covers < MGPT_COVERS_FBCUS)
        check_ok(mgpt_composed_open_rest(&rig->spec, &pair->rest, error));
}

static void close_pair(struct pair *pair)
{
    const struct mgpt_step_api *composed = mgpt_composed.api;

    pair->subject->api->close(pair->step);
    composed->close(pair->rest);
}

/* n steps from `first`, fenced; those that leave something to the core come one by one. */
static void run_pair(struct pair *pair, uint32_t first, uint32_t n,
                     struct mgpt_step_result *results)
{
    const struct subject *s = pair->subject;
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
        struct mgpt_step_state state = step_rig_state(pair->rig);
        results[i] = (struct mgpt_step_result){.step = inputs[i].step,
                                               .loss = state.loss,
                                               .grad_norm = state.grad_norm,
                                               .loss_scale = state.loss_scale,
                                               .skipped = state.nonfinite != 0};
    }
}

/* `steps` steps on a fresh rig, `at_once` a call. Results, and values as step_rig_values. */
static double *train(const struct subject *s, uint32_t steps, uint32_t at_once,
                     struct mgpt_step_result *results, size_t *n)
{
    struct step_rig rig;
    struct pair pair;
    struct mgpt_step_result none[RIG_LONG];

    open_rig(&rig, s);
    open_pair(&pair, s, &rig);
    for (uint32_t i = 0; i < steps; i += at_once) {
        uint32_t count = steps - i < at_once ? steps - i : at_once, k = 0;
        run_pair(&pair, i, count, results + i);
        check_ok(s->api->fence(pair.step, none, &k, error)); /* idempotent */
        check_that(k == 0, "a second fence reports %u results again", k);
        check_ok(s->api->adopt(pair.step, error));
    }
    double *values = step_rig_values(&rig, n);
    close_pair(&pair);
    step_rig_close(&rig);
    return values;
}

static void close_to(const double *a, const double *b, size_t n, double tolerance)
{
    for (size_t i = 0; i < n; i++)
        check_that(fabs(a[i] - b[i]) <= tolerance * fmax(1, fabs(a[i])),
                   "value %zu: %.9g, expected %.9g", i, b[i], a[i]);
}

/* ---- what is trained ---- */

/* Sequences that do not fit into one chunk of a step that takes them by and by: everything there is
 * in a model, odd batches, and rows whose ends have no target. */
static size_t fill_long_cases(struct subject *out)
{
    const struct rig_setup one = {"adamw", 1, 1, 0.5, NULL}, three = {"adamw", 3, 2, 0.5, NULL};
    const struct rig_setup nine = {"sgd", 9, 1, 0, NULL};
    struct mgpt_model toy = test_model_toygpt(), m;
    size_t n = 0;

    toy.embd = 36, toy.mlp = 52, toy.heads = 6, toy.kv_heads = 2, toy.context = 70, toy.vocab = 19;
    out[n++] = (struct subject){.model = toy, .setup = one};
    toy.bias |= MGPT_BIAS_QKV; /* not with adamw, which makes steps of a key's gradient, 0 */
    out[n++] = (struct subject){.model = toy, .setup = nine};
    toy.bias &= ~(uint32_t)MGPT_BIAS_QKV;
    toy.dropout = 0.3, toy.activation = MGPT_ACT_GELU_TANH;
    out[n++] = (struct subject){.model = toy, .setup = three};
    m = test_model_names();
    m.embd = 24, m.mlp = 33, m.layers = 2, m.context = 40, m.kv_heads = 1;
    m.init_std = 0.1;
    out[n++] = (struct subject){.model = m, .setup = nine};
    m.dropout = 0.1, m.final_norm = 1;
    out[n++] = (struct subject){.model = m, .setup = nine};
    return n;
}

/* The recipes at odd sizes, and small models of usual sizes, which fused programs are made for. */
static size_t fill_cases(struct subject *out)
{
    const struct rig_setup usual = {"adamw", 3, 2, 0.5, NULL}, alone = {"adamw", 1, 1, 0.5, NULL};
    const struct rig_setup sgd = {"sgd", 3, 1, 0, NULL};
    struct mgpt_model toy = test_model_toygpt(), names = test_model_names(), m = names;
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
    out[n++] = (struct subject){.model = names, .setup = usual};
    out[n++] = (struct subject){.model = toy, .setup = usual};
    out[n++] = (struct subject){.model = m, .setup = alone};
    out[n++] = (struct subject){.model = deep, .setup = usual};
    out[n++] = (struct subject){.model = wide, .setup = alone};
    out[n++] = (struct subject){.model = wide, .setup = sgd};
    out[n++] = (struct subject){.model = longer, .setup = sgd};
    out[n++] = (struct subject){.model = other, .setup = usual};
    return n + fill_long_cases(out + n);
}

/* A thread at a time: small models and few steps, enough for all that happens in the first ones. */
static bool is_emulated(const char *backend)
{
    return strcmp(backend, "cuda_emu") == 0;
}

/* Its bid, which must be one. */
static struct mgpt_bid ask(const struct subject *s, const struct mgpt_step_spec *spec)
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

/* Does it bid on that, and for how much of the step? */
static bool bids_on(struct subject *s)
{
    struct step_rig rig;

    open_rig(&rig, s);
    struct mgpt_bid bid = ask(s, &rig.spec);
    step_rig_close(&rig);
    s->covers = (enum mgpt_covers)bid.covers;
    return bid.score > 0;
}

/* Can it be opened with these settings on this machine? */
static bool opens(const struct subject *s)
{
    struct step_rig rig;
    struct mgpt_step *step;
    struct mgpt_error why = {0};

    open_rig(&rig, s);
    bool opened = s->api->open(mgpt_host(), s->config, &rig.spec, &step, &why) == MGPT_OK;
    if (opened)
        s->api->close(step);
    else
        check_that(why.status == MGPT_UNSUPPORTED, "%s", why.text);
    step_rig_close(&rig);
    return opened;
}

/* A position takes some thousand turns of threads there. */
static bool too_large_to_emulate(const struct subject *s)
{
    return is_emulated(s->backend) && s->setup.rows * s->setup.micro * s->model.context > 50;
}

/* Calls check for a module with one instruction set, on each backend and case that it covers whole.
 */
static void check_settings(const struct mgpt_component *component, const char *isa,
                           void (*check)(const struct subject *))
{
    struct subject cases[16];
    size_t n = fill_cases(cases);
    struct mgpt_config *config = mgpt_check_settings(component, "isa", isa, "threads", "64", NULL);

    for (int b = 0; backends[b]; b++)
        for (size_t i = 0; i < n && mgpt_check_has(MGPT_KIND_BACKEND, backends[b]); i++) {
            if (most && checked == most)
                break;
            struct subject *s = &cases[i];
            s->api = component->api;
            s->config = config;
            s->backend = backends[b];
            if (!too_large_to_emulate(s) && bids_on(s) && opens(s)) {
                check(s);
                checked++;
            }
        }
    mgpt_config_destroy(config);
}

/* ... and each instruction set that there is. */
static void check_module(const struct mgpt_component *component)
{
    static const char *const sets[] = {"base", "avx2", "avx512"};

    if (!mgpt_check_has_option(component, "isa"))
        check_settings(component, "", check_subject);
    for (int i = 0; mgpt_check_has_option(component, "isa") && i < 3; i++)
        check_settings(component, sets[i], check_subject);
}

int mgpt_check_step_models;

static void for_each(const struct mgpt_component *component, void (*check)(const struct subject *))
{
    (void)mgpt_check_module(MGPT_KIND_BACKEND, "ref"); /* there must be one */
    checked = 0;
    check_subject = check;
    check_module(component);
    mgpt_check_step_models = checked;
    if (checked)
        mgpt_check_note("%d models", checked);
    else
        mgpt_check_skip("it bids on none of the models that are tried here");
}

/* The same of the composed step on ref, or on another backend. */
static struct subject composed(const struct subject *s, const char *backend)
{
    struct subject out = *s;

    out.api = mgpt_composed.api;
    out.config = NULL;
    out.backend = backend;
    out.covers = MGPT_COVERS_FBCUS;
    return out;
}

/* ---- what is checked ---- */

static void same_as_composed(const struct subject *s)
{
    struct mgpt_step_result want[RIG_LONG + 1], got[RIG_LONG + 1];
    struct subject reference = composed(s, "ref");
    uint32_t steps = is_emulated(s->backend) ? RIG_STEPS : RIG_LONG;
    size_t n;
    double *a = train(&reference, steps, 1, want, &n);
    double *b = train(s, steps, 1, got, &n);

    for (uint32_t i = 0; i < steps; i++) {
        check_that(got[i].step == i, "result %u is of another step", i);
        check_that(fabs(got[i].loss - want[i].loss) <= 1e-5,
                   "step %u: loss %.9g, composed has %.9g", i, got[i].loss, want[i].loss);
        check_that(fabs(got[i].grad_norm - want[i].grad_norm) <= 1e-4 * want[i].grad_norm,
                   "step %u: gradient norm %.9g, composed has %.9g", i, got[i].grad_norm,
                   want[i].grad_norm);
        check_that(got[i].skipped == 0, "step %u was skipped", i);
    }
    close_to(a, b, n, 1e-4);
    free(a);
    free(b);
}

static void computes_what_composed_computes(const struct mgpt_component *component)
{
    for_each(component, same_as_composed);
}

static void same_bits_in_one_call(const struct subject *s)
{
    struct mgpt_step_result one[RIG_STEPS + 1], all[RIG_STEPS + 1];
    size_t n;
    double *a = train(s, RIG_STEPS, 1, one, &n);
    double *b = train(s, RIG_STEPS, RIG_STEPS, all, &n);

    check_that(memcmp(a, b, n * sizeof *a) == 0, "parameters or state differ in a bit");
    for (int i = 0; i < RIG_STEPS; i++)
        check_that(one[i].loss == all[i].loss, "%.17g, then %.17g", one[i].loss, all[i].loss);
    free(a);
    free(b);
}

static void many_steps_in_one_call_give_the_same_bits(const struct mgpt_component *component)
{
    for_each(component, same_bits_in_one_call);
}

/* A gradient that is not finite: the step changes nothing and is counted. */
static void skips_nonfinite(const struct subject *s)
{
    struct step_rig rig;
    struct pair pair;
    struct mgpt_step_result result[2];
    float poison = NAN;
    size_t n;

    step_rig_open_as(&rig, s->backend, &s->model, MGPT_F32, &s->setup);
    struct mgpt_tensor one = rig.net.params.items[0].p;
    one.rank = 1;
    one.shape[0] = 1;
    int32_t first = rig.batches[0][0].ids[0];
    one.offset += (uint64_t)first * s->model.embd * sizeof poison;
    check_ok(mgpt_machine_write(&rig.net.machine, &one, &poison, error));
    open_pair(&pair, s, &rig);
    double *before = step_rig_values(&rig, &n);
    run_pair(&pair, 0, 1, result);
    check_that(result[0].skipped == 1, "a step with NaN is not reported as skipped");
    check_that(step_rig_state(&rig).skipped == 1, "a step with NaN is not counted");
    check_that(step_rig_state(&rig).good == 0, "a step with NaN counts as good");
    double *after = step_rig_values(&rig, &n);
    check_that(memcmp(before, after, n * sizeof *after) == 0,
               "parameters or state differ in a bit");
    free(before);
    free(after);
    close_pair(&pair);
    step_rig_close(&rig);
}

static void a_nonfinite_step_changes_nothing(const struct mgpt_component *component)
{
    for_each(component, skips_nonfinite);
}

static void same_bits_on_threads(const struct subject *s)
{
    static const uint32_t threads[] = {1, 2, 3, 8, 17};
    struct mgpt_step_result want[3], got[3];
    struct subject other = *s;
    size_t n;

    other.threads = threads[0];
    double *a = train(&other, 3, 1, want, &n);
    for (size_t i = 1; i < sizeof threads / sizeof *threads; i++) {
        other.threads = threads[i];
        double *b = train(&other, 3, 1, got, &n);
        check_that(memcmp(a, b, n * sizeof *a) == 0, "parameters or state differ in a bit");
        check_that(want[2].loss == got[2].loss, "%.17g, then %.17g", want[2].loss, got[2].loss);
        free(b);
    }
    free(a);
}

static void threads_change_no_bit(const struct mgpt_component *component)
{
    for_each(component, same_bits_on_threads);
}

/* ---- honesty ---- */

/* Fields of the step state that a stage writes are what they were before where the bid does not
 * cover the stage, and something else where it does. */
static void states_agree(const struct subject *s, const struct mgpt_step_state *was,
                         const struct mgpt_step_state *is)
{
    bool clips = s->covers >= MGPT_COVERS_FBC, scales = s->covers >= MGPT_COVERS_FBCUS;

    check_that(is->loss > 0 && isfinite(is->loss), "covers FORWARD, and the loss is %g", is->loss);
    check_that((is->grad_norm != was->grad_norm) == clips,
               "%s CLIP, and grad_norm went from %g to %g", clips ? "covers" : "does not cover",
               was->grad_norm, is->grad_norm);
    check_that(clips || is->grad_scale == was->grad_scale,
               "does not cover CLIP, and grad_scale went from %g to %g", was->grad_scale,
               is->grad_scale);
    check_that((is->good == was->good + 1) == scales && (scales || is->good == was->good),
               "%s SCALER, and the good steps went from %llu to %llu",
               scales ? "covers" : "does not cover", (unsigned long long)was->good,
               (unsigned long long)is->good);
    check_that(is->skipped == was->skipped, "a sound step was counted as skipped");
}

/* One step, and nothing of the core after it: what the module says it covers is done, and what it
 * does not cover is untouched. */
static void covers_what_it_says(const struct subject *s)
{
    struct mgpt_step_state was = {
        .loss_scale = 1, .grad_norm = 123.25, .grad_scale = 0.5, .good = 11, .skipped = 5};
    struct mgpt_step_result results[2];
    struct mgpt_step *step;
    struct step_rig rig;
    uint32_t k = 0;
    size_t n;

    open_rig(&rig, s);
    check_ok(mgpt_machine_write(&rig.net.machine, &rig.net.state, &was, error));
    check_ok(s->api->open(mgpt_host(), s->config, &rig.spec, &step, error));
    double *before = step_rig_values(&rig, &n);
    check_ok(s->api->run(step, rig.inputs, 1, error));
    check_ok(s->api->fence(step, results, &k, error));
    double *after = step_rig_values(&rig, &n);
    bool moved = memcmp(before, after, n * sizeof *after) != 0;
    bool updates = s->covers >= MGPT_COVERS_FBCU;
    struct mgpt_step_state is = step_rig_state(&rig);
    s->api->close(step);
    step_rig_close(&rig);
    free(before);
    free(after);
    check_that(moved == updates, "%s UPDATE, and parameters and state %s",
               updates ? "covers" : "does not cover", moved ? "changed" : "are what they were");
    states_agree(s, &was, &is);
}

static void bids_are_honest(const struct mgpt_component *component)
{
    for_each(component, covers_what_it_says);
}

/* ---- bids on what it cannot know ---- */

/* Something behind a struct of a size that it knows. */
struct later {
    uint32_t one, more;
};

static void declines(const struct subject *s, const struct mgpt_step_spec *spec, const char *what)
{
    struct mgpt_bid bid = ask(s, spec);

    check_that(bid.score == 0, "it bids %d on a %s with a field that it does not know", bid.score,
               what);
}

/* With ranks FB alone; a struct with a field it does not know is declined; nothing is opened. */
static void bids_with_care(const struct subject *s)
{
    struct step_rig rig;
    const struct later later = {7, 7};

    if (s->api == mgpt_composed.api) /* the core's own knows what the core knows */
        return;
    open_rig(&rig, s);
    rig.spec.ranks = 2;
    struct mgpt_bid bid = ask(s, &rig.spec);
    check_that(bid.score == 0 || bid.covers == MGPT_COVERS_FB,
               "with two ranks it bids %d and covers more than FORWARD and BACKWARD", bid.score);
    rig.spec.ranks = 1;
    struct {
        struct mgpt_model known;
        struct later later;
    } model = {s->model, later};
    struct {
        struct mgpt_precision_plan known;
        struct later later;
    } plan = {rig.net.precision, later};
    struct {
        struct mgpt_step_spec known;
        struct later later;
    } spec = {rig.spec, later};
    model.known.size = sizeof model;
    plan.known.size = sizeof plan;
    spec.known.size = sizeof spec;
    declines(s, &spec.known, "step");
    rig.spec.model = &model.known;
    declines(s, &rig.spec, "model");
    rig.spec.model = &s->model;
    rig.spec.precision = &plan.known;
    declines(s, &rig.spec, "precision");
    step_rig_close(&rig);
}

static void declines_what_it_does_not_know(const struct mgpt_component *component)
{
    for_each(component, bids_with_care);
}

/* ---- what a bid must look at ---- */

/* clang-format off */
MGPT_RULE(unheard_of, (mean), (lr, b1, decay),
    const real rest = (real)1 - b1;
    mean = b1 * mean + rest * g;
    p -= lr * (mean / (fabs(mean) + (real)1e-3) + decay * p);)
/* clang-format on */
static const struct mgpt_optimizer_api stranger = {.size = sizeof stranger, .rule = &unheard_of};

/* Of another rule, or of other formats: declines, or is near to composed on ref with the same.
 * Parameters and state are compared where nothing is rounded to fewer bits. */
static void agrees_or_declines(const struct subject *s, const char *what, double tolerance)
{
    enum { STEPS = 4 }; /* enough for the scale to grow, and to be used */
    struct mgpt_step_result want[STEPS + 1], got[STEPS + 1];
    struct subject mine = *s, reference;
    size_t n;

    if (!bids_on(&mine) || !opens(&mine))
        return;
    reference = composed(&mine, "ref");
    double *a = train(&reference, STEPS, 1, want, &n);
    double *b = train(&mine, STEPS, 1, got, &n);
    for (int i = 0; i < STEPS; i++) {
        check_that(fabs(got[i].loss - want[i].loss) <= tolerance * fmax(1, want[i].loss),
                   "with %s, step %d: loss %.9g, composed has %.9g", what, i, got[i].loss,
                   want[i].loss);
        check_that(fabs(got[i].grad_norm - want[i].grad_norm) <= 10 * tolerance * want[i].grad_norm,
                   "with %s, step %d: gradient norm %.9g, composed has %.9g", what, i,
                   got[i].grad_norm, want[i].grad_norm);
        check_that(got[i].loss_scale == want[i].loss_scale,
                   "with %s, step %d: loss scale %g, composed has %g", what, i, got[i].loss_scale,
                   want[i].loss_scale);
    }
    if (tolerance <= 1e-5)
        close_to(a, b, n, 10 * tolerance);
    free(a);
    free(b);
}

/* Formats that the device has. */
static void other_formats(const struct subject *s)
{
    static const struct formats all[] = {
        {"products and activations in BF16", MGPT_BF16, 0, 0, 1e-2},
        {"products in TF32", 0, 1, 0, 2e-3},
        {"loss scaling", 0, 0, 2, 1e-5},
    };
    struct subject other = *s;
    struct step_rig rig;

    open_rig(&rig, s);
    const struct mgpt_caps caps = rig.net.machine.caps;
    step_rig_close(&rig);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        other.formats = &all[i];
        if ((!all[i].half || caps.formats >> all[i].half & 1) &&
            (!all[i].tf32 || caps.flags & MGPT_CAPS_TF32))
            agrees_or_declines(&other, all[i].name, all[i].tolerance);
    }
}

static void other_plans(const struct subject *s)
{
    struct subject other = *s;

    if (s->api == mgpt_composed.api)
        return;
    other_formats(s);
    other.setup.stranger = &stranger;
    agrees_or_declines(&other, "a rule of its own", 1e-5);
}

static void reads_the_precision_and_the_rule(const struct mgpt_component *component)
{
    for_each(component, other_plans);
}

/* ---- leaks ---- */

static void once(const struct subject *s)
{
    struct mgpt_step_result results[2];
    struct step_rig rig;
    struct pair pair;

    open_rig(&rig, s);
    open_pair(&pair, s, &rig);
    run_pair(&pair, 0, 1, results);
    close_pair(&pair);
    step_rig_close(&rig);
}

static void all_once(const struct mgpt_component *component)
{
    for_each(component, once);
}

static void leaves_nothing_behind(const struct mgpt_component *component)
{
    void (*on_note)(const char *, bool) = mgpt_check_on_note;

    all_once(component); /* says how many */
    mgpt_check_on_note = NULL;
    most = 2;
    if (checked)
        mgpt_check_leaks(component, all_once);
    most = 0;
    mgpt_check_on_note = on_note;
}

const struct mgpt_check_case mgpt_check_step[] = {
    {"computes_what_composed_computes", "training depends on which step module won the bid",
     computes_what_composed_computes, 120},
    {"bids_are_honest",
     "the core leaves to the module what it says it covers: a stage would be done twice, or never",
     bids_are_honest, 0},
    {"declines_what_it_does_not_know",
     "a later microgpt's models would be trained as if their new settings did not exist",
     declines_what_it_does_not_know, 0},
    {"reads_the_precision_and_the_rule",
     "with loss scaling, other formats or another optimizer it would train something else",
     reads_the_precision_and_the_rule, 300},
    {"many_steps_in_one_call_give_the_same_bits",
     "a run would depend on how its steps fall into blocks",
     many_steps_in_one_call_give_the_same_bits, 120},
    {"a_nonfinite_step_changes_nothing", "a step with NaN would reach the parameters",
     a_nonfinite_step_changes_nothing, 0},
    {"threads_change_no_bit", "a run resumed with other threads would be another run",
     threads_change_no_bit, 120},
    {"leaves_nothing_behind", "memory or threads are lost each time", leaves_nothing_behind, 300},
    {NULL, NULL, NULL, 0},
};
