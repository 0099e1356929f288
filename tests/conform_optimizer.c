/* Kind optimizer: every rule is one function of the elements, in both formats, and goes downhill.
 */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include <microgpt/optimizer.h>

#include "conform.h"
#include "update_lab.h"

#define N 37 /* not a multiple of a vector */
#define CANARY 12345.678

/* An optimizer and what it works on, in both formats. */
struct bench {
    const struct mgpt_optimizer_api *api;
    struct mgpt_optimizer *it;
    const struct mgpt_rule *rule;
    double p[N], g[N], state[MGPT_MAX_STATE][N];
    float p32[N], g32[N], state32[MGPT_MAX_STATE][N];
    double h[MGPT_MAX_SCALARS + 1];
};

static double *states(struct bench *b, double *s[MGPT_MAX_STATE], size_t at)
{
    for (int k = 0; k < MGPT_MAX_STATE; k++)
        s[k] = b->state[k] + at;
    return b->p + at;
}

static void bench_open(struct bench *b, const struct mgpt_component *component,
                       struct mgpt_config *config)
{
    memset(b, 0, sizeof *b);
    b->api = component->api;
    b->rule = b->api->rule;
    ck_ok(b->api->create(mgpt_host(), config, &b->it, error));
    mgpt_config_destroy(config);
    for (int i = 0; i < N; i++)
        b->p[i] = b->p32[i] = (float)sin(i + 1.0);
}

static void tick(struct bench *b, uint64_t step, double lr, double decay)
{
    struct mgpt_tick now = {.step = step, .total = 1000, .lr = lr, .weight_decay = decay};

    for (int i = 0; i <= MGPT_MAX_SCALARS; i++)
        b->h[i] = CANARY;
    b->api->scalars(b->it, &now, b->h);
}

static void step64(struct bench *b, double gscale)
{
    double *s[MGPT_MAX_STATE];

    b->rule->f64(N, states(b, s, 0), b->g, s, b->h, gscale);
}

static void step32(struct bench *b, double gscale)
{
    float *s[MGPT_MAX_STATE];

    for (int k = 0; k < MGPT_MAX_STATE; k++)
        s[k] = b->state32[k];
    b->rule->f32(N, b->p32, b->g32, s, b->h, gscale);
}

static void gradient(struct bench *b, uint64_t step)
{
    for (int i = 0; i < N; i++)
        b->g[i] = b->g32[i] = (float)cos(3.0 * i + (double)step);
}

static uint32_t count_names(const char *list)
{
    uint32_t n = strcmp(list, "()") != 0;

    for (; *list; list++)
        n += *list == ',';
    return n;
}

static void check_table(const struct mgpt_component *component)
{
    struct bench b;

    bench_open(&b, component, settings(component, NULL));
    ck_module(b.rule->n_state <= MGPT_MAX_STATE, "%u", b.rule->n_state);
    ck_module(b.rule->n_scalars <= MGPT_MAX_SCALARS, "%u", b.rule->n_scalars);
    ck_module(count_names(b.rule->state) == b.rule->n_state, "%s", b.rule->state);
    ck_module(count_names(b.rule->scalars) == b.rule->n_scalars, "%s", b.rule->scalars);
    ck_module(b.rule->name && *b.rule->name, "the rule has no name");
    ck_module(b.rule->body && strchr(b.rule->body, 'p'), "the body never names p");
    b.api->destroy(b.it);
    b.api->destroy(NULL);
}

START_TEST(rule_counts_what_it_names)
{
    each_module("optimizer", check_table);
}
END_TEST

