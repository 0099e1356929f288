/* Learning merges: the pair of neighbours that all words have most often becomes a token, again and
 * again; of equals the lowest ids. Counts are kept up to date: a merge looks only at the words that
 * have its pair, which each pair knows, and changes the counts beside it. So what is learned does
 * not depend on the order of the documents. */
#include <stdlib.h>
#include <string.h>

#include "bpe.h"

#define LEAST 2 /* a pair that occurs once is nothing to learn */

/* A distinct word. Its tokens start as its bytes, and are merged in place. */
struct word {
    const char *text; /* of the first document that has it */
    uint64_t size, hash, count;
    int32_t *tokens;
    uint64_t n;
    uint32_t merge; /* the last one that looked at it */
};

/* Two neighbouring tokens. */
struct pair {
    int32_t left, right;
    int64_t count;  /* in all text */
    uint32_t first; /* index + 1 of its first place, or 0 */
    uint32_t merge; /* the last one that made it more frequent */
};

/* A word that has a pair, or had it; some are there more than once. */
struct place {
    uint32_t word, next; /* index + 1 of the pair's next place, or 0 */
};

/* A pair as it was when it was put into the heap. When it becomes more frequent it is put there
 * again; when less, it is when it comes to the top. */
struct candidate {
    int64_t count;
    uint32_t pair;
};

struct learner {
    const struct mgpt_host *host;
    struct bpe_table *table;
    struct word *words;
    struct pair *pairs;
    struct place *places; /* of all pairs */
    uint64_t n_places, room_places;
    uint64_t n_words, room_words, n_pairs, room_pairs;
    /* index + 1, or 0; a power of two, at most half full */
    uint32_t *word_slots, *pair_slots, *token_slots;
    uint64_t n_word_slots, n_pair_slots, n_token_slots;
    int32_t *tokens;   /* of all words */
    uint32_t *touched; /* pairs that this merge made more frequent */
    uint64_t n_touched, room_touched;
    struct candidate *heap;
    uint64_t n_heap, room_heap;
    uint32_t merge; /* counts from 1 */
    bool failed;    /* out of memory; what is asked then does nothing */
};

/* ---- lists and tables ---- */

/* Room for one more; false without memory. */
static bool grow(struct learner *l, void *list, uint64_t n, uint64_t *room, size_t size)
{
    void **at = list;

    if (n < *room)
        return true;
    uint64_t more = *room ? 2 * *room : 1024;
    void *grown = l->failed || more > UINT32_MAX ? NULL : realloc(*at, (size_t)more * size);
    l->failed = !grown;
    if (grown) {
        *at = grown;
        *room = more;
    }
    return grown != NULL;
}

