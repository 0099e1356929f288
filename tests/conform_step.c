/* Every step module, found through the registry: it computes what the composed step computes, and
 * keeps the protocol. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conform.h"
#include "run/composed.h"
#include "step_rig.h"

static const char *const backends[] = {"ref", "cpu", "slow", "cuda", "cuda_emu", NULL};

/* A module with its settings, and what it is to train. */
struct subject {
    const struct mgpt_step_api *api;
    const struct mgpt_config *config;
    const char *backend;
    struct mgpt_model model;
    struct rig_setup setup;
    enum mgpt_covers covers; /* as its bid says */
    uint32_t threads;        /* that the device says it has; 0: its own number */
};

static int checked;                                   /* subjects so far */
static void (*check_subject)(const struct subject *); /* what is checked of each */

static void open_rig(struct step_rig *rig, const struct subject *s)
{
    step_rig_open_as(rig, s->backend, &s->model, MGPT_F32, &s->setup);
    if (s->threads)
        rig->net.machine.caps.threads = s->threads;
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
    ck_ok(s->api->open(mgpt_host(), s->config, &rig->spec, &pair->step, error));
    if (s->covers < MGPT_COVERS_FBCUS)
        ck_ok(mgpt_composed_open_rest(&rig->spec, &pair->rest, error));
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
        ck_ok(s->api->run(pair->step, inputs, n, error));
        ck_ok(s->api->fence(pair->step, results, &k, error));
        ck_assert_uint_eq(k, n);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        ck_ok(s->api->run(pair->step, &inputs[i], 1, error));
        ck_ok(s->api->fence(pair->step, results, &k, error));
        ck_assert_uint_eq(k, 0);
        ck_ok(mgpt_composed_rest(pair->rest, &inputs[i], s->covers, error));
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
        ck_ok(s->api->fence(pair.step, none, &k, error)); /* idempotent */
        ck_assert_uint_eq(k, 0);
        ck_ok(s->api->adopt(pair.step, error));
    }
    double *values = step_rig_values(&rig, n);
    close_pair(&pair);
    step_rig_close(&rig);
    return values;
}

