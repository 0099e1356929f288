/* Ops with data to run them on. */
#include <config.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/op_cases.h"
#include "ref/ops.h"

/* ---- building a case ---- */

/* Sizes that an op makes its shapes of: B or rows, T, C or K or D, M or V. */
struct dims {
    int64_t b, t, c, m;
};

static const struct dims fixed[] = {
    {1, 1, 1, 1},    {3, 1, 17, 5},   {1, 8, 16, 48},  {2, 17, 33, 19}, {5, 8, 64, 40},
    {1, 40, 9, 130}, {1, 2, 530, 19}, {1, 270, 5, 70}, {1, 67, 100, 2}, /* past blocks */
};
static const struct dims large = {8, 128, 64, 300};
#define N_FIXED ((int)(sizeof fixed / sizeof fixed[0]))

struct build {
    struct mgpt_op_case *c;
    uint64_t random;
    uint32_t dtype;
    struct dims d;
    int variant;
};

/* The next choice out of n of the variant. */
static int choose(struct build *b, int n)
{
    int choice = b->variant % n;

    b->variant /= n;
    return choice;
}

static void *new_data(struct build *b, const struct mgpt_tensor *t)
{
    int64_t n = mgpt_tensor_count(t);
    void *data = malloc(mgpt_tensor_bytes(t));
    double *values = malloc((size_t)n * sizeof *values);

    if (!data || !values)
        abort();
    for (int64_t i = 0; i < n; i++)
        values[i] = mgpt_op_case_uniform(&b->random, -1, 1);
    mgpt_ref_store(t->dtype, values, data, n);
    free(values);
    return data;
}

/* What 16-bit precisions make of an op, a letter a slot: f F32, h 16 bits, m either of them. Ops
 * that they leave in F32 come with 16 bits everywhere. */
static const struct {
    char in[MGPT_OP_MAX_IN + 1], out[MGPT_OP_MAX_OUT + 1];
} mixtures[MGPT_OP_COUNT] = {
    [MGPT_OP_NORM] = {"fmff", "mff"},   [MGPT_OP_NORM_BACKWARD] = {"ffmf", "fff"},
    [MGPT_OP_LINEAR] = {"hff", "mh"},   [MGPT_OP_LINEAR_BACKWARD] = {"hfmh", "mff"},
    [MGPT_OP_ATTENTION] = {"h", "hfh"}, [MGPT_OP_ATTENTION_BACKWARD] = {"hhfh", "h"},
    [MGPT_OP_ADD] = {"fm", "m"},
};

static uint32_t format_of(struct build *b, const char *letters, int slot)
{
    char letter = b->dtype == MGPT_F16 || b->dtype == MGPT_BF16 ? letters[slot] : 0;

    if (letter == 'm')
        letter = mgpt_op_case_random(&b->random) & 1 ? 'f' : 'h';
    return letter == 'f' ? MGPT_F32 : b->dtype;
}

static struct mgpt_tensor tensor(uint32_t dtype, uint32_t rank, const int64_t *shape)
{
    struct mgpt_tensor t = {.dtype = dtype, .rank = rank};

    memcpy(t.shape, shape, rank * sizeof *shape);
    return t;
}

#define SHAPE(...)                                                                                 \
    sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (const int64_t[])                          \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static void in(struct build *b, int slot, size_t rank, const int64_t *shape)
{
    uint32_t dtype = format_of(b, mixtures[b->c->op.code].in, slot);

    b->c->op.in[slot] = tensor(dtype, (uint32_t)rank, shape);
    b->c->in[slot] = new_data(b, &b->c->op.in[slot]);
}

static void out(struct build *b, int slot, size_t rank, const int64_t *shape)
{
    uint32_t dtype = format_of(b, mixtures[b->c->op.code].out, slot);

    b->c->op.out[slot] = tensor(dtype, (uint32_t)rank, shape);
    b->c->out[slot] = new_data(b, &b->c->op.out[slot]);
}

