/* Backend "cpu": the cores of this machine, in F32, and in BF16 where they have products of it. */
#define _GNU_SOURCE 1 /* madvise */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ops.h"

#define HUGE_PAGE (2 << 20)
#define HUGE_BUFFER (8 << 20) /* bytes; from here on the last page matters little */

/* ---- instruction sets, the best first ---- */

static int always(void)
{
    return 1;
}

#if defined CPU_LEVELS
/* What x86-64-v3 and x86-64-v4 name, as far as compilers use it. */
static int has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

static int has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

#if defined CPU_BF16
static int has_avx512bf16(void)
{
    return has_avx512() && __builtin_cpu_supports("avx512bf16");
}
#endif

static const struct level {
    const char *name;
    int (*runs)(void);
    const struct cpu_kernels *kernels;
} levels[] = {
#if defined CPU_BF16
    {"avx512bf16", has_avx512bf16, &cpu_table_avx512bf16},
#endif
#if defined CPU_LEVELS
    {"avx512", has_avx512, &cpu_table_avx512},
    {"avx2", has_avx2, &cpu_table_avx2},
#endif
    {"baseline", always, &cpu_table_baseline},
};

/* NULL: that one does not run here. */
static const struct cpu_kernels *kernels_called(const char *name)
{
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if ((strcmp(name, "auto") == 0 || strcmp(name, levels[i].name) == 0) && levels[i].runs())
            return levels[i].kernels;
    return NULL;
}

/* ---- the device ---- */

static void cpu_close(struct mgpt_device *device)
{
    if (device)
        cpu_pool_finish(device);
    free(device);
}

static enum mgpt_status cpu_open(const struct mgpt_host *host, const struct mgpt_config *config,
                                 struct mgpt_device **device, struct mgpt_error *error)
{
    struct mgpt_device *d = calloc(1, sizeof *d);
    const char *simd = host->get_text(config, "simd");
    enum mgpt_status status;

    if (!d)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for a device");
    d->kernels = kernels_called(simd);
    if (!d->kernels) {
        free(d);
        return mgpt_fail(error, MGPT_UNSUPPORTED, "simd = %s: this processor or build has none",
                         simd);
    }
    d->keep.limit = (uint64_t)host->get_int(config, "keep") << 20;
    status = cpu_pool_init(d, (int)host->get_int(config, "threads"), error);
    if (status == MGPT_OK)
        *device = d;
    else
        cpu_close(d);
    return status;
}

/* Large buffers lie on huge pages where the system has them: their pages do not fit in the TLB. */
static char *new_data(uint64_t bytes)
{
    size_t align = bytes >= HUGE_BUFFER ? HUGE_PAGE : 64;
    char *data = aligned_alloc(align, (size_t)(bytes + align - 1) / align * align);

#if defined MADV_HUGEPAGE
    if (data && align == HUGE_PAGE)
        madvise(data, (size_t)bytes, MADV_HUGEPAGE); /* only advice */
#endif
    return data;
}

static enum mgpt_status cpu_buffer_new(struct mgpt_device *device, uint64_t bytes,
                                       struct mgpt_buffer **buffer, struct mgpt_error *error)
{
    struct mgpt_buffer *b = NULL;

    if (bytes >= 1 && bytes <= SIZE_MAX - HUGE_PAGE)
        b = calloc(1, sizeof *b);
    if (b)
        b->data = new_data(bytes);
    if (!b || !b->data) {
        free(b);
        return mgpt_fail(error, bytes ? MGPT_NOMEM : MGPT_INVALID, "cannot allocate %llu bytes",
                         (unsigned long long)bytes);
    }
    b->bytes = bytes;
    b->version = ++device->clock;
    *buffer = b;
    return MGPT_OK;
}

static void cpu_buffer_free(struct mgpt_device *device, struct mgpt_buffer *buffer)
{
    if (!buffer)
        return;
    cpu_keep_forget(device, buffer);
    free(buffer->data);
    free(buffer);
}

static enum mgpt_status check_range(const struct mgpt_buffer *b, uint64_t offset, uint64_t bytes,
                                    struct mgpt_error *error)
{
    if (offset <= b->bytes && bytes <= b->bytes - offset)
        return MGPT_OK;
    return mgpt_fail(error, MGPT_INVALID, "%llu bytes at offset %llu of a buffer of %llu",
                     (unsigned long long)bytes, (unsigned long long)offset,
                     (unsigned long long)b->bytes);
}

static enum mgpt_status cpu_upload(struct mgpt_device *device, struct mgpt_buffer *buffer,
                                   uint64_t offset, const void *data, uint64_t bytes,
                                   struct mgpt_error *error)
{
    enum mgpt_status status = check_range(buffer, offset, bytes, error);

    if (status == MGPT_OK && bytes)
        memcpy(buffer->data + offset, data, bytes);
    cpu_keep_written(device, buffer);
    return status;
}

static enum mgpt_status cpu_download(struct mgpt_device *device, struct mgpt_buffer *buffer,
                                     uint64_t offset, void *data, uint64_t bytes,
                                     struct mgpt_error *error)
{
    enum mgpt_status status = check_range(buffer, offset, bytes, error);

