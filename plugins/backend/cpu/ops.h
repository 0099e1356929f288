/* Inside the cpu backend: the device, how work is spread over threads, and the ops. F32, and what
 * precision bf16 has of BF16 (supports.c).
 *
 * Same bits for any number of threads: work is cut into tasks whose bounds depend on shapes alone,
 * each task writes what no other does, and partial sums of tasks are added in their order. While
 * tasks run, subnormal floats count as zero (they are slow, and the moments of an optimizer decay
 * into them); the caller's floating-point state is put back. */
#ifndef MGPT_CPU_OPS_H
#define MGPT_CPU_OPS_H

#include <pthread.h>
#include <stdatomic.h>

#include <microgpt/backend.h>

#if !defined _OPENMP && defined __GNUC__ /* "omp" pragmas are then comments */
#pragma GCC diagnostic ignored "-Wunknown-pragmas"
#endif

/* Everything that computes is compiled once for each instruction set (CPU_ISA; plugins/local.mk has
 * the flags), under names that end in it; cpu_open takes the best table that runs here. Products
 * and sums are contracted to fused ones where there are any: bits are promised for one machine and
 * one build. */
#define CPU_JOIN_AGAIN(name, isa) name##_##isa
#define CPU_JOIN(name, isa) CPU_JOIN_AGAIN(name, isa)
#define CPU_NAME(name) CPU_JOIN(name, CPU_ISA)

#if defined __GNUC__
#define CPU_INLINE static inline __attribute__((always_inline))
#else
#define CPU_INLINE static inline
#endif

struct mgpt_buffer {
    uint64_t bytes;
    char *data; /* aligned to 64 */
    uint64_t
        version; /* of its contents: a new number with every write; 0: they may change unseen */
};

/* What one instruction set offers. */
struct cpu_kernels {
    uint32_t formats; /* set of 1u << enum mgpt_dtype */
    mgpt_op_fn ops[MGPT_OP_COUNT];
    enum mgpt_status (*update)(struct mgpt_device *device, const struct mgpt_update *update,
                               struct mgpt_error *error);
};

struct cpu_worker {
    struct mgpt_device *device;
    pthread_t thread;
    int index;   /* of its scratch; the caller has 0 */
    int counted; /* among those that came */
};

/* Threads that wait for tasks; they are made when there is the first work for them. */
struct cpu_pool {
    struct cpu_worker *workers;
    int n_workers;
    atomic_int came, asleep, quit;
    _Atomic uint64_t state; /* number of the region, whether it is open, workers inside */
    _Atomic int64_t next;   /* task */
    void (*task)(const void *job, int64_t i, float *scratch);
    const void *job;
    int64_t n;
    pthread_mutex_t lock;
    pthread_cond_t opened, left;
};

/* What a packed copy is of: `cols` columns of `depth` elements, `ld` apart, in one of the
 * orders. */
enum cpu_order { CPU_PLAIN, CPU_TRANSPOSED, CPU_BF16_PLAIN, CPU_BF16_TRANSPOSED };
struct cpu_matrix {
    const struct mgpt_buffer *buffer; /* NULL: not known, copies are not kept */
    const float *at;
    int64_t cols, depth, ld;
    enum cpu_order order;
};

/* Packed copies of matrices, each with the version of the buffer that it was made from (keep.c). */
struct cpu_keep {
    struct cpu_copy *copies;
    size_t n, room;
    uint64_t limit; /* bytes, at most */
    struct cpu_kept {
        uint64_t bytes, reused;
    } so_far; /* held now; times that none was made */
};

struct mgpt_device {
    struct cpu_pool pool;
    const struct cpu_kernels *kernels;
    int threads;
    uint32_t most_threads; /* that ran at once so far */
    char *scratch;         /* threads pieces of `stride` bytes */
    size_t stride;
    float *packed;     /* CPU_PACKED floats */
    uint16_t *rounded; /* a matrix as BF16, laid out for a product */
    size_t rounded_bytes;
    double *partials; /* one a task, where tasks are summed */
    int64_t n_partials;
    uint64_t clock; /* the last version given to a buffer */
    struct cpu_keep keep;
};

/* The data of a slot, NULL when it is empty. */
CPU_INLINE float *cpu_f32(const struct mgpt_tensor *t)
{
    return t->rank ? (float *)(void *)(t->buffer->data + t->offset) : NULL;
}

CPU_INLINE int32_t *cpu_i32(const struct mgpt_tensor *t)
{
    return t->rank ? (int32_t *)(void *)(t->buffer->data + t->offset) : NULL;
}

CPU_INLINE struct mgpt_step_state *cpu_state(const struct mgpt_tensor *t)
{
    return t->rank ? (struct mgpt_step_state *)(void *)(t->buffer->data + t->offset) : NULL;
}

/* ---- threads (pool.c) ---- */

/* Scratch that every thread always has. */
#define CPU_SCRATCH (256 << 10)

/* Floats that all threads share: a matrix laid out for a product. */
#define CPU_PACKED (1 << 20)

/* Task i of n; scratch is the thread's own, aligned to 64. */
typedef void cpu_task(const void *job, int64_t i, float *scratch);

/* Runs task 0..n-1, on several threads when `work` (about flops) is worth it. Cannot fail. */
void cpu_run(struct mgpt_device *device, cpu_task *task, const void *job, int64_t n, double work);
/* Sees to `bytes` of scratch a thread, to n partials, to `bytes` for a rounded matrix.
 * MGPT_NOMEM. */
