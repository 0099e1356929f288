/* The benchmark: every backend, precision and step that can run here, timed and held against `ref`.
 */
#include <config.h>

#include "run/bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"
#include "model/spec.h"
#include "run/bench_ops.h"
#include "run/peak.h"
#include "run/plan.h"
#include "run/rig.h"

#define PARITY_STEPS 3
#define MOST_SAMPLES 501

/* What `ref` says in one precision. */
struct truth {
    char precision[64];
    bool known; /* it has this precision */
    struct mgpt_step_result results[PARITY_STEPS];
};

/* The benchmark while it runs. */
struct work {
    struct mgpt_bench *bench;
    const struct mgpt_bench_options *options;
    struct mgpt_conf *conf;
    struct mgpt_registry *registry;
    double end;             /* by this clock it should be over */
    uint32_t rows, columns; /* of the steps that are held against `ref` */
    double lr;
    struct truth *truths;
    size_t n_truths;
    struct mgpt_rig rig;
};

static enum mgpt_status set(struct work *w, const char *section, const char *name,
                            struct mgpt_error *error)
{
    return mgpt_conf_settle(w->conf, section, "use", name, "bench", error);
}

static enum mgpt_status use(struct work *w, const char *backend, const char *precision,
                            const char *step, struct mgpt_error *error)
{
    enum mgpt_status status = set(w, "backend", backend, error);

    if (status == MGPT_OK)
        status = set(w, "precision", precision, error);
    return status == MGPT_OK ? set(w, "step", step, error) : status;
}

/* What was typed, whatever the model asks for; else the vocabulary of the data; or, where they
 * cannot be read, that of the model, or that of plain English text. */
static enum mgpt_status find_vocab(struct work *w, const char *config_path,
                                   struct mgpt_error *error)
{
    struct mgpt_session s = {.conf = w->conf, .registry = w->registry, .config_path = config_path};
    struct mgpt_bench *bench = w->bench;
    struct mgpt_error why;

    bench->vocab = w->options->vocab;
    if (bench->vocab)
        return mgpt_conf_settle(w->conf, "model", "vocab", "0", "--vocab", error);
    mgpt_session_seed(&s, mgpt_conf_seed(w->conf, "train", "seed"));
    enum mgpt_status status = mgpt_session_data(&s, NULL, &why);
    if (status == MGPT_OK) {
        bench->vocab = (uint32_t)s.tokenizer_api->vocab(s.tokenizer);
    } else if (status == MGPT_DATA) {
        int64_t rows = mgpt_conf_int(w->conf, "model", "vocab");
        bench->vocab = rows ? (uint32_t)rows : 65;
        (void)snprintf(bench->note, sizeof bench->note,
                       "the vocabulary is taken to be %u (--vocab N is another): %.160s",
                       bench->vocab, why.text);
        status = MGPT_OK;
    } else if (error) {
        *error = why;
    }
    mgpt_session_close(&s);
    return status;
}

/* ---- against ref ---- */

/* So many rows and columns that a step takes `ref`, at a GFLOP/s, a fraction of the time; two rows
 * and an odd number of columns where there can be. */
static void choose_small(struct work *w, const struct mgpt_step_spec *spec)
{
    double most = 4e7 * w->options->seconds / spec->micro_batches;
    uint32_t columns = spec->columns;

    w->rows = spec->rows < 2 ? 1 : 2;
    while (columns > 1 && mgpt_step_flops(spec->model, w->rows, columns) > most)
        columns = (columns + 1) / 2;
    w->columns = columns > 3 && columns % 2 == 0 ? columns - 1 : columns;
}

/* The first steps on the small batch; *seconds: the least that one took. */
static enum mgpt_status small_steps(struct work *w, struct mgpt_rig *rig,
                                    struct mgpt_step_result *results, double *seconds,
                                    struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;

    mgpt_rig_fill(rig, w->rows, w->columns);
    for (int i = 0; i < PARITY_STEPS && status == MGPT_OK; i++) {
        double one;
        status = mgpt_rig_run(rig, 1, w->lr, &results[i], &one, error);
        *seconds = i == 0 || one < *seconds ? one : *seconds;
    }
    return status;
}

