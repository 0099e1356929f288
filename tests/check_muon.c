/* Optimizer muon against an update written out here, and what it promises of every step. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check/update_lab.h"
#include "conform.h"
#include "run/plan.h"

/* Matrices of every kind of shape: wide, tall, square; q wider than k and v. */
static struct mgpt_model shapes(void)
{
    struct mgpt_model m = mgpt_check_model_toygpt();

    m.heads = 4, m.kv_heads = 2, m.embd = 12, m.mlp = 31;
    m.tied = 0;
    return m;
}

static const struct mgpt_component *component_of(const char *name)
{
    return one_module(MGPT_KIND_OPTIMIZER, name);
}

static bool is_hidden(const char *name)
{
    return strncmp(name, "h.", 2) == 0 && strstr(name, ".weight") && !strstr(name, ".ln_");
}

/* ---- the update, written out ---- */

/* One step of x = 3.4445 x - 4.775 (x x^T) x + 2.0315 (x x^T)^2 x on r x c numbers. */
static void newton_schulz_step(double *x, int r, int c)
{
    double *a = calloc((size_t)(r * r), sizeof *a), *f = calloc((size_t)(r * r), sizeof *f);
    double *y = calloc((size_t)(r * c), sizeof *y);

    ck_assert(a && f && y);
    for (int i = 0; i < r; i++)
        for (int j = 0; j < r; j++)
            for (int k = 0; k < c; k++)
                a[i * r + j] += x[i * c + k] * x[j * c + k];
    for (int i = 0; i < r; i++)
        for (int j = 0; j < r; j++) {
            f[i * r + j] = (i == j ? 3.4445 : 0) - 4.775 * a[i * r + j];
            for (int k = 0; k < r; k++)
                f[i * r + j] += 2.0315 * a[i * r + k] * a[k * r + j];
        }
    for (int i = 0; i < r; i++)
        for (int j = 0; j < c; j++)
            for (int k = 0; k < r; k++)
                y[i * c + j] += f[i * r + k] * x[k * c + j];
    memcpy(x, y, (size_t)(r * c) * sizeof *x);
    free(a);
    free(f);
    free(y);
}

/* u, r x c, becomes nearly U V^T: of the transpose when that is the wider one. */
static void orthogonalise(double *u, int r, int c, int steps)
{
    bool tall = r > c;
    double *x = malloc((size_t)(r * c) * sizeof *x), norm = 0;

    ck_assert_ptr_nonnull(x);
    for (int i = 0; i < r * c; i++)
        norm += u[i] * u[i];
    for (int i = 0; i < r; i++)
        for (int j = 0; j < c; j++)
            x[tall ? j * r + i : i * c + j] = u[i * c + j] / sqrt(norm + 1e-14);
    for (int s = 0; s < steps; s++)
        newton_schulz_step(x, tall ? c : r, tall ? r : c);
    for (int i = 0; i < r; i++)
        for (int j = 0; j < c; j++)
            u[i * c + j] = x[tall ? j * r + i : i * c + j];
    free(x);
}

/* Settings of an update, and its parameters and momenta, tensor by tensor. */
struct paper {
    double momentum, lr, decay, grad_scale;
    bool nesterov, original;
    int steps;
};

static void muon_matrix(const struct paper *w, double *p, double *m, const double *g, int r, int c)
{
    double *u = malloc((size_t)(r * c) * sizeof *u);
    double scale = w->original ? sqrt(fmax(1, (double)r / c)) : 0.2 * sqrt(fmax(r, c));

    ck_assert_ptr_nonnull(u);
    for (int i = 0; i < r * c; i++) { /* the sum, not the mean: the direction is the same */
        m[i] = w->momentum * m[i] + w->grad_scale * g[i];
        u[i] = w->nesterov ? w->grad_scale * g[i] + w->momentum * m[i] : m[i];
    }
    orthogonalise(u, r, c, w->steps);
    for (int i = 0; i < r * c; i++)
        p[i] = (1 - w->lr * w->decay) * p[i] - w->lr * scale * u[i];
    free(u);
}

