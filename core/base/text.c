/* Text: a growing buffer, UTF-8, numbers, and the nearest name to a misspelt one. */
#include <config.h>

#include "base/text.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <microgpt/utf8.h>

/* ---- a growing string ---- */

/* Makes room for `more` bytes and the 0. */
static bool reserve(struct mgpt_string *s, size_t more)
{
    if (s->failed || more > SIZE_MAX / 2 - s->size - 1) {
        s->failed = true;
        return false;
    }
    size_t need = s->size + more + 1;
    if (need <= s->capacity)
        return true;
    size_t capacity = need < 64 ? 64 : need + need / 2;
    char *data = realloc(s->data, capacity);
    if (!data) {
        s->failed = true;
        return false;
    }
    s->data = data;
    s->capacity = capacity;
    return true;
}

void mgpt_string_add(struct mgpt_string *s, const char *data, size_t size)
{
    if (!reserve(s, size))
        return;
    if (size)
        memcpy(s->data + s->size, data, size);
    s->size += size;
    s->data[s->size] = 0;
}

void mgpt_string_format(struct mgpt_string *s, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    if (size < 0) {
        s->failed = true;
    } else if (reserve(s, (size_t)size)) {
        (void)vsnprintf(s->data + s->size, (size_t)size + 1, format, again);
        s->size += (size_t)size;
    }
    va_end(again);
    va_end(args);
}

void mgpt_string_finish(struct mgpt_string *s)
{
    if (!s)
        return;
    free(s->data);
    *s = (struct mgpt_string){0};
}

/* ---- UTF-8 ---- */

size_t mgpt_utf8_check(const char *text, size_t size)
{
    uint32_t c;
    size_t at = 0;
    for (unsigned length; (length = mgpt_utf8_read(text + at, size - at, &c)); at += length)
        ;
    return at;
}

size_t mgpt_utf8_whole(const char *text, size_t size)
{
    for (size_t back = 1; back <= 3 && back <= size; back++) {
        unsigned char c = (unsigned char)text[size - back];
        size_t length = c >= 0xf0 && c <= 0xf4 ? 4 : c >= 0xe0 ? 3 : 2;
        if (c < 0x80 || c > 0xf4)
            return size;
        if (c >= 0xc2)
            return back < length ? size - back : size;
    }
    return size;
}

void mgpt_utf8_add(struct mgpt_string *s, const char *text, size_t size)
{
    while (size) {
        size_t valid = mgpt_utf8_check(text, size);
        mgpt_string_add(s, text, valid);
        if (valid < size)
            mgpt_string_add(s, "\xef\xbf\xbd", 3);
        valid += valid < size;
        text += valid;
        size -= valid;
    }
}

void mgpt_visible_add(struct mgpt_string *s, const char *text, size_t size)
{
    for (size_t at = 0, length; at < size; at += length) {
        uint32_t c = (unsigned char)text[at];
        length = mgpt_utf8_read(text + at, size - at, &c);
        if (length && mgpt_utf8_plain(c))
            mgpt_string_add(s, text + at, length);
        else
            mgpt_string_format(s, "\\x%02x", c);
        length += !length;
    }
}

/* ---- messages ---- */

void mgpt_shell_add(struct mgpt_string *s, const char *text)
{
    mgpt_string_add(s, "'", 1);
    for (; *text; text++)
        mgpt_string_format(s, *text == '\'' ? "'\\''" : "%c", *text);
    mgpt_string_add(s, "'", 1);
}

const char *mgpt_text_after_path(const char *text, const char *path)
{
    size_t n = strlen(path);

    return strncmp(text, path, n) == 0 && strncmp(text + n, ": ", 2) == 0 ? text + n + 2 : text;
}

/* ---- blanks ---- */

bool mgpt_blank(char c)
{
    return c == ' ' || c == '\t';
}

char *mgpt_trim(char *text)
{
    while (mgpt_blank(*text))
        text++;
    for (size_t size = strlen(text); size && mgpt_blank(text[size - 1]); size--)
        text[size - 1] = 0;
    return text;
}

/* ---- numbers ---- */

/* The C library's readers skip leading blanks, take "0x1p3" and "nan", and a minus for unsigned: so
 * the characters are looked at first. */
static bool only(const char *text, const char *characters)
{
    return *text && text[strspn(text, characters)] == 0;
}

bool mgpt_parse_int(const char *text, int64_t *value)
{
    char *end;
    if (!only(text, "+-0123456789"))
        return false;
    errno = 0;
    long long parsed = strtoll(text, &end, 10);
    if (errno || end == text || *end)
        return false;
    *value = parsed;
    return true;
}

bool mgpt_parse_seed(const char *text, uint64_t *value)
{
    char *end;
    if (!only(text, "0123456789"))
        return false;
    errno = 0;
    unsigned long long parsed = strtoull(text, &end, 10);
    if (errno || *end)
        return false;
    *value = parsed;
    return true;
}

bool mgpt_parse_float(const char *text, double *value)
{
    char *end;
    if (!only(text, "+-.eE0123456789"))
        return false;
    errno = 0;
    double parsed = strtod(text, &end);
    if (end == text || *end || !isfinite(parsed) || (errno == ERANGE && parsed == 0))
        return false;
    *value = parsed;
    return true;
}

bool mgpt_parse_bool(const char *text, bool *value)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!strcmp(text, words[i])) {
            *value = i % 2 == 1;
            return true;
        }
    return false;
}

/* ---- the nearest name ---- */

enum { LONGEST = 64 }; /* of two names that are worth comparing */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Damerau-Levenshtein distance in its restricted form (optimal string alignment): insertions,
 * deletions, substitutions and swaps of neighbours cost 1. Three rows of the usual table. */
static size_t distance(const char *a, size_t n, const char *b, size_t m)
{
    size_t rows[3][LONGEST + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= m; j++)
        before[j] = above[j] = j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t cost = a[i - 1] != b[j - 1];
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[m];
}

const char *mgpt_nearest(const char *name, const char *const *names)
{
    const char *nearest = NULL;
    size_t n = strlen(name), best = (n + 2) / 3 + 1; /* a third of the letters may be wrong */
    if (n > LONGEST)
        return NULL;
    for (; *names; names++) {
        size_t m = strlen(*names);
        if (m > LONGEST)
            continue;
        size_t d = distance(name, n, *names, m);
        if (d < best && d < n && d < m) {
            best = d;
            nearest = *names;
        }
    }
    return nearest;
}
