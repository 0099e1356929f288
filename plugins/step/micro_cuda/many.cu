/* Several documents a step: blocks take shares of them, and meet at barriers of the whole grid.
 *
 * Which documents a share has, and which elements a slice, depends on the model and the batch
 * alone, and each adds up in its own order into its own place. So the bits are the same for any
 * number of blocks. Parameters and state lie in global memory, where all blocks find them; each
 * block has a copy of the parameters, or of what products take of them, where there is room. */
constexpr int SLICE = 4 * THREADS;

/* Forward and backward of a share's documents, one after the other. */
DEVICE void run_share(memory *m, const args *a, int step, int share)
{
    const parameters all = parameters_of(m, P_HERE ? m->p : a->p);
    const settings *now = &m->now[step % 2];
    document *d = &m->doc[0];

    for (int k = share * PER_SHARE; k < least((share + 1) * PER_SHARE, DOCUMENTS); k++) {
        if (warp() == 0)
            fetch_document(&a->steps[step].documents[k], d);
        __syncthreads();
        document_pass(m, now, d, all, [] {});
        const double loss = sum_of_losses(m, now, d);
        if (threadIdx.x == 0)
            a->losses[k] = loss;
        document_gradients(m, now, d, a->shares + (long long)share * N, k == share * PER_SHARE,
                           false);
        __syncthreads();
    }
}

/* g = the sum of the shares, share after share, and the sum of its squares, slice by slice. */
DEVICE void add_shares(memory *m, const args *a)
{
    for (int slice = (int)blockIdx.x; slice < SLICES; slice += (int)gridDim.x) {
        double squares = 0;
        for (int i = slice * SLICE + (int)threadIdx.x; i < least((slice + 1) * SLICE, N);
             i += THREADS) {
            float sum = 0;
            for (int k = 0; k < SHARES; k++)
                sum += a->shares[(long long)k * N + i];
            a->g[i] = sum;
            squares += (double)sum * sum;
        }
        for (int k = (int)threadIdx.x; slice == 0 && k < DOCUMENTS; k += THREADS)
            squares += 0 * a->losses[k]; /* a loss that is not finite counts as such a gradient */
        squares = block_sum(m, squares);
        if (threadIdx.x == 0)
            a->squares[slice] = squares;
        __syncthreads();
    }
}

DEVICE double total_of(memory *m, const args *a)
{
    double total = 0;

    for (int i = (int)threadIdx.x; i < SLICES; i += THREADS)
        total += a->squares[i];
    return block_sum(m, total);
}

/* The parameters, and what products take of them. */
DEVICE void fetch_parameters(memory *m, const float *from)
{
    for (int i = 4 * (int)threadIdx.x; (P_HERE || W_HERE) && i < N; i += 4 * THREADS) {
        const pack<4> p = read<4>(from + i);
        if constexpr (P_HERE)
            write(m->p + i, p);
        if constexpr (W_HERE)
            write(m->w + i, p);
    }
}

DEVICE void run_many(memory *m, const args *a)
{
    if (warp() == 0)
        fetch_scaling(a->state, &m->now[0]);
    for (int i = 0; i < (int)a->n; i++) {
        settings *now = &m->now[i % 2], *next = &m->now[(i + 1) % 2];
        if (warp() == 0)
            fetch_settings(&a->steps[i].input, now, now);
        fetch_parameters(m, a->p);
        __syncthreads();
        for (int share = (int)blockIdx.x; share < SHARES; share += (int)gridDim.x)
            run_share(m, a, i, share);
        MGPT_GRID_SYNC();
        add_shares(m, a);
        MGPT_GRID_SYNC();
        const double total = total_of(m, a);
        if (UPDATES && isfinite(total))
            update(a->p, nullptr, a->g, a->s, now, quick_scale((float)total, total, now),
                   (int)(blockIdx.x * THREADS + threadIdx.x), (int)gridDim.x * THREADS);
        if (threadIdx.x == 0)
            scaler(now, next, total);
        if (blockIdx.x == 0 && threadIdx.x == 0) {
            double loss = 0;
            for (int k = 0; k < DOCUMENTS; k++)
                loss += a->losses[k];
            report(a, i, now, next, loss, total);
        }
        MGPT_GRID_SYNC();
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) mgpt_micro_step(const args a)
{
    MGPT_SHARED(memory, m);

    if constexpr (ALONE)
        run_one(m, &a);
    else
        run_many(m, &a);
}