/* `ref` in that precision, computed once. Without memory, or without `ref`: NULL. */
static const struct truth *truth_of(struct work *w, const char *precision)
{
    struct mgpt_rig rig = {0};
    struct mgpt_error why;
    double seconds;

    for (size_t i = 0; i < w->n_truths; i++)
        if (strcmp(w->truths[i].precision, precision) == 0)
            return &w->truths[i];
    struct truth *more = realloc(w->truths, (w->n_truths + 1) * sizeof *more);
    if (!more)
        return NULL;
    w->truths = more;
    struct truth *truth = &w->truths[w->n_truths++];
    memset(truth, 0, sizeof *truth);
    (void)snprintf(truth->precision, sizeof truth->precision, "%s", precision);
    enum mgpt_status status = use(w, "ref", precision, "composed", &why);
    if (status == MGPT_OK)
        status = mgpt_rig_open(&rig, w->conf, w->registry, w->bench->vocab, &why);
    if (status == MGPT_OK)
        status = mgpt_rig_start(&rig, true, &why);
    if (status == MGPT_OK)
        status = small_steps(w, &rig, truth->results, &seconds, &why);
    truth->known = status == MGPT_OK;
    if (!truth->known)
        mgpt_log(MGPT_LOG_DEBUG, "ref in %s: %s", precision, why.text);
    mgpt_rig_close(&rig);
    return truth;
}

/* What the project promises: losses within 1e-5 of `ref` where nothing is rounded on the way; else
 * within 1e-3 of `ref` in the same mode; and within 2 % of fp32 where `ref` has not the mode. All
 * relative where the loss is above 1. Norms of gradients get ten times that. */
static void choose_tolerance(const struct mgpt_precision_plan *p, const struct truth *truth,
                             const char *precision, struct mgpt_bench_row *row)
{
    bool exact = p->activation == p->master && p->product == p->master && !p->tf32;
    bool same = strcmp(truth->precision, precision) == 0;

    row->loss_tolerance = exact ? 1e-5 : same ? 1e-3 : 2e-2;
    row->norm_tolerance = exact ? 1e-4 : same ? 1e-2 : 2e-1;
    (void)snprintf(row->against, sizeof row->against, "%s", truth->precision);
}

/* An update multiplies differences: where a gradient is almost 0, adaptive rules go by its sign. So
 * after the first step losses get ten times and norms a hundred times the room. */
static void compare_step(struct work *w, int step, const struct mgpt_step_result *ours,
                         const struct mgpt_step_result *truth, struct mgpt_bench_row *row)
{
    double loss = fabs(ours->loss - truth->loss) / fmax(1, fabs(truth->loss));
    double norm = truth->grad_norm > 0 ? truth->grad_norm : 1;

    norm = fabs(ours->grad_norm - truth->grad_norm) / norm;
    /* not "loss > ...": NaN is to be seen */
    row->loss_difference = row->loss_difference >= loss ? row->loss_difference : loss;
    row->norm_difference = row->norm_difference >= norm ? row->norm_difference : norm;
    if (loss <= row->loss_tolerance * (step ? 10 : 1) &&
        norm <= row->norm_tolerance * (step ? 100 : 1))
        return;
    row->outcome = MGPT_BENCH_WRONG;
    w->bench->wrong = true;
    (void)snprintf(row->reason, sizeof row->reason,
                   "not what ref computes: in step %d loss %.9g for %.9g, norm %.9g for %.9g",
                   step + 1, ours->loss, truth->loss, ours->grad_norm, truth->grad_norm);
}

static void compare(struct work *w, const struct mgpt_step_result *results,
                    struct mgpt_bench_row *row)
{
    const struct truth *truth = truth_of(w, row->precision);

