/* Tokenizer bpe: byte-level byte pair encoding as GPT-2 has it (Radford et al. 2019, section 2.2;
 * Sennrich et al. 2016). What its files share.
 *
 * Text is cut at its added tokens, then into words (words.c). A word is its bytes at first; then
 * the two neighbours whose merge has the lowest rank become one token, until no two have one. */
#ifndef BPE_H
#define BPE_H

#include <stdbool.h>

#include <microgpt/tokenizer.h>

#define BPE_BYTES 256
#define BPE_BOS "<|endoftext|>" /* what GPT-2 calls it */
#define BPE_NO_RANK UINT32_MAX

/* Two tokens that become one. */
struct bpe_merge {
    int32_t left, right, result;
};

/* A slot of the table of merges, by both tokens. */
struct bpe_slot {
    uint64_t pair; /* left << 32 | right; UINT64_MAX: free */
    uint32_t rank;
};

/* Tokens, merges and added tokens: built once, then only read. Zero-initialise. */
struct bpe_table {
    int32_t n;       /* tokens */
    char *bytes;     /* of all tokens, one behind the other */
    uint64_t *start; /* (n + 1) token i is bytes[start[i]] to bytes[start[i + 1]] */
    uint64_t room_bytes, room;

    int32_t of_byte[BPE_BYTES];
    int32_t bos; /* -1: none */

    uint32_t n_merges, room_merges;
    struct bpe_merge *merges; /* by rank */
    struct bpe_slot *slots;   /* a power of two, at most half full */
    uint64_t n_slots;

    uint32_t n_added, room_added;
    int32_t *added;               /* ids that text has as a whole, the longest first */
    bool starts_added[BPE_BYTES]; /* does one begin with this byte? */
};

struct mgpt_tokenizer {
    const struct mgpt_host *host;
    bool with_bos;  /* [tokenizer.bpe] bos */
    int32_t wanted; /* [tokenizer.bpe] vocab */
    struct bpe_table table;
};

/* ---- table.c: all return false without memory ---- */

void bpe_table_init(struct bpe_table *table); /* no tokens yet */
void bpe_table_finish(struct bpe_table *table);
bool bpe_table_add(struct bpe_table *table, const char *bytes, uint64_t size);
/* The 256 bytes as ids 0 to 255 and, with bos, BOS as id 256. */
bool bpe_table_start(struct bpe_table *table, bool bos);
bool bpe_table_merge(struct bpe_table *table, struct bpe_merge merge);
/* Token `id` is matched before all else. */
bool bpe_table_mark(struct bpe_table *table, int32_t id);
uint32_t bpe_rank(const struct bpe_table *table, int32_t left, int32_t right); /* or NO_RANK */
bool bpe_is_added(const struct bpe_table *table, int32_t id);

static inline const char *bpe_bytes(const struct bpe_table *table, int32_t id, uint64_t *size)
{
    *size = table->start[id + 1] - table->start[id];
    return table->bytes + table->start[id];
}

/* ---- words.c ---- */

/* Bytes of the first word of a text that is not empty, by the pattern of GPT-2. Bytes that are no
 * UTF-8 count as symbols, each for itself. */
uint64_t bpe_word(const char *text, uint64_t size);

/* What is left of a text. Start with all but `table`, `text` and `size` zero. */
struct bpe_cursor {
    const struct bpe_table *table;
    const char *text;
    uint64_t size;
    uint64_t at, end; /* of the stretch without added tokens: words up to `end` */
    int32_t id;       /* the added token at `end`, or -1 */
};

/* The next word, with *id -1, or added token; false at the end of the text. */
bool bpe_next(struct bpe_cursor *cursor, struct mgpt_text *word, int32_t *id);

/* ---- encode.c, learn.c, json.c: as struct mgpt_tokenizer_api has them ---- */

int64_t bpe_encode(const struct mgpt_tokenizer *t, const char *text, uint64_t size, int32_t *ids,
                   uint64_t capacity, struct mgpt_error *error);
enum mgpt_status bpe_learn(struct mgpt_tokenizer *t, const struct mgpt_text *documents, uint64_t n,
                           struct mgpt_error *error);
int64_t bpe_save(const struct mgpt_tokenizer *t, char *json, uint64_t capacity,
                 struct mgpt_error *error);
enum mgpt_status bpe_load(struct mgpt_tokenizer *t, const char *json, uint64_t size,
                          struct mgpt_error *error);

#endif
