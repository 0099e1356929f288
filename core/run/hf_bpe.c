/* Byte-level BPE with merges: tokenizer.json of Hugging Face `tokenizers`, or the two files of
 * GPT-2 itself, to that of our module bpe. Tokens and merges are checked by the module when it
 * loads them; here, that nothing in the file would make other ids of a text. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "run/hf_bpe.h"

#define END_OF_TEXT "<|endoftext|>" /* GPT-2's only added token; its files do not say so */

static const char *type_of(const json_t *object)
{
    const char *type = json_string_value(json_object_get(object, "type"));

    return type ? type : "";
}

/* ---- what cannot be expressed ---- */

static bool is_empty(const json_t *text)
{
    return !text || json_is_null(text) || (json_is_string(text) && !json_string_length(text));
}

static enum mgpt_status check_model(const json_t *model, struct mgpt_error *error)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};

    if (json_number_value(json_object_get(model, "dropout")) != 0)
        return mgpt_fail(error, MGPT_UNSUPPORTED, "model.dropout: expected null");
    if (json_is_true(json_object_get(model, "ignore_merges")))
        return mgpt_fail(error, MGPT_UNSUPPORTED, "model.ignore_merges: expected false");
    for (size_t i = 0; i < 2; i++)
        if (!is_empty(json_object_get(model, affixes[i])))
            return mgpt_fail(error, MGPT_UNSUPPORTED, "model.%s: expected null", affixes[i]);
    return MGPT_OK;
}

/* The pre-tokenizer was looked at by the caller, but for its pattern. A template puts BOS around a
 * text, or nothing; the ids between are the same. */
static enum mgpt_status check_parts(const json_t *root, struct mgpt_error *error)
{
    static const char *const parts[] = {"pre_tokenizer", "post_processor", "decoder"};

    for (size_t i = 0; i < 3; i++) {
        const json_t *part = json_object_get(root, parts[i]);
        bool template = i == 1 && !strcmp(type_of(part), "TemplateProcessing");
        if (json_is_object(part) && !template && strcmp(type_of(part), "ByteLevel") != 0)
            return mgpt_fail(error, MGPT_UNSUPPORTED,
                             "%s.type is \"%.40s\"; for merges expected \"ByteLevel\"%s", parts[i],
                             type_of(part), i == 1 ? " or \"TemplateProcessing\"" : "");
    }
    const json_t *pre = json_object_get(root, "pre_tokenizer");
    if (!json_is_object(pre))
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "pre_tokenizer: for merges expected ByteLevel, which cuts words as GPT-2");
    if (json_is_false(json_object_get(pre, "use_regex")))
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "pre_tokenizer.use_regex: for merges expected true, the words of GPT-2");
    return check_model(json_object_get(root, "model"), error);
}

/* ---- theirs to ours ---- */

/* ["a", "b"], as newer files have it, to "a b". */
static json_t *read_merge(const json_t *merge)
{
    const json_t *left = json_array_get(merge, 0), *right = json_array_get(merge, 1);

    if (json_is_string(merge))
        return json_incref((json_t *)(uintptr_t)merge);
    if (json_array_size(merge) != 2 || !json_is_string(left) || !json_is_string(right))
        return NULL;
    return json_sprintf("%s %s", json_string_value(left), json_string_value(right));
}

static enum mgpt_status read_merges(const json_t *model, json_t *merges, struct mgpt_error *error)
{
    const json_t *list = json_object_get(model, "merges"), *merge;
    size_t i;

    json_array_foreach(list, i, merge)
    {
        if (json_array_append_new(merges, read_merge(merge)))
            return mgpt_fail(error, MGPT_DATA,
                             "model.merges[%zu]: expected \"a b\" or [\"a\", \"b\"]", i);
    }
    return MGPT_OK;
}

