/* tokenizer.json, ours and that of Hugging Face `tokenizers`: BPE without merges leaves one id a
 * byte (byte-level) or one id a character (without a pre-tokenizer). With merges: hf_bpe.c. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "run/hf.h"
#include "run/hf_bpe.h"

#define BOS_NAME "<BOS>" /* what our modules call it */
#define BYTES 256

/* ---- characters ---- */

static size_t utf8_write(uint32_t c, char out[4])
{
    static const unsigned char lead[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(lead[n] | c);
    return n;
}

/* The code point of valid UTF-8 that is one character, else -1. */
static int64_t one_char(const char *text, size_t size)
{
    static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    size_t n = 1;
    uint32_t c;

    while (n < size && ((unsigned char)text[n] & 0xc0) == 0x80)
        n++;
    if (!size || n != size || n > 4)
        return -1;
    c = (unsigned char)text[0] & mask[n];
    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((unsigned char)text[i] & 0x3f);
    return c;
}

/* What byte-level BPE calls a byte: the printable ones of Latin-1 themselves, the other 68 in order
 * from U+0100 (Radford et al. 2019, their encoder.py). */
static bool is_plain(uint32_t byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

static uint32_t byte_char(uint32_t byte)
{
    uint32_t n = 0;

    if (is_plain(byte))
        return byte;
    for (uint32_t b = 0; b < byte; b++)
        n += !is_plain(b);
    return 0x100 + n;
}

/* ---- ours to theirs ---- */

static int add_id(json_t *vocab, const char *name, size_t size, int32_t id)
{
    return json_object_setn_new(vocab, name, size, json_integer(id));
}

static int fill_bytes(json_t *vocab, bool bos)
{
    int failed = 0;

    for (uint32_t b = 0; b < BYTES; b++) {
        char name[4];
        size_t size = utf8_write(byte_char(b), name);
        failed |= add_id(vocab, name, size, (int32_t)b);
    }
    if (bos)
        failed |= add_id(vocab, BOS_NAME, strlen(BOS_NAME), BYTES);
    return failed;
}

static int fill_chars(json_t *vocab, const json_t *ours, bool bos)
{
    int failed = bos ? add_id(vocab, BOS_NAME, strlen(BOS_NAME), 0) : 0;

    for (size_t i = 0; i < json_array_size(ours); i++) {
        const json_t *c = json_array_get(ours, i);
        failed |= add_id(vocab, json_string_value(c), json_string_length(c), (int32_t)(i + bos));
    }
    return failed;
}

/* The tokens that are matched before the pattern. */
static json_t *their_added(const json_t *vocab, const json_t *names)
{
    json_t *list = json_array();
    const json_t *name;
    size_t i;

    json_array_foreach(names, i, name)
    {
        json_t *id = json_object_getn(vocab, json_string_value(name), json_string_length(name));
        json_t *token =
            json_pack("{s:O, s:O, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", name,
                      "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1);
        if (json_array_append_new(list, token)) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* Takes all three; NULL without memory. Without merges use_regex = false would do as well; a reader
 * may be surprised by less when it is as GPT-2's. */
static json_t *their_root(json_t *vocab, json_t *merges, json_t *added, bool bytes)
{
    json_t *level = bytes ? json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel",
                                      "add_prefix_space", 0, "trim_offsets", 1, "use_regex", 1)
                          : NULL;
    json_t *decoder = bytes ? json_copy(level) : json_pack("{s:s}", "type", "Fuse");

    return json_pack("{s:s, s:n, s:n, s:o, s:n, s:o?, s:n, s:o,"
                     " s:{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}}",
                     "version", "1.0", "truncation", "padding", "added_tokens", added, "normalizer",
                     "pre_tokenizer", level, "post_processor", "decoder", decoder, "model", "type",
                     "BPE", "dropout", "unk_token", "continuing_subword_prefix",
                     "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0, "ignore_merges", 0,
                     "vocab", vocab, "merges", merges);
}

/* The vocabulary of any of ours; NULL without memory. */
static json_t *their_vocab(const json_t *model, const char *type, bool bos)
{
    json_t *vocab;
    int failed;

    if (!strcmp(type, "bpe"))
        return mgpt_hf_bpe_vocab(model);
    vocab = json_object();
    failed = !strcmp(type, "byte") ? fill_bytes(vocab, bos)
                                   : fill_chars(vocab, json_object_get(model, "vocab"), bos);
    if (!failed)
        return vocab;
    json_decref(vocab);
    return NULL;
}

static enum mgpt_status write_theirs(const json_t *model, char **theirs, int32_t *bos, char **name,
                                     struct mgpt_error *error)
{
    const json_t *its_bos = json_object_get(model, "bos"), *names;
    const char *type = json_string_value(json_object_get(model, "type"));
    bool pairs = type && !strcmp(type, "bpe"), chars = type && !strcmp(type, "char");
    json_t *alone = json_is_string(its_bos) ? json_pack("[O]", its_bos) : json_array(), *root;

    if (!type || (!pairs && !chars && strcmp(type, "byte") != 0)) {
        json_decref(alone);
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "tokenizer \"%s\" is none of char, byte and bpe: there is no form to "
                         "write it in",
                         type && strlen(type) < 64 ? type : "?");
    }
    json_t *vocab = their_vocab(model, type, json_is_string(its_bos));
    json_t *merges = pairs ? json_copy(json_object_get(model, "merges")) : json_array();
    names = pairs ? json_object_get(model, "added") : alone;
    root = their_root(vocab, merges, their_added(vocab, names), !chars);
    if (json_is_string(its_bos)) {
        const json_t *id =
            json_object_getn(vocab, json_string_value(its_bos), json_string_length(its_bos));
        *bos = id ? (int32_t)json_integer_value(id) : -1;
        *name = strdup(json_string_value(its_bos));
    }
    *theirs = root && (*bos < 0 || *name) ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    json_decref(alone);
    return *theirs ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "out of memory for tokenizer.json");
}

enum mgpt_status mgpt_hf_tokenizer_write(const char *ours, size_t size, char **theirs, int32_t *bos,
                                         char **bos_name, struct mgpt_error *error)
{
    json_t *root;
    enum mgpt_status status = mgpt_json_parse(ours, size, &root, error);

    *theirs = *bos_name = NULL;
    *bos = -1;
    if (status != MGPT_OK)
        return status;
    status = write_theirs(json_object_get(root, "model"), theirs, bos, bos_name, error);
    json_decref(root);
    return status;
}

/* ---- theirs to ours ---- */

static bool is_type(const json_t *object, const char *type)
{
    const char *name = json_string_value(json_object_get(object, "type"));

    return name && !strcmp(name, type);
}

/* The tokens by id (malloc; borrowed strings); ids must be 0 to n - 1. */
static enum mgpt_status list_tokens(const json_t *vocab, const json_t **tokens, size_t n,
                                    struct mgpt_error *error)
{
    const char *name;
    size_t length;
    json_t *value;

    json_object_keylen_foreach((json_t *)(uintptr_t)vocab, name, length, value)
    {
        json_int_t id = json_integer_value(value);
        if (!json_is_integer(value) || id < 0 || (uint64_t)id >= n || tokens[id])
            return mgpt_fail(error, MGPT_DATA, "model.vocab: expected each id from 0 to %zu once",
                             n - 1);
        tokens[id] = json_stringn(name, length);
        if (!tokens[id])
            return mgpt_fail(error, MGPT_NOMEM, "out of memory for its vocabulary");
    }
    return MGPT_OK;
}

static int64_t char_of(const json_t *token)
{
    return one_char(json_string_value(token), json_string_length(token));
}

/* Is id b byte b, for all of them? */
static bool is_bytes(const json_t *const *tokens, size_t n)
{
    for (uint32_t b = 0; b < BYTES && b < n; b++)
        if (char_of(tokens[b]) != byte_char(b))
            return false;
    return n == BYTES || n == BYTES + 1;
}

/* One character each, ascending, from id `first`. */
static bool is_chars(const json_t *const *tokens, size_t n, size_t first)
{
    for (size_t i = first; i < n; i++)
        if (char_of(tokens[i]) < 0 || (i > first && char_of(tokens[i]) <= char_of(tokens[i - 1])))
            return false;
    return true;
}

static json_t *our_chars(const json_t *const *tokens, size_t n, bool bos)
{
    json_t *list = json_array();

    for (size_t i = bos; i < n; i++)
        if (json_array_append(list, (json_t *)(uintptr_t)tokens[i]))
            break;
    return list;
}

static enum mgpt_status choose(const json_t *const *tokens, size_t n, bool level,
                               struct mgpt_hf *hf, struct mgpt_error *error)
{
    bool first_is_bos = char_of(tokens[0]) < 0;
    json_t *model;

    hf->ids = (uint32_t)n;
    if (level && is_bytes(tokens, n)) {
        hf->tokenizer = "byte";
        hf->bos = n > BYTES;
        model = json_pack("{s:s, s:s?}", "type", "byte", "bos", hf->bos ? BOS_NAME : NULL);
    } else if (!level && is_chars(tokens, n, first_is_bos)) {
        hf->tokenizer = "char";
        hf->bos = first_is_bos;
        model = json_pack("{s:s, s:s?, s:o}", "type", "char", "bos", hf->bos ? BOS_NAME : NULL,
                          "vocab", our_chars(tokens, n, hf->bos));
    } else {
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "model.vocab: expected characters in order, behind at most one other "
                         "token; there is no tokenizer for others");
    }
    json_t *root = json_pack("{s:s, s:o}", "version", "1.0", "model", model);
    hf->tokenizer_json = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return hf->tokenizer_json ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "out of memory");
}

