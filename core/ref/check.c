/* What every op looks like, and whether a given one does: slots, formats, shapes, attributes. */
#include <config.h>

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ref/ops.h"

#define F(name, shape)                                                                             \
    {                                                                                              \
        name, shape, MGPT_SLOT_FLOAT, false                                                        \
    }
#define F_OPT(name, shape)                                                                         \
    {                                                                                              \
        name, shape, MGPT_SLOT_FLOAT, true                                                         \
    }
#define IDS(name, shape)                                                                           \
    {                                                                                              \
        name, shape, MGPT_SLOT_IDS, false                                                          \
    }
#define STATE                                                                                      \
    {                                                                                              \
        "state", "*", MGPT_SLOT_STATE, false                                                       \
    }
#define STATE_OPT                                                                                  \
    {                                                                                              \
        "state", "*", MGPT_SLOT_STATE, true                                                        \
    }
#define OUT(i) (1u << (i))

/* Letters: microgpt/backend.h; Q is a row of qkv, Y one of y, R rows of the cache, P one of those;
 * lse, stats and the like have the letters of what they describe. */
static const struct mgpt_op_form forms[MGPT_OP_COUNT] = {
    [MGPT_OP_EMBED] = {.name = "embed",
                       .in = {IDS("ids", "BT"), F("wte", "VC"), F("wpe", "LC")},
                       .out = {F("x", "NC")}},
    [MGPT_OP_EMBED_BACKWARD] = {.name = "embed_backward",
                                .in = {IDS("ids", "BT"), F("dx", "NC")},
                                .out = {F("dwte", "VC"), F("dwpe", "LC")},
                                .added = OUT(0) | OUT(1)},
    [MGPT_OP_NORM] = {.name = "norm",
                      .in = {F("x", "NC"), F_OPT("residual", "NC"), F_OPT("gain", "C"),
                             F_OPT("bias", "C")},
                      .out = {F("y", "NC"), F_OPT("stats", "N2"), F_OPT("s", "NC")}},
    [MGPT_OP_NORM_BACKWARD] = {.name = "norm_backward",
                               .in = {F("s", "NC"), F("stats", "N2"), F("dy", "NC"),
                                      F_OPT("gain", "C")},
                               .out = {F("ds", "NC"), F_OPT("dgain", "C"), F_OPT("dbias", "C")},
                               .added = OUT(1) | OUT(2),
                               .added_a = OUT(0)},
    [MGPT_OP_LINEAR] = {.name = "linear",
                        .in = {F("x", "NK"), F("w", "MK"), F_OPT("bias", "M")},
                        .out = {F("y", "NM"), F_OPT("pre", "NM")},
                        .multiplies = true},
    [MGPT_OP_LINEAR_BACKWARD] = {.name = "linear_backward",
                                 .in = {F("x", "NK"), F("w", "MK"), F("dy", "NM"),
                                        F_OPT("pre", "NK")},
                                 .out = {F_OPT("dx", "NK"), F_OPT("dw", "MK"), F_OPT("dbias", "M")},
                                 .added = OUT(1) | OUT(2),
                                 .added_a = OUT(0),
                                 .multiplies = true},
    [MGPT_OP_ACTIVATION] = {.name = "activation", .in = {F("x", "NC")}, .out = {F("y", "NC")}},
    [MGPT_OP_ACTIVATION_BACKWARD] = {.name = "activation_backward",
                                     .in = {F("x", "NC"), F("dy", "NC")},
                                     .out = {F("dx", "NC")}},
    [MGPT_OP_ATTENTION] = {.name = "attention",
                           .in = {F("qkv", "BTQ"), STATE_OPT},
                           .out = {F("y", "NY"), F_OPT("lse", "BHT"), F_OPT("cache", "2BRP")},
                           .added = OUT(2),
                           .multiplies = true},
    [MGPT_OP_ATTENTION_BACKWARD] = {.name = "attention_backward",
                                    .in = {F("qkv", "BTQ"), F("y", "NY"), F("lse", "BHT"),
                                           F("dy", "NY"), STATE_OPT},
                                    .out = {F("dqkv", "BTQ")},
                                    .multiplies = true},
    [MGPT_OP_ADD] = {.name = "add", .in = {F("a", "NC"), F("b", "*")}, .out = {F("y", "NC")}},
    [MGPT_OP_DROPOUT] = {.name = "dropout", .in = {F("x", "NC"), STATE}, .out = {F("y", "NC")}},
    [MGPT_OP_CROSS_ENTROPY] = {.name = "cross_entropy",
                               .in = {F("logits", "NV"), IDS("targets", "N"), STATE},
                               .out = {STATE, F_OPT("dlogits", "NV")}},
    [MGPT_OP_FILL] = {.name = "fill", .out = {F("y", "*")}},
    [MGPT_OP_CLIP] = {.name = "clip", .in = {F("gradient", "*"), STATE}, .out = {STATE}},
    [MGPT_OP_SCALER] = {.name = "scaler", .in = {STATE}, .out = {STATE}},
    [MGPT_OP_AXPBY] = {.name = "axpby",
                       .in = {F("x", "NC"), F_OPT("z", "NC")},
                       .out = {F("y", "NC")}},
};

