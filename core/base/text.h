/* Text: a growing buffer, UTF-8, numbers, and the nearest name to a misspelt one. */
#ifndef MGPT_BASE_TEXT_H
#define MGPT_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <microgpt/status.h>

/* A growing string; zero-initialise it. `data` is always terminated once something was added. After
 * a failed allocation `failed` stays set and additions do nothing: check it once, at the end. */
struct mgpt_string {
    char *data;
    size_t size, capacity;
    bool failed;
};

void mgpt_string_add(struct mgpt_string *s, const char *data, size_t size);
void mgpt_string_format(struct mgpt_string *s, const char *format, ...) MGPT_PRINTF(2, 3);
void mgpt_string_finish(struct mgpt_string *s); /* frees; NULL is fine */

/* Prints into an array of characters, and cuts what does not fit. */
#define MGPT_PRINT_INTO(array, ...) (void)snprintf(array, sizeof(array), __VA_ARGS__)

/* Offset of the first byte that is not valid UTF-8 (RFC 3629), or size. */
size_t mgpt_utf8_check(const char *text, size_t size);

/* Size without the character at the end that has begun but lacks bytes. */
size_t mgpt_utf8_whole(const char *text, size_t size);
/* Adds text with U+FFFD for each byte that is not valid UTF-8. */
void mgpt_utf8_add(struct mgpt_string *s, const char *text, size_t size);

/* Adds text as a terminal may have it: control characters but newline and tab, those of Latin-1 (C2
 * 80 to C2 9F) among them, and bytes that are not valid UTF-8 as \xNN. */
void mgpt_visible_add(struct mgpt_string *s, const char *text, size_t size);

/* Adds text as one word of a POSIX shell, whatever is in it: for commands that a user pastes. */
void mgpt_shell_add(struct mgpt_string *s, const char *text);

/* The text without "PATH: " at its start, or as it is. */
const char *mgpt_text_after_path(const char *text, const char *path);

/* A space or a tab, as INI has them. */
bool mgpt_blank(char c);
/* The text without blanks at both ends; cut in place. */
char *mgpt_trim(char *text);

/* Whole-string numbers: false when anything is left over, out of range or not finite. */
bool mgpt_parse_int(const char *text, int64_t *value);
bool mgpt_parse_seed(const char *text, uint64_t *value);
bool mgpt_parse_float(const char *text, double *value);
bool mgpt_parse_bool(const char *text, bool *value);

/* Of `names` (NULL-terminated) the one nearest to `name` by edit distance (Damerau-Levenshtein), or
 * NULL when none is near enough to suggest. */
const char *mgpt_nearest(const char *name, const char *const *names);

#endif
