/* Every means to write a weight that the ABI has but one, the address that `map` gives: an upload,
 * each output of each op, an update. */
#include <config.h>

#include <microgpt/optimizer.h>

#include "kept.h"

/* clang-format off */
MGPT_RULE(sinking, (s), (rate), s += g; p -= rate * s;)
/* clang-format on */

static struct mgpt_tensor source(const struct lab *lab, size_t i, int64_t rows, int64_t cols)
{
    return matrix(lab->sources, i * WEIGHT, rows, cols);
}

static struct mgpt_tensor ids_of(const struct lab *lab, int64_t n)
{
    struct mgpt_tensor t = tensor(lab->ids, 0, 2, 1, n, 0, 0);

    t.dtype = MGPT_I32;
    return t;
}

static struct mgpt_tensor state_of(const struct lab *lab)
{
    return (struct mgpt_tensor){.buffer = lab->state,
                                .dtype = MGPT_U8,
                                .rank = 1,
                                .shape = {sizeof(struct mgpt_step_state)}};
}

static void by_upload(const struct lab *lab)
{
    const float one = 3;

    ck_ok(lab->d.api->upload(lab->d.device, lab->w, 4 * 1000, &one, sizeof one, error));
}

static struct mgpt_op op_of(const struct lab *lab, uint32_t code)
{
    struct mgpt_op op = {.size = sizeof op, .code = code, .eps = 1e-5, .scale = 2, .value = 0.25};

    op.in[0] = source(lab, 0, M, K);
    op.out[0] = matrix(lab->w, 0, M, K);
    return op;
}

static void by_fill(const struct lab *lab)
{
    struct mgpt_op op = op_of(lab, MGPT_OP_FILL);

    op.in[0] = (struct mgpt_tensor){0};
    run(lab, &op);
}

static void by_axpby(const struct lab *lab)
{
    const struct mgpt_op op = op_of(lab, MGPT_OP_AXPBY);

    run(lab, &op);
}

static void by_add(const struct lab *lab)
{
    struct mgpt_op op = op_of(lab, MGPT_OP_ADD);

    op.in[1] = source(lab, 1, M, K);
    run(lab, &op);
}

static void by_activation(const struct lab *lab)
{
    struct mgpt_op op = op_of(lab, MGPT_OP_ACTIVATION);

    op.activation = MGPT_ACT_GELU;
    run(lab, &op);
    op.code = MGPT_OP_ACTIVATION_BACKWARD;
    op.in[1] = source(lab, 1, M, K);
    run(lab, &op);
}

static void by_dropout(const struct lab *lab)
{
    struct mgpt_op op = op_of(lab, MGPT_OP_DROPOUT);

    op.in[1] = state_of(lab);
    op.rate = 0.5;
    run(lab, &op);
}

static void by_norm(const struct lab *lab)
{
    struct mgpt_op op = op_of(lab, MGPT_OP_NORM);

    op.norm = MGPT_NORM_LAYER;
    run(lab, &op);
}

/* The statistics, and the sum with the residual. */
static void by_norm_behind(const struct lab *lab, int slot)
{
    struct mgpt_op op = op_of(lab, MGPT_OP_NORM);

    op.norm = MGPT_NORM_LAYER;
    op.in[1] = source(lab, 1, M, K);
    op.out[slot] = slot == 1 ? matrix(lab->w, 0, M, 2) : op.out[0];
    op.out[0] = matrix(lab->out, 0, M, K);
    run(lab, &op);
}

static void by_stats(const struct lab *lab)
{
    by_norm_behind(lab, 1);
}

static void by_residual(const struct lab *lab)
{
    by_norm_behind(lab, 2);
}

static void by_norm_gradient(const struct lab *lab)
{
    struct mgpt_op op = op_of(lab, MGPT_OP_NORM_BACKWARD);

    op.norm = MGPT_NORM_LAYER;
    op.in[1] = source(lab, 2, M, 2);
    op.in[2] = source(lab, 1, M, K);
    run(lab, &op);
}

