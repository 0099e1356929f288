/* What the lanes of a warp do together, made of exchanges. */
#include "cuda_runtime.h"

void emu_sync_warp(const char *file, int line)
{
    (void)emu_exchange(0xffffffffu, 0, 0, file, line);
    emu_now->syncs++;
}

unsigned emu_ballot(unsigned mask, int value, const char *file, int line)
{
    unsigned votes = 0;

    for (unsigned lane = 0; lane < 32; lane++)
        if (mask >> lane & 1 && emu_exchange(mask, value != 0, lane, file, line))
            votes |= 1u << lane;
    return votes;
}
