/* The products that check_copies and check_copied_graphs hold against each other. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include <microgpt/optimizer.h>

#include "copies.h"

struct told copies_told(const struct lab *lab)
{
    const struct told *told = lab->d.api->query(lab->d.device, "microgpt.cuda-kept/1");

    ck_assert_ptr_nonnull(told);
    return *told;
}

struct lab copies_open(const char *key, const char *value)
{
    struct lab lab = kept_open("cuda_emu", key, value);
    uint16_t *x = malloc(N * M * sizeof *x);
    float *noise = kept_noise(N * M, 6);

    ck_assert_ptr_nonnull(x);
    for (int i = 0; i < N * M; i++)
        x[i] = (uint16_t)(0x3c00 + (int)(256 * (noise[i] + 0.5f)) + (noise[i] < 0 ? 0x8000 : 0));
    ck_ok(lab.d.api->upload(lab.d.device, lab.x, 0, x, N * M * sizeof *x, error));
    free(noise);
    free(x);
    return lab;
}

static struct mgpt_tensor short_matrix(const struct lab *lab, uint32_t format, int64_t rows,
                                       int64_t columns)
{
    struct mgpt_tensor t = matrix(lab->x, 0, rows, columns);

    t.dtype = format;
    return t;
}

void copies_enqueue_at(const struct lab *lab, uint32_t format, size_t at)
{
    struct mgpt_op op = {.size = sizeof op, .code = MGPT_OP_LINEAR};

    op.in[0] = short_matrix(lab, format, N, K);
    op.in[1] = matrix(lab->w, at, M, K);
    op.out[0] = matrix(lab->out, 0, N, M);
    ck_ok(lab->d.api->ops[op.code](lab->d.device, &op, error));
    op.code = MGPT_OP_LINEAR_BACKWARD;
    op.in[2] = short_matrix(lab, format, N, M);
    op.out[0] = matrix(lab->out, N * M, N, K);
    ck_ok(lab->d.api->ops[op.code](lab->d.device, &op, error));
}

void copies_enqueue(const struct lab *lab)
{
    copies_enqueue_at(lab, MGPT_BF16, 0);
}

float *copies_results(const struct lab *lab)
{
    float *y = malloc(BYTES);

    ck_assert_ptr_nonnull(y);
    ck_ok(lab->d.api->download(lab->d.device, lab->out, 0, y, BYTES, error));
    return y;
}

float *copies_products(const struct lab *lab)
{
    copies_enqueue(lab);
    return copies_results(lab);
}

float *copies_fresh_products(const struct lab *lab, uint32_t format, size_t at)
{
    struct lab fresh = copies_open("keep", "false");
    float *w = malloc(2 * WEIGHT * sizeof *w), *y;

    ck_assert_ptr_nonnull(w);
    ck_ok(lab->d.api->download(lab->d.device, lab->w, 0, w, 2 * WEIGHT * sizeof *w, error));
    ck_ok(fresh.d.api->upload(fresh.d.device, fresh.w, 0, w, 2 * WEIGHT * sizeof *w, error));
    copies_enqueue_at(&fresh, format, at);
    y = copies_results(&fresh);
    ck_assert_uint_eq(copies_told(&fresh).bytes, 0);
    ck_assert_uint_eq(copies_told(&fresh).casts, 0);
    kept_close(&fresh);
    free(w);
    return y;
}

void copies_assert_results(const struct lab *lab, const char *what)
{
    float *y = copies_results(lab), *want = copies_fresh_products(lab, MGPT_BF16, 0);

    ck_assert_msg(memcmp(y, want, BYTES) == 0, "%s: a product is that of the weights before", what);
    free(want);
    free(y);
}

void copies_assert_fresh(const struct lab *lab, const char *what)
{
    copies_enqueue(lab);
    copies_assert_results(lab, what);
}

void copies_remember(const struct lab *lab)
{
    copies_enqueue(lab);
    struct told before = copies_told(lab);
    copies_enqueue(lab);
    ck_assert_uint_eq(copies_told(lab).products, before.products + 2);
    ck_assert_uint_eq(copies_told(lab).casts, before.casts);
    ck_assert_uint_eq(copies_told(lab).bytes, 2 * WEIGHT * sizeof(uint16_t));
}

void copies_write_by(const char *name, const struct lab *lab)
{
    for (int i = 0; i < n_kept_writers; i++)
        if (strcmp(kept_writers[i].name, name) == 0) {
            kept_writers[i].write(lab);
            return;
        }
    ck_abort_msg("no writer is called %s", name);
}

/* clang-format off */
MGPT_RULE(falling, (), (rate), p -= rate * g;)
/* clang-format on */

void copies_update(const struct lab *lab, const double *rates)
{
    static const size_t parts[] = {0, 3, 7, 4, 5, 6, 2, 1}; /* four a weight */
    const double rate = 0.25;
    struct mgpt_update u = {.size = sizeof u,
                            .n_scalars = 1,
                            .rule = &falling,
                            .scalars = &rate,
                            .step_state = {.buffer = lab->state,
                                           .dtype = MGPT_U8,
                                           .rank = 1,
                                           .shape = {sizeof(struct mgpt_step_state)}}};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t at = parts[i] * (WEIGHT / 4);
        u.p = tensor(lab->w, at, 1, WEIGHT / 4, 0, 0, 0);
        u.g = tensor(lab->sources, at, 1, WEIGHT / 4, 0, 0, 0);
        if (rates)
            ck_ok(native(lab)->update(lab->d.device, &u, rates, error));
        else
            ck_ok(lab->d.api->update(lab->d.device, &u, error));
    }
}
