/* Dataset lines: a text file with one document a line.
 *
 * Lines end at '\n'; white space around a document is cut off, as by Python's str.strip(), and
 * empty ones are dropped. All documents are shuffled once; the first floor(split n) train, the rest
 * validate. A row of a batch is the start of BOS + document + BOS: so the model learns where one
 * ends.
 *
 * Step s takes the documents (s accumulate + micro) rows + 0, 1, ... of the training part, around
 * and around. An evaluation batch is one document. */
#include <stdlib.h>
#include <string.h>

#include <microgpt/dataset.h>
#include <microgpt/utf8.h>

#include "file.h"

#define MAX_DOCUMENTS (UINT64_C(1) << 31) /* so that products of counts stay below 2^64 */
#define POLL_EVERY 4096                   /* documents between two looks at `canceled` */

struct mgpt_dataset {
    const struct mgpt_host *host;
    struct dataset_file file;
    struct mgpt_text *documents; /* in the order of the shuffle; they point into the file */
    uint64_t n, n_train;
    uint32_t rows, columns, accumulate;
    /* All rows one after the other, neighbours sharing a BOS: document k has ids[start[k]], a BOS,
     * to ids[start[k + 1]], the next BOS. So it has start[k + 1] - start[k] targets. */
    int32_t *ids;
    uint64_t *start;
    struct mgpt_dataset_info info;
};

/* ---- reading ---- */

/* What Python's str.isspace() holds for white space: White_Space of Unicode and U+001C to U+001F.
 */
static int is_space(uint32_t c)
{
    return c == ' ' || (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x1f) || c == 0x85 ||
           c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

/* The document of one line: from its first to its last character that is not white space. */
static enum mgpt_status strip(const struct mgpt_dataset *d, const char *text, uint64_t size,
                              struct mgpt_text *document, struct mgpt_error *error)
{
    uint64_t first = size, end = 0;

    for (uint64_t at = 0, length; at < size; at += length) {
        uint32_t c = 0;
        length = mgpt_utf8_read(text + at, size - at, &c);
        if (!length)
            return dataset_utf8_refuse(&d->file, text + at, error);
        if (is_space(c))
            continue;
        first = first < at ? first : at;
        end = at + length;
    }
    *document = (struct mgpt_text){text + first, end ? end - first : 0};
    return MGPT_OK;
}

static enum mgpt_status add(struct mgpt_dataset *d, const struct mgpt_text *document,
                            uint64_t *room, struct mgpt_error *error)
{
    if (d->n == MAX_DOCUMENTS)
        return mgpt_fail(error, MGPT_DATA, "%s: more than %llu documents", d->file.path,
                         (unsigned long long)MAX_DOCUMENTS);
    if (d->n == *room) {
        uint64_t more = *room ? 2 * *room : 1024;
        struct mgpt_text *list = realloc(d->documents, more * sizeof *list);
        if (!list)
            return mgpt_fail(error, MGPT_NOMEM, "out of memory for the documents of %s",
                             d->file.path);
        d->documents = list;
        *room = more;
    }
    d->documents[d->n++] = *document;
    return MGPT_OK;
}

static enum mgpt_status cut_lines(struct mgpt_dataset *d, struct mgpt_error *error)
{
    const char *text = d->file.bytes, *end = text + d->file.size;
    uint64_t room = 0;
    enum mgpt_status status = MGPT_OK;

    while (text < end && status == MGPT_OK) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        struct mgpt_text document = {0};
        stop = stop ? stop : end;
        status = strip(d, text, (uint64_t)(stop - text), &document, error);
        if (status == MGPT_OK && document.size)
            status = add(d, &document, &room, error);
        text = stop + 1;
    }
    if (status == MGPT_OK && d->n == 0)
        status = mgpt_fail(error, MGPT_DATA, "%s: %s, expected one document a line", d->file.path,
                           d->file.size ? "no line with text" : "empty");
    return status;
}

/* As random.shuffle of CPython: for i in n-1 .. 1, swap with below(i + 1). */
static void shuffle(struct mgpt_dataset *d, const struct mgpt_stream *stream)
{
    for (uint64_t i = d->n - 1; i >= 1; i--) {
        uint64_t j = stream->below(stream->context, i + 1);
        struct mgpt_text swap = d->documents[i];
        d->documents[i] = d->documents[j];
        d->documents[j] = swap;
    }
}

