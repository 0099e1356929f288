/* The spec of a model as one table of fields: whoever reads, writes or compares a spec walks it. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "conf/schema.h"
#include "model/spec.h"

enum field_type { NUMBER, FLAG, REAL, ENUM, SET };

static const char *const norms[] = {"", "rms", "layer", NULL};
static const char *const activations[] = {"none", "relu", "relu2", "gelu", "gelu_tanh", NULL};
static const char *const biases[] = {"qkv", "proj", "mlp", "head", NULL};
static const char *const inits[] = {"", "normal", "uniform", NULL};

/* `shapes`: a difference means another function, or other tensors, than the checkpoint's. */
#define FIELD(name, type, choices, shapes)                                                         \
    {                                                                                              \
#name, offsetof(struct mgpt_model, name), type, choices, shapes                            \
    }
static const struct field {
    const char *name; /* the key in [model] and in config.json */
    size_t offset;
    enum field_type type;
    const char *const *choices;
    bool shapes;
} fields[] = {
    FIELD(layers, NUMBER, NULL, true),
    FIELD(heads, NUMBER, NULL, true),
    FIELD(kv_heads, NUMBER, NULL, true),
    FIELD(embd, NUMBER, NULL, true),
    FIELD(mlp, NUMBER, NULL, true),
    FIELD(context, NUMBER, NULL, true),
    FIELD(norm, ENUM, norms, true),
    FIELD(norm_gain, FLAG, NULL, true),
    FIELD(norm_bias, FLAG, NULL, true),
    FIELD(norm_eps, REAL, NULL, true),
    FIELD(embed_norm, FLAG, NULL, true),
    FIELD(final_norm, FLAG, NULL, true),
    FIELD(activation, ENUM, activations, true),
    FIELD(bias, SET, biases, true),
    FIELD(tied, FLAG, NULL, true),
    FIELD(dropout, REAL, NULL, false),
    FIELD(init, ENUM, inits, false),
    FIELD(init_std, REAL, NULL, false),
    FIELD(init_residual, REAL, NULL, false),
};
#undef FIELD
#define N_FIELDS (sizeof fields / sizeof *fields)

static uint32_t *whole(const struct mgpt_model *model, const struct field *field)
{
    return (uint32_t *)((char *)(uintptr_t)model + field->offset);
}

static double *real(const struct mgpt_model *model, const struct field *field)
{
    return (double *)(void *)((char *)(uintptr_t)model + field->offset);
}

/* Index of a name in choices, or -1. */
static int choice(const char *const *choices, const char *name)
{
    for (int i = 0; choices[i]; i++)
        if (name && strcmp(choices[i], name) == 0)
            return i;
    return -1;
}

/* The most that a key of [model] takes, or 0. */
static double limit(const char *key)
{
    for (size_t i = 0; i < mgpt_n_sections; i++)
        for (size_t k = 0; k < mgpt_sections[i].n_options; k++)
            if (strcmp(mgpt_sections[i].name, "model") == 0 &&
                strcmp(mgpt_sections[i].options[k].key, key) == 0)
                return mgpt_sections[i].options[k].max;
    return 0;
}

/* Within these no shape overflows. */
static enum mgpt_status check_limits(const struct mgpt_model *m, struct mgpt_error *error)
{
    for (size_t i = 0; i < N_FIELDS; i++)
        if (fields[i].type == NUMBER && *whole(m, &fields[i]) > limit(fields[i].name))
            return mgpt_fail(error, MGPT_INVALID, "%s = %u: expected at most %.0f", fields[i].name,
                             *whole(m, &fields[i]), limit(fields[i].name));
    return MGPT_OK;
}

/* What two keys must be to each other, with limits observed and nothing 0. */
static enum mgpt_status check_heads(const struct mgpt_model *m, struct mgpt_error *error)
{
    if (m->embd % m->heads == 0)
        return MGPT_OK;
    return mgpt_fail(error, MGPT_INVALID,
                     "heads = %u does not divide embd = %u; expected a divisor of embd", m->heads,
                     m->embd);
}