const struct mgpt_op_form *mgpt_op_form(uint32_t code)
{
    return code >= 1 && code < MGPT_OP_COUNT ? &forms[code] : NULL;
}

const char *mgpt_op_name(uint32_t code)
{
    const struct mgpt_op_form *form = mgpt_op_form(code);
    return form ? form->name : "unknown op";
}

/* ---- slots ---- */

/* Sizes that letters stand for; 0: not met yet. */
struct sizes {
    int64_t of[128];
};

/* "(3,17)" into text, for messages. */
static const char *shape_text(const struct mgpt_tensor *t, char text[128])
{
    size_t n = (size_t)snprintf(text, 128, "(");

    for (uint32_t i = 0; i < t->rank; i++)
        n += (size_t)snprintf(text + n, 128 - n, "%s%" PRId64, i ? "," : "", t->shape[i]);
    (void)snprintf(text + n, 128 - n, ")");
    return text;
}

static enum mgpt_status check_tensor(const char *op, const struct mgpt_ref_slot *slot,
                                     const struct mgpt_tensor *t, struct mgpt_error *error)
{
    static const char *const expected[] = {"no tensor", "F32, F64, F16 or BF16", "I32", "U8"};
    int64_t bytes = (int64_t)mgpt_dtype_size(t->dtype);
    bool ok = (slot->type == MGPT_SLOT_FLOAT && t->dtype >= MGPT_F32 && t->dtype <= MGPT_BF16) ||
              (slot->type == MGPT_SLOT_IDS && t->dtype == MGPT_I32) ||
              (slot->type == MGPT_SLOT_STATE && t->dtype == MGPT_U8);

    if (!ok)
        return mgpt_fail(error, MGPT_INVALID, "%s: %s has format %" PRIu32 ", expected %s", op,
                         slot->name, t->dtype, expected[slot->type]);
    if (t->rank > MGPT_MAX_RANK)
        return mgpt_fail(error, MGPT_INVALID,
                         "%s: %s has rank %" PRIu32 ", at most %d are possible", op, slot->name,
                         t->rank, MGPT_MAX_RANK);
    for (uint32_t i = 0; i < t->rank; i++)
        if (t->shape[i] < 1 || __builtin_mul_overflow(bytes, t->shape[i], &bytes))
            return mgpt_fail(error, MGPT_INVALID,
                             "%s: dimension %" PRIu32 " of %s is %" PRId64 ": below 1 or too large",
                             op, i, slot->name, t->shape[i]);
    if (slot->type == MGPT_SLOT_STATE && bytes != sizeof(struct mgpt_step_state))
        return mgpt_fail(error, MGPT_INVALID, "%s: state has %" PRId64 " bytes, expected %zu", op,
                         bytes, sizeof(struct mgpt_step_state));
    return MGPT_OK;
}

/* Does the shape fit the slot's letters? Letters met for the first time get their size. */
static bool shape_fits(const char *letters, const struct mgpt_tensor *t, struct sizes *sizes)
{
    size_t n = strlen(letters);
    uint32_t lead = 0; /* dimensions that N stands for */

    if (letters[0] == '*')
        return true;
    if (letters[0] == 'N') {
        int64_t rows = 1;
        if (t->rank + 1 < n) /* one row may go without its dimension */
            return false;
        lead = t->rank - (uint32_t)(n - 1);
        for (uint32_t i = 0; i < lead; i++)
            rows *= t->shape[i];
        if (sizes->of['N'] && sizes->of['N'] != rows)
            return false;
        sizes->of['N'] = rows;
        letters++;
        n--;
    }
    if (t->rank - lead != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int64_t *size = &sizes->of[(unsigned char)letters[i]];
        int64_t want = isdigit((unsigned char)letters[i]) ? letters[i] - '0' : *size;
        if (want && want != t->shape[lead + i])
            return false;
        *size = t->shape[lead + i];
    }
    return true;
}

