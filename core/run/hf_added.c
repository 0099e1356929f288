/* Added tokens, which a text has as a whole: "added_tokens" of tokenizer.json, and a file
 * added_tokens.json beside it or beside vocab.json, {"<|im_start|>": 50257}. Their ids go on where
 * those of the vocabulary end. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "run/hf_bpe.h"

struct reader {
    json_t *vocab, *added; /* tokens by id; the names of those that were added */
    json_t *names;         /* of all tokens; true for what was added */
    struct mgpt_error *error;
};

static enum mgpt_status no_memory(struct reader *r)
{
    return mgpt_fail(r->error, MGPT_NOMEM, "out of memory for its added tokens");
}

static enum mgpt_status check_flags(struct reader *r, const json_t *token, const char *where)
{
    static const char *const flags[] = {"single_word", "lstrip", "rstrip"};

    for (size_t k = 0; k < 3; k++)
        if (json_is_true(json_object_get(token, flags[k])))
            return mgpt_fail(r->error, MGPT_UNSUPPORTED, "%s.%s: expected false", where, flags[k]);
    return MGPT_OK;
}

static bool is_added(const struct reader *r, const json_t *name)
{
    return json_is_true(
        json_object_getn(r->names, json_string_value(name), json_string_length(name)));
}

/* Its id must be free, and its name new; or both those of a token of model.vocab. */
static enum mgpt_status check_token(struct reader *r, const json_t *name, const json_t *id,
                                    const char *where)
{
    const char *text = json_string_value(name);
    size_t n = json_array_size(r->vocab), at = (size_t)json_integer_value(id);

    if (!json_is_integer(id) || !text || !text[0] || json_integer_value(id) < 0 || at > n)
        return mgpt_fail(r->error, MGPT_DATA, "%s: expected a content, and an id from 0 to %zu",
                         where, n);
    if (is_added(r, name))
        return mgpt_fail(r->error, MGPT_DATA, "%s: \"%.60s\" is there twice", where, text);
    if (at == n ? json_object_getn(r->names, text, json_string_length(name)) != NULL
                : !json_equal(json_array_get(r->vocab, at), name))
        return mgpt_fail(r->error, MGPT_DATA,
                         "%s: \"%.60s\" has another id, %zu, than in model.vocab", where, text, at);
    return MGPT_OK;
}

static enum mgpt_status add(struct reader *r, json_t *name, const json_t *id, const char *where)
{
    enum mgpt_status status = check_token(r, name, id, where);

    if (status != MGPT_OK)
        return status;
    bool is_new = (size_t)json_integer_value(id) == json_array_size(r->vocab);
    if ((is_new && json_array_append(r->vocab, name)) || json_array_append(r->added, name) ||
        json_object_setn_new(r->names, json_string_value(name), json_string_length(name),
                             json_true()))
        return no_memory(r);
    return MGPT_OK;
}

static enum mgpt_status read_list(struct reader *r, const json_t *list)
{
    enum mgpt_status status = MGPT_OK;
    const json_t *token;
    char where[48];
    size_t i;

    json_array_foreach(list, i, token)
    {
        (void)snprintf(where, sizeof where, "added_tokens[%zu]", i);
        status = check_flags(r, token, where);
        if (status == MGPT_OK)
            status = add(r, json_object_get(token, "content"), json_object_get(token, "id"), where);
        if (status != MGPT_OK)
            break;
    }
    return status;
}

/* ---- added_tokens.json ---- */

struct entry {
    json_t *name;
    const json_t *id;
};

static int by_id(const void *a, const void *b)
{
    json_int_t left = json_integer_value(((const struct entry *)a)->id);
    json_int_t right = json_integer_value(((const struct entry *)b)->id);

    return (left > right) - (left < right);
}

/* What tokenizer.json has, too, is there once more. */
static enum mgpt_status add_entry(struct reader *r, const struct entry *e)
{
    char where[72];
    size_t at = (size_t)json_integer_value(e->id);

    (void)snprintf(where, sizeof where, "\"%.60s\"", json_string_value(e->name));
    if (json_is_integer(e->id) && is_added(r, e->name) &&
        json_equal(json_array_get(r->vocab, at), e->name))
        return MGPT_OK;
    return add(r, e->name, e->id, where);
}

/* The file is sorted by name. */
static enum mgpt_status read_object(struct reader *r, json_t *object)
{
    size_t room = json_object_size(object), n = 0, length;
    struct entry *list = calloc(room ? room : 1, sizeof *list);
    enum mgpt_status status = list ? MGPT_OK : no_memory(r);
    const char *name;
    json_t *id;

    json_object_keylen_foreach(object, name, length, id)
    {
        if (status == MGPT_OK && !(list[n].name = json_stringn(name, length)))
            status = no_memory(r);
        if (status != MGPT_OK)
            break;
        list[n++].id = id;
    }
    if (n)
        qsort(list, n, sizeof *list, by_id);
    for (size_t i = 0; i < n && status == MGPT_OK; i++)
        status = add_entry(r, &list[i]);
    for (size_t i = 0; i < n; i++)
        json_decref(list[i].name);
    free(list);
    return status;
}

static enum mgpt_status read_file(struct reader *r, struct mgpt_hf *hf)
{
    struct mgpt_error why;
    struct reader there = *r;
    json_t *object = NULL;
    enum mgpt_status status =
        mgpt_json_parse(hf->added_json, strlen(hf->added_json), &object, &why);

    there.error = &why;
    if (status == MGPT_OK)
        status = read_object(&there, object);
    json_decref(object);
    if (status == MGPT_OK)
        return MGPT_OK;
    hf->added_wrong = true;
    return mgpt_fail(r->error, status, "%s: %s", hf->added_path, why.text);
}

enum mgpt_status mgpt_hf_added_read(const json_t *root, struct mgpt_hf *hf, json_t *vocab,
                                    json_t *added, struct mgpt_error *error)
{
    struct reader r = {
        .vocab = vocab,
        .added = added,
        .names = json_copy(json_object_get(json_object_get(root, "model"), "vocab")),
        .error = error,
    };
    enum mgpt_status status =
        r.names ? read_list(&r, json_object_get(root, "added_tokens")) : no_memory(&r);

    if (status == MGPT_OK && hf->added_json)
        status = read_file(&r, hf);
    json_decref(r.names);
    return status;
}