static void close_to(const double *a, const double *b, size_t n, double tolerance)
{
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(fabs(a[i] - b[i]) <= tolerance * fmax(1, fabs(a[i])),
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

/* Does it bid on that, and for how much of the step? */
static bool bids_on(struct subject *s)
{
    struct step_rig rig;
    struct mgpt_bid bid = {.size = sizeof bid};

    step_rig_open_as(&rig, s->backend, &s->model, MGPT_F32, &s->setup);
    s->api->bid(&rig.spec, &bid);
    step_rig_close(&rig);
    ck_module(bid.reason[0], "it gives no reason");
    s->covers = (enum mgpt_covers)bid.covers;
    return bid.score > 0;
}

/* Can it be opened with these settings on this machine? */
static bool opens(const struct subject *s)
{
    struct step_rig rig;
    struct mgpt_step *step;
    struct mgpt_error why = {0};

    step_rig_open_as(&rig, s->backend, &s->model, MGPT_F32, &s->setup);
    bool opened = s->api->open(mgpt_host(), s->config, &rig.spec, &step, &why) == MGPT_OK;
    if (opened)
        s->api->close(step);
    else
        ck_module(why.status == MGPT_UNSUPPORTED, "%s", why.text);
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
    struct mgpt_config *config = settings(component, "isa", isa, "threads", "64", NULL);

    for (int b = 0; backends[b]; b++)
        for (size_t i = 0; i < n && test_has_backend(backends[b]); i++) {
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

    if (!has_option(component, "isa"))
        check_settings(component, "", check_subject);
    for (int i = 0; has_option(component, "isa") && i < 3; i++)
        check_settings(component, sets[i], check_subject);
}

static void for_each(void (*check)(const struct subject *))
{
    checked = 0;
    check_subject = check;
    each_module("step", check_module);
    ck_assert_int_ge(checked, 6);
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

/* ---- tests ---- */

static void same_as_composed(const struct subject *s)
{
    struct mgpt_step_result want[RIG_LONG + 1], got[RIG_LONG + 1];
    struct subject reference = composed(s, "ref");
    uint32_t steps = is_emulated(s->backend) ? RIG_STEPS : RIG_LONG;
    size_t n;
    double *a = train(&reference, steps, 1, want, &n);
    double *b = train(s, steps, 1, got, &n);

    for (uint32_t i = 0; i < steps; i++) {
        ck_assert_uint_eq(got[i].step, i);
        ck_assert_double_eq_tol(got[i].loss, want[i].loss, 1e-5);
        ck_assert_double_eq_tol(got[i].grad_norm, want[i].grad_norm, 1e-4 * want[i].grad_norm);
        ck_assert_uint_eq(got[i].skipped, 0);
    }
    close_to(a, b, n, 1e-4);
    free(a);
    free(b);
}

START_TEST(computes_what_composed_computes)
{
    for_each(same_as_composed);
}
END_TEST

static void same_bits_in_one_call(const struct subject *s)
{
    struct mgpt_step_result one[RIG_STEPS + 1], all[RIG_STEPS + 1];
    size_t n;
    double *a = train(s, RIG_STEPS, 1, one, &n);
    double *b = train(s, RIG_STEPS, RIG_STEPS, all, &n);

    ck_assert_mem_eq(a, b, n * sizeof *a);
    for (int i = 0; i < RIG_STEPS; i++)
        ck_assert_double_eq(one[i].loss, all[i].loss);
    free(a);
    free(b);
}

START_TEST(many_steps_in_one_call_give_the_same_bits)
{
    for_each(same_bits_in_one_call);
}
END_TEST

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
    ck_ok(mgpt_machine_write(&rig.net.machine, &one, &poison, error));
    open_pair(&pair, s, &rig);
    double *before = step_rig_values(&rig, &n);
    run_pair(&pair, 0, 1, result);
    ck_assert_uint_eq(result[0].skipped, 1);
    ck_assert_uint_eq(step_rig_state(&rig).skipped, 1);
    ck_assert_uint_eq(step_rig_state(&rig).good, 0);
    double *after = step_rig_values(&rig, &n);
    ck_assert_mem_eq(before, after, n * sizeof *after);
    free(before);
    free(after);
    close_pair(&pair);
    step_rig_close(&rig);
}

START_TEST(a_nonfinite_step_changes_nothing)
{
    for_each(skips_nonfinite);
}
END_TEST

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
        ck_assert_mem_eq(a, b, n * sizeof *a);
        ck_assert_double_eq(want[2].loss, got[2].loss);
        free(b);
    }
    free(a);
}

START_TEST(threads_change_no_bit)
{
    for_each(same_bits_on_threads);
}
END_TEST

START_TEST(slow_gives_the_bits_of_ref)
{
    struct mgpt_step_result a[RIG_STEPS + 1], b[RIG_STEPS + 1];
    struct subject toy = {.model = test_model_toygpt(), .setup = {"adamw", 3, 2, 0.5, NULL}};
    struct subject on_ref = composed(&toy, "ref"), on_slow = composed(&toy, "slow");
    size_t n;
    double *ref = train(&on_ref, RIG_STEPS, 1, a, &n);
    double *slow = train(&on_slow, RIG_STEPS, 1, b, &n);

    ck_assert_mem_eq(ref, slow, n * sizeof *ref);
    ck_assert_double_eq(a[RIG_STEPS - 1].loss, b[RIG_STEPS - 1].loss);
    free(ref);
    free(slow);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, computes_what_composed_computes);
    tcase_add_test(tests, many_steps_in_one_call_give_the_same_bits);
    tcase_add_test(tests, a_nonfinite_step_changes_nothing);
    tcase_add_test(tests, threads_change_no_bit);
    tcase_add_test(tests, slow_gives_the_bits_of_ref);
}

int main(void)
{
    return test_main("step", add_tests);
}
