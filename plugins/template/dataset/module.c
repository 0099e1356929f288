/* Dataset my-name: one document a line; each row of a batch is a document drawn at random.
 *
 * The draws are Philox's (<microgpt/random.h>): a pure function of the seed, the step and the row,
 * so a resumed run sees the same batches and nothing needs to be saved. The first floor(split n)
 * documents train, the rest validate, one a batch. A row is BOS, the document, BOS, cut off where
 * it is full; the targets are the ids one to the right. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <microgpt/dataset.h>
#include <microgpt/random.h>
#include <microgpt/utf8.h>

#define MAX_BYTES (1l << 30)

struct mgpt_dataset {
    struct mgpt_dataset_env env; /* path and stream are for opening alone */
    char *bytes;                 /* the file */
    struct mgpt_text *documents; /* in it */
    uint64_t n, n_train;
    int32_t **ids; /* of each document, with a BOS at each end */
    uint64_t *length;
};

/* ---- reading ---- */

static enum mgpt_status read_file(struct mgpt_dataset *d, const char *path, uint64_t *size,
                                  struct mgpt_error *error)
{
    FILE *file = fopen(path, "rb");
    long end = -1;

    if (file && fseek(file, 0, SEEK_END) == 0)
        end = ftell(file);
    if (!file || end < 0 || end > MAX_BYTES) {
        const char *why = end > MAX_BYTES ? "more than 1 GiB" : strerror(errno);
        if (file)
            fclose(file);
        return mgpt_fail(error, MGPT_DATA, "%s: %s, expected a text, a document a line", path, why);
    }
    d->bytes = (char *)malloc((size_t)end + 1);
    rewind(file);
    int whole = d->bytes && fread(d->bytes, 1, (size_t)end, file) == (size_t)end;
    fclose(file);
    *size = (uint64_t)end;
    return whole ? MGPT_OK : mgpt_fail(error, MGPT_DATA, "%s: cannot be read whole", path);
}

/* Lines that are not empty become documents. */
static enum mgpt_status cut_lines(struct mgpt_dataset *d, const char *path, uint64_t size,
                                  struct mgpt_error *error)
{
    uint64_t lines = 1, start = 0;

    for (uint64_t i = 0; i < size; i++)
        lines += d->bytes[i] == '\n';
    d->documents = (struct mgpt_text *)calloc(lines, sizeof *d->documents);
    if (!d->documents)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for the documents of %s", path);
    for (uint64_t i = 0; i < size;) {
        uint32_t c;
        uint64_t step = mgpt_utf8_read(d->bytes + i, size - i, &c);
        if (!step)
            return mgpt_fail(error, MGPT_DATA, "%s: byte %llu (0x%02x) is not UTF-8", path,
                             (unsigned long long)i, (unsigned)(unsigned char)d->bytes[i]);
        int ends = d->bytes[i] == '\n' || i + step == size;
        uint64_t end = d->bytes[i] == '\n' ? i : i + step;
        if (ends && end > start) {
            d->documents[d->n].data = d->bytes + start;
            d->documents[d->n++].size = end - start;
        }
        i += step;
        if (ends)
            start = i;
    }
    return d->n ? MGPT_OK
                : mgpt_fail(error, MGPT_DATA, "%s: no text, expected a document a line", path);
}

static void close_dataset(struct mgpt_dataset *d)
{
    if (!d)
        return;
    for (uint64_t i = 0; d->ids && i < d->n; i++)
        free(d->ids[i]);
    free(d->ids);
    free(d->length);
    free(d->documents);
    free(d->bytes);
    free(d);
}

static enum mgpt_status open_dataset(const struct mgpt_host *host, const struct mgpt_config *config,
                                     const struct mgpt_dataset_env *env,
                                     struct mgpt_dataset **dataset, struct mgpt_error *error)
{
    struct mgpt_dataset *d = (struct mgpt_dataset *)calloc(1, sizeof *d);
    uint64_t size = 0;

    (void)host, (void)config;
    if (!d)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for dataset my-name");
    d->env = *env;
    enum mgpt_status status = read_file(d, env->path, &size, error);
    if (status == MGPT_OK)
        status = cut_lines(d, env->path, size, error);
    d->n_train = (uint64_t)((double)d->n * env->split);
    if (status == MGPT_OK && !d->n_train)
        status = mgpt_fail(error, MGPT_DATA, "%s: of %llu documents a share of %g trains: none",
                           env->path, (unsigned long long)d->n, env->split);
    if (status == MGPT_OK)
        *dataset = d;
    else
        close_dataset(d);
    return status;
}

/* ---- ids ---- */

static const struct mgpt_text *documents(const struct mgpt_dataset *d, uint64_t *n)
{
    *n = d->n;
    return d->documents;
}