static void adamw_element(const struct paper *w, double t, double *p, double *m, double *v,
                          double g)
{
    g *= w->grad_scale;
    *m = 0.9 * *m + 0.1 * g;
    *v = 0.95 * *v + 0.05 * g * g;
    *p -= w->lr * (*m / (1 - pow(0.9, t)) / (sqrt(*v / (1 - pow(0.95, t))) + 1e-8) + w->decay * *p);
}

/* One step of parameter i: p, m and v as they are before it, and after. */
static void paper_step(const struct mgpt_update_lab *lab, const struct paper *settings, uint32_t i,
                       const double *g, double *const value[3])
{
    const struct mgpt_param *param = &lab->spec.params[i];
    const struct mgpt_model *model = &lab->net.model;
    int n = (int)mgpt_tensor_count(&param->p), c = (int)param->p.shape[1];
    int kv = (int)(model->kv_heads * model->embd / model->heads), q = (int)model->embd;
    int rows[3] = {(int)param->p.shape[0], 0, 0}, from = 0;
    struct paper w = *settings;

    w.decay = param->decays ? w.decay : 0;
    if (!is_hidden(param->name)) {
        for (int k = 0; k < n; k++)
            adamw_element(&w, (double)lab->step, &value[0][k], &value[1][k], &value[2][k], g[k]);
        return;
    }
    if (strstr(param->name, "attn.qkv"))
        rows[0] = q, rows[1] = kv, rows[2] = kv;
    for (int part = 0; part < 3; from += rows[part++] * c)
        if (rows[part])
            muon_matrix(&w, value[0] + from, value[1] + from, g + from, rows[part], c);
    ck_assert_int_eq(from, n);
}

static void follows(const char *backend, uint32_t dtype, double tolerance, struct paper w)
{
    const struct mgpt_component *component = component_of("muon");
    struct mgpt_model model = shapes();
    struct mgpt_update_lab lab;
    double *value[64][3];
    char steps[8];

    snprintf(steps, sizeof steps, "%d", w.steps);
    mgpt_update_lab_open(&lab, backend, &model, dtype, component->api,
                         mgpt_check_settings(component, "nesterov", w.nesterov ? "true" : "false",
                                             "momentum", w.momentum > 0.9 ? "0.95" : "0.5",
                                             "ns_steps", steps, "adjust_lr",
                                             w.original ? "original" : "match_rms_adamw", NULL));
    ck_assert_uint_le(lab.spec.n_params, 64);
    for (uint32_t i = 0; i < lab.spec.n_params; i++) {
        size_t n = (size_t)mgpt_tensor_count(&lab.spec.params[i].p);
        value[i][0] = mgpt_update_lab_read(&lab, &lab.spec.params[i].p);
        value[i][1] = calloc(n, sizeof(double));
        value[i][2] = calloc(n, sizeof(double));
    }
    for (uint64_t step = 0; step < 3; step++) {
        mgpt_update_lab_draw(&lab, 11 + step, 4);
        mgpt_update_lab_run(&lab, w.lr, w.decay, w.grad_scale, false);
        for (uint32_t i = 0; i < lab.spec.n_params; i++) {
            double *g = mgpt_update_lab_read(&lab, &lab.spec.params[i].g);
            double *p = mgpt_update_lab_read(&lab, &lab.spec.params[i].p);
            paper_step(&lab, &w, i, g, value[i]);
            for (int64_t k = 0; k < mgpt_tensor_count(&lab.spec.params[i].p); k++)
                ck_assert_msg(fabs(p[k] - value[i][0][k]) <= tolerance,
                              "step %d, %s[%d]: %.12g, expected %.12g", (int)step,
                              lab.spec.params[i].name, (int)k, p[k], value[i][0][k]);
            free(g);
            free(p);
        }
    }
    for (uint32_t i = 0; i < lab.spec.n_params; i++)
        for (int k = 0; k < 3; k++)
            free(value[i][k]);
    mgpt_update_lab_close(&lab);
}

static const struct paper usual = {
    .momentum = 0.95, .lr = 0.02, .decay = 0.1, .grad_scale = 0.5, .nesterov = true, .steps = 5};

START_TEST(the_update_is_the_paper_in_double)
{
    struct paper plain = usual, original = usual, few = usual;

    plain.nesterov = false, plain.momentum = 0.5;
    original.original = true;
    few.steps = 2;
    follows("ref", MGPT_F64, 1e-12, usual);
    follows("ref", MGPT_F64, 1e-12, plain);
    follows("ref", MGPT_F64, 1e-12, original);
    follows("ref", MGPT_F64, 1e-12, few);
}
END_TEST

