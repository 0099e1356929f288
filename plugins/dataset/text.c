/* Dataset text: one stream of text, turned into ids as a whole; the first floor(split n) train, the
 * rest validate. A row of a batch is a window of T = [model] context ids at a random place, its
 * targets the ids that follow each.
 *
 * Row r of micro-batch m of step s starts at the Philox draw (seed, s, CROP, 0, m rows + r), so it
 * does not matter how a step is cut into micro-batches. Evaluation has draws of its own, EVAL_CROP,
 * of the index of the batch and not of the step: every validation sees the same windows, and
 * training is the same with and without. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <microgpt/dataset.h>
#include <microgpt/random.h>
#include <microgpt/utf8.h>

#include "file.h"

#define POLL_EVERY (UINT64_C(1) << 24) /* bytes between two looks at `canceled` */

struct mgpt_dataset {
    const struct mgpt_host *host;
    struct dataset_file file;
    struct mgpt_text document; /* all of the file */
    uint32_t rows, columns, accumulate;
    uint64_t seed;
    double split;
    int32_t *ids;
    uint64_t n, n_train; /* ids */
    struct mgpt_dataset_info info;
};

/* ---- opening ---- */

static enum mgpt_status check_utf8(const struct mgpt_dataset *d, struct mgpt_error *error)
{
    uint64_t poll = POLL_EVERY;

    for (uint64_t at = 0, length; at < d->file.size; at += length) {
        uint32_t c;
        length = mgpt_utf8_read(d->file.bytes + at, d->file.size - at, &c);
        if (!length)
            return dataset_utf8_refuse(&d->file, d->file.bytes + at, error);
        if (at >= poll && d->host->canceled())
            return mgpt_fail(error, MGPT_CANCELED, "stopped");
        poll += at >= poll ? POLL_EVERY : 0;
    }
    if (!d->file.size)
        return mgpt_fail(error, MGPT_DATA, "%s: empty, expected a text", d->file.path);
    return MGPT_OK;
}

static void warn_crlf(const struct mgpt_dataset *d)
{
    const char *at = d->file.bytes, *end = at + d->file.size;

    while ((at = memchr(at, '\r', (size_t)(end - at))) && ++at < end)
        if (*at == '\n') {
            d->host->log(MGPT_LOG_WARN, "the text's lines end in CR LF, which the model learns; "
                                        "tr -d '\\r' <FILE >NEW removes them");
            return;
        }
}

static void close_text(struct mgpt_dataset *d)
{
    if (!d)
        return;
    dataset_file_finish(&d->file);
    free(d->ids);
    free(d);
}

static enum mgpt_status open_text(const struct mgpt_host *host, const struct mgpt_config *config,
                                  const struct mgpt_dataset_env *env, struct mgpt_dataset **dataset,
                                  struct mgpt_error *error)
{
    struct mgpt_dataset *d = calloc(1, sizeof *d);
    enum mgpt_status status;

    (void)config;
    if (!d)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for dataset text");
    d->host = host;
    d->rows = env->rows;
    d->columns = env->columns;
    d->accumulate = env->accumulate;
    d->seed = env->seed;
    d->split = env->split;
    status = dataset_file_read(&d->file, env->path, "a text file", error);
    if (status == MGPT_OK)
        status = check_utf8(d, error);
    if (status != MGPT_OK) {
        close_text(d);
        return status;
    }
    warn_crlf(d);
    d->document = (struct mgpt_text){d->file.bytes, d->file.size};
    d->info.documents = d->info.train_documents = 1;
    d->info.valid_documents = d->split < 1;
    *dataset = d;
    return MGPT_OK;
}

static const struct mgpt_text *documents(const struct mgpt_dataset *d, uint64_t *n)
{
    *n = 1;
    return &d->document;
}

/* ---- encoding ---- */

/* Does each part of n ids hold a window and the id after it? With split = 1 there is one part. */
static int fits(double split, double n, double window)
{
    double train = floor(split * n); /* int(split * n) of Python */

    return train > window && (split >= 1 || n - train > window);
}

/* The fewest ids that fit: floor(split n) > window and ceil((1 - split) n) > window, looked for
 * from a little below, because the quotients are rounded. */
static double fewest(double split, double window)
{
    double n = (window + 1) / split;

    if (split < 1)
        n = fmax(n, window / (1 - split));
    n = floor(n) - 2;
    for (int i = 0; i < 5 && !fits(split, n, window); i++)
        n++;
    return n;
}

static enum mgpt_status split(struct mgpt_dataset *d, struct mgpt_error *error)
{
    double least = fewest(d->split, d->columns);