static enum mgpt_status encode_one(struct mgpt_dataset *d, uint64_t i,
                                   const struct mgpt_tokenizer_api *api,
                                   const struct mgpt_tokenizer *tokenizer, struct mgpt_error *error)
{
    const struct mgpt_text *text = &d->documents[i];
    struct mgpt_error why;
    int64_t n = api->encode(tokenizer, text->data, text->size, NULL, 0, &why);

    if (n < 0)
        return mgpt_fail(error, MGPT_DATA, "document %llu: %s", (unsigned long long)i + 1,
                         why.text);
    d->ids[i] = (int32_t *)malloc(((uint64_t)n + 2) * sizeof *d->ids[i]);
    if (!d->ids[i])
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for the ids of the documents");
    d->length[i] = (uint64_t)n + 2;
    d->ids[i][0] = d->ids[i][n + 1] = api->bos(tokenizer);
    (void)api->encode(tokenizer, text->data, text->size, d->ids[i] + 1, (uint64_t)n, &why);
    return MGPT_OK;
}

static enum mgpt_status encode(struct mgpt_dataset *d, const struct mgpt_tokenizer_api *api,
                               const struct mgpt_tokenizer *tokenizer, struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;

    if (api->bos(tokenizer) < 0)
        return mgpt_fail(error, MGPT_CONFIG, "dataset my-name needs a tokenizer with BOS");
    d->ids = (int32_t **)calloc(d->n, sizeof *d->ids);
    d->length = (uint64_t *)calloc(d->n, sizeof *d->length);
    if (!d->ids || !d->length)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for the ids of the documents");
    for (uint64_t i = 0; i < d->n && status == MGPT_OK; i++)
        status = encode_one(d, i, api, tokenizer, error);
    return status;
}

/* ---- batches ---- */

/* Targets of a row: all that fit. */
static uint64_t row_targets(const struct mgpt_dataset *d, uint64_t document)
{
    uint64_t all = d->length[document] - 1;
    return all < d->env.columns ? all : d->env.columns;
}

/* The document in row `row` of a step, its rows counted over all its micro-batches. */
static uint64_t drawn(const struct mgpt_dataset *d, uint64_t step, uint64_t row)
{
    return mgpt_draw_below(d->env.seed, (uint32_t)step, MGPT_DRAW_CROP, 0, row, d->n_train);
}

static uint64_t targets(const struct mgpt_dataset *d, uint64_t step)
{
    uint64_t sum = 0;

    for (uint64_t row = 0; row < (uint64_t)d->env.rows * d->env.accumulate; row++)
        sum += row_targets(d, drawn(d, step, row));
    return sum;
}

static void info(const struct mgpt_dataset *d, struct mgpt_dataset_info *out)
{
    out->documents = d->n;
    out->train_documents = d->n_train;
    out->valid_documents = out->valid_batches = d->n - d->n_train;
    out->train_tokens = out->valid_tokens = out->cut_documents = 0;
    for (uint64_t i = 0; d->length && i < d->n; i++) {
        *(i < d->n_train ? &out->train_tokens : &out->valid_tokens) += row_targets(d, i);
        out->cut_documents += d->length[i] - 1 > d->env.columns;
    }
}

static void fill_row(const struct mgpt_dataset *d, uint64_t document, uint32_t row,
                     struct mgpt_batch *batch)
{
    uint64_t n = row_targets(d, document);
    int32_t *ids = batch->ids + (uint64_t)row * batch->columns;
    int32_t *next = batch->targets + (uint64_t)row * batch->columns;

    for (uint32_t t = 0; t < batch->columns; t++) {
        ids[t] = t < n ? d->ids[document][t] : 0;
        next[t] = t < n ? d->ids[document][t + 1] : -1;
    }
}

static void batch(const struct mgpt_dataset *d, enum mgpt_part part, uint64_t index, uint32_t micro,
                  struct mgpt_batch *batch)
{
    uint64_t first = part == MGPT_PART_VALID ? d->n_train : 0;
    uint64_t count = part == MGPT_PART_VALID ? d->n - d->n_train : d->n_train;

    batch->rows = part == MGPT_PART_TRAIN ? d->env.rows : 1;
    batch->columns = d->env.columns;
    for (uint32_t row = 0; row < batch->rows; row++)
        fill_row(d,
                 part == MGPT_PART_TRAIN ? drawn(d, index, (uint64_t)micro * d->env.rows + row)
                                         : first + index % count,
                 row, batch);
}

static const struct mgpt_dataset_api api = {
    .size = sizeof api,
    .open = open_dataset,
    .close = close_dataset,
    .documents = documents,
    .encode = encode,
    .info = info,
    .targets = targets,
    .batch = batch,
};

static const struct mgpt_component component = {
    .size = sizeof component,
    .n_options = 0,
    .option_size = sizeof(struct mgpt_option),
    .kind = MGPT_KIND_DATASET,
    .name = "my-name",
    .summary = "documents, a line each, drawn at random",
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.example.my-name", "0.1.0", "LicenseRef-none-yet", "YOUR NAME", NULL,
                   &component)
