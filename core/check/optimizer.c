/* Kind optimizer: one function of the elements, in both formats and on every device. */
#include <config.h>

#include "check/bench_optimizer.h"

#include <stdlib.h>

#include "check/update_lab.h"
#include "plugin/rule.h"

static uint32_t count_names(const char *list)
{
    uint32_t n = strcmp(list, "()") != 0;

    for (; *list; list++)
        n += *list == ',';
    return n;
}

static void check_table(const struct mgpt_component *component)
{
    struct optimizer_bench b;

    optimizer_bench_open(&b, component, mgpt_check_settings(component, NULL));
    check_that(b.rule->n_state <= MGPT_MAX_STATE, "%u", b.rule->n_state);
    check_that(b.rule->n_scalars <= MGPT_MAX_SCALARS, "%u", b.rule->n_scalars);
    check_that(count_names(b.rule->state) == b.rule->n_state, "%s", b.rule->state);
    check_that(count_names(b.rule->scalars) == b.rule->n_scalars, "%s", b.rule->scalars);
    check_that(b.rule->name && *b.rule->name, "the rule has no name");
    check_that(b.rule->body && strchr(b.rule->body, 'p'), "the body never names p");
    b.api->destroy(b.it);
    b.api->destroy(NULL);
}

static void check_scalars(const struct mgpt_component *component)
{
    static const uint64_t steps[] = {0, 1, 2, 499, 1000000, UINT64_C(1) << 53};
    struct optimizer_bench b;

    optimizer_bench_open(&b, component, mgpt_check_settings(component, NULL));
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        double first[MGPT_MAX_SCALARS + 1];
        optimizer_bench_tick(&b, steps[i], 1e-2, 0.1);
        memcpy(first, b.h, sizeof first);
        for (uint32_t k = 0; k < b.rule->n_scalars; k++)
            check_that(isfinite(b.h[k]), "scalar %u is %g at step %llu", k, b.h[k],
                       (unsigned long long)steps[i]);
        bool more = MGPT_HAS(b.api, takes) && b.api->takes; /* for what it records */
        for (uint32_t k = more ? MGPT_MAX_SCALARS : b.rule->n_scalars; k <= MGPT_MAX_SCALARS; k++)
            check_that(b.h[k] == OPTIMIZER_BENCH_CANARY, "wrote scalar %u of %u", k,
                       b.rule->n_scalars);
        optimizer_bench_tick(&b, 77, 1, 0);
        optimizer_bench_tick(&b, steps[i], 1e-2, 0.1);
        check_that(memcmp(first, b.h, sizeof first) == 0, "a second call gives other scalars");
    }
    b.api->destroy(b.it);
}

static void check_formats(const struct mgpt_component *component)
{
    struct optimizer_bench b;

    optimizer_bench_open(&b, component, mgpt_check_settings(component, NULL));
    for (uint64_t step = 0; step < 10; step++) {
        optimizer_bench_gradient(&b, step);
        optimizer_bench_tick(&b, step, 1e-2, 0.1);
        optimizer_bench_step64(&b, 0.5);
        optimizer_bench_step32(&b, 0.5);
    }
    for (int i = 0; i < OPTIMIZER_BENCH_N; i++) {
        check_that(isfinite(b.p[i]), "p[%d] is %g", i, b.p[i]);
        check_that(fabs(b.p[i] - b.p32[i]) < 1e-4, "p[%d]: %.9g in F64, %.9g in F32", i, b.p[i],
                   (double)b.p32[i]);
    }
    b.api->destroy(b.it);
}

/* The whole array at once, element by element, and with the scale in the gradient: the same bits.
 */