static void out_alias(struct build *b, int slot, int of)
{
    b->c->op.out[slot] = b->c->op.in[of];
    b->c->out[slot] = b->c->in[of];
    b->c->alias[slot] = of;
}

/* Numbers low..high-1 */
static void in_ids(struct build *b, int slot, size_t rank, const int64_t *shape, int64_t low,
                   int64_t high)
{
    struct mgpt_tensor t = tensor(MGPT_I32, (uint32_t)rank, shape);
    int64_t n = mgpt_tensor_count(&t);
    int32_t *ids = malloc(mgpt_tensor_bytes(&t));

    if (!ids)
        abort();
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int32_t)low + (int32_t)(mgpt_op_case_random(&b->random) % (uint64_t)(high - low));
    b->c->op.in[slot] = t;
    b->c->in[slot] = ids;
}

static struct mgpt_step_state *in_state(struct build *b, int slot)
{
    struct mgpt_step_state *state = malloc(sizeof *state);

    if (!state)
        abort();
    *state = (struct mgpt_step_state){.step = 5,
                                      .inv_targets = 0.25,
                                      .loss = 0.5,
                                      .grad_norm = 3,
                                      .grad_scale = 0.5,
                                      .loss_scale = 4,
                                      .good = 6,
                                      .skipped = 2};
    b->c->op.in[slot] = tensor(MGPT_U8, 1, (const int64_t[]){sizeof *state});
    b->c->in[slot] = state;
    return state;
}

static void draws(struct build *b, double rate, int state_slot)
{
    struct mgpt_op *op = &b->c->op;

    op->rate = rate;
    op->seed = 0x123456789abcdefu;
    op->purpose = 4;
    op->layer = 3;
    op->row = 2;
    in_state(b, state_slot);
}

/* ---- one function an op ---- */

static void make_embed(struct build *b)
{
    int64_t B = b->d.b, T = b->d.t, C = b->d.c, V = b->d.m, L = T + 3;

    b->c->op.position = choose(b, 2) * 2;
    in_ids(b, 0, SHAPE(B, T), 0, V);
    if (b->c->op.code == MGPT_OP_EMBED) {
        in(b, 1, SHAPE(V, C));
        in(b, 2, SHAPE(L, C));
        out(b, 0, SHAPE(B, T, C));
    } else {
        in(b, 1, SHAPE(B, T, C));
        out(b, 0, SHAPE(V, C));
        out(b, 1, SHAPE(L, C));
    }
}

static void make_norm(struct build *b)
{
    int64_t B = b->d.b, T = b->d.t, C = b->d.c;
    int residual, sum;

    b->c->op.norm = choose(b, 2) ? MGPT_NORM_LAYER : MGPT_NORM_RMS;
    b->c->op.eps = 1e-2; /* large enough that one column or row does not become pure noise */
    in(b, 0, SHAPE(B, T, C));
    if (choose(b, 2))
        in(b, 2, SHAPE(C));
    if (choose(b, 2))
        in(b, 3, SHAPE(C));
    residual = choose(b, 2);
    sum = choose(b, 3); /* none, its own, in place */
    if (residual)
        in(b, 1, SHAPE(B, T, C));
    out(b, 0, SHAPE(B, T, C));
    if (choose(b, 2))
        out(b, 1, SHAPE(B * T, 2));
    if (sum == 1)
        out(b, 2, SHAPE(B, T, C));
    if (sum == 2)
        out_alias(b, 2, residual ? 1 : 0);
}

static void run_ref(const struct mgpt_op *op, void *const *from, void *const *to)
{
    struct mgpt_error error = {0};

    if (mgpt_ref_run(op, (const void *const *)from, to, &error) != MGPT_OK) {
        fprintf(stderr, "op_cases: %s\n", error.text);
        abort();
    }
}