static void check_scalars(const struct mgpt_component *component)
{
    static const uint64_t steps[] = {0, 1, 2, 499, 1000000, UINT64_C(1) << 53};
    struct bench b;

    bench_open(&b, component, settings(component, NULL));
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        double first[MGPT_MAX_SCALARS + 1];
        tick(&b, steps[i], 1e-2, 0.1);
        memcpy(first, b.h, sizeof first);
        for (uint32_t k = 0; k < b.rule->n_scalars; k++)
            ck_module(isfinite(b.h[k]), "scalar %u is %g at step %llu", k, b.h[k],
                      (unsigned long long)steps[i]);
        bool more = MGPT_HAS(b.api, takes) && b.api->takes; /* for what it records */
        for (uint32_t k = more ? MGPT_MAX_SCALARS : b.rule->n_scalars; k <= MGPT_MAX_SCALARS; k++)
            ck_module(b.h[k] == CANARY, "wrote scalar %u of %u", k, b.rule->n_scalars);
        tick(&b, 77, 1, 0);
        tick(&b, steps[i], 1e-2, 0.1);
        ck_module(memcmp(first, b.h, sizeof first) == 0, "a second call gives other scalars");
    }
    b.api->destroy(b.it);
}

START_TEST(scalars_are_finite_and_pure)
{
    each_module("optimizer", check_scalars);
}
END_TEST

static void check_formats(const struct mgpt_component *component)
{
    struct bench b;

    bench_open(&b, component, settings(component, NULL));
    for (uint64_t step = 0; step < 10; step++) {
        gradient(&b, step);
        tick(&b, step, 1e-2, 0.1);
        step64(&b, 0.5);
        step32(&b, 0.5);
    }
    for (int i = 0; i < N; i++) {
        ck_module(isfinite(b.p[i]), "p[%d] is %g", i, b.p[i]);
        ck_module(fabs(b.p[i] - b.p32[i]) < 1e-4, "p[%d]: %.9g in F64, %.9g in F32", i, b.p[i],
                  (double)b.p32[i]);
    }
    b.api->destroy(b.it);
}

START_TEST(both_formats_agree)
{
    each_module("optimizer", check_formats);
}
END_TEST

/* The whole array at once, element by element, and with the scale in the gradient: the same bits.
 */
static void check_elements(const struct mgpt_component *component)
{
    struct bench whole, parts, scaled;
    double *s[MGPT_MAX_STATE];

    bench_open(&whole, component, settings(component, NULL));
    parts = scaled = whole;
    for (uint64_t step = 0; step < 3; step++) {
        gradient(&whole, step);
        tick(&whole, step, 1e-2, 0.1);
        memcpy(parts.h, whole.h, sizeof whole.h);
        memcpy(scaled.h, whole.h, sizeof whole.h);
        step64(&whole, 0.25);
        for (size_t i = 0; i < N; i++) {
            double *p = states(&parts, s, i);
            whole.rule->f64(1, p, whole.g + i, s, whole.h, 0.25);
            scaled.g[i] = 0.25 * whole.g[i];
        }
        step64(&scaled, 1);
        whole.rule->f64(0, whole.p, whole.g, s, whole.h, 1);
    }
    ck_module(!memcmp(whole.p, parts.p, sizeof whole.p), "elements depend on their neighbours");
    ck_module(!memcmp(whole.state, parts.state, sizeof whole.state), "so does the state");
    ck_module(!memcmp(whole.p, scaled.p, sizeof whole.p), "g is not g times gscale");
    whole.api->destroy(whole.it);
}

START_TEST(elements_do_not_meet)
{
    each_module("optimizer", check_elements);
}
END_TEST

static void check_rest(const struct mgpt_component *component)
{
    struct bench b;
    double before[N];

    bench_open(&b, component, settings(component, NULL));
    memcpy(before, b.p, sizeof before);
    for (uint64_t step = 0; step < 5; step++) {
        tick(&b, step, 1e-2, 0);
        step64(&b, 1);
        step32(&b, 1);
    }
    for (int i = 0; i < N; i++)
        ck_module(b.p[i] == before[i] && b.p32[i] == (float)before[i], "p[%d] moved to %.9g", i,
                  b.p[i]);
    b.api->destroy(b.it);
}

START_TEST(stays_without_gradient_and_decay)
{
    each_module("optimizer", check_rest);
}
END_TEST

static double height(const struct bench *b)
{
    double sum = 0;

    for (int i = 0; i < N; i++)
        sum += 0.5 * (b->p[i] - 3) * (b->p[i] - 3);
    return sum;
}