static enum mgpt_status check_slot(const char *op, const struct mgpt_ref_slot *slot,
                                   const struct mgpt_tensor *t, struct sizes *sizes,
                                   struct mgpt_error *error)
{
    char text[128];
    enum mgpt_status status;

    if (t->rank == 0 && (slot->optional || slot->type == MGPT_SLOT_NONE))
        return MGPT_OK;
    if (t->rank == 0)
        return mgpt_fail(error, MGPT_INVALID, "%s: %s is missing", op, slot->name);
    if (slot->type == MGPT_SLOT_NONE)
        return mgpt_fail(error, MGPT_INVALID, "%s: a tensor in a slot that the op does not have",
                         op);
    status = check_tensor(op, slot, t, error);
    if (status == MGPT_OK && !shape_fits(slot->shape, t, sizes))
        status = mgpt_fail(error, MGPT_INVALID, "%s: %s has shape %s, which does not fit (%s)", op,
                           slot->name, shape_text(t, text), slot->shape);
    return status;
}

/* ---- what letters and slots do not say ---- */

#define REQUIRE(condition, ...)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return mgpt_fail(error, MGPT_INVALID, __VA_ARGS__);                                    \
    } while (0)

static enum mgpt_status check_embed(const struct mgpt_op *op, const struct sizes *z,
                                    struct mgpt_error *error)
{
    const char *name = mgpt_op_name(op->code);
    int64_t L = z->of['L'], T = z->of['T'];

    REQUIRE(z->of['N'] == z->of['B'] * T,
            "%s: ids are %" PRId64 " x %" PRId64 ", x has %" PRId64 " rows", name, z->of['B'], T,
            z->of['N']);
    REQUIRE(op->position >= 0 && T <= L && op->position <= L - T,
            "%s: %" PRId64 " positions from %" PRId64 " do not fit a context of %" PRId64, name, T,
            op->position, L);
    return MGPT_OK;
}

static enum mgpt_status check_draws(const struct mgpt_op *op, int state, struct mgpt_error *error)
{
    const char *name = mgpt_op_name(op->code);

    REQUIRE(op->rate >= 0 && op->rate < 1, "%s: rate %g is not in [0, 1)", name, op->rate);
    REQUIRE(op->row >= 0, "%s: row %" PRId64 " is negative", name, op->row);
    REQUIRE(!(op->rate > 0) || op->in[state].rank, "%s: dropout needs state", name);
    return MGPT_OK;
}

static enum mgpt_status check_attention(const struct mgpt_op *op, const struct sizes *z,
                                        struct mgpt_error *error)
{
    const char *name = mgpt_op_name(op->code);
    bool forward = op->code == MGPT_OP_ATTENTION;
    int64_t H = op->heads, KV = op->kv_heads, T = z->of['T'], D;

    REQUIRE(H >= 1 && KV >= 1 && H % KV == 0,
            "%s: %" PRId64 " heads are no multiple of %" PRId64 " kv heads", name, H, KV);
    D = z->of['Q'] / (H + 2 * KV);
    REQUIRE(D >= 1 && z->of['Q'] == (H + 2 * KV) * D && z->of['Y'] == H * D,
            "%s: qkv has %" PRId64 " columns and y %" PRId64 " for %" PRId64 " heads and %" PRId64
            " kv heads",
            name, z->of['Q'], z->of['Y'], H, KV);
    REQUIRE(z->of['N'] == z->of['B'] * T, "%s: y has %" PRId64 " rows, expected %" PRId64, name,
            z->of['N'], z->of['B'] * T);
    REQUIRE(!z->of['H'] || z->of['H'] == H, "%s: lse has %" PRId64 " heads, expected %" PRId64,
            name, z->of['H'], H);
    if (forward && op->out[2].rank) {
        REQUIRE(z->of['P'] == KV * D,
                "%s: a row of the cache has %" PRId64 " columns, not %" PRId64, name, z->of['P'],
                KV * D);
        REQUIRE(op->position >= 0 && T <= z->of['R'] && op->position <= z->of['R'] - T,
                "%s: %" PRId64 " positions from %" PRId64 " do not fit a cache of %" PRId64, name,
                T, op->position, z->of['R']);
    } else {
        REQUIRE(op->position == 0, "%s: position %" PRId64 " without a cache", name, op->position);
    }
    return check_draws(op, forward ? 1 : 4, error);
}