static void check_elements(const struct mgpt_component *component)
{
    struct optimizer_bench whole, parts, scaled;
    double *s[MGPT_MAX_STATE];

    optimizer_bench_open(&whole, component, mgpt_check_settings(component, NULL));
    parts = scaled = whole;
    for (uint64_t step = 0; step < 3; step++) {
        optimizer_bench_gradient(&whole, step);
        optimizer_bench_tick(&whole, step, 1e-2, 0.1);
        memcpy(parts.h, whole.h, sizeof whole.h);
        memcpy(scaled.h, whole.h, sizeof whole.h);
        optimizer_bench_step64(&whole, 0.25);
        for (size_t i = 0; i < OPTIMIZER_BENCH_N; i++) {
            double *p = optimizer_bench_states(&parts, s, i);
            whole.rule->f64(1, p, whole.g + i, s, whole.h, 0.25);
            scaled.g[i] = 0.25 * whole.g[i];
        }
        optimizer_bench_step64(&scaled, 1);
        whole.rule->f64(0, whole.p, whole.g, s, whole.h, 1);
    }
    check_that(!memcmp(whole.p, parts.p, sizeof whole.p), "elements depend on their neighbours");
    check_that(!memcmp(whole.state, parts.state, sizeof whole.state), "so does the state");
    check_that(!memcmp(whole.p, scaled.p, sizeof whole.p), "g is not g times gscale");
    whole.api->destroy(whole.it);
}

static void check_rest(const struct mgpt_component *component)
{
    struct optimizer_bench b;
    double before[OPTIMIZER_BENCH_N];

    optimizer_bench_open(&b, component, mgpt_check_settings(component, NULL));
    memcpy(before, b.p, sizeof before);
    for (uint64_t step = 0; step < 5; step++) {
        optimizer_bench_tick(&b, step, 1e-2, 0);
        optimizer_bench_step64(&b, 1);
        optimizer_bench_step32(&b, 1);
    }
    for (int i = 0; i < OPTIMIZER_BENCH_N; i++)
        check_that(b.p[i] == before[i] && b.p32[i] == (float)before[i], "p[%d] moved to %.9g", i,
                   b.p[i]);
    b.api->destroy(b.it);
}

static double height(const struct optimizer_bench *b)
{
    double sum = 0;

    for (int i = 0; i < OPTIMIZER_BENCH_N; i++)
        sum += 0.5 * (b->p[i] - 3) * (b->p[i] - 3);
    return sum;
}

static void check_descent(const struct mgpt_component *component)
{
    struct optimizer_bench b;

    optimizer_bench_open(&b, component, mgpt_check_settings(component, NULL));
    double start = height(&b);
    for (uint64_t step = 0; step < 200; step++) {
        for (int i = 0; i < OPTIMIZER_BENCH_N; i++)
            b.g[i] = b.p[i] - 3;
        optimizer_bench_tick(&b, step, 0.05, 0);
        optimizer_bench_step64(&b, 1);
    }
    check_that(height(&b) < 0.1 * start, "from %g to %g", start, height(&b));
    b.api->destroy(b.it);
}

/* ---- whole models: parameters that are updated as whole tensors, too ---- */

static const char *const devices[] = {"ref", "cpu", "slow"};

static void lab_open(struct mgpt_update_lab *lab, const struct mgpt_component *component,
                     const char *device)
{
    struct mgpt_model model = mgpt_check_model_toygpt();

    mgpt_update_lab_open(lab, device, &model, MGPT_F32, component->api,
                         mgpt_check_settings(component, NULL));
}

/* Parameters and state after three steps, the second of which is skipped; `bad`: with NaN. */
static char *after_steps(const struct mgpt_component *component, const char *device, double size,
                         double grad_scale, bool bad, size_t *n)
{
    struct mgpt_update_lab lab;

    lab_open(&lab, component, device);
    for (uint64_t step = 0; step < 3; step++) {
        mgpt_update_lab_draw(&lab, step, size);
        if (step == 1 && bad)
            mgpt_update_lab_fill(&lab, NAN);
        mgpt_update_lab_run(&lab, 0.01, 0.1, grad_scale, step == 1);
    }
    char *bits = mgpt_update_lab_bits(&lab, n);
    mgpt_update_lab_close(&lab);
    return bits;
}

/* A skipped step leaves no trace in the next one either, whatever its gradients were; and powers of
 * two move between the gradients and their scale without changing a bit. */