/* dgain and dbias, each a row of the weight. */
static void by_gain_gradient(const struct lab *lab, int slot)
{
    struct mgpt_op op = op_of(lab, MGPT_OP_NORM_BACKWARD);

    op.norm = MGPT_NORM_LAYER;
    op.in[1] = source(lab, 2, M, 2);
    op.in[2] = source(lab, 1, M, K);
    op.in[3] = tensor(lab->sources, 0, 1, K, 0, 0, 0);
    op.out[0] = matrix(lab->out, 0, M, K);
    op.out[slot] = tensor(lab->w, 0, 1, K, 0, 0, 0);
    op.out[3 - slot] = tensor(lab->out, WEIGHT, 1, K, 0, 0, 0);
    run(lab, &op);
}

static void by_gain(const struct lab *lab)
{
    by_gain_gradient(lab, 1);
}

static void by_bias(const struct lab *lab)
{
    by_gain_gradient(lab, 2);
}

static void by_linear(const struct lab *lab)
{
    struct mgpt_op op = op_of(lab, MGPT_OP_LINEAR);

    op.in[1] = source(lab, 1, K, K);
    run(lab, &op);
}

static void by_pre(const struct lab *lab)
{
    struct mgpt_op op = op_of(lab, MGPT_OP_LINEAR);

    op.activation = MGPT_ACT_RELU;
    op.in[1] = source(lab, 1, K, K);
    op.out[1] = op.out[0];
    op.out[0] = matrix(lab->out, 0, M, K);
    run(lab, &op);
}

static void by_input_gradient(const struct lab *lab)
{
    struct mgpt_op op = op_of(lab, MGPT_OP_LINEAR_BACKWARD);

    op.in[1] = source(lab, 1, K, K);
    op.in[2] = source(lab, 2, M, K);
    op.flags = MGPT_OP_ACCUMULATE;
    run(lab, &op);
}

static void by_weight_gradient(const struct lab *lab)
{
    struct mgpt_op op = op_of(lab, MGPT_OP_LINEAR_BACKWARD);

    op.in[0] = source(lab, 0, N, K);
    op.in[1] = source(lab, 1, M, K);
    op.in[2] = source(lab, 2, N, M);
    op.out[1] = op.out[0];
    op.out[0] = (struct mgpt_tensor){0};
    run(lab, &op);
}

static void by_bias_gradient(const struct lab *lab)
{
    struct mgpt_op op = op_of(lab, MGPT_OP_LINEAR_BACKWARD);

    op.in[0] = source(lab, 0, N, K);
    op.in[1] = source(lab, 1, M, K);
    op.in[2] = source(lab, 2, N, M);
    op.out[2] = tensor(lab->w, 0, 1, M, 0, 0, 0);
    op.out[0] = (struct mgpt_tensor){0};
    run(lab, &op);
}

static void by_embed(const struct lab *lab)
{
    struct mgpt_op op = op_of(lab, MGPT_OP_EMBED);

    op.in[0] = ids_of(lab, M);
    op.in[1] = source(lab, 0, M, K);
    op.in[2] = source(lab, 1, M, K);
    op.out[0] = tensor(lab->w, 0, 3, 1, M, K, 0);
    run(lab, &op);
}

/* dwte or dwpe */
static void by_embed_gradient(const struct lab *lab, int slot)
{
    struct mgpt_op op = op_of(lab, MGPT_OP_EMBED_BACKWARD);

    op.in[0] = ids_of(lab, M);
    op.in[1] = tensor(lab->sources, 0, 3, 1, M, K, 0);
    op.out[1 - slot] = matrix(lab->out, 0, M, K);
    op.out[slot] = matrix(lab->w, 0, M, K);
    run(lab, &op);
}

static void by_token_gradient(const struct lab *lab)
{
    by_embed_gradient(lab, 0);
}

static void by_position_gradient(const struct lab *lab)
{
    by_embed_gradient(lab, 1);
}