static void check_descent(const struct mgpt_component *component)
{
    struct bench b;

    bench_open(&b, component, settings(component, NULL));
    double start = height(&b);
    for (uint64_t step = 0; step < 200; step++) {
        for (int i = 0; i < N; i++)
            b.g[i] = b.p[i] - 3;
        tick(&b, step, 0.05, 0);
        step64(&b, 1);
    }
    ck_module(height(&b) < 0.1 * start, "from %g to %g", start, height(&b));
    b.api->destroy(b.it);
}

START_TEST(goes_downhill)
{
    each_module("optimizer", check_descent);
}
END_TEST

/* ---- whole models: parameters that are updated as whole tensors, too ---- */

static const char *const devices[] = {"ref", "cpu", "slow"};

static void lab_open(struct update_lab *lab, const struct mgpt_component *component,
                     const char *device)
{
    struct mgpt_model model = test_model_toygpt();

    update_lab_open(lab, device, &model, MGPT_F32, component->api, settings(component, NULL));
}

/* Parameters and state after three steps, the second of which is skipped; `bad`: with NaN. */
static char *after_steps(const struct mgpt_component *component, const char *device, double size,
                         double grad_scale, bool bad, size_t *n)
{
    struct update_lab lab;

    lab_open(&lab, component, device);
    for (uint64_t step = 0; step < 3; step++) {
        update_lab_draw(&lab, step, size);
        if (step == 1 && bad)
            update_lab_fill(&lab, NAN);
        update_lab_run(&lab, 0.01, 0.1, grad_scale, step == 1);
    }
    char *bits = update_lab_bits(&lab, n);
    update_lab_close(&lab);
    return bits;
}

/* A skipped step leaves no trace in the next one either, whatever its gradients were; and powers of
 * two move between the gradients and their scale without changing a bit. */
static void check_steps(const struct mgpt_component *component)
{
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        size_t n;
        char *want = after_steps(component, devices[i], 1, 1, false, &n);
        char *bad = after_steps(component, devices[i], 1, 1, true, &n);
        char *scaled = after_steps(component, devices[i], 1024, 1.0 / 1024, true, &n);
        ck_module(memcmp(want, bad, n) == 0, "%s: NaN of a skipped step shows", devices[i]);
        ck_module(memcmp(want, scaled, n) == 0, "%s: grad_scale is not applied", devices[i]);
        free(want);
        free(bad);
        free(scaled);
    }
}

START_TEST(skipped_steps_leave_no_trace_and_gradients_are_scaled)
{
    each_module("optimizer", check_steps);
}
END_TEST

static void check_skipped(const struct mgpt_component *component)
{
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        struct update_lab lab;
        size_t n;
        lab_open(&lab, component, devices[i]);
        update_lab_draw(&lab, 1, 1);
        update_lab_run(&lab, 0.01, 0.1, 1, false);
        char *before = update_lab_bits(&lab, &n);
        update_lab_fill(&lab, INFINITY);
        update_lab_run(&lab, 0.01, 0.1, 1, true);
        char *after = update_lab_bits(&lab, &n);
        ck_module(memcmp(before, after, n) == 0, "%s: a skipped step moved something", devices[i]);
        free(before);
        free(after);
        update_lab_close(&lab);
    }
}

START_TEST(a_skipped_step_moves_neither_parameters_nor_state)
{
    each_module("optimizer", check_skipped);
}
END_TEST

static void check_zero(const struct mgpt_component *component)
{
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        struct update_lab lab;
        size_t n;
        lab_open(&lab, component, devices[i]);
        char *before = update_lab_bits(&lab, &n);
        for (int step = 0; step < 2; step++)
            update_lab_run(&lab, 0.01, 0, 1, false); /* its gradients are zero */
        char *after = update_lab_bits(&lab, &n);
        ck_module(memcmp(before, after, n) == 0, "%s: moved without a gradient", devices[i]);
        free(before);
        free(after);
        update_lab_close(&lab);
    }
}

START_TEST(a_model_without_gradient_and_decay_stays)
{
    each_module("optimizer", check_zero);
}
END_TEST