static void make_norm_backward(struct build *b)
{
    struct mgpt_op *op = &b->c->op, forward;
    int64_t B = b->d.b, T = b->d.t, C = b->d.c;

    op->norm = choose(b, 2) ? MGPT_NORM_LAYER : MGPT_NORM_RMS;
    op->eps = 1e-2;
    op->flags = choose(b, 2) ? MGPT_OP_ACCUMULATE : 0;
    in(b, 0, SHAPE(B, T, C));
    in(b, 1, SHAPE(B * T, 2));
    in(b, 2, SHAPE(B, T, C));
    out(b, 0, SHAPE(B, T, C));
    if (choose(b, 2)) {
        in(b, 3, SHAPE(C));
        out(b, 1, SHAPE(C));
    }
    if (choose(b, 2))
        out(b, 2, SHAPE(C));
    /* statistics that belong to s; y goes where nobody looks */
    forward = (struct mgpt_op){.size = sizeof forward, .code = MGPT_OP_NORM, .norm = op->norm};
    forward.eps = op->eps;
    forward.in[0] = forward.out[0] = op->in[0];
    forward.out[1] = op->in[1];
    void *y = malloc(mgpt_tensor_bytes(&op->in[0]));
    run_ref(&forward, (void *[MGPT_OP_MAX_IN]){b->c->in[0]},
            (void *[MGPT_OP_MAX_OUT]){y, b->c->in[1]});
    free(y);
}

static void make_linear(struct build *b)
{
    int64_t B = b->d.b, T = b->d.t, K = b->d.c, M = b->d.m;

    b->c->op.activation = (uint32_t)choose(b, 5);
    in(b, 0, SHAPE(B, T, K));
    in(b, 1, SHAPE(M, K));
    if (choose(b, 2))
        in(b, 2, SHAPE(M));
    out(b, 0, SHAPE(B, T, M));
    if (choose(b, 2) && b->c->op.activation)
        out(b, 1, SHAPE(B, T, M));
}

static void make_linear_backward(struct build *b)
{
    int64_t B = b->d.b, T = b->d.t, K = b->d.c, M = b->d.m;
    int part;

    b->c->op.activation = (uint32_t)choose(b, 5);
    b->c->op.flags = choose(b, 2) ? MGPT_OP_ACCUMULATE : 0;
    part = choose(b, 3);
    in(b, 0, SHAPE(B, T, K));
    in(b, 1, SHAPE(M, K));
    in(b, 2, SHAPE(B, T, M));
    if (b->c->op.activation)
        in(b, 3, SHAPE(B, T, K));
    if (part != 1)
        out(b, 0, SHAPE(B, T, K));
    if (part != 2)
        out(b, 1, SHAPE(M, K));
    if (part != 2)
        out(b, 2, SHAPE(M));
}

static void make_activation(struct build *b)
{
    bool backward = b->c->op.code == MGPT_OP_ACTIVATION_BACKWARD;

    b->c->op.activation = (uint32_t)choose(b, 5);
    in(b, 0, SHAPE(b->d.b, b->d.t, b->d.m));
    if (backward)
        in(b, 1, SHAPE(b->d.b, b->d.t, b->d.m));
    if (choose(b, 2))
        out_alias(b, 0, backward);
    else
        out(b, 0, SHAPE(b->d.b, b->d.t, b->d.m));
}

static void attention_shape(struct build *b, int64_t *wide, int64_t *row)
{
    struct mgpt_op *op = &b->c->op;
    int64_t D = b->d.c;

    op->heads = b->d.m == 1 ? 1 : 4;
    op->kv_heads = op->heads;
    if (choose(b, 2))
        op->kv_heads = b->d.m % 2 ? 1 : (op->heads + 1) / 2;
    *wide = op->heads * D;
    *row = (op->heads + 2 * op->kv_heads) * D;
}