/* The parts of the file that would change what text becomes, but for the vocabulary. */
static enum mgpt_status check_parts(const json_t *root, const json_t *model,
                                    struct mgpt_error *error)
{
    const json_t *pre = json_object_get(root, "pre_tokenizer");

    /* Older files name no type, and are told by their merges, as `tokenizers` does. */
    bool untyped =
        !json_object_get(model, "type") && json_is_array(json_object_get(model, "merges"));

    if (!untyped && !is_type(model, "BPE"))
        return mgpt_fail(error, MGPT_UNSUPPORTED, "model.type: expected \"BPE\"");
    if (json_is_object(json_object_get(root, "normalizer")))
        return mgpt_fail(error, MGPT_UNSUPPORTED, "normalizer: expected null");
    if (json_is_object(pre) &&
        (!is_type(pre, "ByteLevel") || !json_is_false(json_object_get(pre, "add_prefix_space"))))
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "pre_tokenizer: expected null, or ByteLevel with add_prefix_space false");
    if (json_object_size(json_object_get(model, "vocab")) < 1)
        return mgpt_fail(error, MGPT_DATA, "model.vocab: expected an object of tokens and ids");
    return MGPT_OK;
}

/* Tokens of all kinds as a list; NULL without memory. */
static json_t *list_of(const json_t *const *tokens, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        if (json_array_append(list, (json_t *)(uintptr_t)tokens[i])) {
            json_decref(list);
            return NULL;
        }
    return list;
}

