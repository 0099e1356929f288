/* Threads and their scratch memory. */
#define _GNU_SOURCE 1 /* sched_getaffinity */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#if defined __SSE2__
#include <xmmintrin.h>
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

/* What one thread of a region does: task after task, until there are none. */
static void work(struct cpu_pool *pool, float *scratch)
{
    unsigned old = flush_enter();

    for (;;) {
        int64_t i = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (i >= pool->n)
            break;
        pool->task(pool->job, i, scratch);
    }
    flush_leave(old);
}

/* ---- workers ----
 *
 * A region is open while there are tasks to take. Workers that come in time enter; the caller works
 * too, closes the region and waits for those inside alone, so a worker that the system keeps from
 * running holds nobody up. Who waits looks for a moment, since ops follow each other closely, then
 * sleeps: machines are shared. */

#define INSIDE 0xffffu /* of state: workers in the region */
#define OPEN 0x10000u
#define REGION 0x20000u /* and above: its number */
#define LOOKS 2000

static void pause_thread(void)
{
#if defined __SSE2__
    _mm_pause();
#endif
}

static int may_enter(uint64_t state, uint64_t last)
{
    return (state & OPEN) && state / REGION != last;
}

/* The next region after `last`, entered; 0: the pool ends. */
static uint64_t enter(struct cpu_pool *pool, uint64_t last)
{
    for (int looks = 0;; looks++) {
        uint64_t state = atomic_load(&pool->state);
        if (atomic_load(&pool->quit))
            return 0;
        if (may_enter(state, last)) {
            if (atomic_compare_exchange_weak(&pool->state, &state, state + 1))
                return state / REGION;
        } else if (looks < LOOKS) {
            pause_thread();
        } else {
            pthread_mutex_lock(&pool->lock);
            atomic_fetch_add(&pool->asleep, 1);
            while (!may_enter(atomic_load(&pool->state), last) && !atomic_load(&pool->quit))
                pthread_cond_wait(&pool->opened, &pool->lock);
            atomic_fetch_sub(&pool->asleep, 1);
            pthread_mutex_unlock(&pool->lock);
            looks = 0;
        }
    }
}

static void *worker(void *data)
{
    struct cpu_worker *w = data;
    struct cpu_pool *pool = &w->device->pool;
    uint64_t region = 0;

    while ((region = enter(pool, region)) != 0) {
        if (!w->counted)
            atomic_fetch_add(&pool->came, 1);
        w->counted = 1;
        work(pool, (float *)(void *)(w->device->scratch + (size_t)w->index * w->device->stride));
        uint64_t left = atomic_fetch_sub(&pool->state, 1) - 1;
        if (!(left & (OPEN | INSIDE))) {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->left);
            pthread_mutex_unlock(&pool->lock);
        }
    }
    return NULL;
}

/* Signals are for the threads of the program. */
static void start_workers(struct mgpt_device *device)
{
    struct cpu_pool *pool = &device->pool;
    sigset_t all, old;

    pool->workers = calloc((size_t)device->threads, sizeof *pool->workers);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (int i = 1; pool->workers && i < device->threads; i++) {
        struct cpu_worker *w = &pool->workers[pool->n_workers];
        *w = (struct cpu_worker){.device = device, .index = pool->n_workers + 1};
        if (pthread_create(&w->thread, NULL, worker, w) != 0)
            break;
        pool->n_workers++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    device->threads = pool->n_workers + 1; /* fewer where the system gives no more */
}

static void open_region(struct cpu_pool *pool)
{
    uint64_t region = atomic_load(&pool->state) / REGION + 1;
    int asleep;

    atomic_store(&pool->next, 0);
    atomic_store(&pool->state, region * REGION + OPEN);
    asleep = atomic_load(&pool->asleep);
    if (!asleep)
        return;
    pthread_mutex_lock(&pool->lock);
    if (pool->n > asleep || atomic_load(&pool->came) < pool->n_workers)
        pthread_cond_broadcast(&pool->opened);
    else
        for (int64_t i = 1; i < pool->n; i++)
            pthread_cond_signal(&pool->opened);
    pthread_mutex_unlock(&pool->lock);
}

static void close_region(struct cpu_pool *pool)
{
    atomic_fetch_and(&pool->state, ~(uint64_t)OPEN);
    for (int looks = 0; looks < LOOKS; looks++) {
        if (!(atomic_load(&pool->state) & INSIDE))
            return;
        pause_thread();
    }
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&pool->state) & INSIDE)
        pthread_cond_wait(&pool->left, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

static void run_team(struct mgpt_device *device, cpu_task *task, const void *job, int64_t n)
{
    struct cpu_pool *pool = &device->pool;
    int first = !pool->workers;

    if (first)
        start_workers(device);
    pool->task = task;
    pool->job = job;
    pool->n = n;
    open_region(pool);
    work(pool, (float *)(void *)device->scratch);
    while (first && atomic_load(&pool->came) < pool->n_workers) /* once, each of them comes */
        sched_yield();
    close_region(pool);
    if (first)
        device->most_threads = (uint32_t)pool->n_workers + 1;
}

static void end_workers(struct cpu_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->quit, 1);
    pthread_cond_broadcast(&pool->opened);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->n_workers; i++)
        pthread_join(pool->workers[i].thread, NULL);
    free(pool->workers);
    pthread_cond_destroy(&pool->left);
    pthread_cond_destroy(&pool->opened);
    pthread_mutex_destroy(&pool->lock);
}

void cpu_run(struct mgpt_device *device, cpu_task *task, const void *job, int64_t n, double flops)
{
    if (device->threads > 1 && n > 1 && flops >= SMALL)
        run_team(device, task, job, n);
    else
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

enum mgpt_status cpu_rounded(struct mgpt_device *device, size_t bytes, struct mgpt_error *error)
{
    uint16_t *rounded = NULL;

    if (bytes <= device->rounded_bytes)
        return MGPT_OK;
    if (bytes <= SIZE_MAX - 4095)
        rounded = aligned_alloc(64, (bytes + 4095) / 4096 * 4096);
    if (!rounded)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory: %zu bytes for a rounded matrix", bytes);
    free(device->rounded);
    device->rounded = rounded;
    device->rounded_bytes = bytes;
    return MGPT_OK;
}

/* Those that this process may run on. */
static int cores(void)
{
#if defined __linux__
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
#endif
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 1 ? (int)online : 1;
}

enum mgpt_status cpu_pool_init(struct mgpt_device *device, int threads, struct mgpt_error *error)
{
    device->threads = threads ? threads : cores();
    device->most_threads = 1;
    pthread_mutex_init(&device->pool.lock, NULL);
    pthread_cond_init(&device->pool.opened, NULL);
    pthread_cond_init(&device->pool.left, NULL);
    device->packed = aligned_alloc(64, CPU_PACKED * sizeof *device->packed);
    if (!device->packed)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for packed matrices");
    return cpu_scratch(device, CPU_SCRATCH, error);
}

void cpu_pool_finish(struct mgpt_device *device)
{
    end_workers(&device->pool);
    cpu_keep_forget(device, NULL);
    free(device->scratch);
    free(device->partials);
    free(device->packed);
    free(device->rounded);
}
