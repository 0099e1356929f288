/* What follows the gradients: their norm, and the optimizer's rule. core/ref/clip.c
 *
 * total: the sum of the squares of all gradients, NaN or infinite when one of them or the loss
 * is. */
DEVICE bool ordinary(double total) /* for arithmetic in float */
{
    return total > 1e-30 && total < 1e30;
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
    float *sums = reinterpret_cast<float *>(m->sums), sum = 0;

    v = group_sum(v);
    if (lane() == 0)
        sums[warp()] = v;
    __syncthreads();
    for (int i = 0; i < WARPS; i++)
        sum += sums[i];
    return sum;
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

/* The same for all threads: doubles are slow where there are many of them. */
DEVICE float quick_scale(double total, double loss_scale)
{
    if (!ordinary(total))
        return (float)grad_scale(total, loss_scale);
    const float scale = (float)loss_scale, norm = sqrtf((float)total) / scale;
    return (CLIP > 0 && norm > (float)CLIP ? (float)CLIP / norm : 1) / scale;
}

/* The rule for elements from, from + step, ... of each run of parameters of one group. w: what
 * products take of them, where one block has them all. */
DEVICE void update(float *p, half *w, const float *g, float *const *s, const settings *now,
                   float scale, int from, int step)
{
    for (int r = 0; r < RUNS; r++) {
        real h[when(RULE_SCALARS > 0, RULE_SCALARS)], state[when(RULE_STATE > 0, RULE_STATE)];
        for (int k = 0; k < RULE_SCALARS; k++)
            h[k] = now->scalars[runs[r].decays][k];
#pragma unroll 2
        for (int i = runs[r].from + from; i < runs[r].to; i += step) {
            real value = p[i];
            for (int k = 0; k < RULE_STATE; k++)
                state[k] = s[k][i];
            rule(value, g[i] * scale, state, h);
            p[i] = value;
            if constexpr (W_HERE && ALONE)
                w[i] = value;
            for (int k = 0; k < RULE_STATE; k++)
                s[k][i] = state[k];
        }
    }
}

DEVICE float dlogits_scale(const settings *now)
{
    return (float)(now->inv_targets * now->loss_scale);
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
        next->scale = dlogits_scale(next);
}

/* What a step leaves in its result and in the state of the run. next: what SCALER made of its
 * settings. By one thread. */
DEVICE void report(const args *a, int i, const settings *now, const settings *next,
                   double sum_of_losses, double total)
{
    step_state *state = a->state;
    const bool skipped = !isfinite(total);

    state->step = a->steps[i].input.step;
    state->inv_targets = now->inv_targets;
    state->loss = sum_of_losses * now->inv_targets;
    state->grad_norm = sqrt(total) / now->loss_scale;
    state->grad_scale = grad_scale(total, now->loss_scale);
    state->nonfinite = skipped;
    if constexpr (UPDATES) {
        state->good = next->good;
        state->skipped += skipped;
        state->loss_scale = next->loss_scale;
    }
    a->results[i] = {state->step, state->loss, state->grad_norm, state->loss_scale, skipped, 0};
}