static void check_steps(const struct mgpt_component *component)
{
    (void)mgpt_check_module(MGPT_KIND_BACKEND, "ref"); /* there must be one */
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        if (!mgpt_check_has(MGPT_KIND_BACKEND, devices[i]))
            continue;
        size_t n;
        char *want = after_steps(component, devices[i], 1, 1, false, &n);
        char *bad = after_steps(component, devices[i], 1, 1, true, &n);
        char *scaled = after_steps(component, devices[i], 1024, 1.0 / 1024, true, &n);
        check_that(memcmp(want, bad, n) == 0, "%s: NaN of a skipped step shows", devices[i]);
        check_that(memcmp(want, scaled, n) == 0, "%s: grad_scale is not applied", devices[i]);
        free(want);
        free(bad);
        free(scaled);
    }
}

static void check_skipped(const struct mgpt_component *component)
{
    (void)mgpt_check_module(MGPT_KIND_BACKEND, "ref"); /* there must be one */
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        if (!mgpt_check_has(MGPT_KIND_BACKEND, devices[i]))
            continue;
        struct mgpt_update_lab lab;
        size_t n;
        lab_open(&lab, component, devices[i]);
        mgpt_update_lab_draw(&lab, 1, 1);
        mgpt_update_lab_run(&lab, 0.01, 0.1, 1, false);
        char *before = mgpt_update_lab_bits(&lab, &n);
        mgpt_update_lab_fill(&lab, INFINITY);
        mgpt_update_lab_run(&lab, 0.01, 0.1, 1, true);
        char *after = mgpt_update_lab_bits(&lab, &n);
        check_that(memcmp(before, after, n) == 0, "%s: a skipped step moved something", devices[i]);
        free(before);
        free(after);
        mgpt_update_lab_close(&lab);
    }
}

static void check_zero(const struct mgpt_component *component)
{
    (void)mgpt_check_module(MGPT_KIND_BACKEND, "ref"); /* there must be one */
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        if (!mgpt_check_has(MGPT_KIND_BACKEND, devices[i]))
            continue;
        struct mgpt_update_lab lab;
        size_t n;
        lab_open(&lab, component, devices[i]);
        char *before = mgpt_update_lab_bits(&lab, &n);
        for (int step = 0; step < 2; step++)
            mgpt_update_lab_run(&lab, 0.01, 0, 1, false); /* its gradients are zero */
        char *after = mgpt_update_lab_bits(&lab, &n);
        check_that(memcmp(before, after, n) == 0, "%s: moved without a gradient", devices[i]);
        free(before);
        free(after);
        mgpt_update_lab_close(&lab);
    }
}

/* ---- the text of the rule, devices, resuming ---- */

static void check_language(const struct mgpt_component *component)
{
    const struct mgpt_optimizer_api *api = component->api;
    struct mgpt_error why = {0};

    check_that(mgpt_rule_check(api->rule, &why) == MGPT_OK, "%s", why.text);
}

static void close_to(const double *want, const double *got, size_t n, const char *device)
{
    for (size_t i = 0; i < n; i++)
        check_that(fabs(got[i] - want[i]) <= 2e-5 * fmax(1, fabs(want[i])),
                   "%s: parameter %zu is %.9g, on ref %.9g", device, i, got[i], want[i]);
}

static double *trained_on(const struct mgpt_component *component, const char *device, size_t *n)
{
    struct mgpt_update_lab lab;

    lab_open(&lab, component, device);
    for (uint64_t step = 0; step < 5; step++) {
        mgpt_update_lab_draw(&lab, step + mgpt_check_seed, 1);
        mgpt_update_lab_run(&lab, 0.01, 0.1, 0.5, false);
    }
    double *values = mgpt_update_lab_read(&lab, &lab.spec.p);
    *n = (size_t)mgpt_tensor_count(&lab.spec.p);
    mgpt_update_lab_close(&lab);
    return values;
}

