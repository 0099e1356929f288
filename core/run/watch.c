/* The page of runs: what metrics.jsonl holds, as columns in JSON, inside of a page that draws
 * it. */
#include <config.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "run/watch.h"
#include "run/watch_page.h"

#define MOST_BYTES (UINT64_C(1) << 32) /* of metrics.jsonl */
#define MOST_POINTS 2000               /* of a curve; more are taken together */

/* ---- columns ---- */

enum column { STEP, LOSS, LR, GRAD_NORM, PACE, VAL_STEP, VAL_LOSS, TRAIN_LOSS, COLUMNS };

static const struct {
    const char *in, *out; /* the name in metrics.jsonl, and on the page */
} names[COLUMNS] = {
    [STEP] = {"step", "step"},
    [LOSS] = {"loss", "loss"},
    [LR] = {"lr", "lr"},
    [GRAD_NORM] = {"grad_norm", "grad_norm"},
    [PACE] = {"tokens_per_s", "tokens_per_s"},
    [VAL_STEP] = {"step", "val_step"},
    [VAL_LOSS] = {"val_loss", "val_loss"},
    [TRAIN_LOSS] = {"train_loss", "train_loss"},
};

/* One run on its way to the page. */
struct run {
    double *steps[COLUMNS]; /* of a column; NAN: not there, or not finite */
    size_t n, n_val;        /* lines of steps, and of validations */
    struct mgpt_string samples;
    uint64_t last;
};

static void finish(struct run *r)
{
    for (int c = 0; c < COLUMNS; c++)
        free(r->steps[c]);
    mgpt_string_finish(&r->samples);
}

