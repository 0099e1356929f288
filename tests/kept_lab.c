/* The device and the weight that check_kept and check_copies write. */
#include <config.h>

#include <stdlib.h>

#include "kept.h"

float *kept_noise(size_t n, uint32_t seed)
{
    float *data = malloc(n * sizeof *data);

    ck_assert_ptr_nonnull(data);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = (float)(seed >> 8) / (float)(1 << 24) - 0.5f;
    }
    return data;
}

struct mgpt_buffer *kept_buffer_of(const struct lab *lab, size_t bytes, const void *data)
{
    struct mgpt_buffer *buffer = NULL;

    ck_ok(lab->d.api->buffer_new(lab->d.device, bytes, &buffer, error));
    if (data)
        ck_ok(lab->d.api->upload(lab->d.device, buffer, 0, data, bytes, error));
    return buffer;
}

struct mgpt_buffer *kept_noise_of(const struct lab *lab, size_t floats, uint32_t seed)
{
    float *data = kept_noise(floats, seed);
    struct mgpt_buffer *buffer = kept_buffer_of(lab, floats * sizeof *data, data);

    free(data);
    return buffer;
}

struct lab kept_open(const char *backend, const char *key, const char *value)
{
    const struct mgpt_component *component = mgpt_check_module(MGPT_KIND_BACKEND, backend);
    struct mgpt_step_state state = {
        .inv_targets = 1.0 / M, .grad_scale = 1, .loss_scale = 1, .step = 3};
    int32_t ids[M];

    struct lab lab = {.d = mgpt_check_device_open(component, key, value)};
    for (int32_t i = 0; i < M; i++)
        ids[i] = i * 7 % M;
    lab.w = kept_noise_of(&lab, 2 * WEIGHT, 1);
    lab.x = kept_noise_of(&lab, N * M, 2);
    lab.out = kept_noise_of(&lab, 4 * WEIGHT, 3);
    lab.sources = kept_noise_of(&lab, SOURCES * WEIGHT, 4);
    lab.ids = kept_buffer_of(&lab, sizeof ids, ids);
    lab.state = kept_buffer_of(&lab, sizeof state, &state);
    return lab;
}

void kept_close(struct lab *lab)
{
    struct mgpt_buffer *all[] = {lab->w, lab->x, lab->out, lab->sources, lab->ids, lab->state};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        lab->d.api->buffer_free(lab->d.device, all[i]);
    mgpt_check_device_close(&lab->d);
}
