/* dw += dy^T x in BF16. Some tokens at a time, both factors are packed in pairs of tokens, for all
 * threads; then a task is a block of dw. The order of every sum depends on the shape alone, and not
 * on how dw is cut. */
#include "bf16_kernel.h"
#include "bf16_matmul.h"

#define GROUP 1024   /* tokens packed at once */
#define CHUNK 256    /* of which so many are multiplied at once; even */
#define AHEAD 16     /* tokens that are fetched before they are packed */
#define PACK_COLS 64 /* columns that a task packs; a multiple of 16 */
#define ROWS 128     /* of c, a task, at most */
#define COLS 128     /* of c, a task; a multiple of BF16_NR */
#define LEAST_ROWS 32

struct job {
    const struct cpu_bf16_outer *m;
    int64_t l0, l1;       /* tokens packed */
    uint16_t *a, *b;      /* [chunk][panel][its pairs][size of a panel][2], panels `apart` */
    int64_t rows, across; /* rows of a task, tasks side by side */
};

/* A factor, and how its panels are. */
struct factor {
    const struct cpu_mixed *x;
    int64_t width, size; /* columns of x, of a panel: 8 or 32 */
    uint16_t *to;
    float *sums; /* (width) or NULL */
};

/* From a panel to the next: a line more than it needs, since panels are written side by side and
 * powers of two would share a set of the cache. */
CPU_INLINE int64_t apart(int64_t pairs, int64_t size)
{
    return pairs * 2 * size + 32;
}

/* Elements of a chunk of so many tokens of a factor. */
CPU_INLINE int64_t chunk_size(int64_t tokens, int64_t columns, int64_t size)
{
    return cpu_pieces(columns, size) * apart((tokens + 1) / 2, size);
}

/* 16 pairs, columns c.. of the factor, to their panels; c is a multiple of 16. */
CPU_INLINE void put_pairs(const int64_t size, __m512i pairs, int64_t n, uint16_t *panel,
                          int64_t stride)
{
    if (size == BF16_NR) {
        _mm512_storeu_si512(panel, pairs);
        return;
    }
    _mm256_storeu_si256((void *)panel, _mm512_castsi512_si256(pairs));
    if (n > BF16_MR)
        _mm256_storeu_si256((void *)(panel + stride), _mm512_extracti64x4_epi64(pairs, 1));
}

/* sums += two rows: BF16 ones as pairs times ones, which is exact; F32 ones as they are. */
CPU_INLINE void add_pair(const struct cpu_mixed *x, int64_t ld, int64_t at, int64_t n, int second,
                         __m512i pairs, float *sums)
{
    const __mmask16 some = bf16_first(n);
    __m512 sum = _mm512_loadu_ps(sums);

    if (x->bf16) {
        sum = _mm512_dpbf16_ps(sum, (__m512bh)pairs, (__m512bh)_mm512_set1_epi16(0x3f80));
    } else {
        sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(some, x->f32 + at));
        if (second)
            sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(some, x->f32 + at + ld));
    }
    _mm512_storeu_ps(sums, sum);
}

/* Parts of rows are too short for the processor to see where they go on. */
CPU_INLINE void fetch(const struct cpu_mixed *x, int64_t at)
{
    __builtin_prefetch(x->f32 ? (const void *)(x->f32 + at) : (const void *)(x->bf16 + at));
}

/* Tokens l0..l1 of columns from..from+n, as panels of `size` (a constant) columns. */
CPU_INLINE void pack_chunk(const struct factor *f, const int64_t size, int64_t l0, int64_t l1,
                           int64_t from, int64_t n, uint16_t *to, float *sums)
{
    int64_t stride = apart((l1 - l0 + 1) / 2, size);

    for (int64_t l = l0; l < l1; l += 2)
        for (int64_t c = 0; c < n; c += 16) {
            int64_t at = l * f->width + from + c;
            int second = l + 1 < l1;
            fetch(f->x, at + AHEAD * f->width);
            fetch(f->x, at + (AHEAD + 1) * f->width);
            __m512i pairs = n - c >= 16 && second
                                ? bf16_pairs(f->x, f->width, at)
                                : bf16_some_pairs(f->x, f->width, at, n - c, second);
            put_pairs(size, pairs, n - c,
                      to + (from + c) / size * stride + (from + c) % size * 2 + (l - l0) * size,
                      stride);
            if (f->sums)
                add_pair(f->x, f->width, at, n - c, second, pairs, sums + c);
        }
}

