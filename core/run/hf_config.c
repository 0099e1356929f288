/* config.json of a GPT-2: what it can say of our models, and what we can make of it. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "model/spec.h"
#include "run/hf.h"

static const struct {
    const char *theirs, *ours;
    uint32_t code;
} activations[] = {
    {"gelu_new", "gelu_tanh", MGPT_ACT_GELU_TANH}, /* the first of a code is what is written */
    {"gelu_pytorch_tanh", "gelu_tanh", MGPT_ACT_GELU_TANH},
    {"gelu", "gelu", MGPT_ACT_GELU},
    {"relu", "relu", MGPT_ACT_RELU},
};
#define N_ACTIVATIONS (sizeof activations / sizeof activations[0])

/* ---- ours to theirs ---- */

static const char *activation_name(uint32_t code)
{
    for (size_t i = 0; i < N_ACTIVATIONS; i++)
        if (activations[i].code == code)
            return activations[i].theirs;
    return NULL;
}

/* The nearest model that a GPT-2 can be. */
static struct mgpt_model nearest_gpt2(const struct mgpt_model *m)
{
    struct mgpt_model near = *m;

    near.norm = MGPT_NORM_LAYER;
    near.embed_norm = 0;
    near.final_norm = 1;
    near.activation = activation_name(m->activation) ? m->activation : MGPT_ACT_GELU_TANH;
    near.bias &= ~(uint32_t)MGPT_BIAS_HEAD;
    near.kv_heads = m->heads;
    return near;
}

/* All that stands in the way at once, and what to train instead: there is no way round them. An
 * RMSNorm could be a LayerNorm of twice the width, but a norm of the embedding is none of a sum. */
enum mgpt_status mgpt_hf_check(const struct mgpt_model *m, struct mgpt_error *error)
{
    const struct {
        bool bad;
        const char *key, *reason;
    } rules[] = {
        {m->norm != MGPT_NORM_LAYER, "norm", "its norms are LayerNorm"},
        {m->embed_norm, "embed_norm", "it has no norm after the embedding"},
        {!m->final_norm, "final_norm", "it has a norm before the head"},
        {!activation_name(m->activation), "activation", "it has relu, gelu and gelu_tanh"},
        {m->bias & MGPT_BIAS_HEAD, "bias", "its head has none"},
        {m->kv_heads != m->heads, "kv_heads", "its keys have as many heads as its queries"},
    };
    const struct mgpt_model near = nearest_gpt2(m);
    struct mgpt_string found = {0}, wanted = {0};
    enum mgpt_status status = MGPT_OK;

    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (!rules[i].bad)
            continue;
        mgpt_string_format(&found, "%s%s = ", found.size ? ", " : "", rules[i].key);
        mgpt_model_add_value(m, rules[i].key, &found);
        mgpt_string_format(&found, " (%s)", rules[i].reason);
        mgpt_string_format(&wanted, " --set model.%s=", rules[i].key);
        mgpt_model_add_value(&near, rules[i].key, &wanted);
    }
    if (found.failed || wanted.failed)
        status = mgpt_fail(error, MGPT_NOMEM, "out of memory");
    else if (found.size)
        status = mgpt_fail(error, MGPT_UNSUPPORTED,
                           "[model] cannot be expressed as a GPT-2: %s; for one that can, train "
                           "with%s, or these keys in [model] of the INI",
                           found.data, wanted.data);
    mgpt_string_finish(&found);
    mgpt_string_finish(&wanted);
    return status;
}

/* Without BOS the ids are null: left out, they would mean 50256. */
enum mgpt_status mgpt_hf_config_write(const struct mgpt_model *m, int32_t bos, uint32_t dtype,
                                      char **json, struct mgpt_error *error)
{
    json_t *root = json_pack(
        "{s:s, s:[s], s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:f, s:b, s:f, s:f, s:f, s:f, s:b, s:s}",
        "model_type", "gpt2", "architectures", "GPT2LMHeadModel", "vocab_size", (int)m->vocab,
        "n_positions", (int)m->context, "n_embd", (int)m->embd, "n_layer", (int)m->layers, "n_head",
        (int)m->heads, "n_inner", (int)m->mlp, "activation_function",
        activation_name(m->activation), "layer_norm_epsilon", m->norm_eps, "tie_word_embeddings",
        (int)m->tied, "embd_pdrop", m->dropout, "attn_pdrop", m->dropout, "resid_pdrop", m->dropout,
        "initializer_range", m->init_std > 0 ? m->init_std : 0.02, "use_cache", 1, "torch_dtype",
        dtype == MGPT_F64 ? "float64" : "float32");
    json_t *id = bos < 0 ? json_null() : json_integer(bos);
    int failed = !root || json_object_set(root, "bos_token_id", id) ||
                 json_object_set(root, "eos_token_id", id);

    json_decref(id);
    *json = failed ? NULL : json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    return *json ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "out of memory for config.json");
}

/* ---- theirs to ours ---- */

/* The file as it is read; the first complaint stays. */
struct reader {
    const char *text;
    size_t size;
    const json_t *root;
    struct mgpt_error *error;
    enum mgpt_status status;
};

/* The value of a key, or NULL where it is missing or null. */
static const json_t *get(const struct reader *r, const char *key)
{
    const json_t *value = json_object_get(r->root, key);

    return json_is_null(value) ? NULL : value;
}

static void refuse(struct reader *r, enum mgpt_status status, const char *key, const char *expected)
{
    if (r->status == MGPT_OK)
        r->status = mgpt_fail(r->error, status, "offset %zu: \"%s\": expected %s",
                              mgpt_json_offset(r->text, r->size, key), key, expected);
}

