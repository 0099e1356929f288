/* Pieces: found by their key, fed and launched. */
#include <stdlib.h>
#include <string.h>

#include "graph.h"

#define MARK UINT64_C(0x7ff84d4750540000) /* a quiet NaN */

static uint64_t up(uint64_t n)
{
    return (n + 63) / 64 * 64;
}

uint32_t graph_targets_at(const struct key *key)
{
    return (uint32_t)up(FEED_IDS + (uint64_t)(key->rows * key->columns) * sizeof(int32_t));
}

uint64_t graph_feed_bytes(int64_t rows, int64_t columns)
{
    uint64_t ids = up((uint64_t)(rows * columns) * sizeof(int32_t));

    return FEED_IDS + 2 * ids;
}

/* ---- scalars ---- */

double graph_mark(uint32_t index)
{
    uint64_t bits = MARK + index;
    double mark;

    memcpy(&mark, &bits, sizeof mark);
    return mark;
}

static int32_t index_of(double scalar)
{
    uint64_t bits;

    memcpy(&bits, &scalar, sizeof bits);
    return bits >= MARK && bits < MARK + 2 * MGPT_MAX_SCALARS ? (int32_t)(bits - MARK) : -1;
}

int graph_set(struct piece *piece, const double *scalars, uint32_t n)
{
    struct set set;
    uint32_t i;

    memset(&set, 0, sizeof set);
    set.n = n;
    for (uint32_t k = 0; k < n; k++) {
        set.index[k] = index_of(scalars[k]);
        set.constant[k] = set.index[k] < 0 ? scalars[k] : 0;
    }
    for (i = 0; i < piece->n_sets; i++)
        if (memcmp(&piece->sets[i], &set, sizeof set) == 0)
            return (int)i;
    if (i == MOST_SETS)
        return -1;
    piece->sets[piece->n_sets++] = set;
    return (int)i;
}

/* ---- finding ---- */

struct piece *graph_piece(struct mgpt_step *s, const struct mgpt_step_input *input, uint32_t i,
                          int64_t first)
{
    const struct mgpt_batch *batch = &input->batches[i];
    struct key key = {batch->rows, batch->columns, s->draws ? first : 0, i == 0,
                      i + 1 == s->spec.micro_batches};

    for (uint32_t k = 0; k < s->n_pieces; k++) {
        const struct key *other = &s->pieces[k].key;
        if (other->rows == key.rows && other->columns == key.columns && other->first == key.first &&
            other->begins == key.begins && other->ends == key.ends)
            return &s->pieces[k];
    }
    if (s->n_pieces == s->most_pieces)
        return NULL;
    s->pieces[s->n_pieces] = (struct piece){.key = key};
    return &s->pieces[s->n_pieces++];
}

static enum mgpt_status wait(struct mgpt_step *s, struct mgpt_error *error)
{
    enum mgpt_status status = s->backend->sync(s->device, error);

    if (status == MGPT_OK)
        s->used = 0;
    return status;
}

enum mgpt_status graph_forget(struct mgpt_step *s, struct mgpt_error *error)
{
    enum mgpt_status status = wait(s, error);

    for (uint32_t i = 0; i < s->n_pieces; i++)
        s->cuda->graph_free(s->device, s->pieces[i].graph);
    s->n_pieces = 0;
    return status;
}

/* ---- launching ---- */

static void fill(const struct piece *piece, const struct mgpt_step_input *input, uint32_t i,
                 char *feed)
{
    const struct mgpt_batch *batch = &input->batches[i];
    const struct mgpt_step_state head = {.step = input->step,
                                         .inv_targets = 1.0 / (double)input->targets};
    size_t ids = (size_t)(piece->key.rows * piece->key.columns) * sizeof(int32_t);

    memcpy(feed + FEED_HEAD, &head, HEAD_BYTES);
    for (uint32_t k = 0; k < piece->n_sets; k++) {
        const struct set *set = &piece->sets[k];
        double *to = (double *)(void *)(feed + FEED_SETS + k * SET_BYTES);
        for (uint32_t h = 0; h < set->n; h++)
            to[h] = set->index[h] < 0 ? set->constant[h]
                                      : input->scalars[set->index[h] / MGPT_MAX_SCALARS]
                                                      [set->index[h] % MGPT_MAX_SCALARS];
    }
    memcpy(feed + FEED_IDS, batch->ids, ids);
    memcpy(feed + graph_targets_at(&piece->key), batch->targets, ids);
}

enum mgpt_status graph_launch(struct mgpt_step *s, const struct piece *piece,
                              const struct mgpt_step_input *input, uint32_t i,
                              struct mgpt_error *error)
{
    enum mgpt_status status = s->used == s->n_slots ? wait(s, error) : MGPT_OK;
    char *slot = s->slots + s->used * s->feed_bytes;

    if (status != MGPT_OK)
        return status;
    fill(piece, input, i, slot);
    s->used++;
    status = s->cuda->copy(s->device, s->cuda->address(s->device, &s->feed), slot,
                           graph_feed_bytes(piece->key.rows, piece->key.columns), error);
    return status == MGPT_OK ? s->cuda->graph_launch(s->device, piece->graph, error) : status;
}
