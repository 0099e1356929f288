/* Copies of matrices packed for products, kept while nothing writes the buffers they were made
 * from.
 *
 * A copy is good for one version of one buffer. Every upload, op and update gives what it writes a
 * version that was never used before, and memory that was shown to the host has none: so no copy
 * outlives its original. A matrix is packed into memory of its own only when it is asked for a
 * second time in the same version: training, which uses each weight once between two updates, keeps
 * nothing and moves no byte more. Copies have the bits that packing again would give. */
#include <stdlib.h>
#include <string.h>

#include "ops.h"

struct cpu_copy {
    struct cpu_matrix of;
    uint64_t version; /* of the buffer, when it was last asked for */
    int made;         /* from that version */
    uint64_t bytes;   /* of data */
    void *data;       /* NULL: none yet */
};

static int same(const struct cpu_matrix *a, const struct cpu_matrix *b)
{
    return a->at == b->at && a->buffer == b->buffer && a->order == b->order && a->cols == b->cols &&
           a->depth == b->depth && a->ld == b->ld;
}

static struct cpu_copy *find(const struct cpu_keep *keep, const struct cpu_matrix *matrix)
{
    for (size_t i = 0; i < keep->n; i++)
        if (same(&keep->copies[i].of, matrix))
            return &keep->copies[i];
    return NULL;
}

static void drop(struct cpu_keep *keep, size_t i)
{
    keep->so_far.bytes -= keep->copies[i].bytes;
    free(keep->copies[i].data);
    keep->copies[i] = keep->copies[--keep->n];
}

/* Those whose original has changed since. */
static void drop_stale(struct cpu_keep *keep)
{
    for (size_t i = keep->n; i-- > 0;)
        if (keep->copies[i].version != keep->copies[i].of.buffer->version)
            drop(keep, i);
}

/* Without memory for one more the matrix is packed each time. */
static void note(struct cpu_keep *keep, const struct cpu_matrix *matrix)
{
    if (keep->n == keep->room)
        drop_stale(keep);
    if (keep->n == keep->room) {
        size_t room = keep->room ? 2 * keep->room : 64;
        struct cpu_copy *copies = realloc(keep->copies, room * sizeof *copies);
        if (!copies)
            return;
        keep->copies = copies;
        keep->room = room;
    }
    keep->copies[keep->n++] = (struct cpu_copy){.of = *matrix, .version = matrix->buffer->version};
}

/* Memory for the copy, within the limit. */
static void *allocate(struct cpu_keep *keep, struct cpu_copy *copy, size_t bytes)
{
    if (bytes > keep->limit || keep->so_far.bytes > keep->limit - bytes || bytes > SIZE_MAX - 63)
        return NULL;
    copy->data = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (copy->data) {
        copy->bytes = bytes;
        keep->so_far.bytes += bytes;
    }
    return copy->data;
}

void *cpu_keep_copy(struct mgpt_device *device, const struct cpu_matrix *matrix, size_t bytes,
                    int *made)
{
    struct cpu_keep *keep = &device->keep;
    struct cpu_copy *copy;

    if (!matrix->buffer || !matrix->buffer->version || !keep->limit)
        return NULL;
    copy = find(keep, matrix);
    if (!copy) {
        note(keep, matrix);
        return NULL;
    }
    if (copy->version != matrix->buffer->version) {
        copy->version = matrix->buffer->version;
        copy->made = 0;
        return NULL;
    }
    if (!copy->data && !allocate(keep, copy, bytes))
        return NULL;
    *made = copy->made;
    keep->so_far.reused += (uint64_t)copy->made;
    copy->made = 1;
    return copy->data;
}

void cpu_keep_written(struct mgpt_device *device, struct mgpt_buffer *buffer)
{
    if (buffer && buffer->version)
        buffer->version = ++device->clock;
}

void cpu_keep_forget(struct mgpt_device *device, const struct mgpt_buffer *buffer)
{
    struct cpu_keep *keep = &device->keep;

    for (size_t i = keep->n; i-- > 0;)
        if (!buffer || keep->copies[i].of.buffer == buffer)
            drop(keep, i);
    if (!buffer)
        free(keep->copies);
}
