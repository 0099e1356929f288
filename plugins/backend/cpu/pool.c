/* Threads and their scratch memory. */
#include <stdlib.h>

#if defined __SSE2__
#include <xmmintrin.h>
#endif
#if defined _OPENMP
#include <omp.h>
#endif

#include "ops.h"

/* Below this many flops a second thread costs more than it brings. */
#define SMALL 1e6

/* ---- subnormals ---- */

#if defined __SSE2__
#define FLUSH_SUBNORMALS 0x8040u /* results (FTZ) and operands (DAZ) */

static unsigned flush_enter(void)
{
    unsigned old = _mm_getcsr();

    _mm_setcsr(old | FLUSH_SUBNORMALS);
    return old;
}

static void flush_leave(unsigned old)
{
    _mm_setcsr(old);
}
#else
static unsigned flush_enter(void)
{
    return 0;
}

static void flush_leave(unsigned old)
{
    (void)old;
}
#endif

/* ---- tasks ---- */

static void run_here(struct mgpt_device *device, cpu_task *task, const void *job, int64_t n)
{
    unsigned old = flush_enter();

    for (int64_t i = 0; i < n; i++)
        task(job, i, (float *)(void *)device->scratch);
    flush_leave(old);
}

#if defined _OPENMP
static void run_team(struct mgpt_device *device, cpu_task *task, const void *job, int64_t n)
{
    uint32_t ran = 0;

#pragma omp parallel num_threads(device->threads)
    {
        unsigned old = flush_enter();
        char *scratch = device->scratch + (size_t)omp_get_thread_num() * device->stride;
#pragma omp master
        ran = (uint32_t)omp_get_num_threads();
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < n; i++)
            task(job, i, (float *)(void *)scratch);
        flush_leave(old);
    }
    if (ran > device->most_threads)
        device->most_threads = ran;
}
#endif

void cpu_run(struct mgpt_device *device, cpu_task *task, const void *job, int64_t n, double work)
{
#if defined _OPENMP
    if (device->threads > 1 && n > 1 && work >= SMALL) {
        run_team(device, task, job, n);
        return;
    }
#else
    (void)work;
#endif
    run_here(device, task, job, n);
}

/* ---- memory ---- */

enum mgpt_status cpu_scratch(struct mgpt_device *device, size_t bytes, struct mgpt_error *error)
{
    char *scratch = NULL;

    if (bytes <= device->stride)
        return MGPT_OK;
    if (bytes <= SIZE_MAX / (size_t)device->threads - 4096) {
        bytes = (bytes + 4095) / 4096 * 4096 + 64; /* not a power of two: threads' lines collide */
        scratch = aligned_alloc(64, bytes * (size_t)device->threads);
    }
    if (!scratch)
        return mgpt_fail(error, MGPT_NOMEM,
                         "out of memory: %zu bytes of scratch for each of %d threads", bytes,
                         device->threads);
    free(device->scratch);
    device->scratch = scratch;
    device->stride = bytes;
    return MGPT_OK;
}

enum mgpt_status cpu_partials(struct mgpt_device *device, int64_t n, struct mgpt_error *error)
{
    double *partials;

    if (n <= device->n_partials)
        return MGPT_OK;
    partials = realloc(device->partials, (size_t)n * sizeof *partials);
    if (!partials)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for %lld partial sums", (long long)n);
    device->partials = partials;
    device->n_partials = n;
    return MGPT_OK;
}

enum mgpt_status cpu_pool_init(struct mgpt_device *device, int threads, struct mgpt_error *error)
{
#if defined _OPENMP
    device->threads = threads ? threads : omp_get_num_procs();
#else
    (void)threads;
    device->threads = 1;
#endif
    device->most_threads = 1;
    device->packed = aligned_alloc(64, CPU_PACKED * sizeof *device->packed);
    if (!device->packed)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for packed matrices");
    return cpu_scratch(device, CPU_SCRATCH, error);
}

void cpu_pool_finish(struct mgpt_device *device)
{
    free(device->scratch);
    free(device->partials);
    free(device->packed);
}