    if (truth && !truth->known)
        truth = truth_of(w, "fp32");
    if (!truth || !truth->known) {
        (void)snprintf(row->reason, sizeof row->reason, "no ref to compare with");
        return;
    }
    choose_tolerance(&w->rig.session.precision, truth, row->precision, row);
    for (int i = 0; i < PARITY_STEPS; i++)
        compare_step(w, i, &results[i], &truth->results[i], row);
}

/* ---- timing ---- */

/* Peak of that many threads, measured once. */
static double peak_of(struct mgpt_bench *bench, uint32_t threads)
{
    size_t most = sizeof bench->peaks / sizeof *bench->peaks;
    double flops;

    for (size_t i = 0; i < bench->n_peaks; i++)
        if (bench->peaks[i].threads == threads)
            return bench->peaks[i].flops;
    if (!threads || bench->n_peaks == most ||
        mgpt_measure_peak(threads, 0.25, &flops, NULL) != MGPT_OK)
        return 0;
    bench->peaks[bench->n_peaks].threads = threads;
    bench->peaks[bench->n_peaks++].flops = flops;
    return flops;
}

/* Once more, at the end: other work on the machine may have been in the way the first time. */
static void settle_peaks(struct mgpt_bench *bench)
{
    for (size_t i = 0; i < bench->n_peaks; i++) {
        double flops;
        if (mgpt_measure_peak(bench->peaks[i].threads, 0.25, &flops, NULL) == MGPT_OK &&
            flops > bench->peaks[i].flops)
            bench->peaks[i].flops = flops;
    }
    for (size_t i = 0; i < bench->n_rows; i++)
        if (bench->rows_done[i].peak > 0)
            bench->rows_done[i].peak = peak_of(bench, bench->rows_done[i].threads);
}

static void keep_samples(double *samples, uint32_t n, struct mgpt_bench_row *row)
{
    qsort(samples, n, sizeof *samples, mgpt_compare_doubles);
    row->samples = n;
    row->seconds = samples[n / 2];
    row->fastest = samples[0];
}

/* Full steps for so many seconds, after one that warms up, or, when that took as long, is the only
 * one; short ones many at a time. The rate is so small that weights stay what they are: random ids
 * teach nothing, and nothing may overflow. */
static enum mgpt_status full_steps(struct work *w, double seconds, struct mgpt_bench_row *row,
                                   struct mgpt_error *error)
{
    struct mgpt_step_result results[MGPT_STEP_RING];
    double samples[MOST_SAMPLES], one, begun = mgpt_seconds();
    uint32_t n = 0, most = w->options->steps ? w->options->steps : UINT32_MAX, done = 0;
    enum mgpt_status status;

    mgpt_rig_fill(&w->rig, row->rows, row->columns);
    status = mgpt_rig_run(&w->rig, 1, 1e-9, results, &one, error);
    if (status == MGPT_OK && one > seconds)
        samples[n++] = one;
    uint32_t together = one < 2e-4 ? (uint32_t)(2e-4 / one) : 1;
    together = together > MGPT_STEP_RING ? MGPT_STEP_RING : together;
    while (status == MGPT_OK && n < MOST_SAMPLES && done < most &&
           (n == 0 || mgpt_seconds() - begun < seconds)) {
        if (mgpt_stop_requested())
            return mgpt_fail(error, MGPT_CANCELED, "stopped");
        uint32_t now = together < most - done ? together : most - done;
        status = mgpt_rig_run(&w->rig, now, 1e-9, results, &one, error);
        samples[n++] = one / now;
        done += now;
    }
    if (status == MGPT_OK)
        keep_samples(samples, n, row);
    return status;
}

/* Seconds that a full step may take when small ones promise `promised`: of a larger batch most
 * devices compute some three times as much in a second; and not more than its ops, where those were
 * timed. */
static double expected(const struct work *w, const struct mgpt_bench_row *row, double promised)
{
    const struct mgpt_bench *bench = w->bench;
    double seconds = promised / 3, ops = 0;

    if (strcmp(row->backend, bench->op_backend) != 0 ||
        strcmp(row->precision, bench->op_precision) != 0)
        return seconds;
    for (size_t i = 0; i < bench->n_ops; i++)
        ops += bench->ops[i].calls * bench->ops[i].seconds;
    return fmin(seconds, ops * bench->micro_batches);
}

