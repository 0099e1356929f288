/* JSON from files that nobody vouches for: bounded, and refused by offset and reason. */
#ifndef MGPT_BASE_JSON_H
#define MGPT_BASE_JSON_H

#include <jansson.h>

#include <microgpt/status.h>

#define MGPT_JSON_DEPTH 32 /* deeper than any file that is read here */

/* A JSON object without duplicate keys, at most MGPT_JSON_DEPTH deep (strings may hold U+0000); the
 * caller gives it back by json_decref. MGPT_DATA: "offset N: reason", to be put behind a path. */
enum mgpt_status mgpt_json_parse(const char *text, size_t size, json_t **root,
                                 struct mgpt_error *error);

/* Offset of "key" with its quotes in the text that was parsed, for messages; 0 when it is missing
 * or written with escapes. */
size_t mgpt_json_offset(const char *text, size_t size, const char *key);

/* Text as a JSON string, with U+FFFD for each byte that is not UTF-8: names of files, texts of
 * plugins and samples need not be. NULL: no memory. */
json_t *mgpt_json_text(const char *text, size_t size);
/* Of a terminated text; null for NULL. */
json_t *mgpt_json_words(const char *text);

/* Prints a value to stdout, and gives it back. MGPT_NOMEM: it is NULL, or became so in the making;
 * MGPT_IO: nobody takes it. */
enum mgpt_status mgpt_json_print(json_t *value, struct mgpt_error *error);

#endif
