/* Tokens, merges by the two that they merge, and added tokens. */
#include <stdlib.h>
#include <string.h>

#include "bpe.h"

#define FREE UINT64_MAX

void bpe_table_init(struct bpe_table *table)
{
    *table = (struct bpe_table){.bos = -1};
    for (int b = 0; b < BPE_BYTES; b++)
        table->of_byte[b] = -1;
}

void bpe_table_finish(struct bpe_table *table)
{
    free(table->bytes);
    free(table->start);
    free(table->merges);
    free(table->slots);
    free(table->added);
}

/* Room for one more than n of `size` bytes each, growing by doubling. */
static bool grow(void *list, uint64_t n, uint64_t *room, size_t size)
{
    void **at = list;

    if (n < *room)
        return true;
    uint64_t more = n < 1024 ? 2048 : 2 * n;
    void *grown = more <= SIZE_MAX / size ? realloc(*at, (size_t)more * size) : NULL;
    if (!grown)
        return false;
    *at = grown;
    *room = more;
    return true;
}

/* ---- tokens ---- */

bool bpe_table_add(struct bpe_table *table, const char *bytes, uint64_t size)
{
    uint64_t used = table->n ? table->start[table->n] : 0;

    if (table->n == INT32_MAX - 1 ||
        !grow(&table->start, (uint64_t)table->n + 1, &table->room, sizeof *table->start) ||
        !grow(&table->bytes, used + size, &table->room_bytes, 1))
        return false;
    memcpy(table->bytes + used, bytes, size);
    table->start[table->n++] = used;
    table->start[table->n] = used + size;
    return true;
}

bool bpe_table_start(struct bpe_table *table, bool bos)
{
    for (int b = 0; b < BPE_BYTES; b++) {
        char byte = (char)b;
        table->of_byte[b] = b;
        if (!bpe_table_add(table, &byte, 1))
            return false;
    }
    if (!bos)
        return true;
    table->bos = BPE_BYTES;
    return bpe_table_add(table, BPE_BOS, strlen(BPE_BOS)) && bpe_table_mark(table, BPE_BYTES);
}

/* ---- added tokens ---- */

bool bpe_table_mark(struct bpe_table *table, int32_t id)
{
    uint64_t size, other, room = table->room_added;
    const char *bytes = bpe_bytes(table, id, &size);
    uint32_t at = table->n_added;

    if (!grow(&table->added, at, &room, sizeof *table->added))
        return false;
    table->room_added = (uint32_t)room;
    for (; at > 0; at--) {
        (void)bpe_bytes(table, table->added[at - 1], &other);
        if (other >= size)
            break;
        table->added[at] = table->added[at - 1];
    }
    table->added[at] = id;
    table->n_added++;
    table->starts_added[(unsigned char)bytes[0]] = true;
    return true;
}

bool bpe_is_added(const struct bpe_table *table, int32_t id)
{
    for (uint32_t i = 0; i < table->n_added; i++)
        if (table->added[i] == id)
            return true;
    return false;
}

/* ---- merges ---- */

static uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

/* The slot of a pair, or the free one where it belongs. */
static uint64_t find(const struct bpe_slot *slots, uint64_t n_slots, uint64_t pair)
{
    uint64_t at = pair * UINT64_C(0x9e3779b97f4a7c15); /* Fibonacci hashing: Knuth, volume 3, 6.4 */

    for (at = (at ^ at >> 32) & (n_slots - 1); slots[at].pair != FREE;
         at = (at + 1) & (n_slots - 1))
        if (slots[at].pair == pair)
            break;
    return at;
}

static bool grow_slots(struct bpe_table *table)
{
    uint64_t n = table->n_slots ? 2 * table->n_slots : 64;
    struct bpe_slot *slots = malloc((size_t)n * sizeof *slots);

    if (!slots)
        return false;
    for (uint64_t i = 0; i < n; i++)
        slots[i].pair = FREE;
    for (uint64_t i = 0; i < table->n_slots; i++)
        if (table->slots[i].pair != FREE)
            slots[find(slots, n, table->slots[i].pair)] = table->slots[i];
    free(table->slots);
    table->slots = slots;
    table->n_slots = n;
    return true;
}

bool bpe_table_merge(struct bpe_table *table, struct bpe_merge merge)
{
    uint64_t room = table->room_merges;
    bool good = grow(&table->merges, table->n_merges, &room, sizeof *table->merges);

    table->room_merges = (uint32_t)room;
    if (!good || (2 * (uint64_t)table->n_merges + 2 > table->n_slots && !grow_slots(table)))
        return false;
    uint64_t pair = pair_of(merge.left, merge.right);
    table->slots[find(table->slots, table->n_slots, pair)] =
        (struct bpe_slot){pair, table->n_merges};
    table->merges[table->n_merges++] = merge;
    return true;
}

uint32_t bpe_rank(const struct bpe_table *table, int32_t left, int32_t right)
{
    if (!table->n_slots)
        return BPE_NO_RANK;
    uint64_t pair = pair_of(left, right), at = find(table->slots, table->n_slots, pair);

    return table->slots[at].pair == pair ? table->slots[at].rank : BPE_NO_RANK;
}
