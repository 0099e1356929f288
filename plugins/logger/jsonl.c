/* Logger jsonl: DIR/metrics.jsonl, one JSON object a line, for programs to read:
 *
 *   {"step": 1, "loss": 3.31, "grad_norm": 0.9, "lr": 0.01, "tokens_per_s": 98000, "seconds": 0.1}
 *   {"step": 100, "val_loss": 2.80, "train_loss": 2.79}
 *   {"step": 100, "index": 1, "sample": "Anna"}
 *
 * A skipped step has "skipped": true; what is not finite is null; "train_loss" is there when it was
 * asked for, and "loss_scale", that of the next step, with loss scaling. Steps count from 1, and a
 * validation before the first has 0. Lines wait in a buffer until it is full or a checkpoint is
 * due, so a killed run may leave half a line, and lines after its last checkpoint; a resumed run
 * cuts both off. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <microgpt/logger.h>
#include <microgpt/utf8.h>

#define LINE 512 /* more than any line of numbers has */

struct mgpt_logger {
    FILE *file; /* NULL: the run keeps nothing */
    char path[];
};

static enum mgpt_status failed(const struct mgpt_logger *l, struct mgpt_error *error)
{
    return mgpt_fail(error, MGPT_IO, "%s: %s", l->path, strerror(errno));
}

/* Is it a whole line of ours, of a step up to `last`? Steps only grow, so the first line for which
 * this does not hold ends what is kept. */
static bool keep(const char *line, uint64_t last)
{
    static const char start[] = "{\"step\": ";
    size_t size = strlen(line);
    char *end;

    if (strncmp(line, start, sizeof start - 1) != 0 || size < 3 ||
        strcmp(line + size - 2, "}\n") != 0)
        return false;
    for (size_t i = 0; i + 1 < size; i++)
        if (line[i] < ' ' || line[i] > '~') /* a page that never reached the disk reads as zeros */
            return false;
    return strtoull(line + sizeof start - 1, &end, 10) <= last && *end == ',';
}

/* Cuts the file after the last line of step `last`, and leaves it at its end. */
static enum mgpt_status cut_back(struct mgpt_logger *l, uint64_t last, struct mgpt_error *error)
{
    char *line = NULL;
    size_t room = 0;
    off_t end = 0;

    while (last && getline(&line, &room, l->file) > 0 && keep(line, last))
        end += (off_t)strlen(line);
    free(line);
    if (ferror(l->file) || fseeko(l->file, end, SEEK_SET) != 0 ||
        ftruncate(fileno(l->file), end) != 0)
        return failed(l, error);
    return MGPT_OK;
}

static void close_file(struct mgpt_logger *l)
{
    if (l && l->file)
        fclose(l->file);
    free(l);
}

static enum mgpt_status open_file(const struct mgpt_host *host, const struct mgpt_config *config,
                                  const struct mgpt_run_info *run, struct mgpt_logger **logger,
                                  struct mgpt_error *error)
{
    static const char name[] = "/metrics.jsonl";
    size_t size = (run->dir ? strlen(run->dir) : 0) + sizeof name;
    struct mgpt_logger *l = calloc(1, sizeof *l + size);
    enum mgpt_status status = MGPT_OK;

    (void)host, (void)config;
    if (!l)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for logger jsonl");
    if (run->dir) {
        (void)snprintf(l->path, size, "%s%s", run->dir, name);
        int file = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        l->file = file < 0 ? NULL : fdopen(file, "r+");
        status = l->file ? cut_back(l, run->first_step, error) : failed(l, error);
        if (!l->file && file >= 0)
            close(file);
    }
    if (status != MGPT_OK) {
        close_file(l);
        return status;
    }
    *logger = l;
    return MGPT_OK;
}

/* ---- lines ---- */

static char *whole(char *at, uint64_t value)
{
    char digits[20];
    int n = 0;

    do
        digits[n++] = (char)('0' + value % 10);
    while (value /= 10);
    while (n)
        *at++ = digits[--n];
    return at;
}

/* Writes nine digits, which tell any two floats apart, and returns the end. printf takes about 0.3
 * us for one number, which would be felt in steps of 10 us; so the usual range is written by hand.
 */
