/* Text to ids. A word of n bytes takes O(n log n): the pairs of neighbours that have a merge wait
 * in a heap, the lowest rank first and the leftmost of equals. */
#include <stdlib.h>

#include "bpe.h"

#define SMALL 64 /* bytes of a word that needs no memory of its own */
/* Bytes of a word: it has indices of 32 bits, in a heap of twice that. */
#define LONGEST (UINT64_C(1) << 30)

/* A token of the word, in a list that is doubly linked by index. */
struct node {
    int32_t id;
    uint32_t next, before; /* NONE: there is none */
    uint32_t rank;         /* of this one with the next; BPE_NO_RANK once it is merged away */
};
#define NONE UINT32_MAX

/* A word in work. The heap holds rank << 32 | index; one whose rank has changed is skipped. */
struct work {
    const struct bpe_table *table;
    struct node *nodes;
    uint64_t *heap;
    uint32_t n_heap;
    uint64_t room; /* bytes of a word that there is room for */
    struct node small_nodes[SMALL];
    uint64_t small_heap[2 * SMALL];
};

/* ---- the heap ---- */

static void heap_push(struct work *w, uint64_t item)
{
    uint32_t at = w->n_heap++;

    for (uint32_t up; at > 0 && w->heap[up = (at - 1) / 2] > item; at = up)
        w->heap[at] = w->heap[up];
    w->heap[at] = item;
}

/* Puts an item into the hole at the top. */
static void heap_sink(struct work *w, uint64_t item)
{
    uint32_t at = 0;

    for (uint32_t down; (down = 2 * at + 1) < w->n_heap; at = down) {
        if (down + 1 < w->n_heap && w->heap[down + 1] < w->heap[down])
            down++;
        if (w->heap[down] >= item)
            break;
        w->heap[at] = w->heap[down];
    }
    w->heap[at] = item;
}

static uint64_t heap_pop(struct work *w)
{
    uint64_t top = w->heap[0], item = w->heap[--w->n_heap];

    if (w->n_heap > 0)
        heap_sink(w, item);
    return top;
}

/* ---- merging ---- */

/* Ranks node i with the next one. Of n nodes n - 1 are ranked at first, and two more by each of at
 * most n - 1 merges, which took an item out: the heap never holds 2 n. */
static void rank_pair(struct work *w, uint32_t i)
{
    struct node *node = &w->nodes[i];

    node->rank =
        node->next == NONE ? BPE_NO_RANK : bpe_rank(w->table, node->id, w->nodes[node->next].id);
    if (node->rank != BPE_NO_RANK)
        heap_push(w, (uint64_t)node->rank << 32 | i);
}

/* Node i takes the next one in. */
static void merge(struct work *w, uint32_t i)
{
    struct node *node = &w->nodes[i], *gone = &w->nodes[node->next];

    node->id = w->table->merges[node->rank].result;
    gone->rank = BPE_NO_RANK;
    node->next = gone->next;
    if (node->next != NONE)
        w->nodes[node->next].before = i;
    rank_pair(w, i);
    if (node->before != NONE)
        rank_pair(w, node->before);
}

static void merge_word(struct work *w, const char *word, uint32_t n)
{
    w->n_heap = 0;
    for (uint32_t i = 0; i < n; i++)
        w->nodes[i] = (struct node){w->table->of_byte[(unsigned char)word[i]],
                                    i + 1 < n ? i + 1 : NONE, i ? i - 1 : NONE, BPE_NO_RANK};
    for (uint32_t i = 0; i + 1 < n; i++)
        rank_pair(w, i);
    while (w->n_heap > 0) {
        uint64_t top = heap_pop(w);
        uint32_t i = (uint32_t)top;
        if (w->nodes[i].rank == top >> 32)
            merge(w, i);
    }
}

/* ---- words ---- */

static void work_init(struct work *w, const struct bpe_table *table)
{
    w->table = table;
    w->nodes = w->small_nodes;
    w->heap = w->small_heap;
    w->room = SMALL;
}

static void work_finish(struct work *w)
{
    if (w->nodes != w->small_nodes)
        free(w->nodes);
    if (w->heap != w->small_heap)
        free(w->heap);
}

static enum mgpt_status make_room(struct work *w, uint64_t size, struct mgpt_error *error)
{
    if (size <= w->room)
        return MGPT_OK;
    work_finish(w);
    work_init(w, w->table);
    if (size > LONGEST)
        return mgpt_fail(error, MGPT_USAGE, "a word of %llu bytes: expected at most %llu",
                         (unsigned long long)size, (unsigned long long)LONGEST);
    struct node *nodes = malloc((size_t)size * sizeof *nodes);
    uint64_t *heap = malloc((size_t)size * 2 * sizeof *heap);
    if (!nodes || !heap) {
        free(nodes);
        free(heap);
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for a word of %llu bytes",
                         (unsigned long long)size);
    }
    w->nodes = nodes;
    w->heap = heap;
    w->room = size;
    return MGPT_OK;
}

/* The ids of a word behind the n that there are; how many there are then. */
static uint64_t put_word(struct work *w, const struct mgpt_text *word, int32_t *ids,
                         uint64_t capacity, uint64_t n)
{
    merge_word(w, word->data, (uint32_t)word->size);
    for (uint32_t i = 0; i != NONE; i = w->nodes[i].next, n++)
        if (n < capacity)
            ids[n] = w->nodes[i].id;
    return n;
}

int64_t bpe_encode(const struct mgpt_tokenizer *t, const char *text, uint64_t size, int32_t *ids,
                   uint64_t capacity, struct mgpt_error *error)
{
    struct bpe_cursor cursor = {.table = &t->table, .text = text, .size = size};
    struct mgpt_text word;
    uint64_t n = 0;
    int32_t id;
    struct work w;
    enum mgpt_status status = MGPT_OK;

    work_init(&w, &t->table);
    while (status == MGPT_OK && bpe_next(&cursor, &word, &id)) {
        if (id < 0) {
            status = make_room(&w, word.size, error);
            n = status == MGPT_OK ? put_word(&w, &word, ids, capacity, n) : n;
        } else {
            if (n < capacity)
                ids[n] = id;
            n++;
        }
    }
    work_finish(&w);
    return status == MGPT_OK ? (int64_t)n : -1;
}
