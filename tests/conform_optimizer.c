/* Kind optimizer: every module keeps the contract, and the rules of ours are those of the
 * papers. */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include "check/bench_optimizer.h"
#include "conform.h"
#include "plugin/rule.h"

START_TEST(adamw_is_the_paper)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_OPTIMIZER, "adamw");
    struct optimizer_bench b;
    double p[OPTIMIZER_BENCH_N], m[OPTIMIZER_BENCH_N] = {0}, v[OPTIMIZER_BENCH_N] = {0};

    optimizer_bench_open(&b, component, mgpt_check_settings(component, "beta2", "0.99", NULL));
    memcpy(p, b.p, sizeof p);
    for (uint64_t step = 0; step < 20; step++) {
        double lr = 1e-2 / ((double)step + 1), t = (double)step + 1;
        optimizer_bench_gradient(&b, step);
        optimizer_bench_tick(&b, step, lr, 0.1);
        optimizer_bench_step64(&b, 1);
        for (int i = 0; i < OPTIMIZER_BENCH_N; i++) {
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
    struct optimizer_bench b;
    double p[OPTIMIZER_BENCH_N], m[OPTIMIZER_BENCH_N] = {0};

    optimizer_bench_open(&b, component, mgpt_check_settings(component, "beta2", "0.98", NULL));
    memcpy(p, b.p, sizeof p);
    for (uint64_t step = 0; step < 20; step++) {
        optimizer_bench_gradient(&b, step);
        optimizer_bench_tick(&b, step, 1e-3, 0.1);
        optimizer_bench_step64(&b, 1);
        for (int i = 0; i < OPTIMIZER_BENCH_N; i++) {
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
    struct optimizer_bench b;
    double p[OPTIMIZER_BENCH_N], m[OPTIMIZER_BENCH_N] = {0};

    optimizer_bench_open(
        &b, component,
        mgpt_check_settings(component, "momentum", "0.8", "nesterov", nesterov, NULL));
    memcpy(p, b.p, sizeof p);
    for (uint64_t step = 0; step < 20; step++) {
        optimizer_bench_gradient(&b, step);
        optimizer_bench_tick(&b, step, 0.1, 0.01);
        optimizer_bench_step64(&b, 1);
        for (int i = 0; i < OPTIMIZER_BENCH_N; i++) {
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

/* NULL: it is of the language; else what is said of it. */
START_TEST(the_language_of_rules_is_what_the_header_says)
{
    static const struct {
        const char *body, *says;
    } cases[] = {
        {"p -= lr * g;", NULL},
        {"const real u = b * m + g, w = u; p -= lr * (u > 0 ? u : -w); m = u;", NULL},
        {"if (g > 0) { p -= lr; } else p += lr;", NULL},
        {"real t = (real)1e-3 * sqrt(fabs(g)); p -= copysign(fmin(t, fmax(g, lr)), g); m = t;",
         NULL},
        {"int n = (g > 0) - (g < 0); p -= lr * n;", NULL},
        {"p -= 0.5 * g;", "\"0.5\" is a literal without its cast"},
        {"p -= 1e-3f * g;", "\"1e-3f\" is a literal without its cast"},
        {"p -= 0x1p-3 * g;", "\"0x1p-3\" is a literal without its cast"},
        {"p -= (real)0x1p-3 * g + 0xf;", NULL},
        {"real new = g; p -= new;", "\"new\" is a word of C++"},
        {"real a = g, not = a; p -= a;", "\"not\" is a word of C++"},
        {"p -= lr * pow(g, b);", "\"pow\" is called"},
        {"p -= lr * exp(g);", "\"exp\" is called"},
        {"p -= lr * fma(g, g, g);", "\"fma\" is called"},
        {"p -= rate * g;", "\"rate\" does not compile for a device"},
        {"p[0] -= g;", "\"[\" is not of the language"},
        {"for (int i = 0; i < 3; i++) p -= g;", "\"for\" is called"},
        {"return;", "\"return\" does not compile"},
        {"double d = g; p -= d;", "\"double\" does not compile"},
        {"p -= g; #define X", "\"#\" is not of the language"},
        {"p -= (g;", "ends within parentheses"},
        {"p -= g);", "closes what was not opened"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct mgpt_rule rule = {.size = sizeof rule,
                                       .name = "tried",
                                       .state = "(m)",
                                       .scalars = "(lr, b)",
                                       .body = cases[i].body};
        struct mgpt_error why = {0};
        enum mgpt_status status = mgpt_rule_check(&rule, &why);
        ck_assert_msg((status == MGPT_OK) == !cases[i].says, "%s: %s", cases[i].body, why.text);
        if (cases[i].says)
            ck_assert_has(why.text, cases[i].says);
    }
}
END_TEST

START_TEST(a_rule_without_a_text_is_refused)
{
    const struct mgpt_rule rule = {.size = sizeof rule, .name = "tried", .state = "()"};
    struct mgpt_error why = {0};

    ck_assert_int_eq(mgpt_rule_check(&rule, &why), MGPT_PLUGIN);
    ck_assert_int_eq(mgpt_rule_check(NULL, &why), MGPT_PLUGIN);
}
END_TEST

/* The lists of names, as a device reads them. */
START_TEST(names_of_a_rule_are_those_that_devices_take)
{
#define EIGHT(x) x "a, " x "b, " x "c, " x "d, " x "e, " x "f, " x "g, " x "h"
#define CHARACTERS "abcdefghijklmnopqrstuvwxyz_abcdefghijklmnopqrstuvwxyz_123456789"
    static const struct {
        const char *state, *scalars, *says;
    } cases[] = {
        {"(m, v)", "(lr, newer, this_)", NULL},
        {"()", "()", NULL},
        {"(m, class)", "(lr)", "the state of rule tried: \"class\" is a word of C++"},
        {"(m)", "(lr, delete)", "the scalars of rule tried: \"delete\" is a word of C++"},
        {"(" CHARACTERS ")", "(lr)", NULL},
        {"(" CHARACTERS "0)", "(lr)", "is too long for a device"},
        {"(m)", "(" EIGHT("x") ", " EIGHT("y") ")", NULL},
        {"(m)", "(" EIGHT("x") ", " EIGHT("y") ", z)", "\"z\" is one too many"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct mgpt_rule rule = {.size = sizeof rule,
                                       .name = "tried",
                                       .state = cases[i].state,
                                       .scalars = cases[i].scalars,
                                       .body = "p -= g;"};
        struct mgpt_error why = {0};
        enum mgpt_status status = mgpt_rule_check(&rule, &why);
        ck_assert_msg((status == MGPT_OK) == !cases[i].says, "%zu: %s", i, why.text);
        if (cases[i].says)
            ck_assert_has(why.text, cases[i].says);
    }
}
END_TEST

static void add_tests(TCase *tests)
{
    add_contract(tests, "optimizer");
    tcase_add_test(tests, the_language_of_rules_is_what_the_header_says);
    tcase_add_test(tests, names_of_a_rule_are_those_that_devices_take);
    tcase_add_test(tests, a_rule_without_a_text_is_refused);
    tcase_add_test(tests, adamw_is_the_paper);
    tcase_add_test(tests, lion_is_the_paper);
    tcase_add_test(tests, sgd_has_momentum);
    tcase_add_test(tests, sgd_has_nesterov_momentum);
}

int main(void)
{
    return test_main("conform_optimizer", add_tests);
}