static enum mgpt_status check_kv_heads(const struct mgpt_model *m, struct mgpt_error *error)
{
    if (m->heads % m->kv_heads == 0)
        return MGPT_OK;
    return mgpt_fail(error, MGPT_INVALID,
                     "kv_heads = %u does not divide heads = %u; expected a divisor of heads",
                     m->kv_heads, m->heads);
}

static enum mgpt_status check_norm_bias(const struct mgpt_model *m, struct mgpt_error *error)
{
    if (!m->norm_bias || m->norm_gain)
        return MGPT_OK;
    return mgpt_fail(error, MGPT_INVALID, "norm_bias = true needs norm_gain = true");
}

static const struct {
    const char *key, *other;
    enum mgpt_status (*check)(const struct mgpt_model *m, struct mgpt_error *error);
} pairs[MGPT_MODEL_PAIRS] = {
    {"heads", "embd", check_heads},
    {"kv_heads", "heads", check_kv_heads},
    {"norm_bias", "norm_gain", check_norm_bias},
};

enum mgpt_status mgpt_model_check(const struct mgpt_model *m, struct mgpt_error *error)
{
    enum mgpt_status status = check_limits(m, error);

    if (status != MGPT_OK)
        return status;
    if (!m->layers || !m->heads || !m->kv_heads || !m->embd || !m->mlp || !m->context || !m->vocab)
        return mgpt_fail(error, MGPT_INVALID, "a model needs at least 1 of everything");
    for (size_t i = 0; i < MGPT_MODEL_PAIRS && status == MGPT_OK; i++)
        status = pairs[i].check(m, error);
    return status;
}

enum mgpt_status mgpt_model_check_pair(const struct mgpt_conf *conf, const struct mgpt_model *model,
                                       size_t i, const char **key, struct mgpt_error *error)
{
    struct mgpt_error why;

    if (pairs[i].check(model, &why) == MGPT_OK)
        return MGPT_OK;
    *key = pairs[i].key; /* what was given is at fault, not a default */
    if (strcmp(mgpt_conf_origin(conf, "model", *key), "default") == 0)
        *key = pairs[i].other;
    return mgpt_fail(error, MGPT_CONFIG, "%s: [model] %s", mgpt_conf_origin(conf, "model", *key),
                     why.text);
}

void mgpt_model_read(const struct mgpt_conf *conf, uint32_t vocab, struct mgpt_model *model)
{
    memset(model, 0, sizeof *model);
    model->size = sizeof *model;
    model->vocab = vocab;
    for (size_t i = 0; i < N_FIELDS; i++) {
        const struct field *f = &fields[i];
        switch (f->type) {
        case NUMBER: *whole(model, f) = (uint32_t)mgpt_conf_int(conf, "model", f->name); break;
        case FLAG: *whole(model, f) = mgpt_conf_bool(conf, "model", f->name); break;
        case REAL: *real(model, f) = mgpt_conf_float(conf, "model", f->name); break;
        case ENUM:
            *whole(model, f) = (uint32_t)choice(f->choices, mgpt_conf_text(conf, "model", f->name));
            break;
        case SET: *whole(model, f) = mgpt_conf_choices(conf, "model", f->name); break;
        }
    }
    if (!model->kv_heads)
        model->kv_heads = model->heads;
    if (!model->mlp)
        model->mlp = 4 * model->embd;
}

/* `ids` of the tokenizer, and rows behind them where [model] vocab asks for more. */
static enum mgpt_status set_vocab(const struct mgpt_conf *conf, uint32_t ids,
                                  struct mgpt_model *model, struct mgpt_error *error)
{
    uint32_t wanted = (uint32_t)mgpt_conf_int(conf, "model", "vocab");

