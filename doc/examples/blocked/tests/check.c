/* Backend blocked: its memory, and its two products against plain sums, at odd sizes. */
#include <microgpt/backend.h>

#include "host.h"

static const struct mgpt_backend_api *api;
static struct mgpt_device *device;
static struct mgpt_error error;

#define MOST 20000

static uint64_t seed = 7;

/* A matrix on the device, and its values here. */
struct matrix {
    struct mgpt_tensor tensor;
    float values[MOST];
};

static void make(struct matrix *m, int64_t rows, int64_t columns)
{
    uint64_t n = (uint64_t)(rows * columns);

    CHECK(n <= MOST);
    memset(&m->tensor, 0, sizeof m->tensor);
    m->tensor.dtype = MGPT_F32;
    m->tensor.rank = 2;
    m->tensor.shape[0] = rows;
    m->tensor.shape[1] = columns;
    for (uint64_t i = 0; i < n; i++)
        m->values[i] = (float)(draw_uniform(&seed) - 0.5);
    CHECK_STATUS(api->buffer_new(device, n * sizeof(float), &m->tensor.buffer, &error), MGPT_OK,
                 error);
    CHECK_STATUS(api->upload(device, m->tensor.buffer, 0, m->values, n * sizeof(float), &error),
                 MGPT_OK, error);
}

/* Is element i of the device's matrix `expected`? */
static void holds(const struct matrix *m, int64_t i, double expected)
{
    float value;

    CHECK_STATUS(api->download(device, m->tensor.buffer, (uint64_t)i * sizeof value, &value,
                               sizeof value, &error),
                 MGPT_OK, error);
    CHECK_NEAR(value, expected, 1e-4 * (1 + fabs(expected)));
}

static void run(struct mgpt_op *op, uint32_t code)
{
    op->size = sizeof *op;
    op->code = code;
    CHECK(api->supports(device, op) && api->ops[code](device, op, &error) == MGPT_OK);
    CHECK_STATUS(api->sync(device, &error), MGPT_OK, error);
}

static void memory_keeps_what_is_uploaded(void)
{
    const char text[] = "0123456789";
    char back[4];
    struct mgpt_buffer *b = NULL;

    CHECK_STATUS(api->buffer_new(device, 10, &b, &error), MGPT_OK, error);
    CHECK_STATUS(api->upload(device, b, 0, text, 10, &error), MGPT_OK, error);
    CHECK_STATUS(api->upload(device, b, 3, "abc", 3, &error), MGPT_OK, error);
    CHECK(api->download(device, b, 2, back, 4, &error) == MGPT_OK && !memcmp(back, "2abc", 4));
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

/* x(n,k), w(m,k): the outputs start with the values that make gave them. */
static void products_are_sums(int64_t n, int64_t k, int64_t m, uint32_t flags)
{
    static struct matrix x, w, bias, y, dx, dw, dbias;
    struct mgpt_op op = {.flags = 0};

    make(&x, n, k), make(&w, m, k), make(&bias, 1, m), make(&y, n, m);
    make(&dx, n, k), make(&dw, m, k), make(&dbias, 1, m);
    op.in[0] = x.tensor, op.in[1] = w.tensor, op.in[2] = y.tensor;
    op.out[0] = dx.tensor, op.out[1] = dw.tensor, op.out[2] = dbias.tensor;
    op.flags = flags;
    run(&op, MGPT_OP_LINEAR_BACKWARD); /* dy is what y holds before */
    for (int64_t i = 0; i < n * k; i++) {
        double sum = flags ? dx.values[i] : 0;
        for (int64_t j = 0; j < m; j++)
            sum += (double)y.values[i / k * m + j] * w.values[j * k + i % k];
        holds(&dx, i, sum);
    }
    for (int64_t i = 0; i < m * k; i++) {
        double sum = dw.values[i];
        for (int64_t r = 0; r < n; r++)
            sum += (double)y.values[r * m + i / k] * x.values[r * k + i % k];
        holds(&dw, i, sum);
    }
    for (int64_t j = 0; j < m; j++) {
        double sum = dbias.values[j];
        for (int64_t r = 0; r < n; r++)
            sum += y.values[r * m + j];
        holds(&dbias, j, sum);
    }
    memset(&op, 0, sizeof op);
    op.in[0] = x.tensor, op.in[1] = w.tensor, op.in[2] = bias.tensor;
    op.out[0] = y.tensor;
    run(&op, MGPT_OP_LINEAR);
    for (int64_t i = 0; i < n * m; i++) {
        double sum = bias.values[i % m];
        for (int64_t l = 0; l < k; l++)
            sum += (double)x.values[i / m * k + l] * w.values[i % m * k + l];
        holds(&y, i, sum);
    }
    struct matrix *all[] = {&x, &w, &bias, &y, &dx, &dw, &dbias};
    for (int i = 0; i < 7; i++)
        api->buffer_free(device, all[i]->tensor.buffer);
}

static void leaves_activations_to_the_core(void)
{
    struct mgpt_op op = {.code = MGPT_OP_LINEAR, .activation = MGPT_ACT_RELU};

    CHECK(!api->supports(device, &op));
    op.activation = MGPT_ACT_NONE;
    op.in[0].rank = 2;
    op.in[0].dtype = MGPT_BF16;
    CHECK(!api->supports(device, &op));
}

int main(int argc, char **argv)
{
    load(argc > 1 ? argv[1] : NULL, MGPT_KIND_BACKEND);
    api = component->api;
    CHECK_STATUS(api->open(&host, NULL, &device, &error), MGPT_OK, error);
    memory_keeps_what_is_uploaded();
    memory_has_an_end();
    products_are_sums(1, 1, 1, 0);
    products_are_sums(3, 17, 33, MGPT_OP_ACCUMULATE);
    products_are_sums(2, 300, 19, 0); /* more than a chunk of terms */
    products_are_sums(16, 64, 48, 0);
    leaves_activations_to_the_core();
    api->close(device);
    api->close(NULL);
    puts("check: backend blocked is sound");
    return 0;
}