START_TEST(adamw_is_the_paper)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_OPTIMIZER, "adamw");
    struct bench b;
    double p[N], m[N] = {0}, v[N] = {0};

    bench_open(&b, component, settings(component, "beta2", "0.99", NULL));
    memcpy(p, b.p, sizeof p);
    for (uint64_t step = 0; step < 20; step++) {
        double lr = 1e-2 / ((double)step + 1), t = (double)step + 1;
        gradient(&b, step);
        tick(&b, step, lr, 0.1);
        step64(&b, 1);
        for (int i = 0; i < N; i++) {
            m[i] = 0.9 * m[i] + 0.1 * b.g[i];
            v[i] = 0.99 * v[i] + 0.01 * b.g[i] * b.g[i];
            double m_hat = m[i] / (1 - pow(0.9, t)), v_hat = v[i] / (1 - pow(0.99, t));
            p[i] -= lr * (m_hat / (sqrt(v_hat) + 1e-8) + 0.1 * p[i]);
            ck_assert_double_eq_tol(b.p[i], p[i], 1e-14);
        }
    }
    b.api->destroy(b.it);
}
END_TEST

START_TEST(lion_is_the_paper)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_OPTIMIZER, "lion");
    struct bench b;
    double p[N], m[N] = {0};

    bench_open(&b, component, settings(component, "beta2", "0.98", NULL));
    memcpy(p, b.p, sizeof p);
    for (uint64_t step = 0; step < 20; step++) {
        gradient(&b, step);
        tick(&b, step, 1e-3, 0.1);
        step64(&b, 1);
        for (int i = 0; i < N; i++) {
            double u = 0.9 * m[i] + 0.1 * b.g[i];
            p[i] -= 1e-3 * (copysign(1, u) + 0.1 * p[i]);
            m[i] = 0.98 * m[i] + 0.02 * b.g[i];
            ck_assert_double_eq_tol(b.p[i], p[i], 1e-15);
        }
    }
    b.api->destroy(b.it);
}
END_TEST

static void sgd_follows(const char *nesterov)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_OPTIMIZER, "sgd");
    struct bench b;
    double p[N], m[N] = {0};

    bench_open(&b, component, settings(component, "momentum", "0.8", "nesterov", nesterov, NULL));
    memcpy(p, b.p, sizeof p);
    for (uint64_t step = 0; step < 20; step++) {
        gradient(&b, step);
        tick(&b, step, 0.1, 0.01);
        step64(&b, 1);
        for (int i = 0; i < N; i++) {
            m[i] = 0.8 * m[i] + b.g[i];
            double u = strcmp(nesterov, "true") == 0 ? b.g[i] + 0.8 * m[i] : m[i];
            p[i] -= 0.1 * (u + 0.01 * p[i]);
            ck_assert_double_eq_tol(b.p[i], p[i], 1e-13);
        }
    }
    b.api->destroy(b.it);
}

START_TEST(sgd_has_momentum)
{
    sgd_follows("false");
}
END_TEST

START_TEST(sgd_has_nesterov_momentum)
{
    sgd_follows("true");
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, rule_counts_what_it_names);
    tcase_add_test(tests, scalars_are_finite_and_pure);
    tcase_add_test(tests, both_formats_agree);
    tcase_add_test(tests, elements_do_not_meet);
    tcase_add_test(tests, stays_without_gradient_and_decay);
    tcase_add_test(tests, goes_downhill);
    tcase_add_test(tests, skipped_steps_leave_no_trace_and_gradients_are_scaled);
    tcase_add_test(tests, a_skipped_step_moves_neither_parameters_nor_state);
    tcase_add_test(tests, a_model_without_gradient_and_decay_stays);
    tcase_add_test(tests, adamw_is_the_paper);
    tcase_add_test(tests, lion_is_the_paper);
    tcase_add_test(tests, sgd_has_momentum);
    tcase_add_test(tests, sgd_has_nesterov_momentum);
}

int main(void)
{
    return test_main("conform_optimizer", add_tests);
}
