/* The mistakes of a configuration. */
#include <config.h>

#include "conf/faults.h"

#include <stdlib.h>
#include <string.h>

static void fault_finish(struct mgpt_fault *fault)
{
    free(fault->origin);
    free(fault->section);
    free(fault->key);
    free(fault->value);
    free(fault->text);
}

/* A copy, or NULL: of nothing, and then *failed is as it was; or without memory. */
static char *copy(const char *text, bool *failed)
{
    char *out = text ? strdup(text) : NULL;

    *failed |= text && !out;
    return out;
}

static bool make_room(struct mgpt_faults *faults)
{
    if (faults->n < faults->capacity)
        return true;
    size_t wanted = faults->capacity ? faults->capacity * 2 : 8;
    struct mgpt_fault *grown = realloc(faults->items, wanted * sizeof *grown);
    if (!grown)
        return false;
    faults->items = grown;
    faults->capacity = wanted;
    return true;
}

enum mgpt_status mgpt_faults_add(struct mgpt_faults *faults, const struct mgpt_fault_place *at,
                                 const struct mgpt_error *why)
{
    bool failed = false;

    if (!faults->n)
        faults->status = (enum mgpt_status)why->status;
    if (faults->n == MGPT_FAULTS_MAX) {
        faults->more++;
        return MGPT_OK;
    }
    if (!make_room(faults))
        return MGPT_NOMEM;
    struct mgpt_fault *fault = &faults->items[faults->n];
    *fault = (struct mgpt_fault){.status = (enum mgpt_status)why->status,
                                 .origin = copy(at->origin, &failed),
                                 .section = copy(at->section, &failed),
                                 .key = copy(at->key, &failed),
                                 .value = copy(at->value, &failed),
                                 .file = at->file,
                                 .line = at->line,
                                 .text = copy(why->text, &failed)};
    if (failed) {
        fault_finish(fault);
        return MGPT_NOMEM;
    }
    faults->n++;
    return MGPT_OK;
}

static bool stands_after(const struct mgpt_fault *a, const struct mgpt_fault *b)
{
    if (a->file != b->file)
        return b->file && (!a->file || a->file > b->file);
    return a->line > b->line;
}

/* By insertion: they are few, and what has no line stays in the order in which it was found. */
void mgpt_faults_sort(struct mgpt_faults *faults)
{
    for (size_t i = 1; i < faults->n; i++)
        for (size_t k = i; k && stands_after(&faults->items[k - 1], &faults->items[k]); k--) {
            struct mgpt_fault earlier = faults->items[k];
            faults->items[k] = faults->items[k - 1];
            faults->items[k - 1] = earlier;
        }
}

void mgpt_faults_finish(struct mgpt_faults *faults)
{
    for (size_t i = 0; faults && i < faults->n; i++)
        fault_finish(&faults->items[i]);
    if (faults) {
        free(faults->items);
        *faults = (struct mgpt_faults){0};
    }
}