    if (!fits(d->split, (double)d->n, d->columns))
        return mgpt_fail(error, MGPT_DATA,
                         "%s: %llu tokens, expected at least %.0f, so that with split = %g each "
                         "part has a window of context = %u and the token after it",
                         d->file.path, (unsigned long long)d->n, least, d->split, d->columns);
    d->n_train = (uint64_t)(d->split * (double)d->n);
    d->info.train_tokens = d->n_train - 1;
    d->info.valid_tokens = d->split < 1 ? d->n - d->n_train - 1 : 0;
    return MGPT_OK;
}

/* Is there an id `bos`, and nowhere in the text? (Some tokenizers have a word for it.) */
static int never_shows(const struct mgpt_dataset *d, int32_t bos)
{
    for (uint64_t i = 0; i < d->n; i++)
        if (d->ids[i] == bos)
            return 0;
    return bos >= 0;
}

static enum mgpt_status encode(struct mgpt_dataset *d, const struct mgpt_tokenizer_api *api,
                               const struct mgpt_tokenizer *tokenizer, struct mgpt_error *error)
{
    const struct mgpt_text *text = &d->document;
    uint64_t room = 0, need = text->size; /* most tokenizers give one id a byte, or fewer */
    struct mgpt_error why = {0};

    while (need > room) {
        int32_t *ids = realloc(d->ids, need * sizeof *ids);
        if (!ids)
            return mgpt_fail(error, MGPT_NOMEM, "out of memory for the ids of %s", d->file.path);
        d->ids = ids;
        room = need;
        int64_t n = api->encode(tokenizer, text->data, text->size, ids, room, &why);
        if (n < 0)
            return mgpt_fail(error, MGPT_DATA, "%s: %.900s", d->file.path, why.text);
        d->n = need = (uint64_t)n;
    }
    if (never_shows(d, api->bos(tokenizer)))
        d->host->log(
            MGPT_LOG_WARN,
            "dataset text never shows the tokenizer's BOS to the model; bos = false in the "
            "tokenizer's section, such as [tokenizer.char], leaves it out");
    return split(d, error);
}

static void info(const struct mgpt_dataset *d, struct mgpt_dataset_info *out)
{
    uint32_t size = out->size < sizeof d->info ? out->size : (uint32_t)sizeof d->info;

    memcpy(out, &d->info, size);
    out->size = size;
}

/* ---- batches ---- */

static uint64_t targets(const struct mgpt_dataset *d, uint64_t step)
{
    (void)step;
    return (uint64_t)d->accumulate * d->rows * d->columns;
}

/* Where row i of a step, or of an evaluation, starts in a part of n ids. */
static uint64_t crop(const struct mgpt_dataset *d, enum mgpt_part part, uint64_t step, uint64_t i,
                     uint64_t n)
{
    uint64_t places = n - d->columns; /* so that the last window has its last target */

    if (part == MGPT_PART_TRAIN)
        return mgpt_draw_below(d->seed, (uint32_t)step, MGPT_DRAW_CROP, 0, i, places);
    return mgpt_draw_below(d->seed, 0, MGPT_DRAW_EVAL_CROP, part, i, places);
}

static void batch(const struct mgpt_dataset *d, enum mgpt_part part, uint64_t index, uint32_t micro,
                  struct mgpt_batch *out)
{
    uint64_t low = part == MGPT_PART_VALID ? d->n_train : 0;
    uint64_t n = part == MGPT_PART_VALID ? d->n - d->n_train : d->n_train;
    uint64_t first = (part == MGPT_PART_TRAIN ? micro : index) * d->rows;
    size_t columns = d->columns;

    if (n <= columns) { /* split = 1 leaves nothing to validate on: a batch without targets */
        out->rows = out->columns = 1;
        out->ids[0] = 0;
        out->targets[0] = -1;
        return;
    }
    out->rows = d->rows;
    out->columns = d->columns;
    for (uint32_t row = 0; row < d->rows; row++) {
        const int32_t *from = d->ids + low + crop(d, part, index, first + row, n);
        memcpy(out->ids + row * columns, from, columns * sizeof *from);
        memcpy(out->targets + row * columns, from + 1, columns * sizeof *from);
    }
}

static const struct mgpt_dataset_api api = {
    .size = sizeof api,
    .open = open_text,
    .close = close_text,
    .documents = documents,
    .encode = encode,
    .info = info,
    .targets = targets,
    .batch = batch,
};

static const struct mgpt_component component = {
    .size = sizeof component,
    MGPT_NO_OPTIONS,
    .kind = MGPT_KIND_DATASET,
    .name = "text",
    .summary = "one stream of text, in windows at random places",
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.dataset.text", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