/* BOS is the added token that config.json names, or else GPT-2's. */
static const json_t *find_bos(const json_t *vocab, const json_t *added, int32_t id)
{
    const json_t *named = id < 0 ? NULL : json_array_get(vocab, (size_t)id), *token, *usual = NULL;
    size_t i;

    json_array_foreach(added, i, token)
    {
        if (named && json_equal(token, named))
            return token;
        if (!strcmp(json_string_value(token), END_OF_TEXT))
            usual = token;
    }
    return usual;
}

enum mgpt_status mgpt_hf_bpe_read(const json_t *root, json_t *vocab, json_t *added, int32_t bos,
                                  struct mgpt_hf *hf, struct mgpt_error *error)
{
    json_t *merges = json_array(), *ours = NULL;
    const json_t *bos_name;
    enum mgpt_status status = check_parts(root, error);

    if (status == MGPT_OK)
        status = read_merges(json_object_get(root, "model"), merges, error);
    if (status == MGPT_OK) {
        bos_name = find_bos(vocab, added, bos);
        hf->tokenizer = "bpe";
        hf->bos = bos_name != NULL;
        hf->ids = (uint32_t)json_array_size(vocab);
        ours = json_pack("{s:s, s:{s:s, s:O?, s:O, s:O, s:O}}", "version", "1.0", "model", "type",
                         "bpe", "bos", bos_name, "vocab", vocab, "merges", merges, "added", added);
        hf->tokenizer_json = ours ? json_dumps(ours, JSON_COMPACT) : NULL;
        if (!hf->tokenizer_json)
            status = mgpt_fail(error, MGPT_NOMEM, "out of memory for tokenizer.json");
    }
    json_decref(ours);
    json_decref(merges);
    return status;
}

/* ---- vocab.json and merges.txt ---- */

/* A merge a line, behind a line "#version: 0.2". */
static json_t *split_lines(const char *text, size_t size)
{
    static const char version[] = "#version";
    json_t *list = json_array();
    const char *end = text + size, *line = text, *stop;

    for (; list && line < end; line = stop + 1) {
        stop = memchr(line, '\n', (size_t)(end - line));
        stop = stop ? stop : end;
        size_t n = (size_t)(stop - line);
        bool skip = !n || (line == text && n >= sizeof version - 1 &&
                           !memcmp(line, version, sizeof version - 1));
        if (!skip && json_array_append_new(list, json_stringn(line, n))) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

enum mgpt_status mgpt_hf_merges_read(const char *vocab, size_t size, const char *merges,
                                     size_t merges_size, int32_t bos, struct mgpt_hf *hf,
                                     struct mgpt_error *error)
{
    json_t *tokens, *list, *added, *root = NULL;
    enum mgpt_status status = mgpt_json_parse(vocab, size, &tokens, error);

    if (status != MGPT_OK)
        return status;
    const json_t *end_of_text = json_object_get(tokens, END_OF_TEXT);
    list = split_lines(merges, merges_size);
    added = end_of_text ? json_pack("[{s:O, s:s}]", "id", end_of_text, "content", END_OF_TEXT)
                        : json_array();
    if (list && added)
        root = json_pack("{s:{s:s, s:O, s:O}, s:{s:s, s:b}, s:O}", "model", "type", "BPE", "vocab",
                         tokens, "merges", list, "pre_tokenizer", "type", "ByteLevel",
                         "add_prefix_space", 0, "added_tokens", added);
    status = root ? mgpt_hf_tokenizer_take(root, bos, hf, error)
                  : mgpt_fail(error, MGPT_DATA, "merges.txt: expected merges in UTF-8, one a line");
    json_decref(root);
    json_decref(tokens);
    json_decref(list);
    json_decref(added);
    return status;
}

/* ---- ours to theirs ---- */

json_t *mgpt_hf_bpe_vocab(const json_t *model)
{
    json_t *vocab = json_object();
    const json_t *token;
    size_t id;

    json_array_foreach(json_object_get(model, "vocab"), id, token)
    {
        if (json_object_setn_new(vocab, json_string_value(token), json_string_length(token),
                                 json_integer((json_int_t)id))) {
            json_decref(vocab);
            return NULL;
        }
    }
    return vocab;
}
