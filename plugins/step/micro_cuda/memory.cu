/* Where everything lies: the shared memory of a block, and what a launch is handed.
 *
 * T positions of a document, C embd, F mlp, H heads of D, KV kv heads, V vocab, L layers. Rows are
 * padded to whole groups of four numbers. What a block has in shared memory is one document's
 * activations, and as much of parameters, gradients and optimizer state as there is room for. */
constexpr int WARP = 32, WARPS = THREADS / WARP;
constexpr int D = C / H, W = (H + 2 * KV) * D; /* of a head; of a row of q|k|v */
constexpr bool AFFINE = NORM_GAIN || NORM_BIAS;
constexpr bool ALONE = DOCUMENTS == 1; /* one document a step: one block does it all */

DEVICE constexpr int pad(int n)
{
    return (n + 3) / 4 * 4;
}

DEVICE constexpr int when(bool there, int n)
{
    return there ? n : 1;
}

/* Rows that many lanes read at once, each of them another row, 16 bytes a lane: an odd number of
 * such packs apart where pad() is a multiple of 8, so that 8 lanes read from different banks. */
constexpr int WIDE = pad(W) + 4, APART = pad(C) + 4;

template <class A, class B> constexpr bool same = false;
template <class A> constexpr bool same<A, A> = true;

/* What a norm leaves for backward. y = hat [* gain] [+ bias], where that is something else. */
template <int ROWS, class Y> struct norm_rows {
    typedef Y type;
    static constexpr bool SEPARATE = AFFINE || !same<Y, float>;
    alignas(16) float hat[ROWS][pad(C)];
    alignas(16) Y y[when(SEPARATE, ROWS)][pad(C)];
    alignas(16) Y dy[when(AFFINE, ROWS)][pad(C)];
    alignas(16) float rstd[pad(ROWS)];
};

struct layer_rows {
    norm_rows<T, stored> norm1, norm2;
    alignas(16) stored qkv[T][WIDE];
    alignas(16) stored dqkv[T][WIDE];
    alignas(16) stored att[T][pad(C)];
    /* Of the scores of a row: the largest, and 1 / the sum of exp(score - most). */
    alignas(16) float most[T][pad(H)], part[T][pad(H)];
    alignas(16) stored pre[T][pad(F)]; /* backward, it becomes dpre */
    alignas(16) stored hidden[T][pad(F)];
    alignas(16) float dproj[T][pad(C)], dout[T][pad(C)]; /* of what is added to the residual */
};

/* One document of a step. row and columns: of its batch, for the draws of dropout. */
struct document {
    int length, columns; /* positions up to the last that has a target */
    u64 row;
    alignas(16) int ids[pad(T)], targets[pad(T)];
};

/* What a step is handed besides its documents. */
struct step_input {
    u64 step;
    double inv_targets, scalars[2][16]; /* of the rule: for what does not decay, and what does */
};

/* The same, as all threads read it. */
struct settings {
    alignas(16) u64 step;
    double inv_targets;
    double loss_scale;       /* of struct step_state, before this step */
    u64 good;                /* likewise */
    alignas(16) float scale; /* of dlogits */
    float unscale;           /* 1 / loss_scale */
    alignas(16) real scalars[2][16];
};

/* core/microgpt/backend.h, struct mgpt_step_state */
struct step_state {
    u64 step;
    double inv_targets, loss, grad_norm, grad_scale, loss_scale;
    u64 nonfinite, good, skipped;
};

struct memory {
    layer_rows layer[L];
    norm_rows<when(EMBED_NORM, T), float> norme; /* it makes the residual stream */
    norm_rows<when(FINAL_NORM, T), stored> normf;
    alignas(16) float x[T][pad(C)], dx[T][pad(C)]; /* the residual stream */
    alignas(16) float logits[T][pad(V)];           /* and then dlogits */
    /* Of this step and the one before, see one.cu. loss[t] = above[t] + log(sum[t]) */
    alignas(16) float above[2][pad(T)], sum[2][pad(T)];
    /* Of attention's output. Two layers take turns: one is still read while the next is written. */
    alignas(16) stored datt[2][T][APART];
    alignas(16) float delta[2][T][pad(H)];
    alignas(16) float rows[WARPS][2][pad(C)]; /* scratch memory of a warp: scratch() */
    alignas(16) double sums[WARPS];
    document doc[2];
    settings now[2];
    alignas(16) half w[pad(when(W_HERE, N))]; /* p rounded */
    alignas(16) float p[pad(when(P_HERE, N))], g[pad(when(G_HERE, N))];
    alignas(16) float s[when(S_HERE > 0, S_HERE)][pad(when(S_HERE > 0, N))];
};
static_assert(sizeof(memory) == BYTES, "plan.c counts the shared memory otherwise");

/* core/microgpt/step.h, struct mgpt_step_result */
struct step_result {
    u64 step;
    double loss, grad_norm, loss_scale;
    u32 skipped, reserved;
};

/* A step to do. */
struct step_data {
    alignas(16) step_input input;
    document documents[DOCUMENTS];
};

struct args {
    float *p, *g, *s[4]; /* N each: the buffers of the run */
    step_state *state;
    const step_data *steps; /* n */
    step_result *results;   /* n */
    /* With several documents a step: gradients of the shares that blocks take of them (SHARES, N),
     * losses of the documents, squares of the slices of the gradients' sum. */
    float *shares;
    double *losses, *squares;
    u64 n;
};
