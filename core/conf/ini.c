/* INI files through inih 55 and ini_parse_stream, with a reader of our own. Left to itself, inih
 * tells the handler no line number, hands a line of 200 bytes or more over in pieces, cuts names at
 * 49 bytes, takes an indented line as more of the value above, takes "key: value", ignores what
 * follows "[section]", reads on after an error, and knows nothing of UTF-8 or of bytes that are 0.
 * So each line is counted, cleared of its comment and checked before inih sees it; and of an entry
 * it sees the key alone, so that values may be longer than its lines. */
#include <config.h>

#include "conf/ini.h"

#include <assert.h>
#include <ini.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

#define FILE_LIMIT (1u << 20)
#define NAMES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."

struct reader {
    const char *path, *at, *end;
    unsigned line;
    char section[MGPT_INI_NAME + 1];
    char value[MGPT_INI_LINE + 1]; /* of the line that inih has */
    bool in_section;
    bool lost; /* the section is not known: a line that may have named it is refused */
    enum mgpt_status status; /* after the first failure nothing more is read */
    const struct mgpt_ini_visitor *visitor;
    struct mgpt_error *error;
};

/* The next line without its end. */
static void next_line(struct reader *r, const char **line, size_t *size)
{
    const char *end = memchr(r->at, '\n', (size_t)(r->end - r->at));
    *line = r->at;
    *size = (size_t)((end ? end : r->end) - r->at);
    r->at = end ? end + 1 : r->end;
    r->line++;
    if (*size && (*line)[*size - 1] == '\r')
        --*size;
}

static enum mgpt_status check_bytes(struct reader *r, const char *line, size_t size)
{
    size_t valid = mgpt_utf8_check(line, size);
    for (size_t i = 0; i < valid; i++) {
        unsigned char c = (unsigned char)line[i];
        if (c == 0) { /* what follows is no text either */
            r->at = r->end;
            r->lost = true;
        }
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return mgpt_fail(r->error, MGPT_CONFIG, "%s:%u: byte %zu is 0x%02x, expected text",
                             r->path, r->line, i + 1, c);
    }
    if (valid < size)
        return mgpt_fail(r->error, MGPT_CONFIG, "%s:%u: byte %zu is 0x%02x, expected UTF-8",
                         r->path, r->line, valid + 1, (unsigned char)line[valid]);
    return MGPT_OK;
}

/* Size without the comment: a ';' at the start or after a blank, a '#' at the start; and without
 * blanks at the end. */
static size_t without_comment(const char *line, size_t size)
{
    size_t first = 0;
    while (first < size && mgpt_blank(line[first]))
        first++;
    if (first < size && line[first] == '#')
        return 0;
    for (size_t i = 0; i < size; i++)
        if (line[i] == ';' && (i == 0 || mgpt_blank(line[i - 1]))) {
            size = i;
            break;
        }
    while (size && mgpt_blank(line[size - 1]))
        size--;
    return size;
}

/* "[name]", and perhaps a comment after '#', which without_comment leaves here. *part: the size of
 * the first. */
static enum mgpt_status check_section(struct reader *r, const char *line, size_t size, size_t *part)
{
    const char *end = memchr(line, ']', size);
    size_t name = 0, rest = end ? (size_t)(end - line) + 1 : 0;
    while (end && line + 1 + name < end && memchr(NAMES, line[1 + name], sizeof NAMES - 1))
        name++;
    while (rest < size && mgpt_blank(line[rest]))
        rest++;
    if (!end || !name || line + 1 + name != end || (rest < size && line[rest] != '#'))
        return mgpt_fail(r->error, MGPT_CONFIG,
                         "%s:%u: %.*s: expected [section] of letters, digits, _, - and .", r->path,
                         r->line, (int)size, line);
    if (name > MGPT_INI_NAME)
        return mgpt_fail(r->error, MGPT_CONFIG,
                         "%s:%u: %.*s: the section's name has %zu bytes, expected at most %d",
                         r->path, r->line, (int)size, line, name, MGPT_INI_NAME);
    memcpy(r->section, line + 1, name);
    r->section[name] = 0;
    r->in_section = true;
    r->lost = false;
    *part = name + 2;
    return MGPT_OK;
}

/* "key = value"; *part: the size of the key, and the value is kept. */
static enum mgpt_status check_entry(struct reader *r, const char *line, size_t size, size_t *part)
{
    size_t key = 0, value;
    while (key < size && line[key] != '=' && line[key] != ':')
        key++;
    bool equals = key < size && line[key] == '=';
    value = key + 1;
    while (key && mgpt_blank(line[key - 1]))
        key--;
    if (!equals || !key)
        return mgpt_fail(r->error, MGPT_CONFIG, "%s:%u: %.*s: expected key = value", r->path,
                         r->line, (int)size, line);
    if (!r->in_section) {
        r->in_section = r->lost = true; /* told once */
        return mgpt_fail(r->error, MGPT_CONFIG, "%s:%u: %.*s: expected a [section] first", r->path,
                         r->line, (int)size, line);
    }
    if (key > MGPT_INI_NAME)
        return mgpt_fail(r->error, MGPT_CONFIG,
                         "%s:%u: %.*s: the key has %zu bytes, expected at most %d", r->path,
                         r->line, (int)size, line, key, MGPT_INI_NAME);
    while (value < size && mgpt_blank(line[value]))
        value++;
    memcpy(r->value, line + value, size - value);
    r->value[size - value] = 0;
    *part = key;
    return MGPT_OK;
}