/* All of one combination, whose rig is open. */
static enum mgpt_status measure(struct work *w, double seconds, struct mgpt_bench_row *row,
                                struct mgpt_error *error)
{
    struct mgpt_rig *rig = &w->rig;
    struct mgpt_step_result results[PARITY_STEPS];
    double small = 0, small_flops;
    enum mgpt_status status = mgpt_rig_start(rig, true, error);

    row->micro_batches = rig->spec.micro_batches;
    if (status == MGPT_OK)
        status = small_steps(w, rig, results, &small, error);
    if (status != MGPT_OK)
        return status;
    row->rows = rig->spec.rows;
    row->columns = rig->spec.columns;
    row->flops = w->bench->flops;
    small_flops =
        mgpt_step_flops(rig->spec.model, (uint64_t)w->rows * row->micro_batches, w->columns);
    /* Setting up a large model may have taken all the time; one step is shown all the same. */
    double most = fmax(0.3 * (w->end - mgpt_seconds()), 0.2 * w->options->seconds);
    if (expected(w, row, small * row->flops / small_flops) > most) {
        /* too slow for the time that is left: what was timed must do */
        row->rows = w->rows;
        row->columns = w->columns;
        row->flops = small_flops;
        keep_samples(&small, 1, row);
    } else {
        status = full_steps(w, seconds, row, error);
    }
    row->threads = rig->spec.caps->threads;
    row->peak = rig->spec.caps->flags & MGPT_CAPS_HOST ? peak_of(w->bench, row->threads) : 0;
    if (status == MGPT_OK)
        compare(w, results, row); /* last: `ref` sets the configuration anew */
    return status;
}

/* ---- all combinations ---- */

static struct mgpt_bench_row *new_row(struct work *w, const char *backend, const char *precision,
                                      const char *step)
{
    struct mgpt_bench *bench = w->bench;
    struct mgpt_bench_row *rows =
        realloc(bench->rows_done, (bench->n_rows + 1) * sizeof *bench->rows_done);

    if (!rows)
        return NULL;
    bench->rows_done = rows;
    struct mgpt_bench_row *row = &rows[bench->n_rows++];
    memset(row, 0, sizeof *row);
    (void)snprintf(row->backend, sizeof row->backend, "%s", backend);
    (void)snprintf(row->precision, sizeof row->precision, "%s", precision);
    (void)snprintf(row->step, sizeof row->step, "%s", step);
    return row;
}

static void skip(struct mgpt_bench_row *row, const char *why)
{
    row->outcome = MGPT_BENCH_SKIPPED;
    (void)snprintf(row->reason, sizeof row->reason, "%.*s", (int)sizeof row->reason - 1, why);
    row->reason[strcspn(row->reason, "\n")] = 0;
}

/* One combination; what cannot run here is no error. */
static enum mgpt_status combine(struct work *w, const char *backend, const char *precision,
                                const char *step, double seconds, struct mgpt_error *error)
{
    struct mgpt_bench_row *row = new_row(w, backend, precision, step);
    struct mgpt_plan plan;
    struct mgpt_error why;
    enum mgpt_status status;

    if (!row)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for results");
    status = use(w, backend, precision, step, error);
    if (status != MGPT_OK)
        return status;
    status = mgpt_rig_open(&w->rig, w->conf, w->registry, w->bench->vocab, &why);
    const char *taken = mgpt_conf_text(w->conf, "precision", "use");
    if (status == MGPT_OK && strcmp(taken, precision) != 0)
        status = mgpt_fail(&why, MGPT_UNSUPPORTED, "%s is %s here", precision, taken);
    if (status == MGPT_OK)
        status = mgpt_plan_for(&plan, &w->rig.stepper, &why);
    if (status == MGPT_OK)
        status = mgpt_plan_check(&plan, &w->rig.spec, &why);
    if (status == MGPT_OK)
        status = measure(w, seconds, row, &why);
    mgpt_rig_close(&w->rig);
    if (status == MGPT_CANCELED)
        return mgpt_fail(error, status, "%s", why.text);
    if (status != MGPT_OK)
        skip(row, why.text);
    return MGPT_OK;
}