/* y, or the logarithms of its sums, or keys and values of a cache. */
static void by_attention_into(const struct lab *lab, int slot)
{
    struct mgpt_op op = op_of(lab, MGPT_OP_ATTENTION);

    op.heads = op.kv_heads = 8;
    op.in[0] = tensor(lab->sources, 0, 3, 2, 64, 3 * K, 0);
    op.out[0] = tensor(lab->out, 0, 3, 2, 64, K, 0);
    op.out[slot] = slot == 2   ? tensor(lab->w, 0, 4, 2, 2, N, K)
                   : slot == 1 ? tensor(lab->w, 0, 3, 2, 8, 64, 0)
                               : tensor(lab->w, 0, 3, 2, 64, K, 0);
    run(lab, &op);
}

static void by_attention(const struct lab *lab)
{
    by_attention_into(lab, 0);
}

static void by_sums(const struct lab *lab)
{
    by_attention_into(lab, 1);
}

static void by_cache(const struct lab *lab)
{
    by_attention_into(lab, 2);
}

static void by_attention_gradient(const struct lab *lab)
{
    struct mgpt_op op = op_of(lab, MGPT_OP_ATTENTION_BACKWARD);

    op.heads = op.kv_heads = 8;
    op.in[0] = tensor(lab->sources, 0, 3, 1, N, 3 * K, 0);
    op.in[1] = tensor(lab->sources, WEIGHT, 3, 1, N, K, 0);
    op.in[2] = tensor(lab->sources, 2 * WEIGHT, 3, 1, 8, N, 0);
    op.in[3] = tensor(lab->sources, 3 * WEIGHT, 3, 1, N, K, 0);
    op.out[0] = tensor(lab->w, 0, 3, 1, N, 3 * K, 0);
    run(lab, &op);
}

static void by_loss(const struct lab *lab)
{
    struct mgpt_op op = op_of(lab, MGPT_OP_CROSS_ENTROPY);

    op.in[0] = source(lab, 0, K, M);
    op.in[1] = ids_of(lab, K);
    op.in[1].rank = 1;
    op.in[1].shape[0] = K;
    op.in[2] = state_of(lab);
    op.out[1] = matrix(lab->w, 0, K, M);
    op.out[0] = state_of(lab);
    run(lab, &op);
}

/* The parameters, or the state of the rule. */
static void by_update_of(const struct lab *lab, bool state)
{
    const double rate = 0.5;
    struct mgpt_tensor w = tensor(lab->w, 0, 1, WEIGHT, 0, 0, 0), other = w;
    struct mgpt_update update = {.size = sizeof update,
                                 .n_state = 1,
                                 .n_scalars = 1,
                                 .rule = &sinking,
                                 .scalars = &rate,
                                 .g = tensor(lab->sources, 0, 1, WEIGHT, 0, 0, 0),
                                 .step_state = state_of(lab)};

    other.buffer = lab->out;
    update.p = state ? other : w;
    update.state[0] = state ? w : other;
    ck_ok(lab->d.api->update(lab->d.device, &update, error));
}

static void by_update(const struct lab *lab)
{
    by_update_of(lab, false);
}

static void by_state_of_update(const struct lab *lab)
{
    by_update_of(lab, true);
}

const struct writer kept_writers[] = {
    {"upload of a part", by_upload},
    {"fill", by_fill},
    {"axpby", by_axpby},
    {"add", by_add},
    {"activation", by_activation},
    {"dropout", by_dropout},
    {"norm", by_norm},
    {"norm's statistics", by_stats},
    {"norm's sum", by_residual},
    {"norm's gradient", by_norm_gradient},
    {"gradient of a gain", by_gain},
    {"gradient of a norm's bias", by_bias},
    {"linear", by_linear},
    {"linear, before the activation", by_pre},
    {"gradient of an input", by_input_gradient},
    {"gradient of a weight", by_weight_gradient},
    {"gradient of a bias", by_bias_gradient},
    {"embed", by_embed},
    {"gradient of tokens", by_token_gradient},
    {"gradient of positions", by_position_gradient},
    {"attention", by_attention},
    {"attention's sums", by_sums},
    {"attention's cache", by_cache},
    {"gradient of attention", by_attention_gradient},
    {"gradient of the loss", by_loss},
    {"update", by_update},
    {"state of an update", by_state_of_update},
};

const int n_kept_writers = sizeof kept_writers / sizeof *kept_writers;
