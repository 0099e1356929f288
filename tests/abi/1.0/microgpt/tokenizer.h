/* Kind "tokenizer/1": text to ids and back. */
#ifndef MICROGPT_TOKENIZER_H
#define MICROGPT_TOKENIZER_H

#include <microgpt/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MGPT_KIND_TOKENIZER "tokenizer/1"

struct mgpt_tokenizer; /* the module's own */

/* Bytes of a document; UTF-8, checked by the dataset. Not terminated. Frozen. */
struct mgpt_text {
    const char *data;
    uint64_t size;
};

/* Grows at the tail. A tokenizer is created, then either trained or loaded, then only read. */
struct mgpt_tokenizer_api {
    uint32_t size, reserved;
    enum mgpt_status (*create)(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_tokenizer **tokenizer,
                               struct mgpt_error *error); /* [main] */
    void (*destroy)(struct mgpt_tokenizer *tokenizer);    /* [main] */
    /* Learns its vocabulary from all documents, whatever their order. [main] */
    enum mgpt_status (*train)(struct mgpt_tokenizer *tokenizer, const struct mgpt_text *documents,
                              uint64_t n, struct mgpt_error *error);
    int32_t (*vocab)(const struct mgpt_tokenizer *tokenizer); /* number of ids, 1 or more [any] */
    int32_t (*bos)(const struct mgpt_tokenizer
                       *tokenizer); /* the id that separates documents; -1: none [any] */
    /* Writes up to `capacity` ids (`ids` may be NULL with 0) and returns how many there are; -1
     * with the byte offset and the character in `error` (MGPT_USAGE) for text that has no ids.
     * Never adds BOS. [any] */
    int64_t (*encode)(const struct mgpt_tokenizer *tokenizer, const char *text, uint64_t size,
                      int32_t *ids, uint64_t capacity, struct mgpt_error *error);
    /* Bytes of the ids, likewise; special ids such as BOS have none. An id may be part of a
     * character. -1 for an id that does not exist. [any] */
    int64_t (*decode)(const struct mgpt_tokenizer *tokenizer, const int32_t *ids, uint64_t n,
                      char *text, uint64_t capacity, struct mgpt_error *error);
    /* The whole tokenizer as one JSON object (tokenizer.json), likewise. [main] */
    int64_t (*save)(const struct mgpt_tokenizer *tokenizer, char *json, uint64_t capacity,
                    struct mgpt_error *error);
    /* Its inverse, on untrusted text: MGPT_DATA with what was expected. [main] */
    enum mgpt_status (*load)(struct mgpt_tokenizer *tokenizer, const char *json, uint64_t size,
                             struct mgpt_error *error);
};

#ifdef __cplusplus
}
#endif
#endif
