/* Copies of F32 weights in 16 bits, for products: one of each buffer that weights are multiplied
 * from, as a whole, taken while it has what rounding the buffer again would give. So copies change
 * no bit of a result.
 *
 * Whatever writes the buffer makes its copy stale, and the next product rounds all of it, in one
 * launch; after updates, which end a step, all that they wrote. Who was given an address may write
 * there unseen: then there is no copy.
 *
 * While a graph is captured nothing runs, so what is learned of a copy holds for that graph alone:
 * whether it must be fresh when the graph is launched, because a product takes it before anything
 * in the graph writes the buffer; and how the graph leaves it. A launch brings the first about and
 * heeds the second. What a graph took or updated it rounds itself before it ends. It knows nothing
 * of copies that are younger than itself, and may write their buffers: they are stale after it. */
#include <stdlib.h>

#include "matmul.h"

#define ROUND 8 /* elements: 16 bytes of a copy, which kernels load at once */

/* What becomes of a copy within a graph. */
enum left {
    AS_IT_WAS = 0, /* updates, too, leave what was fresh fresh */
    STALE,
    FRESH
};

struct cuda_mark {
    uint64_t serial; /* of the copy */
    int needed;      /* fresh, when the graph is launched */
    enum left left;
};

/* Elements that updates wrote, and all between them: none when to is 0. */
struct span {
    int64_t from, to;
};

struct cuda_copy {
    struct cuda_copy *next;
    struct mgpt_buffer *of;
    uint32_t format;
    uint16_t *data;
    int64_t n; /* elements */
    int fresh; /* but for what was updated */
    struct span updated;
    /* in the graph that is captured */
    struct cuda_mark taken;
    struct span taken_updated;
};

/* Addresses are asked for on any thread. */
static void set_bare(struct mgpt_buffer *buffer)
{
    __atomic_store_n(&buffer->bare, 1, __ATOMIC_RELAXED);
}

static int is_bare(const struct mgpt_buffer *buffer)
{
    return __atomic_load_n(&buffer->bare, __ATOMIC_RELAXED);
}

/* ---- rounding ---- */

static enum mgpt_status cast_span(struct mgpt_device *device, struct cuda_copy *copy,
                                  struct span span, struct mgpt_error *error)
{
    int64_t from = span.from / ROUND * ROUND, to = (span.to + ROUND - 1) / ROUND * ROUND, n;
    struct cuda_mixed x = {(float *)(void *)copy->of->data + from, MGPT_F32};
    struct cuda_mixed y = {copy->data + from, copy->format};

    n = (to < copy->n ? to : copy->n) - from;
    device->copied.casts++;
    return cuda_cast(device, 1, n, x, y, n, error);
}

/* Now, or within the graph that is captured. */
static int is_fresh(const struct mgpt_device *device, const struct cuda_copy *copy)
{
    return device->capturing ? copy->taken.left != STALE : copy->fresh && !is_bare(copy->of);
}

static struct span *updated(struct mgpt_device *device, struct cuda_copy *copy)
{
    return device->capturing ? &copy->taken_updated : &copy->updated;
}

/* All of it. */
static void set_fresh(struct mgpt_device *device, struct cuda_copy *copy, int fresh)
{
    *updated(device, copy) = (struct span){0, 0};
    if (device->capturing)
        copy->taken.left = fresh ? FRESH : STALE;
    else
        copy->fresh = fresh;
}

static enum mgpt_status freshen(struct mgpt_device *device, struct cuda_copy *copy,
                                struct mgpt_error *error)
{
    struct span *span = updated(device, copy);
    enum mgpt_status status;

    if (!is_fresh(device, copy)) {
        status = cast_span(device, copy, (struct span){0, copy->n}, error);
        if (status == MGPT_OK)
            set_fresh(device, copy, 1);
        return status;
    }
    status = span->to ? cast_span(device, copy, *span, error) : MGPT_OK;
    if (status == MGPT_OK)
        *span = (struct span){0, 0};
    return status;
}

/* ---- copies ---- */

static void drop(struct mgpt_device *device, struct cuda_copy *copy)
{
    struct cuda_copy **at = &device->copies;

    while (*at != copy)
        at = &(*at)->next;
    *at = copy->next;
    copy->of->copy = NULL;
    device->copied.bytes -= (uint64_t)copy->n * sizeof *copy->data;
    (void)cudaFree(copy->data);
    free(copy);
}

/* A copy leaves a part of the device to what cannot do without: kernels that the driver loads when
 * they are launched first, graphs, libraries. */
#define LEAST_LEFT 32

static int fits(size_t bytes)
{
    size_t unused = 0, total = 0;

    return cudaMemGetInfo(&unused, &total) == cudaSuccess && unused >= bytes &&
           unused - bytes >= total / LEAST_LEFT;
}

/* NULL: there is no memory for one, or not now. */
static struct cuda_copy *create(struct mgpt_device *device, struct mgpt_buffer *of, uint32_t format)
{
    int64_t n = (int64_t)(of->bytes / sizeof(float));
    size_t bytes = (size_t)n * sizeof(uint16_t);
    struct cuda_copy *copy;
    void *data = NULL;