static void make_attention(struct build *b)
{
    struct mgpt_op *op = &b->c->op;
    int64_t B = b->d.b, T = b->d.t, wide, row;
    int mode;

    attention_shape(b, &wide, &row);
    in(b, 0, SHAPE(B, T, row));
    if (choose(b, 2))
        draws(b, 0.3, 1);
    out(b, 0, SHAPE(B, T, wide));
    mode = choose(b, 4); /* bare, lse, cache from its start, cache further on */
    if (mode == 1)
        out(b, 1, SHAPE(B, op->heads, T));
    if (mode == 3)
        op->position = 21;
    if (mode >= 2)
        out(b, 2, SHAPE(2, B, op->position + T + 2, op->kv_heads * b->d.c));
}

static void make_attention_backward(struct build *b)
{
    struct mgpt_op *op = &b->c->op, forward;
    int64_t B = b->d.b, T = b->d.t, wide, row;

    attention_shape(b, &wide, &row);
    in(b, 0, SHAPE(B, T, row));
    in(b, 1, SHAPE(B, T, wide));
    in(b, 2, SHAPE(B, op->heads, T));
    in(b, 3, SHAPE(B, T, wide));
    if (choose(b, 2))
        draws(b, 0.3, 4);
    out(b, 0, SHAPE(B, T, row));
    forward = *op;
    forward.code = MGPT_OP_ATTENTION;
    memset(forward.in, 0, sizeof forward.in);
    memset(forward.out, 0, sizeof forward.out);
    forward.in[0] = op->in[0];
    forward.in[1] = op->in[4];
    forward.out[0] = op->in[1];
    forward.out[1] = op->in[2];
    run_ref(&forward, (void *[MGPT_OP_MAX_IN]){b->c->in[0], b->c->in[4]},
            (void *[MGPT_OP_MAX_OUT]){b->c->in[1], b->c->in[2]});
}

static void make_add(struct build *b)
{
    int row = choose(b, 2), alias = choose(b, 3);

    in(b, 0, SHAPE(b->d.b, b->d.t, b->d.c));
    if (row)
        in(b, 1, SHAPE(b->d.c));
    else
        in(b, 1, SHAPE(b->d.b, b->d.t, b->d.c));
    if (alias == 1 || (alias == 2 && !row))
        out_alias(b, 0, alias - 1);
    else
        out(b, 0, SHAPE(b->d.b, b->d.t, b->d.c));
}

static void make_dropout(struct build *b)
{
    in(b, 0, SHAPE(b->d.b, b->d.t, b->d.m));
    draws(b, choose(b, 2) ? 0.5 : 0.1, 1);
    if (choose(b, 2))
        out_alias(b, 0, 0);
    else
        out(b, 0, SHAPE(b->d.b, b->d.t, b->d.m));
}

static void make_cross_entropy(struct build *b)
{
    int gradient = choose(b, 3); /* none, its own, in place */

    in(b, 0, SHAPE(b->d.b, b->d.t, b->d.m));
    in_ids(b, 1, SHAPE(b->d.b, b->d.t), -1, b->d.m);
    in_state(b, 2);
    out_alias(b, 0, 2);
    if (gradient == 1)
        out(b, 1, SHAPE(b->d.b, b->d.t, b->d.m));
    if (gradient == 2)
        out_alias(b, 1, 0);
}

static void make_fill(struct build *b)
{
    b->c->op.value = -1.5;
    out(b, 0, SHAPE(b->d.b, b->d.t, b->d.m));
}

static void make_clip(struct build *b)
{
    static const double limits[] = {0, 1e-3, 1e6};
    struct mgpt_step_state *state;
    int broken;

    b->c->op.scale = limits[choose(b, 3)];
    in(b, 0, SHAPE(b->d.b * b->d.t * b->d.c));
    state = in_state(b, 1);
    out_alias(b, 0, 1);
    broken = choose(b, 3); /* nothing, the loss, a gradient */
    if (broken == 1)
        state->loss = NAN;
    if (broken == 2)
        mgpt_ref_store(b->dtype, (const double[]){-INFINITY}, b->c->in[0], 1);
}

