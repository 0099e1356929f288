/* Kind step: it computes what the composed step computes, keeps the protocol, and covers what its
 * bid says. */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include "check/check.h"
#include "check/step_subject.h"
#include "run/composed.h"

/* ---- what is checked ---- */

static void close_to(const double *a, const double *b, size_t n, double tolerance)
{
    for (size_t i = 0; i < n; i++)
        check_that(fabs(a[i] - b[i]) <= tolerance * fmax(1, fabs(a[i])),
                   "value %zu: %.9g, expected %.9g", i, b[i], a[i]);
}

static void same_as_composed(const struct mgpt_subject *s)
{
    struct mgpt_step_result want[RIG_LONG + 1], got[RIG_LONG + 1];
    struct mgpt_subject reference = mgpt_subject_composed(s, "ref");
    uint32_t steps = mgpt_subject_is_emulated(s->backend) ? RIG_STEPS : RIG_LONG;
    size_t n;
    double *a = mgpt_subject_train(&reference, steps, 1, want, &n);
    double *b = mgpt_subject_train(s, steps, 1, got, &n);

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
    (void)mgpt_subject_each(component, 0, same_as_composed);
}

static void same_bits_in_one_call(const struct mgpt_subject *s)
{
    struct mgpt_step_result one[RIG_STEPS + 1], all[RIG_STEPS + 1];
    size_t n;
    double *a = mgpt_subject_train(s, RIG_STEPS, 1, one, &n);
    double *b = mgpt_subject_train(s, RIG_STEPS, RIG_STEPS, all, &n);

    check_that(memcmp(a, b, n * sizeof *a) == 0, "parameters or state differ in a bit");
    for (int i = 0; i < RIG_STEPS; i++)
        check_that(one[i].loss == all[i].loss, "%.17g, then %.17g", one[i].loss, all[i].loss);
    free(a);
    free(b);
}

static void many_steps_in_one_call_give_the_same_bits(const struct mgpt_component *component)
{
    (void)mgpt_subject_each(component, 0, same_bits_in_one_call);
}

/* A gradient that is not finite: the step changes nothing and is counted. */
static void skips_nonfinite(const struct mgpt_subject *s)
{
    struct mgpt_step_rig rig;
    struct mgpt_step_pair pair;
    struct mgpt_step_result result[2];
    float poison = NAN;
    size_t n;

    mgpt_step_rig_open_as(&rig, s->backend, &s->model, MGPT_F32, &s->setup);
    struct mgpt_tensor one = rig.net.params.items[0].p;
    one.rank = 1;
    one.shape[0] = 1;
    int32_t first = rig.batches[0][0].ids[0];
    one.offset += (uint64_t)first * s->model.embd * sizeof poison;
    check_ok(mgpt_machine_write(&rig.net.machine, &one, &poison, error));
    mgpt_step_pair_open(&pair, s, &rig);
    double *before = mgpt_step_rig_values(&rig, &n);
    mgpt_step_pair_run(&pair, 0, 1, result);
    check_that(result[0].skipped == 1, "a step with NaN is not reported as skipped");
    check_that(mgpt_step_rig_state(&rig).skipped == 1, "a step with NaN is not counted");
    check_that(mgpt_step_rig_state(&rig).good == 0, "a step with NaN counts as good");
    double *after = mgpt_step_rig_values(&rig, &n);
    check_that(memcmp(before, after, n * sizeof *after) == 0,
               "parameters or state differ in a bit");
    free(before);
    free(after);
    mgpt_step_pair_close(&pair);
    mgpt_step_rig_close(&rig);
}

static void a_nonfinite_step_changes_nothing(const struct mgpt_component *component)
{
    (void)mgpt_subject_each(component, 0, skips_nonfinite);
}

static void same_bits_on_threads(const struct mgpt_subject *s)
{
    static const uint32_t threads[] = {1, 2, 3, 8, 17};
    struct mgpt_step_result want[3], got[3];
    struct mgpt_subject other = *s;
    size_t n;

    other.threads = threads[0];
    double *a = mgpt_subject_train(&other, 3, 1, want, &n);
    for (size_t i = 1; i < sizeof threads / sizeof *threads; i++) {
        other.threads = threads[i];
        double *b = mgpt_subject_train(&other, 3, 1, got, &n);
        check_that(memcmp(a, b, n * sizeof *a) == 0, "parameters or state differ in a bit");
        check_that(want[2].loss == got[2].loss, "%.17g, then %.17g", want[2].loss, got[2].loss);
        free(b);
    }
    free(a);
}

static void threads_change_no_bit(const struct mgpt_component *component)
{
    (void)mgpt_subject_each(component, 0, same_bits_on_threads);
}

/* ---- honesty ---- */

/* Fields of the step state that a stage writes are what they were before where the bid does not
 * cover the stage, and something else where it does. */
