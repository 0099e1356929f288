/* Backend blocked: the seven functions that make a device, and two fast ops.
 *
 * Memory is the host's, but it does not say so: it has neither `map` nor `caps`, like a device
 * behind a bus. All ops but two are computed by microgpt on copies of their operands. The two are
 * matrix products, in which nearly all the arithmetic of a GPT is. */
#include <stdlib.h>
#include <string.h>

#include <microgpt/backend.h>

struct mgpt_device {
    uint64_t bytes, limit; /* in use, and at most; 0: no limit */
};

struct mgpt_buffer {
    uint64_t bytes;
    char *data;
};

/* ---- memory ---- */

static enum mgpt_status open_device(const struct mgpt_host *host, const struct mgpt_config *config,
                                    struct mgpt_device **device, struct mgpt_error *error)
{
    struct mgpt_device *d = (struct mgpt_device *)calloc(1, sizeof *d);

    if (!d)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for backend blocked");
    d->limit = (uint64_t)host->get_int(config, "memory") << 20;
    *device = d;
    return MGPT_OK;
}

static void close_device(struct mgpt_device *d)
{
    free(d);
}

static enum mgpt_status buffer_new(struct mgpt_device *d, uint64_t bytes,
                                   struct mgpt_buffer **buffer, struct mgpt_error *error)
{
    struct mgpt_buffer *b = (struct mgpt_buffer *)calloc(1, sizeof *b);
    int fits = !d->limit || (d->bytes <= d->limit && bytes <= d->limit - d->bytes);

    if (b && fits && bytes <= SIZE_MAX - 63)
        b->data = (char *)aligned_alloc(64, (size_t)(bytes + 63) / 64 * 64);
    if (!b || !b->data) {
        free(b);
        return mgpt_fail(error, MGPT_NOMEM, "no room for %llu bytes beside %llu",
                         (unsigned long long)bytes, (unsigned long long)d->bytes);
    }
    b->bytes = bytes;
    d->bytes += bytes;
    *buffer = b;
    return MGPT_OK;
}

static void buffer_free(struct mgpt_device *d, struct mgpt_buffer *b)
{
    if (!b)
        return;
    d->bytes -= b->bytes;
    free(b->data);
    free(b);
}

static enum mgpt_status check_range(const struct mgpt_buffer *b, uint64_t offset, uint64_t bytes,
                                    struct mgpt_error *error)
{
    if (offset <= b->bytes && bytes <= b->bytes - offset)
        return MGPT_OK;
    return mgpt_fail(error, MGPT_INVALID, "%llu bytes at offset %llu of a buffer of %llu",
                     (unsigned long long)bytes, (unsigned long long)offset,
                     (unsigned long long)b->bytes);
}

static enum mgpt_status upload(struct mgpt_device *d, struct mgpt_buffer *b, uint64_t offset,
                               const void *data, uint64_t bytes, struct mgpt_error *error)
{
    enum mgpt_status status = check_range(b, offset, bytes, error);

    (void)d;
    if (status == MGPT_OK && bytes)
        memcpy(b->data + offset, data, bytes);
    return status;
}

static enum mgpt_status download(struct mgpt_device *d, struct mgpt_buffer *b, uint64_t offset,
                                 void *data, uint64_t bytes, struct mgpt_error *error)
{
    enum mgpt_status status = check_range(b, offset, bytes, error);

    (void)d;
    if (status == MGPT_OK && bytes)
        memcpy(data, b->data + offset, bytes);
    return status;
}

/* Its ops are done when they return. */
static enum mgpt_status sync_device(struct mgpt_device *d, struct mgpt_error *error)
{
    (void)d, (void)error;
    return MGPT_OK;
}

/* ---- ops: shapes and formats were checked, and all tensors here are F32 ---- */

#define LANES 16  /* columns of y that are summed at once: one or two vectors of the processor */
#define CHUNK 256 /* terms of a sum before the next piece of w is packed: 16 KB, in cache */

static float *data(const struct mgpt_tensor *t)
{
    return t->rank ? (float *)(void *)(t->buffer->data + t->offset) : NULL;
}

/* y = bias, or 0:   y(n,m) */
static void begin(float *y, const float *bias, int64_t n, int64_t m)
{
    for (int64_t i = 0; i < n; i++, y += m)
        if (bias)
            memcpy(y, bias, (size_t)m * sizeof *y);
        else
            memset(y, 0, (size_t)m * sizeof *y);
}

/* y[i][j..j+width) += sum over l of x[i][l] w[j..][l], for l in one chunk: w is packed so that the
 * columns of a sum lie side by side, and a row of sums stays in registers. */