static enum mgpt_status check_add(const struct mgpt_op *op, const struct sizes *z,
                                  struct mgpt_error *error)
{
    struct sizes row = {{['C'] = z->of['C']}}, all = *z;
    char text[128];

    REQUIRE(shape_fits("C", &op->in[1], &row) || shape_fits("NC", &op->in[1], &all),
            "add: b has shape %s, which is neither that of a nor one of its rows",
            shape_text(&op->in[1], text));
    return MGPT_OK;
}

static enum mgpt_status check_norm(const struct mgpt_op *op, struct mgpt_error *error)
{
    const char *name = mgpt_op_name(op->code);

    REQUIRE(op->norm == MGPT_NORM_RMS || op->norm == MGPT_NORM_LAYER, "%s: unknown norm %" PRIu32,
            name, op->norm);
    REQUIRE(op->eps >= 0, "%s: eps %g is negative", name, op->eps);
    return MGPT_OK;
}

static enum mgpt_status check_activation(const struct mgpt_op *op, struct mgpt_error *error)
{
    const char *name = mgpt_op_name(op->code);
    bool pre = op->code == MGPT_OP_LINEAR ? op->out[1].rank : op->in[3].rank;

    REQUIRE(op->activation <= MGPT_ACT_GELU_TANH, "%s: unknown activation %" PRIu32, name,
            op->activation);
    if (op->code == MGPT_OP_LINEAR)
        REQUIRE(!pre || op->activation, "linear: pre without an activation");
    if (op->code == MGPT_OP_LINEAR_BACKWARD)
        REQUIRE(pre == (op->activation != MGPT_ACT_NONE),
                "linear_backward: an activation and pre come together or not at all");
    return MGPT_OK;
}

static enum mgpt_status check_attributes(const struct mgpt_op *op, const struct sizes *sizes,
                                         struct mgpt_error *error)
{
    switch (op->code) {
    case MGPT_OP_EMBED:
    case MGPT_OP_EMBED_BACKWARD: return check_embed(op, sizes, error);
    case MGPT_OP_NORM:
    case MGPT_OP_NORM_BACKWARD: return check_norm(op, error);
    case MGPT_OP_LINEAR:
    case MGPT_OP_LINEAR_BACKWARD:
    case MGPT_OP_ACTIVATION:
    case MGPT_OP_ACTIVATION_BACKWARD: return check_activation(op, error);
    case MGPT_OP_ATTENTION:
    case MGPT_OP_ATTENTION_BACKWARD: return check_attention(op, sizes, error);
    case MGPT_OP_ADD: return check_add(op, sizes, error);
    case MGPT_OP_DROPOUT: return check_draws(op, 1, error);
    case MGPT_OP_CLIP: REQUIRE(op->scale >= 0, "clip: scale %g is negative", op->scale); break;
    default: break;
    }
    return MGPT_OK;
}

enum mgpt_status mgpt_op_check(const struct mgpt_op *op, struct mgpt_error *error)
{
    const struct mgpt_op_form *form;
    struct sizes sizes = {{0}};
    enum mgpt_status status = MGPT_OK;
    uint32_t known;

    REQUIRE(op->size >= sizeof *op, "an op of %" PRIu32 " bytes, expected %zu", op->size,
            sizeof *op);
    form = mgpt_op_form(op->code);
    REQUIRE(form, "unknown op %" PRIu32, op->code);
    known = (form->added_a ? MGPT_OP_ACCUMULATE : 0) | (form->multiplies ? MGPT_OP_TF32 : 0);
    REQUIRE(!(op->flags & ~known), "%s: unknown flags %#" PRIx32, form->name, op->flags);
    for (int i = 0; i < MGPT_OP_MAX_IN && status == MGPT_OK; i++)
        status = check_slot(form->name, &form->in[i], &op->in[i], &sizes, error);
    for (int i = 0; i < MGPT_OP_MAX_OUT && status == MGPT_OK; i++)
        status = check_slot(form->name, &form->out[i], &op->out[i], &sizes, error);
    return status == MGPT_OK ? check_attributes(op, &sizes, error) : status;
}