/* Those with an update of their own too: there the rule's text may be what is run. */
static void check_devices(const struct mgpt_component *component)
{
    static const char *const others[] = {"cpu", "slow", "cuda", "cuda_emu"};
    size_t n;
    double *want = trained_on(component, "ref", &n);

    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (mgpt_check_has(MGPT_KIND_BACKEND, others[i])) {
            double *got = trained_on(component, others[i], &n);
            close_to(want, got, n, others[i]);
            mgpt_check_note("%s", others[i]);
            free(got);
        }
    free(want);
}

/* Steps first..last-1 of a run, from the bits that are given (NULL: the start), as bits
 * (malloc). */
static char *some_steps(const struct mgpt_component *component, uint64_t first, uint64_t last,
                        const char *from, size_t *n)
{
    struct mgpt_update_lab lab;

    lab_open(&lab, component, "ref");
    if (from)
        mgpt_update_lab_restore(&lab, from);
    lab.step = first;
    for (uint64_t step = first; step < last; step++) {
        mgpt_update_lab_draw(&lab, step, 1);
        mgpt_update_lab_run(&lab, 0.01, 0.1, 1, false);
    }
    char *bits = mgpt_update_lab_bits(&lab, n);
    mgpt_update_lab_close(&lab);
    return bits;
}

static void check_resumed(const struct mgpt_component *component)
{
    size_t n;
    char *whole = some_steps(component, 0, 6, NULL, &n);
    char *half = some_steps(component, 0, 3, NULL, &n);
    char *resumed = some_steps(component, 3, 6, half, &n);

    check_that(memcmp(whole, resumed, n) == 0,
               "six steps, and three that go on after three, differ");
    free(whole);
    free(half);
    free(resumed);
}

static void once(const struct mgpt_component *component)
{
    struct optimizer_bench b;

    optimizer_bench_open(&b, component, mgpt_check_settings(component, NULL));
    optimizer_bench_tick(&b, 0, 1e-2, 0.1);
    optimizer_bench_step64(&b, 1);
    b.api->destroy(b.it);
}

static void check_left(const struct mgpt_component *component)
{
    mgpt_check_leaks(component, once);
}

static void check_made(const struct mgpt_component *component)
{
    struct optimizer_bench b;

    optimizer_bench_open(&b, component, mgpt_check_settings(component, NULL));
    b.api->destroy(b.it);
}

const struct mgpt_check_case mgpt_check_optimizer[] = {
    {MGPT_CHECK_MADE, "no run could begin with it", check_made, 0},
    {"rule_counts_what_it_names",
     "devices would hand other arrays and scalars to the rule than it wants", check_table, 0},
    {"rule_keeps_to_the_language",
     "a device that compiles the text of the rule would refuse it, or compute something else than "
     "the host",
     check_language, 0},
    {"scalars_are_finite_and_pure", "a resumed run, or one that asks twice, would take other steps",
     check_scalars, 0},
    {"both_formats_agree", "training in fp32 and in fp64 would follow different rules",
     check_formats, 0},
    {"elements_do_not_meet",
     "a device that cuts parameters otherwise, or runs many threads, would give another result",
     check_elements, 0},
    {"stays_without_gradient_and_decay", "parameters would wander without a reason", check_rest, 0},
    {"goes_downhill", "the rule does not minimise", check_descent, 0},
    {"skipped_steps_leave_no_trace_and_gradients_are_scaled",
     "a step with NaN would reach the parameters, or the loss scale the result", check_steps, 0},
    {"a_skipped_step_moves_neither_parameters_nor_state",
     "a step with NaN would reach the parameters", check_skipped, 0},
    {"a_model_without_gradient_and_decay_stays", "parameters would wander without a reason",
     check_zero, 0},
    {"devices_agree_with_the_reference",
     "training would depend on the device by more than rounding", check_devices, 0},
    {"goes_on_from_what_was_saved",
     "a resumed run would not be the one that was stopped: something is kept outside of the state",
     check_resumed, 0},
    {"leaves_nothing_behind", "what create takes, destroy gives back", check_left, 0},
    {NULL, NULL, NULL, 0},
};