    model->vocab = wanted ? wanted : ids;
    if (model->vocab >= ids)
        return MGPT_OK;
    return mgpt_fail(error, MGPT_CONFIG,
                     "%s: [model] vocab = %u: the tokenizer has %u ids; expected at least as many, "
                     "or 0",
                     mgpt_conf_origin(conf, "model", "vocab"), wanted, ids);
}

enum mgpt_status mgpt_model_from_conf(const struct mgpt_conf *conf, uint32_t ids,
                                      struct mgpt_model *model, struct mgpt_error *error)
{
    struct mgpt_error why;
    const char *key;

    mgpt_model_read(conf, ids, model);
    enum mgpt_status status = set_vocab(conf, ids, model, error);
    for (size_t i = 0; i < MGPT_MODEL_PAIRS && status == MGPT_OK; i++)
        status = mgpt_model_check_pair(conf, model, i, &key, error);
    if (status == MGPT_OK && mgpt_model_check(model, &why) != MGPT_OK)
        status = mgpt_fail(error, MGPT_CONFIG, "[model]: %s", why.text);
    return status;
}

static json_t *field_to_json(const struct mgpt_model *model, const struct field *f)
{
    switch (f->type) {
    case NUMBER: return json_integer(*whole(model, f));
    case FLAG: return json_boolean(*whole(model, f) != 0);
    case REAL: return json_real(*real(model, f));
    case ENUM: return json_string(f->choices[*whole(model, f)]);
    case SET: break;
    }
    json_t *list = json_array();
    for (int i = 0; f->choices[i]; i++)
        if (*whole(model, f) >> i & 1u)
            json_array_append_new(list, json_string(f->choices[i]));
    return list;
}

enum mgpt_status mgpt_model_to_json(const struct mgpt_model *model, const char *tokenizer,
                                    char **json, struct mgpt_error *error)
{
    json_t *root = json_object();

    json_object_set_new(root, "model_type", json_string("microgpt"));
    json_object_set_new(root, "vocab", json_integer(model->vocab));
    for (size_t i = 0; i < N_FIELDS; i++)
        json_object_set_new(root, fields[i].name, field_to_json(model, &fields[i]));
    json_object_set_new(root, "tokenizer", json_string(tokenizer));
    *json = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    return *json ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "config.json: out of memory");
}

static bool whole_from_json(const json_t *value, uint32_t *out)
{
    json_int_t n = json_integer_value(value);

    if (!json_is_integer(value) || n < 0 || n > INT32_MAX)
        return false;
    *out = (uint32_t)n;
    return true;
}

static bool set_from_json(const json_t *value, const char *const *choices, uint32_t *out)
{
    if (!json_is_array(value))
        return false;
    for (size_t i = 0; i < json_array_size(value); i++) {
        int bit = choice(choices, json_string_value(json_array_get(value, i)));
        if (bit < 0)
            return false;
        *out |= 1u << bit;
    }
    return true;
}

static bool field_from_json(const json_t *value, const struct field *f, struct mgpt_model *model)
{
    int index;

    switch (f->type) {
    case NUMBER: return whole_from_json(value, whole(model, f));
    case FLAG: *whole(model, f) = json_is_true(value); return json_is_boolean(value);
    case REAL: *real(model, f) = json_number_value(value); return json_is_number(value);
    case ENUM:
        index = choice(f->choices, json_string_value(value));
        *whole(model, f) = (uint32_t)index;
        return index >= 0;
    case SET: return set_from_json(value, f->choices, whole(model, f));
    }
    return false;
}

static enum mgpt_status read_root(const json_t *root, struct mgpt_model *model, char **tokenizer,
                                  struct mgpt_error *error)
{
    const char *name = json_string_value(json_object_get(root, "tokenizer"));

