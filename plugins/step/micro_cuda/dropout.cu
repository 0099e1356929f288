/* Dropout: core/ref/dropout.c, with the draws of core/microgpt/random.h. */
constexpr u32 DRAW_EMBEDDING = 3, DRAW_ATTENTION = 4, DRAW_PROJECTION = 5, DRAW_MLP = 6;

/* The draw of element i of the step's logical tensor: lane i & 3 of a block of Philox4x32-10
 * (Salmon, Moraes, Dror, Shaw 2011). */
DEVICE u32 draw(u64 step, u32 purpose, int layer, u64 i)
{
    u32 c[4] = {(u32)(i >> 2), (u32)(i >> 34), (u32)step, purpose << 16 | (u32)layer};
    u32 key0 = (u32)SEED, key1 = (u32)(SEED >> 32);

    for (int round = 0; round < 10; round++) {
        const u64 a = (u64)0xD2511F53u * c[0], b = (u64)0xCD9E8D57u * c[2];
        c[0] = (u32)(b >> 32) ^ c[1] ^ key0;
        c[1] = (u32)b;
        c[2] = (u32)(a >> 32) ^ c[3] ^ key1;
        c[3] = (u32)a;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return i & 2 ? (i & 1 ? c[3] : c[2]) : (i & 1 ? c[1] : c[0]);
}

/* What an element is multiplied with: 0, or 1 / (1 - rate). */
DEVICE float kept(u64 step, u32 purpose, int layer, u64 i)
{
    if constexpr (DROPOUT)
        return draw(step, purpose, layer, i) >= KEPT_FROM ? KEPT_SCALE : 0;
    return 1;
}

/* Of element c of the vector of position t. */
DEVICE float kept_at(const settings *now, const document *d, u32 purpose, int layer, int t, int c)
{
    return kept(now->step, purpose, layer, (d->row * (u64)d->columns + (u64)t) * C + (u64)c);
}

/* Of the weight of query t on row s. */
DEVICE float kept_weight(const settings *now, const document *d, int layer, int h, int t, int s)
{
    const u64 row = (d->row * H + (u64)h) * (u64)d->columns + (u64)t;

    return kept(now->step, DRAW_ATTENTION, layer, row * (u64)d->columns + (u64)s);
}
