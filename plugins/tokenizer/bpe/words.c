/* Text to words, by the pattern of GPT-2 (its encoder.py), written out:
 *
 *   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * An engine for patterns would need the same tables, and all alternatives but the last two look at
 * no more than the next character, so one pass over the bytes does. */
#include <string.h>
#include <utf8proc.h>

#include "bpe.h"

enum kind { LETTER, NUMBER, SPACE, OTHER };

/* ---- classes of characters ---- */

/* White_Space of Unicode: 25 code points that have not changed for years. Libraries for patterns
 * disagree with it, and with each other, about U+0085, U+180E and U+FEFF. */
static bool is_space(int32_t c)
{
    static const int32_t singles[] = {0x20,   0x85,   0xa0,   0x1680, 0x2028,
                                      0x2029, 0x202f, 0x205f, 0x3000};

    if ((c >= 0x09 && c <= 0x0d) || (c >= 0x2000 && c <= 0x200a))
        return true;
    for (size_t i = 0; i < sizeof singles / sizeof singles[0]; i++)
        if (c == singles[i])
            return true;
    return false;
}

static enum kind kind_of(int32_t c)
{
    if (is_space(c))
        return SPACE;
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return NUMBER;
    default: return OTHER;
    }
}

/* Reads one character of a text that is not empty: its bytes, or 1 for a byte that is no UTF-8. */
static uint64_t read_kind(const char *text, uint64_t size, enum kind *kind)
{
    unsigned char b = (unsigned char)text[0];
    utf8proc_int32_t c;

    if (b < 0x80) {
        *kind = (b | 0x20) >= 'a' && (b | 0x20) <= 'z' ? LETTER
                : b >= '0' && b <= '9'                 ? NUMBER
                : b == ' ' || (b >= '\t' && b <= '\r') ? SPACE
                                                       : OTHER;
        return 1;
    }
    utf8proc_ssize_t n =
        utf8proc_iterate((const utf8proc_uint8_t *)text, size < 4 ? (int)size : 4, &c);
    *kind = n > 0 ? kind_of(c) : OTHER;
    return n > 0 ? (uint64_t)n : 1;
}

/* ---- words ---- */

/* 's, 't, 'm, 'd, 're, 've, 'll: their bytes, or 0. Only these, in lower case. */
static uint64_t contraction(const char *text, uint64_t size)
{
    if (size < 2 || text[0] != '\'')
        return 0;
    if (text[1] && strchr("stmd", text[1]))
        return 2;
    return size > 2 && (!memcmp(text + 1, "re", 2) || !memcmp(text + 1, "ve", 2) ||
                        !memcmp(text + 1, "ll", 2))
               ? 3
               : 0;
}

/* Bytes of the characters of one class from `at` on. With `last`, where the last of them begins. */
static uint64_t run_of(enum kind kind, const char *text, uint64_t size, uint64_t at, uint64_t *last)
{
    enum kind here;

    for (uint64_t n; at < size; at += n) {
        n = read_kind(text + at, size - at, &here);
        if (here != kind)
            break;
        *last = at;
    }
    return at;
}

uint64_t bpe_word(const char *text, uint64_t size)
{
    enum kind kind;
    uint64_t last = 0, short_one = contraction(text, size);

    if (short_one)
        return short_one;
    uint64_t n = read_kind(text, size, &kind);
    if (text[0] == ' ' && size > 1) { /* a blank belongs to the word behind it */
        uint64_t next = read_kind(text + 1, size - 1, &kind);
        if (kind != SPACE)
            return run_of(kind, text, size, 1 + next, &last);
        kind = SPACE;
    }
    uint64_t end = run_of(kind, text, size, n, &last);

    /* \s+(?!\S): white space before a word leaves its last character to that word. */
    return kind == SPACE && end < size && last > 0 ? last : end;
}

/* ---- words and added tokens ---- */

/* The added token that the text starts with, the longest one, or -1. */
static int32_t added_at(const struct bpe_table *table, const char *text, uint64_t size)
{
    for (uint32_t i = 0; i < table->n_added; i++) {
        uint64_t n;
        const char *bytes = bpe_bytes(table, table->added[i], &n);
        if (n <= size && !memcmp(bytes, text, n))
            return table->added[i];
    }
    return -1;
}

/* Finds the next stretch without added tokens, and the token at its end. */
static void find_end(struct bpe_cursor *c)
{
    c->id = -1;
    for (c->end = c->at; c->end < c->size; c->end++)
        if (c->table->starts_added[(unsigned char)c->text[c->end]]) {
            c->id = added_at(c->table, c->text + c->end, c->size - c->end);
            if (c->id >= 0)
                return;
        }
}

bool bpe_next(struct bpe_cursor *c, struct mgpt_text *word, int32_t *id)
{
    if (c->at == c->end && c->at < c->size)
        find_end(c);
    word->data = c->text + c->at;
    *id = -1;
    if (c->at < c->end) {
        word->size = bpe_word(word->data, c->end - c->at);
    } else if (c->at < c->size) {
        *id = c->id;
        (void)bpe_bytes(c->table, c->id, &word->size);
        c->end += word->size;
    } else {
        return false;
    }
    c->at += word->size;
    return true;
}