    if (!whole_from_json(json_object_get(root, "vocab"), &model->vocab))
        return mgpt_fail(error, MGPT_DATA, "key \"vocab\": expected a whole number");
    for (size_t i = 0; i < N_FIELDS; i++)
        if (!field_from_json(json_object_get(root, fields[i].name), &fields[i], model))
            return mgpt_fail(error, MGPT_DATA, "key \"%s\" is missing or not what [model] %s takes",
                             fields[i].name, fields[i].name);
    if (!name)
        return mgpt_fail(error, MGPT_DATA, "key \"tokenizer\": expected the name of a module");
    if (mgpt_model_check(model, error) != MGPT_OK)
        return MGPT_DATA;
    *tokenizer = strdup(name);
    return *tokenizer ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "out of memory");
}

enum mgpt_status mgpt_model_from_json(const char *json, size_t size, struct mgpt_model *model,
                                      char **tokenizer, struct mgpt_error *error)
{
    json_t *root;
    enum mgpt_status status = mgpt_json_parse(json, size, &root, error);

    memset(model, 0, sizeof *model);
    model->size = sizeof *model;
    if (status != MGPT_OK)
        return status;
    status = read_root(root, model, tokenizer, error);
    json_decref(root);
    return status;
}

/* As it would stand in the INI. */
static void add_value(const struct mgpt_model *model, const struct field *f,
                      struct mgpt_string *out)
{
    const char *comma = "";

    switch (f->type) {
    case NUMBER: mgpt_string_format(out, "%u", *whole(model, f)); break;
    case FLAG: mgpt_string_format(out, "%s", *whole(model, f) ? "true" : "false"); break;
    case REAL: mgpt_string_format(out, "%.17g", *real(model, f)); break;
    case ENUM: mgpt_string_format(out, "%s", f->choices[*whole(model, f)]); break;
    case SET:
        for (int i = 0; f->choices[i]; i++)
            if (*whole(model, f) >> i & 1u) {
                mgpt_string_format(out, "%s%s", comma, f->choices[i]);
                comma = ",";
            }
        mgpt_string_format(out, "%s", *comma ? "" : "none");
    }
}

void mgpt_model_add_value(const struct mgpt_model *model, const char *key, struct mgpt_string *out)
{
    for (size_t i = 0; i < N_FIELDS; i++)
        if (strcmp(fields[i].name, key) == 0)
            add_value(model, &fields[i], out);
}

void mgpt_model_settings(const struct mgpt_model *model, struct mgpt_string *out)
{
    for (size_t i = 0; i < N_FIELDS; i++)
        if (fields[i].shapes || fields[i].offset == offsetof(struct mgpt_model, dropout)) {
            mgpt_string_format(out, "model.%s=", fields[i].name);
            add_value(model, &fields[i], out);
            mgpt_string_format(out, "\n");
        }
}

enum mgpt_status mgpt_model_match(const struct mgpt_model *checkpoint,
                                  const struct mgpt_model *configured, struct mgpt_error *error)
{
    for (size_t i = 0; i < N_FIELDS; i++) {
        const struct field *f = &fields[i];
        if (!f->shapes)
            continue;
        json_t *a = field_to_json(checkpoint, f), *b = field_to_json(configured, f);
        bool same = json_equal(a, b);
        char *was = json_dumps(a, JSON_ENCODE_ANY), *is = json_dumps(b, JSON_ENCODE_ANY);
        if (!same)
            mgpt_fail(error, MGPT_DATA, "%s is %s there, %s in the configuration", f->name,
                      was ? was : "?", is ? is : "?");
        free(was);
        free(is);
        json_decref(a);
        json_decref(b);
        if (!same)
            return MGPT_DATA;
    }
    if (checkpoint->vocab != configured->vocab)
        return mgpt_fail(error, MGPT_DATA,
                         "the vocabulary has %u rows there, %u in the configuration: [model] "
                         "vocab, or the ids of the tokenizer",
                         checkpoint->vocab, configured->vocab);
    return MGPT_OK;
}
