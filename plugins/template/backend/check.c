/* Backend my-name: its memory, and its two ops by hand. */
#include <microgpt/backend.h>

#include "host.h"

static const struct mgpt_backend_api *api;
static struct mgpt_device *device;
static struct mgpt_error error;

/* A new matrix on the device; with rows 0 a vector. */
static struct mgpt_tensor tensor(int64_t rows, int64_t columns, const float *values)
{
    struct mgpt_tensor t;
    uint64_t bytes = (uint64_t)((rows ? rows : 1) * columns) * sizeof(float);

    memset(&t, 0, sizeof t);
    t.dtype = MGPT_F32;
    t.rank = rows ? 2 : 1;
    t.shape[0] = rows ? rows : columns;
    t.shape[1] = rows ? columns : 0;
    CHECK_STATUS(api->buffer_new(device, bytes, &t.buffer, &error), MGPT_OK, error);
    CHECK_STATUS(api->upload(device, t.buffer, 0, values, bytes, &error), MGPT_OK, error);
    return t;
}

/* Does y hold these, after op? Frees y. */
static void gives(struct mgpt_op *op, uint32_t code, const float *expected)
{
    float values[6];

    op->size = sizeof *op;
    op->code = code;
    CHECK(code < api->n_ops && api->supports(device, op));
    CHECK_STATUS(api->ops[code](device, op, &error), MGPT_OK, error);
    CHECK_STATUS(api->sync(device, &error), MGPT_OK, error);
    CHECK_STATUS(api->download(device, op->out[0].buffer, 0, values, sizeof values, &error),
                 MGPT_OK, error);
    for (int i = 0; i < 6; i++)
        CHECK_NEAR(values[i], expected[i], 0);
    api->buffer_free(device, op->out[0].buffer);
}

static void memory_keeps_what_is_uploaded(void)
{
    const char text[] = "0123456789";
    char back[4];
    struct mgpt_buffer *b = NULL;

    CHECK_STATUS(api->buffer_new(device, 10, &b, &error), MGPT_OK, error);
    CHECK_STATUS(api->upload(device, b, 0, text, 10, &error), MGPT_OK, error);
    CHECK_STATUS(api->upload(device, b, 3, "abc", 3, &error), MGPT_OK, error);
    CHECK_STATUS(api->download(device, b, 2, back, 4, &error), MGPT_OK, error);
    CHECK(!memcmp(back, "2abc", 4));
    CHECK_STATUS(api->upload(device, b, 8, text, 3, &error), MGPT_INVALID, error);
    CHECK_STATUS(api->download(device, b, UINT64_MAX, back, 2, &error), MGPT_INVALID, error);
    api->buffer_free(device, b);
    api->buffer_free(device, NULL);
}

static void memory_has_an_end(void)
{
    struct mgpt_buffer *b = NULL;
    struct mgpt_device *small = NULL;

    set("memory", "1");
    CHECK_STATUS(api->open(&host, NULL, &small, &error), MGPT_OK, error);
    CHECK_STATUS(api->buffer_new(small, (1 << 20) + 1, &b, &error), MGPT_NOMEM, error);
    CHECK_STATUS(api->buffer_new(small, 1 << 20, &b, &error), MGPT_OK, error);
    api->buffer_free(small, b);
    api->close(small);
    set("memory", NULL);
}

static void ops_compute(void)
{
    const float a[] = {1, 2, 3, 4, 5, 6}, b[] = {10, 20, 30};
    const float sum[] = {11, 22, 33, 14, 25, 36}, twice[] = {2, 4, 6, 8, 10, 12};
    const float sevens[] = {7, 7, 7, 7, 7, 7};
    struct mgpt_op op;

    memset(&op, 0, sizeof op);
    op.in[0] = op.out[0] = tensor(2, 3, a); /* in place */
    op.in[1] = tensor(0, 3, b);
    gives(&op, MGPT_OP_ADD, sum);
    api->buffer_free(device, op.in[1].buffer);
    op.in[0] = op.in[1] = op.out[0] = tensor(2, 3, a);
    gives(&op, MGPT_OP_ADD, twice);

    memset(&op, 0, sizeof op);
    op.out[0] = tensor(2, 3, a);
    op.value = 7;
    gives(&op, MGPT_OP_FILL, sevens);
}

int main(int argc, char **argv)
{
    load(argc > 1 ? argv[1] : NULL, MGPT_KIND_BACKEND);
    api = (const struct mgpt_backend_api *)component->api;
    CHECK_STATUS(api->open(&host, NULL, &device, &error), MGPT_OK, error);
    memory_keeps_what_is_uploaded();
    memory_has_an_end();
    ops_compute();
    api->close(device);
    api->close(NULL);
    puts("check: backend my-name is sound");
    return 0;
}