static uint32_t whole(struct reader *r, const char *key, uint32_t otherwise)
{
    const json_t *value = get(r, key);

    if (!value && otherwise)
        return otherwise;
    if (!json_is_integer(value) || json_integer_value(value) < 1 ||
        json_integer_value(value) > INT32_MAX) {
        refuse(r, MGPT_DATA, key, "a whole number, at least 1");
        return 1;
    }
    return (uint32_t)json_integer_value(value);
}

static double share(struct reader *r, const char *key, double otherwise, double most)
{
    const json_t *value = get(r, key);
    double x = json_number_value(value);

    if (!value)
        return otherwise;
    if (!json_is_number(value) || !(x >= 0 && x <= most))
        refuse(r, MGPT_DATA, key, most < 1 ? "a number from 0 to 0.99" : "a number from 0 to 1");
    return x;
}

static bool flag(struct reader *r, const char *key, bool otherwise)
{
    const json_t *value = get(r, key);

    if (value && !json_is_boolean(value))
        refuse(r, MGPT_DATA, key, "true or false");
    return value ? json_is_true(value) : otherwise;
}

static uint32_t activation(struct reader *r)
{
    static const char key[] = "activation_function";
    const json_t *value = get(r, key);
    const char *name = value ? json_string_value(value) : "gelu_new";

    for (size_t i = 0; i < N_ACTIVATIONS && name; i++)
        if (strcmp(activations[i].theirs, name) == 0)
            return activations[i].code;
    refuse(r, MGPT_UNSUPPORTED, key, "gelu_new, gelu_pytorch_tanh, gelu or relu");
    return MGPT_ACT_NONE;
}

/* Variants of GPT-2 that compute something else. */
static void check_variant(struct reader *r)
{
    const json_t *type = get(r, "model_type");

    if (!json_is_string(type) || strcmp(json_string_value(type), "gpt2") != 0)
        refuse(r, MGPT_UNSUPPORTED, "model_type", "\"gpt2\", the one shape that is read");
    if (!flag(r, "scale_attn_weights", true))
        refuse(r, MGPT_UNSUPPORTED, "scale_attn_weights", "true");
    if (flag(r, "scale_attn_by_inverse_layer_idx", false))
        refuse(r, MGPT_UNSUPPORTED, "scale_attn_by_inverse_layer_idx", "false");
    if (flag(r, "add_cross_attention", false))
        refuse(r, MGPT_UNSUPPORTED, "add_cross_attention", "false");
    if (get(r, "quantization_config"))
        refuse(r, MGPT_UNSUPPORTED, "quantization_config", "weights that are not quantized");
}

/* There are three rates, and one of ours. It is for training alone. */
static double dropout(struct reader *r)
{
    double resid = share(r, "resid_pdrop", 0.1, 0.99), attn = share(r, "attn_pdrop", 0.1, 0.99);
    double embd = share(r, "embd_pdrop", 0.1, 0.99);

    if (r->status == MGPT_OK && (attn != resid || embd != resid))
        mgpt_log(MGPT_LOG_WARN,
                 "config.json: resid_pdrop, attn_pdrop and embd_pdrop differ (%g, %g, %g): "
                 "[model] dropout is the first of them",
                 resid, attn, embd);
    return resid;
}

static void read_model(struct reader *r, struct mgpt_model *m)
{
    check_variant(r);
    m->vocab = whole(r, "vocab_size", 50257);
    m->context =
        whole(r, get(r, "n_ctx") && !get(r, "n_positions") ? "n_ctx" : "n_positions", 1024);
    m->embd = whole(r, "n_embd", 768);
    m->layers = whole(r, "n_layer", 12);
    m->heads = m->kv_heads = whole(r, "n_head", 12);
    if (m->embd <= INT32_MAX / 4)
        m->mlp = whole(r, "n_inner", 4 * m->embd);
    m->norm = MGPT_NORM_LAYER;
    m->norm_gain = m->norm_bias = m->final_norm = 1;
    m->norm_eps = share(r, "layer_norm_epsilon", 1e-5, 1);
    m->activation = activation(r);
    m->bias = MGPT_BIAS_QKV | MGPT_BIAS_PROJ | MGPT_BIAS_MLP;
    m->tied = flag(r, "tie_word_embeddings", true);
    m->init = MGPT_INIT_NORMAL;
    m->init_std = 0.02;
    m->dropout = dropout(r);
}

enum mgpt_status mgpt_hf_config_read(const char *json, size_t size, struct mgpt_model *model,
                                     struct mgpt_error *error)
{
    struct reader r = {.text = json, .size = size, .error = error};
    struct mgpt_error why;
    json_t *root;
    enum mgpt_status status = mgpt_json_parse(json, size, &root, error);

    *model = (struct mgpt_model){.size = sizeof *model};
    if (status != MGPT_OK)
        return status;
    r.root = root;
    read_model(&r, model);
    json_decref(root);
    if (r.status == MGPT_OK && mgpt_model_check(model, &why) != MGPT_OK)
        r.status = mgpt_fail(error, MGPT_DATA, "offset 0: as a model of ours: %s", why.text);
    return r.status;
}

int32_t mgpt_hf_config_bos(const char *json, size_t size)
{
    struct mgpt_error ignored;
    json_t *root;

    if (mgpt_json_parse(json, size, &root, &ignored) != MGPT_OK)
        return -1;
    const json_t *id = json_object_get(root, "bos_token_id");
    json_int_t value = json_integer_value(id);
    bool sound = json_is_integer(id) && value >= 0 && value <= INT32_MAX;
    json_decref(root);
    return sound ? (int32_t)value : -1;
}