/* What is left of a line after its comment. *part: how much of it is for inih. */
static enum mgpt_status check_line(struct reader *r, const char *line, size_t size, size_t *part)
{
    *part = 0;
    if (!size)
        return MGPT_OK;
    if (size > MGPT_INI_LINE)
        return mgpt_fail(r->error, MGPT_CONFIG,
                         "%s:%u: %.*s...: the line has %zu bytes, expected at most %d", r->path,
                         r->line, (int)mgpt_utf8_check(line, 20), line, size, MGPT_INI_LINE);
    if (mgpt_blank(line[0]))
        return mgpt_fail(
            r->error, MGPT_CONFIG,
            "%s:%u: %.*s: the line is indented, expected no blank before a key or [section]",
            r->path, r->line, (int)size, line);
    return (line[0] == '[' ? check_section : check_entry)(r, line, size, part);
}

/* May a line that is refused have named a section: "[train", " [train]", "train]"? */
static bool names_section(const char *line, size_t size)
{
    size_t first = 0;
    while (first < size && mgpt_blank(line[first]))
        first++;
    return first < size &&
           (line[first] == '[' || (line[size - 1] == ']' && !memchr(line, '=', size) &&
                                   !memchr(line, ':', size))); /* "lr: [1]" is a setting */
}

/* Is the line refused, and is the next one to be read all the same? */
static bool passes_over(struct reader *r, const char *line, size_t size)
{
    if (r->status == MGPT_OK || !r->visitor->refuse)
        return false;
    if (names_section(line, size))
        r->in_section = r->lost = true;
    const char *section = r->lost || !r->in_section ? NULL : r->section;
    r->status = r->visitor->refuse(r->visitor->user, section, r->line, r->error);
    return r->status == MGPT_OK;
}

/* inih's reader, as fgets: at most num - 1 bytes and a 0 into `out`. */
static char *read_line(char *out, int num, void *stream)
{
    struct reader *r = stream;
    const char *line;
    size_t size, part = 0;

    assert(num > MGPT_INI_NAME + 2); /* of inih's 200 */
    if (r->status != MGPT_OK || r->at == r->end)
        return NULL;
    next_line(r, &line, &size);
    r->status = check_bytes(r, line, size);
    if (r->status == MGPT_OK) {
        size = without_comment(line, size);
        r->status = check_line(r, line, size, &part);
    }
    if (passes_over(r, line, size))
        part = size = 0;
    if (r->status != MGPT_OK)
        return NULL;
    memcpy(out, line, part);
    if (size && line[0] != '[')
        out[part++] = '=';
    out[part] = 0;
    return out;
}

static int handle(void *user, const char *section, const char *key, const char *value)
{
    struct reader *r = user;
    struct mgpt_ini_entry entry = {r->lost ? NULL : section, key, r->value, r->line};
    (void)value;
    r->status = r->visitor->take(r->visitor->user, &entry, r->error);
    return r->status == MGPT_OK;
}

enum mgpt_status mgpt_ini_parse(const char *path, const char *text, size_t size,
                                const struct mgpt_ini_visitor *visitor, struct mgpt_error *error)
{
    struct reader reader = {
        .path = path, .at = text, .end = text + size, .visitor = visitor, .error = error};
    if (size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) /* a byte order mark */
        reader.at += 3;
    int result = ini_parse_stream(read_line, &reader, handle, &reader);
    if (reader.status == MGPT_OK && result) /* a line that our checks let pass and inih did not */
        return mgpt_fail(error, result < 0 ? MGPT_NOMEM : MGPT_CONFIG,
                         "%s:%d: expected key = value or [section]", path, result);
    return reader.status;
}

enum mgpt_status mgpt_ini_read(const char *path, const struct mgpt_ini_visitor *visitor,
                               struct mgpt_error *error)
{
    char *data = NULL;
    size_t size = 0;
    struct mgpt_error cause;
    enum mgpt_status status = mgpt_file_read(path, FILE_LIMIT, &data, &size, &cause);
    if (status != MGPT_OK)
        return mgpt_fail(error, status == MGPT_NOMEM ? status : MGPT_CONFIG, "%s", cause.text);
    status = mgpt_ini_parse(path, data, size, visitor, error);
    free(data);
    return status;
}