static enum mgpt_status split(struct mgpt_dataset *d, double share, struct mgpt_error *error)
{
    d->n_train = (uint64_t)(share * (double)d->n); /* int(split * n) of Python */
    if (d->n_train == 0)
        return mgpt_fail(error, MGPT_DATA,
                         "%s: %llu document%s with split = %g, which leaves none to train on: "
                         "expected at least %s",
                         d->file.path, (unsigned long long)d->n, d->n == 1 ? "" : "s", share,
                         d->n == 1 ? "2 documents" : "a larger split");
    return MGPT_OK;
}

static void close_lines(struct mgpt_dataset *d)
{
    if (!d)
        return;
    dataset_file_finish(&d->file);
    free(d->documents);
    free(d->ids);
    free(d->start);
    free(d);
}

static enum mgpt_status open_lines(const struct mgpt_host *host, const struct mgpt_config *config,
                                   const struct mgpt_dataset_env *env,
                                   struct mgpt_dataset **dataset, struct mgpt_error *error)
{
    struct mgpt_dataset *d = calloc(1, sizeof *d);
    enum mgpt_status status;

    (void)config;
    if (!d)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for dataset lines");
    status = dataset_file_read(&d->file, env->path, "a text file with one document a line", error);
    if (status == MGPT_OK)
        status = cut_lines(d, error);
    if (status == MGPT_OK)
        status = split(d, env->split, error);
    if (status != MGPT_OK) {
        close_lines(d);
        return status;
    }
    shuffle(d, env->stream);
    d->host = host;
    d->rows = env->rows;
    d->columns = env->columns;
    d->accumulate = env->accumulate;
    d->info.documents = d->n;
    d->info.train_documents = d->n_train;
    d->info.valid_documents = d->info.valid_batches = d->n - d->n_train;
    *dataset = d;
    return MGPT_OK;
}

static const struct mgpt_text *documents(const struct mgpt_dataset *d, uint64_t *n)
{
    *n = d->n;
    return d->documents;
}

/* ---- encoding ---- */

/* What the tokenizer said, with the place in the file. */
static enum mgpt_status refuse(const struct mgpt_dataset *d, const char *document,
                               const struct mgpt_error *why, struct mgpt_error *error)
{
    return mgpt_fail(error, MGPT_DATA, "%s:%llu: %.900s", d->file.path,
                     (unsigned long long)dataset_file_line(&d->file, document), why->text);
}

/* Makes room for `need` ids. */
static enum mgpt_status grow(struct mgpt_dataset *d, uint64_t need, uint64_t *room,
                             struct mgpt_error *error)
{
    if (need <= *room)
        return MGPT_OK;
    uint64_t more = need + need / 2;
    int32_t *ids = realloc(d->ids, more * sizeof *ids);
    if (!ids)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for the ids of %s", d->file.path);
    d->ids = ids;
    *room = more;
    return MGPT_OK;
}

/* Adds document k and the BOS after it. */
static enum mgpt_status encode_one(struct mgpt_dataset *d, uint64_t k,
                                   const struct mgpt_tokenizer_api *api,
                                   const struct mgpt_tokenizer *tokenizer, uint64_t *room,
                                   struct mgpt_error *error)
{
    const struct mgpt_text *text = &d->documents[k];
    uint64_t first = d->start[k] + 1;
    struct mgpt_error why = {0};
    int64_t n = -1;

    for (int again = 0; again < 2; again++) { /* the first time says how much room it takes */
        n = api->encode(tokenizer, text->data, text->size, d->ids + first, *room - first, &why);
        if (n < 0)
            return refuse(d, text->data, &why, error);
        if (first + (uint64_t)n < *room)
            break;
        enum mgpt_status status = grow(d, first + (uint64_t)n + 1, room, error);
        if (status != MGPT_OK)
            return status;
    }
    d->start[k + 1] = first + (uint64_t)n;
    d->ids[d->start[k + 1]] = api->bos(tokenizer);
    return MGPT_OK;
}

/* Targets of document k. */
static uint64_t length_of(const struct mgpt_dataset *d, uint64_t k)
{
    uint64_t n = d->start[k + 1] - d->start[k];

    return n < d->columns ? n : d->columns;
}