/* Are the first `count` that are added nothing but what our modules have for BOS? */
static bool adds_bos_alone(const json_t *added, size_t count, const json_t *const *tokens, size_t n,
                           bool level)
{
    size_t at = level ? BYTES : 0;

    return !count || (count == 1 && at < n && json_equal(json_array_get(added, 0), tokens[at]));
}

/* An id for each character, and tokens besides. `own`: tokenizer.json adds such itself. */
static enum mgpt_status refuse_added(bool own, struct mgpt_hf *hf, struct mgpt_error *error)
{
    hf->added_wrong = !own && hf->added_json != NULL;
    return mgpt_fail(error, MGPT_UNSUPPORTED,
                     "%s: expected the first of model.vocab alone, for %s has an id for each "
                     "character; there is no tokenizer with others",
                     hf->added_wrong ? hf->added_path : "added_tokens",
                     hf->added_wrong ? "tokenizer.json" : "it");
}

/* Merges, bytes in another order and added tokens are for module bpe. */
static enum mgpt_status choose_or_merge(const json_t *root, const json_t *const *tokens, size_t n,
                                        json_t *vocab, json_t *added, int32_t bos,
                                        struct mgpt_hf *hf, struct mgpt_error *error)
{
    bool level = json_is_object(json_object_get(root, "pre_tokenizer"));
    bool merges = json_array_size(json_object_get(json_object_get(root, "model"), "merges")) > 0;
    size_t own = json_array_size(json_object_get(root, "added_tokens"));
    bool alone = adds_bos_alone(added, json_array_size(added), tokens, n, level);

    if (!merges && alone && (!level || is_bytes(tokens, n)))
        return choose(tokens, n, level, hf, error);
    if (!merges && !level)
        return refuse_added(!adds_bos_alone(added, own, tokens, n, level), hf, error);
    return mgpt_hf_bpe_read(root, vocab, added, bos, hf, error);
}

/* All tokens as lists, with those that are added. */
static enum mgpt_status take_lists(const json_t *root, const json_t *const *tokens, size_t n,
                                   int32_t bos, struct mgpt_hf *hf, struct mgpt_error *error)
{
    json_t *vocab = list_of(tokens, n), *added = json_array();
    enum mgpt_status status =
        vocab && added ? mgpt_hf_added_read(root, hf, vocab, added, error)
                       : mgpt_fail(error, MGPT_NOMEM, "out of memory for its vocabulary");

    if (status == MGPT_OK)
        status = choose_or_merge(root, tokens, n, vocab, added, bos, hf, error);
    json_decref(vocab);
    json_decref(added);
    return status;
}

enum mgpt_status mgpt_hf_tokenizer_take(const json_t *root, int32_t bos, struct mgpt_hf *hf,
                                        struct mgpt_error *error)
{
    const json_t *model = json_object_get(root, "model"), *vocab = json_object_get(model, "vocab");
    size_t n = json_object_size(vocab);
    enum mgpt_status status = check_parts(root, model, error);

    if (status != MGPT_OK)
        return status;
    const json_t **tokens = calloc(n, sizeof *tokens);
    if (!tokens)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for its vocabulary");
    status = list_tokens(vocab, tokens, n, error);
    if (status == MGPT_OK)
        status = take_lists(root, tokens, n, bos, hf, error);
    for (size_t i = 0; i < n; i++)
        json_decref((json_t *)(uintptr_t)tokens[i]);
    free(tokens);
    return status;
}

enum mgpt_status mgpt_hf_tokenizer_read(const char *theirs, size_t size, int32_t bos,
                                        struct mgpt_hf *hf, struct mgpt_error *error)
{
    json_t *root;
    enum mgpt_status status = mgpt_json_parse(theirs, size, &root, error);

    if (status != MGPT_OK)
        return status;
    status = mgpt_hf_tokenizer_take(root, bos, hf, error);
    json_decref(root);
    return status;
}