static void make_scaler(struct build *b)
{
    struct mgpt_step_state *state = in_state(b, 0);

    state->nonfinite = (uint64_t)choose(b, 2);
    b->c->op.interval = (uint32_t)choose(b, 3) * 4; /* 0, 4, 8 with 6 good steps so far */
    state->good = (uint64_t)choose(b, 2) * 4 + 3;
    b->c->op.growth = 2;
    b->c->op.backoff = choose(b, 2) ? 0.5 : 0.1;
    out_alias(b, 0, 0);
}

static void make_axpby(struct build *b)
{
    int two = choose(b, 2), alias = choose(b, 3); /* a new y, x, z */

    b->c->op.scale = 3.4445;
    b->c->op.value = -4.775;
    in(b, 0, SHAPE(b->d.b, b->d.t, b->d.c));
    if (two)
        in(b, 1, SHAPE(b->d.b, b->d.t, b->d.c));
    if (alias == 1 || (alias == 2 && two))
        out_alias(b, 0, alias - 1);
    else
        out(b, 0, SHAPE(b->d.b, b->d.t, b->d.c));
}

static const struct {
    void (*make)(struct build *b);
    int variants;
} makers[MGPT_OP_COUNT] = {
    [MGPT_OP_EMBED] = {make_embed, 2},
    [MGPT_OP_EMBED_BACKWARD] = {make_embed, 2},
    [MGPT_OP_NORM] = {make_norm, 96},
    [MGPT_OP_NORM_BACKWARD] = {make_norm_backward, 16},
    [MGPT_OP_LINEAR] = {make_linear, 20},
    [MGPT_OP_LINEAR_BACKWARD] = {make_linear_backward, 30},
    [MGPT_OP_ACTIVATION] = {make_activation, 10},
    [MGPT_OP_ACTIVATION_BACKWARD] = {make_activation, 10},
    [MGPT_OP_ATTENTION] = {make_attention, 16},
    [MGPT_OP_ATTENTION_BACKWARD] = {make_attention_backward, 4},
    [MGPT_OP_ADD] = {make_add, 6},
    [MGPT_OP_DROPOUT] = {make_dropout, 4},
    [MGPT_OP_CROSS_ENTROPY] = {make_cross_entropy, 3},
    [MGPT_OP_FILL] = {make_fill, 1},
    [MGPT_OP_CLIP] = {make_clip, 9},
    [MGPT_OP_SCALER] = {make_scaler, 24},
    [MGPT_OP_AXPBY] = {make_axpby, 6},
};

int mgpt_op_case_count(uint32_t code)
{
    return makers[code].variants * OP_CASE_SHAPES;
}

void mgpt_op_case_make(struct mgpt_op_case *c, uint32_t code, int index, uint32_t dtype,
                       uint64_t seed)
{
    struct build b = {.c = c, .dtype = dtype, .random = seed ^ (uint64_t)code << 40};

    memset(c, 0, sizeof *c);
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        c->alias[i] = -1;
    c->op.size = sizeof c->op;
    c->op.code = code;
    if (index == OP_CASE_LARGE) {
        b.d = large;
        b.variant = makers[code].variants - 1;
    } else {
        b.random += (uint64_t)index * 0x100000;
        int shape = index / makers[code].variants;
        b.variant = index % makers[code].variants;
        if (shape < N_FIXED)
            b.d = fixed[shape];
        else
            b.d = (struct dims){1 + (int64_t)(mgpt_op_case_random(&b.random) % 5),
                                1 + (int64_t)(mgpt_op_case_random(&b.random) % 35),
                                1 + (int64_t)(mgpt_op_case_random(&b.random) % 70),
                                1 + (int64_t)(mgpt_op_case_random(&b.random) % 70)};
    }
    (void)snprintf(c->label, sizeof c->label,
                   "%s case %d (%lld,%lld,%lld,%lld) variant %d seed %llu", mgpt_op_name(code),
                   index, (long long)b.d.b, (long long)b.d.t, (long long)b.d.c, (long long)b.d.m,
                   b.variant, (unsigned long long)seed);
    makers[code].make(&b);
}