START_TEST(every_backend_makes_the_same_update)
{
    follows("ref", MGPT_F32, 1e-5, usual);
    follows("cpu", MGPT_F32, 1e-5, usual);
    follows("slow", MGPT_F32, 1e-5, usual);
}
END_TEST

/* ---- singular values ---- */

/* Least and largest eigenvalue of a symmetric n x n matrix: Jacobi's rotations. */
static void eigenvalues(double *a, int n, double *low, double *high)
{
    for (int sweep = 0; sweep < 60; sweep++)
        for (int i = 0; i < n; i++)
            for (int j = i + 1; j < n; j++) {
                double angle = 0.5 * atan2(2 * a[i * n + j], a[j * n + j] - a[i * n + i]);
                double c = cos(angle), s = sin(angle);
                for (int k = 0; k < n; k++) {
                    double x = a[k * n + i], y = a[k * n + j];
                    a[k * n + i] = c * x - s * y;
                    a[k * n + j] = s * x + c * y;
                }
                for (int k = 0; k < n; k++) {
                    double x = a[i * n + k], y = a[j * n + k];
                    a[i * n + k] = c * x - s * y;
                    a[j * n + k] = s * x + c * y;
                }
            }
    *low = *high = a[0];
    for (int i = 1; i < n; i++) {
        *low = fmin(*low, a[i * n + i]);
        *high = fmax(*high, a[i * n + i]);
    }
}

/* One step with lr 1 moves each oblong matrix by scale O: are O's singular values about 1? */
START_TEST(singular_values_of_an_update_are_about_one)
{
    const struct mgpt_component *component = component_of("muon");
    struct mgpt_model model = shapes();
    struct mgpt_update_lab lab;
    int seen = 0;

    mgpt_update_lab_open(&lab, "ref", &model, MGPT_F64, component->api,
                         mgpt_check_settings(component, "adjust_lr", "original", NULL));
    for (uint32_t i = 0; i < lab.spec.n_params; i++) {
        const struct mgpt_param *param = &lab.spec.params[i];
        if (!strstr(param->name, "mlp.") || param->p.rank < 2)
            continue;
        int r = (int)param->p.shape[0], c = (int)param->p.shape[1], s = r < c ? r : c;
        double *gram = calloc((size_t)(s * s), sizeof *gram), low, high;
        double *before = mgpt_update_lab_read(&lab, &param->p), *after;
        mgpt_update_lab_draw(&lab, i, 1e-3);
        mgpt_update_lab_run(&lab, 1, 0, 1, false);
        after = mgpt_update_lab_read(&lab, &param->p);
        for (int k = 0; k < r * c; k++)
            before[k] = (before[k] - after[k]) / sqrt(fmax(1, (double)r / c));
        for (int a = 0; a < s; a++)
            for (int b = 0; b < s; b++)
                for (int k = 0; k < (r < c ? c : r); k++)
                    gram[a * s + b] += r < c ? before[a * c + k] * before[b * c + k]
                                             : before[k * c + a] * before[k * c + b];
        eigenvalues(gram, s, &low, &high);
        check_that(sqrt(low) >= 0.68 && sqrt(high) <= 1.2, "%s: from %g to %g", param->name,
                   sqrt(low), sqrt(high));
        free(gram);
        free(before);
        free(after);
        seen++;
    }
    ck_assert_int_eq(seen, 4);
    mgpt_update_lab_close(&lab);
}
END_TEST

/* ---- the rest is AdamW's ---- */