static enum mgpt_status encode(struct mgpt_dataset *d, const struct mgpt_tokenizer_api *api,
                               const struct mgpt_tokenizer *tokenizer, struct mgpt_error *error)
{
    uint64_t room = 0;
    enum mgpt_status status;

    if (api->bos(tokenizer) < 0)
        return mgpt_fail(error, MGPT_CONFIG,
                         "dataset lines needs a tokenizer with a BOS id; set bos = true in the "
                         "tokenizer's section, such as [tokenizer.char]; a model that was trained "
                         "without takes [dataset] use = text");
    free(d->start);
    d->start = calloc(d->n + 1, sizeof *d->start);
    if (!d->start)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for the ids of %s", d->file.path);
    status = grow(d, d->file.size + d->n + 1, &room, error); /* enough for one id a byte */
    if (status != MGPT_OK)
        return status;
    d->ids[0] = api->bos(tokenizer);
    for (uint64_t k = 0; k < d->n && status == MGPT_OK; k++) {
        status = encode_one(d, k, api, tokenizer, &room, error);
        if (k % POLL_EVERY == 0 && d->host->canceled())
            status = mgpt_fail(error, MGPT_CANCELED, "stopped");
    }
    if (status != MGPT_OK)
        return status;
    d->info.train_tokens = d->info.valid_tokens = d->info.cut_documents = 0;
    for (uint64_t k = 0; k < d->n; k++) {
        *(k < d->n_train ? &d->info.train_tokens : &d->info.valid_tokens) += length_of(d, k);
        d->info.cut_documents += d->start[k + 1] - d->start[k] > d->columns;
    }
    return MGPT_OK;
}

static void info(const struct mgpt_dataset *d, struct mgpt_dataset_info *out)
{
    uint32_t size = out->size < sizeof d->info ? out->size : (uint32_t)sizeof d->info;

    memcpy(out, &d->info, size);
    out->size = size;
}

/* ---- batches ---- */

/* The training document of row 0 of a step's micro-batch; the rows after it take the documents
 * after. */
static uint64_t first_of(const struct mgpt_dataset *d, uint64_t step, uint32_t micro)
{
    uint64_t a_step = (uint64_t)d->accumulate * d->rows % d->n_train;

    return (step % d->n_train * a_step + (uint64_t)micro * d->rows) % d->n_train;
}

static uint64_t targets(const struct mgpt_dataset *d, uint64_t step)
{
    uint64_t k = first_of(d, step, 0), n = 0;

    for (uint64_t row = 0; row < (uint64_t)d->accumulate * d->rows; row++) {
        n += length_of(d, k);
        k = k + 1 < d->n_train ? k + 1 : 0;
    }
    return n;
}

/* Rows from document k on, in the part [low, high); as wide as the longest. */
static void fill(const struct mgpt_dataset *d, uint64_t k, uint64_t low, uint64_t high,
                 struct mgpt_batch *batch)
{
    uint64_t widest = 0;

    for (uint64_t row = 0, at = k; row < batch->rows; row++) {
        uint64_t n = length_of(d, at);
        widest = widest > n ? widest : n;
        at = at + 1 < high ? at + 1 : low;
    }
    batch->columns = (uint32_t)widest;
    for (uint64_t row = 0; row < batch->rows; row++) {
        int32_t *ids = batch->ids + row * widest, *after = batch->targets + row * widest;
        uint64_t n = length_of(d, k);
        memcpy(ids, d->ids + d->start[k], n * sizeof *ids);
        memcpy(after, d->ids + d->start[k] + 1, n * sizeof *after);
        for (uint64_t i = n; i < widest; i++) {
            ids[i] = 0;
            after[i] = -1;
        }
        k = k + 1 < high ? k + 1 : low;
    }
}

static void batch(const struct mgpt_dataset *d, enum mgpt_part part, uint64_t index, uint32_t micro,
                  struct mgpt_batch *out)
{
    uint64_t low = part == MGPT_PART_VALID ? d->n_train : 0;
    uint64_t high = part == MGPT_PART_VALID ? d->n : d->n_train;

    out->rows = part == MGPT_PART_TRAIN ? d->rows : 1;
    if (part == MGPT_PART_TRAIN)
        fill(d, first_of(d, index, micro), low, high, out);
    else if (low < high)
        fill(d, low + index % (high - low), low, high, out);
    else { /* split = 1 leaves nothing to validate on: a batch without targets */
        out->columns = 1;
        out->ids[0] = 0;
        out->targets[0] = -1;
    }
}

static const struct mgpt_dataset_api api = {
    .size = sizeof api,
    .open = open_lines,
    .close = close_lines,
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
    .name = "lines",
    .summary = "documents, one a line of a text file",
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.dataset.lines", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