static void states_agree(const struct mgpt_subject *s, const struct mgpt_step_state *was,
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
static void covers_what_it_says(const struct mgpt_subject *s)
{
    struct mgpt_step_state was = {
        .loss_scale = 1, .grad_norm = 123.25, .grad_scale = 0.5, .good = 11, .skipped = 5};
    struct mgpt_step_result results[2];
    struct mgpt_step *step;
    struct mgpt_step_rig rig;
    uint32_t k = 0;
    size_t n;

    mgpt_subject_open_rig(&rig, s);
    check_ok(mgpt_machine_write(&rig.net.machine, &rig.net.state, &was, error));
    check_ok(s->api->open(mgpt_host(), s->config, &rig.spec, &step, error));
    double *before = mgpt_step_rig_values(&rig, &n);
    check_ok(s->api->run(step, rig.inputs, 1, error));
    check_ok(s->api->fence(step, results, &k, error));
    double *after = mgpt_step_rig_values(&rig, &n);
    bool moved = memcmp(before, after, n * sizeof *after) != 0;
    bool updates = s->covers >= MGPT_COVERS_FBCU;
    struct mgpt_step_state is = mgpt_step_rig_state(&rig);
    s->api->close(step);
    mgpt_step_rig_close(&rig);
    free(before);
    free(after);
    check_that(moved == updates, "%s UPDATE, and parameters and state %s",
               updates ? "covers" : "does not cover", moved ? "changed" : "are what they were");
    states_agree(s, &was, &is);
}

static void bids_are_honest(const struct mgpt_component *component)
{
    (void)mgpt_subject_each(component, 0, covers_what_it_says);
}

/* ---- bids on what it cannot know ---- */

/* Something behind a struct of a size that it knows. */
struct later {
    uint32_t one, more;
};

static void declines(const struct mgpt_subject *s, const struct mgpt_step_spec *spec,
                     const char *what)
{
    struct mgpt_bid bid = mgpt_subject_ask(s, spec);

    check_that(bid.score == 0, "it bids %d on a %s with a field that it does not know", bid.score,
               what);
}

/* With ranks FB alone; a struct with a field it does not know is declined; nothing is opened. */
static void bids_with_care(const struct mgpt_subject *s)
{
    struct mgpt_step_rig rig;
    const struct later later = {7, 7};

    if (s->api == mgpt_composed.api) /* the core's own knows what the core knows */
        return;
    mgpt_subject_open_rig(&rig, s);
    rig.spec.ranks = 2;
    struct mgpt_bid bid = mgpt_subject_ask(s, &rig.spec);
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
    mgpt_step_rig_close(&rig);
}

static void declines_what_it_does_not_know(const struct mgpt_component *component)
{
    (void)mgpt_subject_each(component, 0, bids_with_care);
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
static void agrees_or_declines(const struct mgpt_subject *s, const char *what, double tolerance)
{
    enum { STEPS = 4 }; /* enough for the scale to grow, and to be used */
    struct mgpt_step_result want[STEPS + 1], got[STEPS + 1];
    struct mgpt_subject mine = *s, reference;
    size_t n;

    if (!mgpt_subject_bids(&mine) || !mgpt_subject_opens(&mine))
        return;
    reference = mgpt_subject_composed(&mine, "ref");
    double *a = mgpt_subject_train(&reference, STEPS, 1, want, &n);
    double *b = mgpt_subject_train(&mine, STEPS, 1, got, &n);
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
static void other_formats(const struct mgpt_subject *s)
{
    static const struct mgpt_formats all[] = {
        {"products and activations in BF16", MGPT_BF16, 0, 0, 1e-2},
        {"products in TF32", 0, 1, 0, 2e-3},
        {"loss scaling", 0, 0, 2, 1e-5},
    };
    struct mgpt_subject other = *s;
    struct mgpt_step_rig rig;

    mgpt_subject_open_rig(&rig, s);
    const struct mgpt_caps caps = rig.net.machine.caps;
    mgpt_step_rig_close(&rig);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        other.formats = &all[i];
        if ((!all[i].half || caps.formats >> all[i].half & 1) &&
            (!all[i].tf32 || caps.flags & MGPT_CAPS_TF32))
            agrees_or_declines(&other, all[i].name, all[i].tolerance);
    }
}

static void other_plans(const struct mgpt_subject *s)
{
    struct mgpt_subject other = *s;

    if (s->api == mgpt_composed.api)
        return;
    other_formats(s);
    other.setup.stranger = &stranger;
    agrees_or_declines(&other, "a rule of its own", 1e-5);
}

static void reads_the_precision_and_the_rule(const struct mgpt_component *component)
{
    (void)mgpt_subject_each(component, 0, other_plans);
}

/* ---- leaks ---- */

static void once(const struct mgpt_subject *s)
{
    struct mgpt_step_result results[2];
    struct mgpt_step_rig rig;
    struct mgpt_step_pair pair;

    mgpt_subject_open_rig(&rig, s);
    mgpt_step_pair_open(&pair, s, &rig);
    mgpt_step_pair_run(&pair, 0, 1, results);
    mgpt_step_pair_close(&pair);
    mgpt_step_rig_close(&rig);
}

static void two_once(const struct mgpt_component *component)
{
    (void)mgpt_subject_each(component, 2, once);
}

static void leaves_nothing_behind(const struct mgpt_component *component)
{
    void (*on_note)(const char *, bool) = mgpt_check_on_note;
    int models = mgpt_subject_each(component, 0, once); /* says how many */

    mgpt_check_on_note = NULL;
    if (models)
        mgpt_check_leaks(component, two_once);
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