START_TEST(what_is_no_hidden_matrix_is_updated_as_by_adamw_bit_for_bit)
{
    struct mgpt_model model = shapes();
    struct mgpt_update_lab muon, adamw;

    mgpt_update_lab_open(&muon, "cpu", &model, MGPT_F32, component_of("muon")->api,
                         mgpt_check_settings(component_of("muon"), "adamw_lr_ratio", "0.5", NULL));
    mgpt_update_lab_open(&adamw, "cpu", &model, MGPT_F32, component_of("adamw")->api,
                         mgpt_check_settings(component_of("adamw"), NULL));
    for (uint64_t step = 0; step < 4; step++) {
        mgpt_update_lab_draw(&muon, step, 2);
        mgpt_update_lab_draw(&adamw, step, 2);
        mgpt_update_lab_run(&muon, 0.02, 0.1, 0.25, false);
        mgpt_update_lab_run(&adamw, 0.01, 0.1, 0.25, false);
    }
    for (uint32_t i = 0; i < muon.spec.n_params; i++) {
        const struct mgpt_param *one = &muon.spec.params[i], *other = &adamw.spec.params[i];
        size_t size = (size_t)mgpt_tensor_count(&one->p) * sizeof(double);
        double *a = mgpt_update_lab_read(&muon, &one->p),
               *b = mgpt_update_lab_read(&adamw, &other->p);
        ck_assert_msg(is_hidden(one->name) == (memcmp(a, b, size) != 0), "%s", one->name);
        free(a);
        free(b);
    }
    mgpt_update_lab_close(&muon);
    mgpt_update_lab_close(&adamw);
}
END_TEST

/* Of Newton-Schulz on r x c numbers, s the smaller of the two and l the other: x x^T, its square
 * and their sum times x. */
static double products(int64_t r, int64_t c, int steps)
{
    double s = (double)(r < c ? r : c), l = (double)(r < c ? c : r);

    return steps * (2 * s * s * l + 2 * s * s * s + 2 * s * s * l);
}

/* q, k and v apart. */
static double products_of_a_layer(const struct mgpt_model *m, int steps)
{
    int64_t C = m->embd, wide = C / m->heads * m->kv_heads, F = m->mlp;

    return 2 * products(C, C, steps) + 2 * products(wide, C, steps) + 2 * products(F, C, steps);
}

/* m of everything, v of what AdamW has; the plan says so before anything is allocated. */
START_TEST(hidden_matrices_keep_no_second_moment_and_the_plan_counts_that)
{
    struct mgpt_model model = shapes();
    struct mgpt_precision_plan precision = {
        .size = sizeof precision, .master = MGPT_F32, .activation = MGPT_F32, .product = MGPT_F32};
    struct mgpt_params table = {0};
    struct mgpt_update_lab lab;
    struct mgpt_plan plan;
    int64_t elements = 0;

    mgpt_update_lab_open(&lab, "ref", &model, MGPT_F32, component_of("muon")->api,
                         mgpt_check_settings(component_of("muon"), NULL));
    for (uint32_t i = 0; i < lab.spec.n_params; i++) {
        const struct mgpt_param *param = &lab.spec.params[i];
        ck_assert_uint_eq(param->state[0].rank, param->p.rank);
        ck_assert_uint_eq(param->state[1].rank, is_hidden(param->name) ? 0 : param->p.rank);
        if (!is_hidden(param->name))
            elements += (mgpt_tensor_count(&param->p) + 15) / 16 * 16;
    }
    ck_assert_int_eq(lab.net.params.state[1].shape[0], elements);
    ck_assert_int_eq(lab.net.params.state[0].shape[0], lab.net.params.elements);
    ck_ok(mgpt_params_init(&table, &model, MGPT_F32, true, error));
    struct mgpt_step_spec spec = lab.spec;
    spec.params = table.items;
    spec.rows = spec.micro_batches = 1;
    spec.columns = model.context;
    spec.precision = &precision;
    ck_ok(mgpt_plan_make(&plan, &spec, true, error));
    ck_assert_uint_eq(plan.state, 4 * (uint64_t)(lab.net.params.elements + elements) +
                                      (uint64_t)lab.updater.scratch.shape[0]);
    ck_assert_double_eq(plan.update_flops, model.layers * products_of_a_layer(&model, 5));
    mgpt_params_finish(&table);
    mgpt_update_lab_close(&lab);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, the_update_is_the_paper_in_double);
    tcase_add_test(tests, every_backend_makes_the_same_update);
    tcase_add_test(tests, singular_values_of_an_update_are_about_one);
    tcase_add_test(tests, what_is_no_hidden_matrix_is_updated_as_by_adamw_bit_for_bit);
    tcase_add_test(tests, hidden_matrices_keep_no_second_moment_and_the_plan_counts_that);
}

int main(void)
{
    return test_main("check_muon", add_tests);
}
