/* JSON from files that nobody vouches for: bounded, and refused by offset and reason. */
#include <config.h>

#include "base/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* Seen before the parser allocates or recurses. */
static enum mgpt_status check_depth(const char *text, size_t size, struct mgpt_error *error)
{
    size_t depth = 0;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '"') {
            for (i++; i < size && text[i] != '"'; i++)
                i += text[i] == '\\';
        } else if (c == '{' || c == '[') {
            if (++depth > MGPT_JSON_DEPTH)
                return mgpt_fail(error, MGPT_DATA,
                                 "offset %zu: more than %d levels within each other", i,
                                 MGPT_JSON_DEPTH);
        } else if ((c == '}' || c == ']') && depth) {
            depth--;
        }
    }
    return MGPT_OK;
}

/* The parser's reason without what it quotes of the text, which may be anything. */
static enum mgpt_status refuse(const json_error_t *cause, struct mgpt_error *error)
{
    int size = (int)strcspn(cause->text, "\n");
    const char *near = strstr(cause->text, " near '");
    if (!cause->text[0]) /* its way to say that an allocation failed */
        return mgpt_fail(error, MGPT_NOMEM, "no memory to read it");
    if (near && near - cause->text < size)
        size = (int)(near - cause->text);
    return mgpt_fail(error, MGPT_DATA, "offset %d: it is not JSON: %.*s",
                     cause->position > 0 ? cause->position : 0, size, cause->text);
}

enum mgpt_status mgpt_json_parse(const char *text, size_t size, json_t **root,
                                 struct mgpt_error *error)
{
    json_error_t cause;
    *root = NULL;
    enum mgpt_status status = check_depth(text, size, error);
    if (status)
        return status;
    json_t *parsed = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &cause);
    if (!parsed)
        return refuse(&cause, error);
    if (!json_is_object(parsed)) {
        json_decref(parsed);
        return mgpt_fail(error, MGPT_DATA, "offset 0: expected an object");
    }
    *root = parsed;
    return MGPT_OK;
}

/* From quote to quote: a key holds none, so no byte is looked at twice. */
size_t mgpt_json_offset(const char *text, size_t size, const char *key)
{
    size_t length = strlen(key);
    const char *p = text, *end = text + size;
    for (; p < end && (p = memchr(p, '"', (size_t)(end - p))); p++)
        if ((size_t)(end - p) > length + 1 && p[length + 1] == '"' && !memcmp(p + 1, key, length))
            return (size_t)(p - text);
    return 0;
}

json_t *mgpt_json_text(const char *text, size_t size)
{
    struct mgpt_string clean = {0};
    mgpt_utf8_add(&clean, text, size);
    json_t *value = clean.failed ? NULL : json_stringn(clean.data ? clean.data : "", clean.size);
    mgpt_string_finish(&clean);
    return value;
}

json_t *mgpt_json_words(const char *text)
{
    return text ? mgpt_json_text(text, strlen(text)) : json_null();
}

enum mgpt_status mgpt_json_print(json_t *value, struct mgpt_error *error)
{
    if (!value)
        return mgpt_fail(error, MGPT_NOMEM, "no memory for the output");
    errno = 0;
    int failed = json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) != 0 ||
                 putchar('\n') == EOF;
    json_decref(value);
    return failed ? mgpt_fail(error, MGPT_IO, "cannot write the output as JSON: %s",
                              strerror(errno ? errno : EIO))
                  : MGPT_OK;
}