static char *number(char *at, double value)
{
    double x = fabs(value), scale = 1;
    char digits[24];
    int n = 0, fraction = 0;

    if (!isfinite(value))
        return at + sprintf(at, "null");
    if (x < 1e-4 || x >= 1e8)
        return at + sprintf(at, "%.9g", value);
    for (; x * scale < 1e8; scale *= 10)
        fraction++;
    for (uint64_t left = (uint64_t)(x * scale + 0.5); left || n <= fraction + 1; left /= 10) {
        if (n == fraction)
            digits[n++] = '.';
        digits[n++] = (char)('0' + left % 10);
    }
    if (value < 0)
        *at++ = '-';
    while (n)
        *at++ = digits[--n];
    return at;
}

/* Adds `, "key": value` and returns the end. */
static char *add(char *at, const char *key, double value)
{
    at = stpcpy(stpcpy(stpcpy(at, ", \""), key), "\": ");
    return number(at, value);
}

/* A string of JSON in ASCII, with U+FFFD for a byte that is not of UTF-8. */
static void quote(FILE *file, const char *text, size_t size)
{
    putc('"', file);
    for (size_t at = 0, n; at < size; at += n) {
        uint32_t c = 0xfffd;
        n = mgpt_utf8_read(text + at, size - at, &c);
        n += !n;
        if (c == '"' || c == '\\')
            fprintf(file, "\\%c", (int)c);
        else if (c == '\n')
            fputs("\\n", file);
        else if (c >= ' ' && c < 0x7f)
            putc((int)c, file);
        else if (c < 0x10000)
            fprintf(file, "\\u%04x", (unsigned)c);
        else
            fprintf(file, "\\u%04x\\u%04x", 0xd800u + (unsigned)((c - 0x10000) >> 10),
                    0xdc00u + (unsigned)((c - 0x10000) & 0x3ff));
    }
    putc('"', file);
}

static enum mgpt_status sample(struct mgpt_logger *l, const struct mgpt_event *e,
                               struct mgpt_error *error)
{
    fprintf(l->file, "{\"step\": %llu, \"index\": %llu, \"sample\": ", (unsigned long long)e->step,
            (unsigned long long)e->index);
    quote(l->file, e->text, mgpt_event_text_size(e));
    fputs("}\n", l->file);
    return ferror(l->file) ? failed(l, error) : MGPT_OK;
}

static enum mgpt_status event(struct mgpt_logger *l, const struct mgpt_event *e,
                              struct mgpt_error *error)
{
    char line[LINE], *at = line;

    if (l->file && e->type == MGPT_EVENT_SAMPLE)
        return sample(l, e, error);
    if (!l->file || (e->type != MGPT_EVENT_STEP && e->type != MGPT_EVENT_VALIDATION))
        return MGPT_OK;
    at = whole(stpcpy(at, "{\"step\": "), e->step);
    if (e->type == MGPT_EVENT_STEP) {
        at = add(at, "loss", e->loss);
        at = add(at, "grad_norm", e->grad_norm);
        at = add(at, "lr", e->lr);
        at = add(at, "tokens_per_s", e->tokens_per_s);
        at = add(at, "seconds", e->seconds);
        if (e->skipped)
            at = stpcpy(at, ", \"skipped\": true");
        if (MGPT_HAS(e, loss_scale) && e->loss_scale > 0)
            at = add(at, "loss_scale", e->loss_scale);
    } else {
        at = add(at, "val_loss", e->val_loss);
        if (MGPT_HAS(e, train_loss) && !isnan(e->train_loss))
            at = add(at, "train_loss", e->train_loss);
    }
    at = stpcpy(at, "}\n");
    return fwrite(line, (size_t)(at - line), 1, l->file) == 1 ? MGPT_OK : failed(l, error);
}

static enum mgpt_status flush(struct mgpt_logger *l, struct mgpt_error *error)
{
    if (l->file && (fflush(l->file) != 0 || fsync(fileno(l->file)) != 0))
        return failed(l, error);
    return MGPT_OK;
}

static const struct mgpt_logger_api api = {
    .size = sizeof api,
    .open = open_file,
    .close = close_file,
    .event = event,
    .flush = flush,
};

static const struct mgpt_component component = {
    .size = sizeof component,
    MGPT_NO_OPTIONS,
    .kind = MGPT_KIND_LOGGER,
    .name = "jsonl",
    .summary = "metrics.jsonl in the run's folder, one JSON object a line",
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.logger.jsonl", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