static double number(const json_t *line, enum column c)
{
    const json_t *value = json_object_get(line, names[c].in);

    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* Room for as many lines as there are. */
static bool reserve(struct run *r, const char *text, size_t size)
{
    size_t lines = 1;

    for (const char *at = text; (at = memchr(at, '\n', (size_t)(text + size - at))); at++)
        lines++;
    for (int c = 0; c < COLUMNS; c++)
        if (!(r->steps[c] = malloc(lines * sizeof(double))))
            return false;
    return true;
}

/* A string of JSON that may also stand in HTML. */
static void add_quoted(struct mgpt_string *out, const json_t *text)
{
    char *quoted = json_dumps(text, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);

    if (!quoted) {
        out->failed = true;
        return;
    }
    for (const char *at = quoted; *at; at++)
        if (*at == '<')
            mgpt_string_format(out, "\\u003c");
        else
            mgpt_string_add(out, at, 1);
    free(quoted);
}

static void take(struct run *r, const json_t *line, uint64_t step)
{
    const json_t *sample = json_object_get(line, "sample");

    r->last = step > r->last ? step : r->last;
    if (json_is_string(sample)) {
        mgpt_string_format(
            &r->samples, "%s{\"step\": %" PRIu64 ", \"text\": ", r->samples.size ? ", " : "", step);
        add_quoted(&r->samples, sample);
        mgpt_string_format(&r->samples, "}");
    } else if (json_object_get(line, "val_loss")) {
        for (int c = VAL_STEP; c <= TRAIN_LOSS; c++)
            r->steps[c][r->n_val] = number(line, (enum column)c);
        r->n_val++;
    } else {
        for (int c = STEP; c <= PACE; c++)
            r->steps[c][r->n] = number(line, (enum column)c);
        r->n++;
    }
}

static enum mgpt_status read_metrics(struct run *r, const char *path, struct mgpt_error *error)
{
    char *text = NULL;
    size_t size = 0, number_of_line = 0;
    enum mgpt_status status = mgpt_file_read(path, MOST_BYTES, &text, &size, error);

    if (status == MGPT_OK && !reserve(r, text, size))
        status = mgpt_fail(error, MGPT_NOMEM, "%s: out of memory for its lines", path);
    for (char *at = text, *end; status == MGPT_OK && (end = strchr(at, '\n')); at = end + 1) {
        json_error_t reason;
        json_t *line = json_loadb(at, (size_t)(end - at), JSON_REJECT_DUPLICATES, &reason);
        const json_t *step = json_object_get(line, "step");
        number_of_line++;
        if (json_is_integer(step) && json_integer_value(step) >= 0)
            take(r, line, (uint64_t)json_integer_value(step));
        else
            status = mgpt_fail(error, MGPT_DATA, "%s: line %zu: %s", path, number_of_line,
                               line ? "has no step" : reason.text);
        json_decref(line);
    }
    free(text);
    return status;
}

/* ---- the page ---- */

/* The means of `stride` values each; what is not there does not count. */
static void add_column(struct mgpt_string *out, const struct run *r, enum column c, size_t stride)
{
    size_t n = c < VAL_STEP ? r->n : r->n_val;

    mgpt_string_format(out, ",\n\"%s\": [", names[c].out);
    for (size_t i = 0; i < n; i += stride) {
        double sum = 0;
        size_t count = 0;
        for (size_t k = i; k < n && k < i + stride; k++)
            if (isfinite(r->steps[c][k])) {
                sum += r->steps[c][k];
                count++;
            }
        mgpt_string_format(out, i ? "," : "");
        if (count)
            mgpt_string_format(out, "%.*g", c == STEP || c == VAL_STEP ? 15 : 6,
                               sum / (double)count);
        else
            mgpt_string_format(out, "null");
    }
    mgpt_string_format(out, "]");
}

/* [train] steps of the run's config.ini; 0: not known. */
static uint64_t total_steps(const char *folder)
{
    char *path = mgpt_path_join(folder, "config.ini"), *text = NULL;
    const char *section = NULL, *key = NULL;
    size_t size;

    if (path && mgpt_file_read(path, 1 << 20, &text, &size, NULL) == MGPT_OK)
        section = strstr(text, "[train]");
    if (section)
        key = strstr(section, "\nsteps = ");
    uint64_t total = key ? strtoull(key + strlen("\nsteps = "), NULL, 10) : 0;
    free(text);
    free(path);
    return total;
}

static void add_run(struct mgpt_string *out, const struct run *r, const char *folder, bool live)
{
    size_t stride = (r->n + MOST_POINTS - 1) / MOST_POINTS;
    json_t *name = mgpt_json_words(folder);

    mgpt_string_format(out, "{\"name\": ");
    add_quoted(out, name);
    json_decref(name);
    mgpt_string_format(out, ", \"live\": %s, \"total\": %" PRIu64 ", \"last_step\": %" PRIu64,
                       live ? "true" : "false", total_steps(folder), r->last);
    mgpt_string_format(out, ", \"stride\": %zu", stride ? stride : 1);
    for (int c = 0; c < COLUMNS; c++)
        add_column(out, r, (enum column)c, c < VAL_STEP && stride ? stride : 1);
    mgpt_string_format(out, ",\n\"samples\": [%s]}", r->samples.data ? r->samples.data : "");
}

static enum mgpt_status add_folder(struct mgpt_string *out, const char *folder, bool *live,
                                   struct mgpt_error *error)
{
    struct run run = {0};
    char *path = mgpt_path_join(folder, "metrics.jsonl");
    bool going = mgpt_dir_locked(folder); /* by who trains in it */
    enum mgpt_status status =
        path ? read_metrics(&run, path, error) : mgpt_fail(error, MGPT_NOMEM, "out of memory");

    if (status == MGPT_OK)
        add_run(out, &run, folder, going);
    *live = *live || going;
    finish(&run);
    free(path);
    return status;
}

enum mgpt_status mgpt_watch_page(const char *const *runs, size_t n, unsigned refresh,
                                 struct mgpt_string *page, bool *live, struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;

    *live = false;
    for (const char *const *line = watch_page; *line && status == MGPT_OK; line++) {
        if (strcmp(*line, "@DATA@\n") != 0) {
            mgpt_string_add(page, *line, strlen(*line));
            continue;
        }
        mgpt_string_format(page, "{\"refresh\": %u, \"runs\": [", refresh);
        for (size_t i = 0; i < n && status == MGPT_OK; i++) {
            mgpt_string_format(page, i ? ",\n" : "");
            status = add_folder(page, runs[i], live, error);
        }
        mgpt_string_format(page, "]}\n");
    }
    if (status == MGPT_OK && page->failed)
        status = mgpt_fail(error, MGPT_NOMEM, "out of memory for the page");
    return status;
}