    (void)device;
    if (status == MGPT_OK && bytes)
        memcpy(data, buffer->data + offset, bytes);
    return status;
}

static enum mgpt_status cpu_sync(struct mgpt_device *device, struct mgpt_error *error)
{
    (void)device;
    (void)error;
    return MGPT_OK;
}

static enum mgpt_status cpu_caps(struct mgpt_device *device, struct mgpt_caps *caps,
                                 struct mgpt_error *error)
{
    const struct mgpt_caps ours = {.size = caps->size,
                                   .flags = MGPT_CAPS_HOST,
                                   .formats = device->kernels->formats,
                                   .threads = (uint32_t)device->threads,
                                   .name = "cpu"};

    (void)error;
    memcpy(caps, &ours, caps->size < sizeof ours ? caps->size : sizeof ours);
    return MGPT_OK;
}

/* Whoever has the address may write there at any time, and tells nobody. */
static void *cpu_map(struct mgpt_device *device, struct mgpt_buffer *buffer)
{
    cpu_keep_forget(device, buffer);
    buffer->version = 0;
    return buffer->data;
}

/* For tests. "microgpt.cpu-threads/1": a uint32_t, the most threads that ran at once so far;
 * "microgpt.cpu-kept/1": two uint64_t, bytes of packed copies now and how often one was used
 * again. */
static const void *cpu_query(struct mgpt_device *device, const char *id)
{
    if (strcmp(id, "microgpt.cpu-kept/1") == 0)
        return &device->keep.so_far;
    return strcmp(id, "microgpt.cpu-threads/1") == 0 ? &device->most_threads : NULL;
}

static enum mgpt_status run_op(struct mgpt_device *device, const struct mgpt_op *op,
                               struct mgpt_error *error)
{
    enum mgpt_status status = device->kernels->ops[op->code](device, op, error);

    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        cpu_keep_written(device, op->out[i].buffer);
    return status;
}

static enum mgpt_status run_update(struct mgpt_device *device, const struct mgpt_update *update,
                                   struct mgpt_error *error)
{
    enum mgpt_status status = device->kernels->update(device, update, error);

    cpu_keep_written(device, update->p.buffer);
    for (uint32_t i = 0; i < update->n_state && i < sizeof update->state / sizeof *update->state;
         i++)
        cpu_keep_written(device, update->state[i].buffer);
    return status;
}

static const mgpt_op_fn ops[MGPT_OP_COUNT] = {
    [MGPT_OP_EMBED] = run_op,         [MGPT_OP_EMBED_BACKWARD] = run_op,
    [MGPT_OP_NORM] = run_op,          [MGPT_OP_NORM_BACKWARD] = run_op,
    [MGPT_OP_LINEAR] = run_op,        [MGPT_OP_LINEAR_BACKWARD] = run_op,
    [MGPT_OP_ACTIVATION] = run_op,    [MGPT_OP_ACTIVATION_BACKWARD] = run_op,
    [MGPT_OP_ATTENTION] = run_op,     [MGPT_OP_ATTENTION_BACKWARD] = run_op,
    [MGPT_OP_ADD] = run_op,           [MGPT_OP_DROPOUT] = run_op,
    [MGPT_OP_CROSS_ENTROPY] = run_op, [MGPT_OP_FILL] = run_op,
    [MGPT_OP_CLIP] = run_op,          [MGPT_OP_SCALER] = run_op,
    [MGPT_OP_AXPBY] = run_op,
};

static const struct mgpt_backend_api api = {
    .size = sizeof(struct mgpt_backend_api),
    .n_ops = MGPT_OP_COUNT,
    .open = cpu_open,
    .close = cpu_close,
    .buffer_new = cpu_buffer_new,
    .buffer_free = cpu_buffer_free,
    .upload = cpu_upload,
    .download = cpu_download,
    .sync = cpu_sync,
    .caps = cpu_caps,
    .map = cpu_map,
    .supports = cpu_supports,
    .ops = ops,
    .update = run_update,
    .query = cpu_query,
};

static const char *const simd_choices[] = {"auto", "avx512bf16", "avx512",
                                           "avx2", "baseline",   NULL};

static const struct mgpt_option options[] = {
    {"threads", "0",
     "threads for large ops, 0: as many as there are cores; no result depends on it", NULL, 0, 1024,
     NULL, MGPT_OPTION_INT, 0},
    {"simd", "auto",
     "instruction set of the kernels; auto is the best that this processor has, and avx512bf16 is "
     "what precision bf16 needs",
     NULL, 0, 0, simd_choices, MGPT_OPTION_ENUM, 0},
    {"keep", "64",
     "memory, at most, for weights laid out for products while they do not change, 0: none; no "
     "result depends on it",
     NULL, 0, 1048576, NULL, MGPT_OPTION_INT, 0},
};

static const struct mgpt_component component = {
    sizeof(struct mgpt_component),
    MGPT_OPTIONS(options),
    0,
    MGPT_KIND_BACKEND,
    "cpu",
    "the cores of this machine, in F32 and, with AVX512_BF16, BF16",
    options,
    NULL,
    &api};

MGPT_PLUGIN_DEFINE("org.microgpt.backend.cpu", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
