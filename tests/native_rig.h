/* A device of backend cuda_emu, and what tests do with it through "nvidia.cuda-native/1". */
#ifndef NATIVE_RIG_H
#define NATIVE_RIG_H

#include <stdlib.h>

#include <microgpt/cuda_native.h>

#include "counters.h"
#include "native_text.h"
#include "testing.h"

struct device {
    const struct mgpt_backend_api *api;
    struct mgpt_device *device;
    struct mgpt_config *config;
    const struct mgpt_cuda_native *cuda;
    const struct emu_counters *counters;
};

static inline void open_one(struct device *d, const char *index)
{
    const struct mgpt_component *c = mgpt_check_module(MGPT_KIND_BACKEND, "cuda_emu");

    d->api = c->api;
    d->config = mgpt_check_settings(c, "device", index, NULL);
    ck_ok(d->api->open(mgpt_host(), d->config, &d->device, error));
    d->cuda = d->api->query(d->device, MGPT_CUDA_NATIVE);
    d->counters = d->api->query(d->device, EMU_COUNTERS);
    ck_assert_ptr_nonnull(d->cuda);
    ck_assert_ptr_nonnull(d->counters);
}

static inline void open_device(struct device *d)
{
    open_one(d, "0");
}

static inline void close_device(struct device *d)
{
    d->api->close(d->device);
    mgpt_config_destroy(d->config);
}

/* n floats: 0, 1, 2 .. */
static inline struct mgpt_tensor new_tensor(const struct device *d, int64_t n)
{
    struct mgpt_tensor t = {.dtype = MGPT_F32, .rank = 1, .shape = {n}};
    float *values = calloc((size_t)n, sizeof *values);

    for (int64_t i = 0; i < n; i++)
        values[i] = (float)i;
    ck_ok(d->api->buffer_new(d->device, (uint64_t)n * sizeof *values, &t.buffer, error));
    ck_ok(d->api->upload(d->device, t.buffer, 0, values, (uint64_t)n * sizeof *values, error));
    free(values);
    return t;
}

static inline float at(const struct device *d, const struct mgpt_tensor *t, int64_t i)
{
    float value;

    ck_ok(d->api->download(d->device, t->buffer, t->offset + (uint64_t)i * 4, &value, 4, error));
    return value;
}

static inline struct mgpt_cuda_program *new_program(const struct device *d)
{
    struct mgpt_cuda_source source = NATIVE_SOURCE;
    struct mgpt_cuda_program *program = NULL;

    ck_ok(d->cuda->program_new(d->device, &source, &program, error));
    return program;
}

#define PART 100

static inline enum mgpt_status launch_sums(const struct device *d,
                                           const struct mgpt_cuda_program *program,
                                           const struct mgpt_tensor *x, const struct mgpt_tensor *y,
                                           uint32_t shared, struct mgpt_error *error)
{
    struct mgpt_cuda_launch launch = {{3, 1, 1}, {64, 1, 1}, shared, 0};
    struct {
        int first;
        double second;
    } add = {20, 0.5};
    const void *from = d->cuda->address(d->device, x);
    void *to = d->cuda->address(d->device, y);
    int n = PART;
    float scale = 2;
    void *args[] = {&from, &n, &scale, &add, &to};
    enum mgpt_status status = d->cuda->launch(d->device, program, 0, &launch, args, error);

    n = 0; /* it was copied */
    return status;
}

/* 2 * the sum of 100 b + 0..99, + 20.5 */
static inline void check_sums(const struct device *d, const struct mgpt_tensor *y)
{
    for (int b = 0; b < 3; b++)
        ck_assert_float_eq(at(d, y, b), 2 * (10000.f * (float)b + 4950) + 20.5f);
}

#endif