/* Columns of a, then those of b. */
static void pack_task(const void *data, int64_t index, float *scratch)
{
    const struct job *j = data;
    const struct cpu_bf16_outer *m = j->m;
    int64_t of_a = cpu_pieces(m->rows, PACK_COLS), is_b = index >= of_a;
    const struct factor a = {&m->a, m->rows, BF16_MR, j->a, m->row_sums};
    const struct factor b = {&m->b, m->cols, BF16_NR, j->b, NULL}, *f = is_b ? &b : &a;
    int64_t from = (is_b ? index - of_a : index) * PACK_COLS;
    int64_t n = cpu_min(PACK_COLS, f->width - from);

    memset(scratch, 0, PACK_COLS * sizeof *scratch);
    for (int64_t l = j->l0; l < j->l1; l += CHUNK) {
        int64_t end = cpu_min(l + CHUNK, j->l1);
        uint16_t *to = f->to + (l - j->l0) / CHUNK * chunk_size(CHUNK, f->width, f->size);
        if (is_b)
            pack_chunk(f, BF16_NR, l, end, from, n, to, NULL);
        else
            pack_chunk(f, BF16_MR, l, end, from, n, to, scratch);
    }
    for (int64_t i = 0; f->sums && i < n; i++)
        f->sums[from + i] += scratch[i];
}

/* c (rows i.., columns j..) += one packed panel of a times one of b */
CPU_INLINE void add_tile(const struct cpu_bf16_outer *m, int64_t i, int64_t j,
                         const struct bf16_kernel *both)
{
    int64_t rows = cpu_min(BF16_MR, m->rows - i), cols = cpu_min(BF16_NR, m->cols - j);
    float *c = m->c + i * m->cols + j, tile[BF16_TILE];
    struct bf16_kernel k = *both;

    if (cols == BF16_NR) {
        k.start = k.c = c;
        k.ld_start = k.ldc = m->cols;
        bf16_kernel_run(rows, &k, 2, 2 * BF16_MR);
        return;
    }
    k.c = tile;
    k.ldc = BF16_NR;
    bf16_kernel_run(rows, &k, 2, 2 * BF16_MR);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t n = 0; n < cols; n++)
            c[r * m->cols + n] += tile[r * BF16_NR + n];
}

static void tile_task(const void *data, int64_t index, float *scratch)
{
    const struct job *job = data;
    const struct cpu_bf16_outer *m = job->m;
    int64_t i0 = index / job->across * job->rows, j0 = index % job->across * COLS;
    int64_t i1 = cpu_min(i0 + job->rows, m->rows), j1 = cpu_min(j0 + COLS, m->cols);

    (void)scratch;
    for (int64_t l = 0; l < job->l1 - job->l0; l += CHUNK) {
        int64_t pairs = (cpu_min(CHUNK, job->l1 - job->l0 - l) + 1) / 2;
        const uint16_t *a = job->a + l / CHUNK * chunk_size(CHUNK, m->rows, BF16_MR);
        const uint16_t *b = job->b + l / CHUNK * chunk_size(CHUNK, m->cols, BF16_NR);
        for (int64_t j = j0; j < j1; j += BF16_NR)
            for (int64_t i = i0; i < i1; i += BF16_MR) {
                const struct bf16_kernel k = {.pairs = pairs,
                                              .a = a + i / BF16_MR * apart(pairs, BF16_MR),
                                              .b = b + j / BF16_NR * apart(pairs, BF16_NR)};
                add_tile(m, i, j, &k);
            }
    }
}

size_t cpu_bf16_outer_bytes(const struct cpu_bf16_outer *m)
{
    return (size_t)(GROUP / CHUNK *
                    (chunk_size(CHUNK, m->rows, BF16_MR) + chunk_size(CHUNK, m->cols, BF16_NR))) *
           sizeof(uint16_t);
}

void cpu_bf16_outer_run(struct mgpt_device *device, const struct cpu_bf16_outer *m)
{
    struct job job = {.m = m, .across = cpu_pieces(m->cols, COLS)};
    int64_t packs = cpu_pieces(m->rows, PACK_COLS) + (m->c ? cpu_pieces(m->cols, PACK_COLS) : 0);

    job.a = device->rounded;
    job.b = job.a + GROUP / CHUNK * chunk_size(CHUNK, m->rows, BF16_MR);
    job.rows = cpu_even_rows(device, m->rows, job.across, ROWS, LEAST_ROWS, BF16_MR);
    for (job.l0 = 0; job.l0 < m->depth; job.l0 = job.l1) {
        job.l1 = cpu_min(job.l0 + GROUP, m->depth);
        double tokens = (double)(job.l1 - job.l0);
        cpu_run(device, pack_task, &job, packs, 2 * tokens * (double)(m->rows + m->cols));
        if (m->c)
            cpu_run(device, tile_task, &job, cpu_pieces(m->rows, job.rows) * job.across,
                    tokens * (double)m->rows * (double)m->cols);
    }
}
