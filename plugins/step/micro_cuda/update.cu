/* What follows the gradients: their norm, and the optimizer's rule. core/ref/clip.c
 *
 * total: the sum of the squares of all gradients, NaN or infinite when one of them or the loss
 * is. */
DEVICE bool ordinary(float total) /* for arithmetic in float */
{
    return total > 1e-30f && total < 1e30f;
}

/* Over the threads of the block; every thread gets the result. A barrier must come before the next
 * call. */
DEVICE double block_sum(memory *m, double v)
{
    double sum = 0;

    v = group_sum(v);
    if (lane() == 0)
        m->sums[warp()] = v;
    __syncthreads();
    for (int i = 0; i < WARPS; i++)
        sum += m->sums[i];
    return sum;
}

/* The same of floats, on the way of every step: in float, which is quicker. */
DEVICE float quick_sum(memory *m, float v)
{
    constexpr int n = FLOATS(WARPS);
    float *sums = reinterpret_cast<float *>(m->sums);
    pack<n> sum = {};

    v = group_sum(v);
    if (lane() == 0)
        sums[warp()] = v;
    __syncthreads();
    for (int i = 0; i < WARPS; i += n) {
        const pack<n> some = read<n>(sums + i);
        for (int j = 0; j < n; j++)
            sum.v[j] += some.v[j];
    }
    return total(sum);
}

/* Squares that a float cannot hold, or that vanish in one, once more. */
DEVICE double careful_total(memory *m, const float *g)
{
    double squares = 0;

    for (int i = (int)threadIdx.x; i < N; i += THREADS)
        squares += (double)g[i] * g[i];
    __syncthreads(); /* sums were read */
    return block_sum(m, squares);
}

/* What gradients are multiplied with: min(1, clip / norm) / loss_scale. */
DEVICE double grad_scale(double total, double loss_scale)
{
    const double norm = sqrt(total) / loss_scale;

    return (CLIP > 0 && norm > CLIP ? CLIP / norm : 1) / loss_scale;
}

/* The same for all threads, of sum = total: no doubles, roots and quotients, which take long. */
DEVICE float quick_scale(float sum, double total, const settings *now)
{
    if (!ordinary(sum))
        return (float)grad_scale(total, now->loss_scale);
    const bool clips = CLIP > 0 && sum * now->unscale * now->unscale > (float)(CLIP * CLIP);
    return clips ? (float)CLIP * rsqrtf(sum) : now->unscale;
}

constexpr int STATES = when(RULE_STATE > 0, RULE_STATE);
constexpr int SCALARS = when(RULE_SCALARS > 0, RULE_SCALARS);

DEVICE void update_four(float *p, half *w, const float *g, float *const *s, int i,
                        const real (&h)[SCALARS], float scale)
{
    pack<4> value = read<4>(p), slope = read<4>(g), states[STATES];

    for (int k = 0; k < RULE_STATE; k++)
        states[k] = read<4>(s[k] + i);
    for (int j = 0; j < 4; j++) {
        real state[STATES];
        for (int k = 0; k < RULE_STATE; k++)
            state[k] = states[k].v[j];
        rule(value.v[j], slope.v[j] * scale, state, h);
        for (int k = 0; k < RULE_STATE; k++)
            states[k].v[j] = state[k];
    }
    write(p, value);
    if constexpr (W_HERE && ALONE)
        write(w, value);
    for (int k = 0; k < RULE_STATE; k++)
        write(s[k] + i, states[k]);
}

/* The rule for elements from, from + step, ... of each run of parameters of one group, four at a
 * time. w: what products take of them, where one block has them all. */
DEVICE void update(float *p, half *w, const float *g, float *const *s, const settings *now,
                   float scale, int from, int step)
{
    for (int r = 0; r < RUNS; r++) {
        real h[SCALARS];
        for (int k = 0; k < RULE_SCALARS; k++)
            h[k] = now->scalars[runs[r].decays][k];
#pragma unroll 1
        for (int i = runs[r].from + 4 * from; i < runs[r].to; i += 4 * step)
            update_four(p + i, w + i, g + i, s, i, h, scale);
    }
}

/* What follows from the scale of the loss. */
DEVICE void set_scales(settings *now)
{
    now->scale = (float)(now->inv_targets * now->loss_scale);
    now->unscale = (float)(1 / now->loss_scale);
}

/* SCALER: core/ref/scaler.c. What it leaves for the step after this one. By one thread. */
DEVICE void scaler(const settings *now, settings *next, double total)
{
    const bool skipped = !isfinite(total), grows = SCALING && now->good + 1 >= INTERVAL;
    double scale = now->loss_scale;

    if (SCALING && skipped)
        scale = fmax(scale * BACKOFF, 1.0);
    else if (grows)
        scale *= GROWTH;
    next->good = skipped || grows ? 0 : now->good + 1;
    next->loss_scale = scale;
    if constexpr (SCALING)
        set_scales(next);
}

/* What a step leaves in its result and in the state of the run: nothing of that is read here. next:
 * what SCALER made of its settings. By one thread. */
DEVICE void report(const args *a, int i, const settings *now, const settings *next,
                   double sum_of_losses, double total)
{
    const bool skipped = !isfinite(total);
    const double loss = sum_of_losses * now->inv_targets;
    const double norm = sqrt(total) / now->loss_scale;
    const double scale = UPDATES ? next->loss_scale : now->loss_scale;
    step_state *state = a->state;

    a->results[i] = {now->step, loss, norm, scale, skipped, 0};
    state->step = now->step;
    state->inv_targets = now->inv_targets;
    state->loss = loss;
    state->grad_norm = norm;
    state->grad_scale = grad_scale(total, now->loss_scale);
    state->nonfinite = skipped;
    if constexpr (UPDATES) {
        state->good = next->good;
        state->loss_scale = scale;
        if (skipped)
            state->skipped++;
    }
}
