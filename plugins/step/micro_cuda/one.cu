/* A document a step: one block runs all steps of a launch, and parameters, gradients and state stay
 * in its shared memory meanwhile, as far as there is room.
 *
 * Barriers: one a launch, and 2 L + 3 a step: 2 L + 1 in document_pass, 1 for the norm, 1 after the
 * update. The last warp is the clerk: while the others are on their rows it reports the step before
 * and fetches the input of the next one, so that nobody waits for global memory. */
DEVICE void fetch_settings(const step_input *from, settings *to, const settings *before)
{
    if (lane() == 0) {
        to->step = from->step;
        to->inv_targets = from->inv_targets;
        to->loss_scale = before->loss_scale;
        set_scales(to);
    }
    EACH_LANE (k, 2 * 16)
        to->scalars[k / 16][k % 16] = (real)from->scalars[k / 16][k % 16];
}

/* What SCALER left before the first step. */
DEVICE void fetch_scaling(const step_state *from, settings *to)
{
    if (lane() == 0) {
        to->loss_scale = from->loss_scale;
        to->good = from->good;
    }
}

DEVICE void fetch_document(const document *from, document *to)
{
    const int *source = reinterpret_cast<const int *>(from);
    int *copy = reinterpret_cast<int *>(to);

    EACH_LANE (k, (int)(sizeof *to / sizeof *copy))
        copy[k] = source[k];
}

/* N floats, of which there are whole groups of 16. */
DEVICE void copy(float *to, const float *from)
{
    for (int i = 4 * (int)threadIdx.x; i < N; i += 4 * THREADS)
        write(to + i, read<4>(from + i));
}

/* All that there is room for, at once: nobody waits for one before asking for the next. By so many
 * threads. What lies between two gradients stays 0. */
DEVICE void fetch_model(memory *m, const args *a, int threads)
{
#pragma unroll 2
    for (int i = 4 * (int)threadIdx.x; i < N; i += 4 * threads) {
        pack<4> p = {}, s[STATES];
        if constexpr (P_HERE || W_HERE)
            p = read<4>(a->p + i);
        for (int k = 0; k < S_HERE; k++)
            s[k] = read<4>(a->s[k] + i);
        if constexpr (P_HERE)
            write(m->p + i, p);
        if constexpr (W_HERE)
            write(m->w + i, p);
        if constexpr (G_HERE)
            write(m->g + i, pack<4>{});
        for (int k = 0; k < S_HERE; k++)
            write(m->s[k] + i, s[k]);
    }
}

/* Where products find the parameters p. */
DEVICE parameters parameters_of(const memory *m, const float *p)
{
    const void *w = W_HERE ? static_cast<const void *>(m->w) : p;

    return {p, static_cast<const weight *>(w)};
}

/* sum over t of loss[t], by a warp */
DEVICE double sum_of_losses(memory *m, const settings *now, const document *d)
{
    double sum = 0;

    EACH_LANE (t, d->length)
        sum += loss_of(m, now, t);
    return group_sum(sum);
}

DEVICE void clerk(memory *m, const args *a, int i, double total)
{
    settings *now = &m->now[i % 2], *other = &m->now[(i + 1) % 2];

    if (i > 0) {
        const double loss = sum_of_losses(m, other, &m->doc[(i - 1) % 2]);
        if (!SCALING && lane() == 0) /* else it could not wait */
            scaler(other, now, total);
        if (lane() == 0)
            report(a, i - 1, other, now, loss, total);
    }
    __syncwarp();
    if (i + 1 < (int)a->n) {
        fetch_settings(&a->steps[i + 1].input, other, now);
        fetch_document(&a->steps[i + 1].documents[0], &m->doc[(i + 1) % 2]);
    }
}

/* --- idea: step --- */
DEVICE void run_one(memory *m, const args *a)
{
    float *p = P_HERE ? m->p : a->p, *g = G_HERE ? m->g : a->g, *s[4];
    double total = 0;

    for (int k = 0; k < RULE_STATE; k++)
        s[k] = k < S_HERE ? m->s[k] : a->s[k];
    if (warp() < most(WARPS - 1, 1))
        fetch_model(m, a, most(WARPS - 1, 1) * WARP);
    if (warp() == WARPS - 1) {
        fetch_scaling(a->state, &m->now[0]);
        fetch_settings(&a->steps[0].input, &m->now[0], &m->now[0]);
        fetch_document(&a->steps[0].documents[0], &m->doc[0]);
    }
    __syncthreads();
    for (int i = 0; i < (int)a->n; i++) {
        const settings *now = &m->now[i % 2];
        const document *d = &m->doc[i % 2];
        document_pass(m, now, d, parameters_of(m, p), [&] {
            if (warp() == WARPS - 1)
                clerk(m, a, i, total);
        });
        const float sum = quick_sum(m, document_gradients(m, now, d, g, true, true));
        total = ordinary(sum) || sum != sum ? sum : careful_total(m, g);
        if (SCALING && threadIdx.x == 0)
            scaler(now, &m->now[(i + 1) % 2], total);
        if (UPDATES && (ordinary(sum) || isfinite(total)))
            update(p, m->w, g, s, now, quick_scale(sum, total, now), (int)threadIdx.x, THREADS);
        __syncthreads();
    }
    if (warp() == WARPS - 1)
        clerk(m, a, (int)a->n, total);
    for (int k = 0; k < S_HERE; k++)
        copy(a->s[k], s[k]);
    if (P_HERE && UPDATES)
        copy(a->p, p);
    if (G_HERE && !UPDATES)
        copy(a->g, g);
}
/* --- end of idea --- */