enum mgpt_status cpu_scratch(struct mgpt_device *device, size_t bytes, struct mgpt_error *error);
enum mgpt_status cpu_partials(struct mgpt_device *device, int64_t n, struct mgpt_error *error);
enum mgpt_status cpu_rounded(struct mgpt_device *device, size_t bytes, struct mgpt_error *error);
enum mgpt_status cpu_pool_init(struct mgpt_device *device, int threads, struct mgpt_error *error);
void cpu_pool_finish(struct mgpt_device *device);

/* ---- copies that are kept (keep.c) ---- */

/* Where to find or make a packed copy of `bytes` that outlives the op, or NULL: none is kept,
 * because the buffer may change unseen, was written since the matrix was last asked for, or the
 * limit is reached. *made: it is there; else the caller makes it now. By the thread that runs the
 * op. */
void *cpu_keep_copy(struct mgpt_device *device, const struct cpu_matrix *matrix, size_t bytes,
                    int *made);
/* The buffer was, or may have been, written: whoever writes one says so before the next op. */
void cpu_keep_written(struct mgpt_device *device, struct mgpt_buffer *buffer);
/* Frees the copies of the buffer; NULL: all. */
void cpu_keep_forget(struct mgpt_device *device, const struct mgpt_buffer *buffer);

/* n things in pieces of `size`. */
CPU_INLINE int64_t cpu_pieces(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}

CPU_INLINE int64_t cpu_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Rows of a task, where each strip of rows makes `across` tasks: at most `most`, a multiple of
 * `unit`, and two tasks of one size a thread while they have `least`: so threads are busy to the
 * end. */
CPU_INLINE int64_t cpu_even_rows(const struct mgpt_device *device, int64_t rows, int64_t across,
                                 int64_t most, int64_t least, int64_t unit)
{
    int64_t down = cpu_pieces(rows, most), wanted = cpu_pieces(2 * device->threads, across);

    if (down < wanted)
        down = cpu_min(wanted, cpu_pieces(rows, least));
    return cpu_pieces(cpu_pieces(rows, down), unit) * unit;
}

/* ---- the tables, and ops as in core/ref ---- */

extern const struct cpu_kernels cpu_table_baseline, cpu_table_avx2, cpu_table_avx512,
    cpu_table_avx512bf16;

#define cpu_table CPU_NAME(cpu_table)
#define cpu_embed CPU_NAME(cpu_embed)
#define cpu_embed_backward CPU_NAME(cpu_embed_backward)
#define cpu_norm CPU_NAME(cpu_norm)
#define cpu_norm_backward CPU_NAME(cpu_norm_backward)
#define cpu_linear CPU_NAME(cpu_linear)
#define cpu_linear_backward CPU_NAME(cpu_linear_backward)
#define cpu_activation CPU_NAME(cpu_activation)
#define cpu_activation_backward CPU_NAME(cpu_activation_backward)
#define cpu_attention CPU_NAME(cpu_attention)
#define cpu_attention_backward CPU_NAME(cpu_attention_backward)
#define cpu_add CPU_NAME(cpu_add)
#define cpu_dropout CPU_NAME(cpu_dropout)
#define cpu_cross_entropy CPU_NAME(cpu_cross_entropy)
#define cpu_fill CPU_NAME(cpu_fill)
#define cpu_clip CPU_NAME(cpu_clip)
#define cpu_scaler CPU_NAME(cpu_scaler)
#define cpu_axpby CPU_NAME(cpu_axpby)
#define cpu_update CPU_NAME(cpu_update)
#define cpu_drop_factors CPU_NAME(cpu_drop_factors)

#define CPU_OP(name)                                                                               \
    enum mgpt_status name(struct mgpt_device *device, const struct mgpt_op *op,                    \
                          struct mgpt_error *error)
CPU_OP(cpu_embed);
CPU_OP(cpu_embed_backward);
CPU_OP(cpu_norm);
CPU_OP(cpu_norm_backward);
CPU_OP(cpu_linear);
CPU_OP(cpu_linear_backward);
CPU_OP(cpu_activation);
CPU_OP(cpu_activation_backward);
CPU_OP(cpu_attention);
CPU_OP(cpu_attention_backward);
CPU_OP(cpu_add);
CPU_OP(cpu_dropout);
CPU_OP(cpu_cross_entropy);
CPU_OP(cpu_fill);
CPU_OP(cpu_clip);
CPU_OP(cpu_scaler);
CPU_OP(cpu_axpby);
CPU_OP(cpu_bf16_linear); /* for one instruction set alone */
CPU_OP(cpu_bf16_linear_backward);
#undef CPU_OP

enum mgpt_status cpu_update(struct mgpt_device *device, const struct mgpt_update *update,
                            struct mgpt_error *error);

/* Does the device have the op in these formats? (supports.c) */
int cpu_supports(struct mgpt_device *device, const struct mgpt_op *op);

/* Factors of dropout, 0 or 1 / (1 - rate), of elements first .. first + n - 1 of the op's draws:
 * to[0], to[stride],
 * ... (dropout.c) */
void cpu_drop_factors(const struct mgpt_op *op, uint64_t step, uint64_t first, int64_t n, float *to,
                      int64_t stride);

#endif