    if (device->capturing)
        return NULL;
    copy = calloc(1, sizeof *copy);
    if (!copy || !fits(bytes) || cudaMalloc(&data, bytes) != cudaSuccess) {
        (void)cudaGetLastError();
        free(copy);
        set_bare(of);
        return NULL;
    }
    *copy = (struct cuda_copy){.next = device->copies,
                               .of = of,
                               .format = format,
                               .data = data,
                               .n = n,
                               .taken.serial = ++device->serial};
    device->copied.bytes += bytes;
    return device->copies = of->copy = copy;
}

/* Rows of a copy begin where kernels and cuBLASLt can load 16 bytes, as those of a cast do. */
static int may_be_kept(const struct mgpt_device *device, const struct mgpt_tensor *w,
                       uint32_t operands)
{
    return device->keep && w->dtype == MGPT_F32 &&
           (operands == MGPT_BF16 || operands == MGPT_F16) && w->shape[1] % ROUND == 0 &&
           w->offset % (ROUND * sizeof(float)) == 0 && !is_bare(w->buffer);
}

enum mgpt_status cuda_keep_weight(struct mgpt_device *device, const struct mgpt_tensor *w,
                                  uint32_t operands, struct cuda_mixed *x, struct mgpt_error *error)
{
    struct cuda_copy *copy;
    enum mgpt_status status;

    *x = cuda_mixed(w);
    if (!may_be_kept(device, w, operands))
        return MGPT_OK;
    copy = w->buffer->copy ? w->buffer->copy : create(device, w->buffer, operands);
    if (!copy || copy->format != operands)
        return MGPT_OK;
    if (device->capturing && copy->taken.left == AS_IT_WAS)
        copy->taken.needed = 1;
    status = freshen(device, copy, error);
    if (status != MGPT_OK)
        return status;
    device->copied.products++;
    *x = (struct cuda_mixed){copy->data + w->offset / sizeof(float), operands};
    return MGPT_OK;
}

/* ---- what happens to buffers ---- */

void cuda_keep_written(struct mgpt_device *device, struct mgpt_buffer *buffer)
{
    if (buffer && buffer->copy)
        set_fresh(device, buffer->copy, 0);
}

void cuda_keep_updated(struct mgpt_device *device, const struct mgpt_tensor *p)
{
    int64_t from = (int64_t)(p->offset / sizeof(float)), to = from + p->shape[0];
    struct cuda_copy *copy = p->buffer->copy;
    struct span *span;

    if (!copy)
        return;
    span = updated(device, copy);
    span->from = span->to && span->from < from ? span->from : from;
    span->to = span->to > to ? span->to : to;
}

void cuda_keep_shown(struct mgpt_buffer *buffer)
{
    set_bare(buffer);
}

void cuda_keep_freed(struct mgpt_device *device, struct mgpt_buffer *buffer)
{
    if (buffer->copy)
        drop(device, buffer->copy);
}

int cuda_keep_give_up(struct mgpt_device *device)
{
    if (!device->copies || device->capturing || device->captured)
        return 0;
    while (device->copies) {
        set_bare(device->copies->of);
        drop(device, device->copies);
    }
    return 1;
}

/* ---- graphs ---- */

void cuda_keep_capture(struct mgpt_device *device)
{
    for (struct cuda_copy *c = device->copies; c; c = c->next) {
        c->taken = (struct cuda_mark){.serial = c->taken.serial};
        c->taken_updated = (struct span){0, 0};
    }
}

enum mgpt_status cuda_keep_captured(struct mgpt_device *device, struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;

    for (struct cuda_copy *c = device->copies; c && status == MGPT_OK; c = c->next)
        if (c->taken.needed || (c->taken.left != STALE && !is_bare(c->of)))
            status = freshen(device, c, error);
    return status;
}

enum mgpt_status cuda_keep_marks(const struct mgpt_device *device, struct cuda_marks *marks,
                                 struct mgpt_error *error)
{
    size_t n = 0;

    for (const struct cuda_copy *c = device->copies; c; c = c->next)
        n++;
    *marks = (struct cuda_marks){.each = n ? malloc(n * sizeof *marks->each) : NULL};
    if (n && !marks->each)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for a graph");
    for (const struct cuda_copy *c = device->copies; c; c = c->next)
        marks->each[marks->n++] = c->taken;
    return MGPT_OK;
}

static const struct cuda_mark *mark_of(const struct cuda_marks *marks, const struct cuda_copy *copy)
{
    for (size_t i = 0; i < marks->n; i++)
        if (marks->each[i].serial == copy->taken.serial)
            return &marks->each[i];
    return NULL;
}

enum mgpt_status cuda_keep_before(struct mgpt_device *device, const struct cuda_marks *marks,
                                  struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;

    for (struct cuda_copy *c = device->copies; c && status == MGPT_OK; c = c->next) {
        const struct cuda_mark *mark = mark_of(marks, c);
        if (mark && mark->needed)
            status = freshen(device, c, error);
    }
    return status;
}

void cuda_keep_after(struct mgpt_device *device, const struct cuda_marks *marks)
{
    for (struct cuda_copy *c = device->copies; c; c = c->next) {
        const struct cuda_mark *mark = mark_of(marks, c);
        if (!mark || mark->left != AS_IT_WAS)
            set_fresh(device, c, mark && mark->left == FRESH);
    }
}