static void chunk(float *y, const float *x, const float *packed, int64_t n, int64_t k, int64_t m,
                  int64_t length, int64_t width)
{
    for (int64_t i = 0; i < n; i++, y += m, x += k) {
        float sum[LANES] = {0};
        for (int64_t l = 0; l < length; l++)
            for (int j = 0; j < LANES; j++)
                sum[j] += x[l] * packed[l * LANES + j];
        for (int64_t j = 0; j < width; j++)
            y[j] += sum[j];
    }
}

/* y = x w^T [+ bias]:   x(n,k), w(m,k), y(n,m) */
static enum mgpt_status linear(struct mgpt_device *d, const struct mgpt_op *op,
                               struct mgpt_error *error)
{
    const int64_t n = mgpt_tensor_rows(&op->in[0]), k = mgpt_tensor_columns(&op->in[0]);
    const int64_t m = op->in[1].shape[0];
    const float *x = data(&op->in[0]), *w = data(&op->in[1]);
    float *y = data(&op->out[0]), packed[CHUNK * LANES];

    (void)d, (void)error;
    begin(y, data(&op->in[2]), n, m);
    for (int64_t j = 0; j < m; j += LANES)
        for (int64_t l = 0; l < k; l += CHUNK) {
            int64_t width = m - j < LANES ? m - j : LANES, length = k - l < CHUNK ? k - l : CHUNK;
            memset(packed, 0, sizeof packed);
            for (int64_t c = 0; c < width; c++)
                for (int64_t r = 0; r < length; r++)
                    packed[r * LANES + c] = w[(j + c) * k + l + r];
            chunk(y + j, x + l, packed, n, k, m, length, width);
        }
    return MGPT_OK;
}

/* out[0..k) += factor row[0..k) */
static void add_row(float *restrict out, const float *restrict row, float factor, int64_t k)
{
    for (int64_t l = 0; l < k; l++)
        out[l] += factor * row[l];
}

/* dx = dy w (or added to it); dw += dy^T x; dbias += the sum of the rows of dy */
static enum mgpt_status linear_backward(struct mgpt_device *d, const struct mgpt_op *op,
                                        struct mgpt_error *error)
{
    const int64_t n = mgpt_tensor_rows(&op->in[0]), k = mgpt_tensor_columns(&op->in[0]);
    const int64_t m = op->in[1].shape[0];
    const float *x = data(&op->in[0]), *w = data(&op->in[1]), *dy = data(&op->in[2]);
    float *dx = data(&op->out[0]), *dw = data(&op->out[1]), *dbias = data(&op->out[2]);

    (void)d, (void)error;
    if (dx && !(op->flags & MGPT_OP_ACCUMULATE))
        memset(dx, 0, (size_t)(n * k) * sizeof *dx);
    for (int64_t i = 0; dx && i < n; i++)
        for (int64_t j = 0; j < m; j++)
            add_row(dx + i * k, w + j * k, dy[i * m + j], k);
    for (int64_t j = 0; dw && j < m; j++) /* a row of dw stays in cache */
        for (int64_t i = 0; i < n; i++)
            add_row(dw + j * k, x + i * k, dy[i * m + j], k);
    for (int64_t i = 0; dbias && i < n; i++)
        add_row(dbias, dy + i * m, 1, m);
    return MGPT_OK;
}

/* With an activation the core splits the op: the product here, the activation by itself. */
static int supports(struct mgpt_device *d, const struct mgpt_op *op)
{
    (void)d;
    if ((op->code != MGPT_OP_LINEAR && op->code != MGPT_OP_LINEAR_BACKWARD) || op->activation)
        return 0;
    for (int i = 0; i < MGPT_OP_MAX_IN; i++)
        if (op->in[i].rank && op->in[i].dtype != MGPT_F32)
            return 0;
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        if (op->out[i].rank && op->out[i].dtype != MGPT_F32)
            return 0;
    return 1;
}

static const mgpt_op_fn ops[MGPT_OP_COUNT] = {
    [MGPT_OP_LINEAR] = linear,
    [MGPT_OP_LINEAR_BACKWARD] = linear_backward,
};

/* ---- the tables ---- */

/* key, default, help, unit, least, most (both 0: no limit), choices, type, 0 */
static const struct mgpt_option options[] = {
    {"memory", "0", "how much it may take; 0: no limit", "MiB", 0, 1e9, NULL, MGPT_OPTION_INT, 0},
};

static const struct mgpt_backend_api api = {
    .size = sizeof api,
    .n_ops = sizeof ops / sizeof ops[0],
    .open = open_device,
    .close = close_device,
    .buffer_new = buffer_new,
    .buffer_free = buffer_free,
    .upload = upload,
    .download = download,
    .sync = sync_device,
    .supports = supports,
    .ops = ops,
};

static const struct mgpt_component component = {
    .size = sizeof component,
    MGPT_OPTIONS(options),
    .kind = MGPT_KIND_BACKEND,
    .name = "blocked",
    .summary = "seven functions, and two fast ops",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.examples.blocked", "1.0.0", "MIT", "The microgpt authors", NULL,
                   &component)