static uint64_t hash_bytes(const char *text, uint64_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

    for (uint64_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 29;
}

static uint64_t hash_pair(int32_t left, int32_t right)
{
    uint64_t hash =
        ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * UINT64_C(0x9e3779b97f4a7c15);

    return hash ^ hash >> 32;
}

/* Doubles a table of `used` entries when it is half full; they find their places by hash(l, i). */
static bool grow_slots(struct learner *l, uint32_t **slots, uint64_t *n_slots, uint64_t used,
                       uint64_t (*hash)(const struct learner *l, uint64_t i))
{
    if (2 * used < *n_slots)
        return true;
    uint64_t n = *n_slots ? 2 * *n_slots : 1024;
    uint32_t *more = calloc((size_t)n, sizeof *more);
    l->failed |= !more;
    if (!more)
        return false;
    for (uint64_t i = 0; i < used; i++) {
        uint64_t at = hash(l, i) & (n - 1);
        while (more[at])
            at = (at + 1) & (n - 1);
        more[at] = (uint32_t)i + 1;
    }
    free(*slots);
    *slots = more;
    *n_slots = n;
    return true;
}

/* ---- words ---- */

static uint64_t word_hash(const struct learner *l, uint64_t i)
{
    return l->words[i].hash;
}

static void count_word(struct learner *l, const struct mgpt_text *text)
{
    uint64_t hash = hash_bytes(text->data, text->size), at;

    if (!grow_slots(l, &l->word_slots, &l->n_word_slots, l->n_words, word_hash) ||
        !grow(l, &l->words, l->n_words, &l->room_words, sizeof *l->words))
        return;
    for (at = hash & (l->n_word_slots - 1); l->word_slots[at];
         at = (at + 1) & (l->n_word_slots - 1)) {
        struct word *word = &l->words[l->word_slots[at] - 1];
        if (word->hash == hash && word->size == text->size &&
            !memcmp(word->text, text->data, text->size)) {
            word->count++;
            return;
        }
    }
    l->words[l->n_words++] =
        (struct word){.text = text->data, .size = text->size, .hash = hash, .count = 1};
    l->word_slots[at] = (uint32_t)l->n_words;
}

static enum mgpt_status count_words(struct learner *l, const struct mgpt_text *documents,
                                    uint64_t n, struct mgpt_error *error)
{
    for (uint64_t i = 0; i < n; i++) {
        struct bpe_cursor cursor = {
            .table = l->table, .text = documents[i].data, .size = documents[i].size};
        struct mgpt_text word;
        int32_t id;
        for (uint64_t k = 1; bpe_next(&cursor, &word, &id); k++) {
            if (id < 0)
                count_word(l, &word);
            if (l->failed)
                return MGPT_OK;
            if (k % 65536 == 0 && l->host->canceled())
                return mgpt_fail(error, MGPT_CANCELED, "stopped");
        }
    }
    return MGPT_OK;
}

/* ---- pairs ---- */

static uint64_t pair_hash(const struct learner *l, uint64_t i)
{
    return hash_pair(l->pairs[i].left, l->pairs[i].right);
}

/* The index of a pair, a new one if need be. */
static uint32_t find_pair(struct learner *l, int32_t left, int32_t right)
{
    uint64_t at = hash_pair(left, right), mask;

    if (!grow_slots(l, &l->pair_slots, &l->n_pair_slots, l->n_pairs, pair_hash) ||
        !grow(l, &l->pairs, l->n_pairs, &l->room_pairs, sizeof *l->pairs))
        return 0;
    mask = l->n_pair_slots - 1;
    for (at &= mask; l->pair_slots[at]; at = (at + 1) & mask) {
        const struct pair *pair = &l->pairs[l->pair_slots[at] - 1];
        if (pair->left == left && pair->right == right)
            return l->pair_slots[at] - 1;
    }
    l->pairs[l->n_pairs++] = (struct pair){.left = left, .right = right};
    l->pair_slots[at] = (uint32_t)l->n_pairs;
    return (uint32_t)l->n_pairs - 1;
}

/* Is a to be merged before b? */
static bool is_better(const struct learner *l, struct candidate a, struct candidate b)
{
    const struct pair *p = &l->pairs[a.pair], *q = &l->pairs[b.pair];

    if (a.count != b.count)
        return a.count > b.count;
    return p->left != q->left ? p->left < q->left : p->right < q->right;
}

static void heap_push(struct learner *l, uint32_t pair)
{
    struct candidate item = {l->pairs[pair].count, pair};

    if (!grow(l, &l->heap, l->n_heap, &l->room_heap, sizeof *l->heap))
        return;
    uint64_t at = l->n_heap++;
    for (uint64_t up; at > 0 && is_better(l, item, l->heap[up = (at - 1) / 2]); at = up)
        l->heap[at] = l->heap[up];
    l->heap[at] = item;
}

static struct candidate heap_pop(struct learner *l)
{
    struct candidate top = l->heap[0], item = l->heap[--l->n_heap];
    uint64_t at = 0;

    for (uint64_t down; (down = 2 * at + 1) < l->n_heap; at = down) {
        if (down + 1 < l->n_heap && is_better(l, l->heap[down + 1], l->heap[down]))
            down++;
        if (!is_better(l, l->heap[down], item))
            break;
        l->heap[at] = l->heap[down];
    }
    l->heap[at] = item;
    return top;
}

/* Word w has the pair once more. */
static void gain(struct learner *l, uint32_t w, int32_t left, int32_t right)
{
    uint32_t at = find_pair(l, left, right);

    if (l->failed)
        return;
    struct pair *pair = &l->pairs[at];
    pair->count += (int64_t)l->words[w].count;
    if (pair->merge != l->merge &&
        grow(l, &l->touched, l->n_touched, &l->room_touched, sizeof *l->touched)) {
        pair->merge = l->merge;
        l->touched[l->n_touched++] = at;
    }
    if (pair->first && l->places[pair->first - 1].word == w)
        return;
    if (grow(l, &l->places, l->n_places, &l->room_places, sizeof *l->places)) {
        l->places[l->n_places++] = (struct place){w, pair->first};
        pair->first = (uint32_t)l->n_places;
    }
}

static void lose(struct learner *l, uint32_t w, int32_t left, int32_t right)
{
    uint32_t at = find_pair(l, left, right);

    if (!l->failed)
        l->pairs[at].count -= (int64_t)l->words[w].count;
}

static void split_words(struct learner *l)
{
    uint64_t size = 0;

    for (uint64_t w = 0; w < l->n_words; w++)
        size += l->words[w].size;
    int32_t *tokens = l->tokens = malloc((size_t)(size + 1) * sizeof *tokens);
    l->failed |= !tokens;
    for (uint64_t w = 0; w < l->n_words && !l->failed; w++) {
        struct word *word = &l->words[w];
        word->tokens = tokens;
        word->n = word->size;
        for (uint64_t i = 0; i < word->n; i++)
            word->tokens[i] = l->table->of_byte[(unsigned char)word->text[i]];
        for (uint64_t i = 0; i + 1 < word->n; i++)
            gain(l, (uint32_t)w, word->tokens[i], word->tokens[i + 1]);
        tokens += word->n;
    }
    for (uint32_t i = 0; i < l->n_pairs; i++)
        heap_push(l, i);
}

/* ---- merging ---- */

/* Merges the pair in one word, from the left. Pairs are those of the word as it is half done: the
 * new tokens on the left, the old ones on the right. */
static void merge_in(struct learner *l, uint32_t w, struct bpe_merge m)
{
    struct word *word = &l->words[w];
    int32_t *t = word->tokens;
    uint64_t n = 0;

    for (uint64_t i = 0; i < word->n; i++) {
        if (t[i] != m.left || i + 1 == word->n || t[i + 1] != m.right) {
            t[n++] = t[i];
            continue;
        }
        if (n > 0) {
            lose(l, w, t[n - 1], m.left);
            gain(l, w, t[n - 1], m.result);
        }
        if (i + 2 < word->n) {
            lose(l, w, m.right, t[i + 2]);
            gain(l, w, m.result, t[i + 2]);
        }
        lose(l, w, m.left, m.right);
        t[n++] = m.result;
        i++;
    }
    word->n = n;
}

/* Merges the pair in all words. */
static void merge_everywhere(struct learner *l, uint32_t at, int32_t result)
{
    struct bpe_merge m = {l->pairs[at].left, l->pairs[at].right, result};
    uint32_t place = l->pairs[at].first, next;

    l->merge++;
    l->n_touched = 0;
    for (; place && !l->failed; place = next) { /* by index: merging makes the lists move */
        uint32_t w = l->places[place - 1].word;
        next = l->places[place - 1].next;
        if (l->words[w].merge == l->merge)
            continue;
        l->words[w].merge = l->merge;
        merge_in(l, w, m);
    }
    l->pairs[at].first = 0;
    for (uint64_t i = 0; i < l->n_touched && !l->failed; i++)
        heap_push(l, l->touched[i]);
}

/* The most frequent pair; false when none is left that is worth it. */
static bool best_pair(struct learner *l, uint32_t *pair)
{
    while (l->n_heap > 0) {
        struct candidate top = heap_pop(l);
        if (top.count == l->pairs[top.pair].count) {
            *pair = top.pair;
            return top.count >= LEAST;
        }
        if (l->pairs[top.pair].count >= LEAST)
            heap_push(l, top.pair);
    }
    return false;
}

static uint64_t token_hash(const struct learner *l, uint64_t i)
{
    uint64_t size;
    const char *bytes = bpe_bytes(l->table, (int32_t)i, &size);

    return hash_bytes(bytes, size);
}

/* The token of these bytes, a new one if need be: ab+c and a+bc are the same. -1 without memory. */
static int32_t find_token(struct learner *l, const char *bytes, uint64_t size)
{
    uint64_t at = hash_bytes(bytes, size), n, mask;

    if (!grow_slots(l, &l->token_slots, &l->n_token_slots, (uint64_t)l->table->n, token_hash))
        return -1;
    mask = l->n_token_slots - 1;
    for (at &= mask; l->token_slots[at]; at = (at + 1) & mask) {
        int32_t id = (int32_t)(l->token_slots[at] - 1);
        const char *those = bpe_bytes(l->table, id, &n);
        if (n == size && !memcmp(those, bytes, size))
            return id;
    }
    if (!bpe_table_add(l->table, bytes, size))
        return -1;
    l->token_slots[at] = (uint32_t)l->table->n;
    return l->table->n - 1;
}

/* What a pair becomes; -1 without memory. */
static int32_t join(struct learner *l, const struct pair *pair)
{
    uint64_t a, b;
    const char *left = bpe_bytes(l->table, pair->left, &a);
    const char *right = bpe_bytes(l->table, pair->right, &b);
    char *both = malloc((size_t)(a + b));
    int32_t id = -1;

    if (both) {
        memcpy(both, left, a);
        memcpy(both + a, right, b);
        id = find_token(l, both, a + b);
    }
    free(both);
    if (id >= 0 && !bpe_table_merge(l->table, (struct bpe_merge){pair->left, pair->right, id}))
        id = -1;
    return id;
}

static enum mgpt_status learn_merges(struct learner *l, int32_t wanted, struct mgpt_error *error)
{
    uint32_t at;

    while (!l->failed && l->table->n < wanted && best_pair(l, &at)) {
        int32_t id = join(l, &l->pairs[at]);
        l->failed |= id < 0;
        if (!l->failed)
            merge_everywhere(l, at, id);
        if (l->host->canceled())
            return mgpt_fail(error, MGPT_CANCELED, "stopped");
    }
    return MGPT_OK;
}

static void finish(struct learner *l)
{
    free(l->words);
    free(l->pairs);
    free(l->places);
    free(l->word_slots);
    free(l->pair_slots);
    free(l->token_slots);
    free(l->tokens);
    free(l->touched);
    free(l->heap);
}

enum mgpt_status bpe_learn(struct mgpt_tokenizer *t, const struct mgpt_text *documents, uint64_t n,
                           struct mgpt_error *error)
{
    struct bpe_table table;
    struct learner l = {.host = t->host, .table = &table};
    enum mgpt_status status = MGPT_OK;

    bpe_table_init(&table);
    l.failed = !bpe_table_start(&table, t->with_bos);
    if (!l.failed)
        status = count_words(&l, documents, n, error);
    if (status == MGPT_OK && !l.failed)
        split_words(&l);
    if (status == MGPT_OK && !l.failed)
        status = learn_merges(&l, t->wanted, error);
    if (status == MGPT_OK && l.failed)
        status = mgpt_fail(error, MGPT_NOMEM, "out of memory for the words of tokenizer bpe");
    finish(&l);
    if (status == MGPT_OK) {
        bpe_table_finish(&t->table);
        t->table = table;
    } else {
        bpe_table_finish(&table);
    }
    return status;
}