/* A backend with every precision and every step. */
static enum mgpt_status combine_backend(struct work *w, const char *backend, size_t left,
                                        struct mgpt_error *error)
{
    size_t n_steps = mgpt_registry_count(w->registry, "step");
    size_t n_precisions = mgpt_registry_count(w->registry, "precision");
    size_t combinations = left * n_precisions * n_steps;
    enum mgpt_status status = MGPT_OK;

    for (size_t p = 0; p < n_precisions; p++)
        for (size_t s = 0; s < n_steps && status == MGPT_OK; s++) {
            const char *precision = mgpt_registry_at(w->registry, "precision", p).component->name;
            const char *step = mgpt_registry_at(w->registry, "step", s).component->name;
            double rest = w->end - mgpt_seconds();
            status = combine(w, backend, precision, step,
                             rest > 0 ? rest / (double)combinations : 0, error);
            combinations--;
        }
    return status;
}

static enum mgpt_status combine_all(struct work *w, struct mgpt_error *error)
{
    static const char *const kinds[] = {"backend", "precision", "step"};
    const char *only = w->options->only;
    enum mgpt_status status = MGPT_OK;

    for (int i = 0; i < 3; i++)
        mgpt_registry_scan(w->registry, kinds[i]);
    size_t n = mgpt_registry_count(w->registry, "backend");
    for (size_t i = 0; i < n && status == MGPT_OK; i++) {
        const char *backend = mgpt_registry_at(w->registry, "backend", i).component->name;
        struct mgpt_module module;
        struct mgpt_error why;
        if (only && strcmp(backend, only) != 0)
            continue;
        if (mgpt_registry_use(w->registry, MGPT_KIND_BACKEND, backend, &module, &why) == MGPT_OK) {
            status = combine_backend(w, backend, only ? 1 : n - i, error);
            continue;
        }
        struct mgpt_bench_row *row = new_row(w, backend, "", "");
        if (!row)
            return mgpt_fail(error, MGPT_NOMEM, "out of memory for results");
        skip(row, why.text);
    }
    if (status == MGPT_OK && !w->bench->n_rows)
        return mgpt_fail(error, MGPT_USAGE, "--only %s: there is no such backend", only);
    return status;
}

enum mgpt_status mgpt_bench_run(struct mgpt_bench *bench, const struct mgpt_bench_options *options,
                                struct mgpt_conf *conf, struct mgpt_registry *registry,
                                const char *config_path, struct mgpt_error *error)
{
    struct work w = {.bench = bench, .options = options, .conf = conf, .registry = registry};
    struct mgpt_step_spec small;
    struct mgpt_model model;

    memset(bench, 0, sizeof *bench);
    mgpt_stop_install();
    w.end = mgpt_seconds() + options->seconds;
    w.lr = mgpt_conf_float(conf, "train", "lr");
    enum mgpt_status status = find_vocab(&w, config_path, error);
    if (status == MGPT_OK)
        status = mgpt_bench_ops(bench, 0.2 * options->seconds, conf, registry, error);
    if (status == MGPT_OK)
        status = mgpt_model_from_conf(conf, bench->vocab, &model, error);
    if (status == MGPT_OK) {
        bench->vocab = model.vocab;
        small = (struct mgpt_step_spec){.model = &model,
                                        .rows = bench->rows,
                                        .columns = bench->columns,
                                        .micro_batches = bench->micro_batches};
        choose_small(&w, &small);
        status = combine_all(&w, error);
        settle_peaks(bench);
    }
    free(w.truths);
    return status;
}

void mgpt_bench_finish(struct mgpt_bench *bench)
{
    free(bench->ops);
    free(bench->rows_done);
    memset(bench, 0, sizeof *bench);
}
