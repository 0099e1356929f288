/* Tensors of a GPT-2: their names, and the four matrices of a block that they store transposed. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "run/hf.h"

static const struct {
    const char *ours, *theirs;
} parts[] = {
    {"attn.qkv", "attn.c_attn"}, /* q | k | v, as ours */
    {"attn.proj", "attn.c_proj"},
    {"mlp.fc", "mlp.c_fc"},
    {"mlp.proj", "mlp.c_proj"},
};

void mgpt_hf_name(const char *ours, char theirs[96], bool *transposed)
{
    const char *prefix = strncmp(ours, "lm_head.", 8) ? "transformer." : "", *found = NULL;

    *transposed = false;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && !found; i++) {
        size_t length = strlen(parts[i].ours);
        found = strstr(ours, parts[i].ours);
        if (!found)
            continue;
        *transposed = !strcmp(found + length, ".weight"); /* their Conv1D has (in, out) */
        snprintf(theirs, 96, "%s%.*s%s%s", prefix, (int)(found - ours), ours, parts[i].theirs,
                 found + length);
    }
    if (!found)
        snprintf(theirs, 96, "%s%s", prefix, ours);
}

void mgpt_hf_transpose(const void *from, void *to, int64_t rows, int64_t columns, size_t size)
{
    const char *in = from;
    char *out = to;

    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            memcpy(out + (size_t)(c * rows + r) * size, in + (size_t)(r * columns + c) * size,
                   size);
}
