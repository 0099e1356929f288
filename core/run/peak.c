/* The peak of a machine's cores: single-precision arithmetic that touches no memory. */
#include <config.h>

#include "run/peak.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/clock.h"

/* One clone for each instruction set; the whole program is compiled without contraction, so that
 * bits agree between compilers, but here nobody reads them. */
#ifdef __clang__
#pragma STDC FP_CONTRACT ON
#define OPTIMISED
#else
#define OPTIMISED __attribute__((optimize("O3", "fp-contract=fast")))
#endif
#if defined __x86_64__ && defined __linux__ && defined __GNUC__ && !defined __clang__ &&           \
    !defined __SANITIZE_ADDRESS__
#define CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define CLONES
#endif

/* a = a x + y on `width` floats that the compiler keeps in registers. A core starts two vectors of
 * them in a clock and each takes 4 or 5 (Agner Fog, instruction tables): 10 vectors keep it busy,
 * and 12 with x and y fit 16 registers. With x below 1 the values stay near y / (1 - x), neither
 * subnormal nor infinite. The sum only makes sure that nothing is left out. */
#define DEFINE_LOOP(name, width)                                                                   \
    CLONES OPTIMISED static float name(uint64_t rounds, float x, float y)                          \
    {                                                                                              \
        float a[width], sum = 0;                                                                   \
        for (int i = 0; i < (width); i++)                                                          \
            a[i] = (float)i;                                                                       \
        for (uint64_t r = 0; r < rounds; r++)                                                      \
            for (int i = 0; i < (width); i++)                                                      \
                a[i] = a[i] * x + y;                                                               \
        for (int i = 0; i < (width); i++)                                                          \
            sum += a[i];                                                                           \
        return sum;                                                                                \
    }
DEFINE_LOOP(loop_4, 48)   /* 12 vectors of 4: SSE2, NEON */
DEFINE_LOOP(loop_8, 96)   /* of 8: AVX2 */
DEFINE_LOOP(loop_16, 192) /* of 16: AVX-512 */
#undef DEFINE_LOOP

static const struct {
    float (*run)(uint64_t rounds, float x, float y);
    double flops; /* a round */
} loops[] = {{loop_4, 2 * 48}, {loop_8, 2 * 96}, {loop_16, 2 * 192}};
#define N_LOOPS (sizeof loops / sizeof *loops)

struct team;

/* What a thread does: a sample of one loop, together with the others. */
struct member {
    struct team *team;
    pthread_t thread;
    double begun, ended; /* its last sample */
};

struct team {
    struct member *members; /* the first is the caller */
    unsigned n;
    pthread_mutex_t gate; /* shut until all are here */
    pthread_barrier_t start, end;
    size_t loop;
    uint64_t rounds; /* 0: go home */
};

static void work(struct member *member)
{
    const struct team *team = member->team;
    volatile float x = 0.5F, y = 0.6F, sum;

    member->begun = mgpt_seconds();
    sum = loops[team->loop].run(team->rounds, x, y);
    (void)sum;
    member->ended = mgpt_seconds();
}

static void *live(void *data)
{
    struct member *member = data;
    struct team *team = member->team;

    pthread_mutex_lock(&team->gate);
    pthread_mutex_unlock(&team->gate);
    for (;;) {
        pthread_barrier_wait(&team->start);
        if (!team->rounds)
            return NULL;
        work(member);
        pthread_barrier_wait(&team->end);
    }
}

/* Seconds from when the first began to when the last had done so many rounds of a loop. */
static double timed(struct team *team, size_t loop, uint64_t rounds)
{
    team->loop = loop;
    team->rounds = rounds;
    pthread_barrier_wait(&team->start);
    work(&team->members[0]);
    pthread_barrier_wait(&team->end);
    double first = team->members[0].begun, last = team->members[0].ended;
    for (unsigned i = 1; i < team->n; i++) {
        const struct member *m = &team->members[i];
        first = m->begun < first ? m->begun : first;
        last = m->ended > last ? m->ended : last;
    }
    return last - first;
}

/* The best of all loops; a sample takes some milliseconds, to be short beside other work. */
static double best_of(struct team *team, double seconds)
{
    uint64_t rounds[N_LOOPS];
    double begun = mgpt_seconds(), best = 0;

    for (size_t i = 0; i < N_LOOPS; i++) {
        double once = timed(team, i, 10000);
        rounds[i] = (uint64_t)(10000 * 0.004 / (once > 1e-6 ? once : 1e-6)) + 1;
    }
    do {
        for (size_t i = 0; i < N_LOOPS; i++) {
            double rate = team->n * loops[i].flops * (double)rounds[i] / timed(team, i, rounds[i]);
            best = rate > best ? rate : best;
        }
    } while (mgpt_seconds() - begun < seconds);
    return best;
}

enum mgpt_status mgpt_measure_peak(unsigned threads, double seconds, double *flops,
                                   struct mgpt_error *error)
{
    struct member *members = calloc(threads ? threads : 1, sizeof *members);
    struct team team = {.members = members, .n = 1, .gate = PTHREAD_MUTEX_INITIALIZER};

    *flops = 0;
    if (!members)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for %u threads", threads);
    for (unsigned i = 0; i < threads; i++)
        members[i].team = &team;
    pthread_mutex_lock(&team.gate);
    while (team.n < threads &&
           pthread_create(&members[team.n].thread, NULL, live, &members[team.n]) == 0)
        team.n++;
    pthread_barrier_init(&team.start, NULL, team.n);
    pthread_barrier_init(&team.end, NULL, team.n);
    pthread_mutex_unlock(&team.gate);
    if (team.n == threads)
        *flops = best_of(&team, seconds);
    team.rounds = 0;
    pthread_barrier_wait(&team.start);
    for (unsigned i = 1; i < team.n; i++)
        pthread_join(members[i].thread, NULL);
    pthread_barrier_destroy(&team.start);
    pthread_barrier_destroy(&team.end);
    pthread_mutex_destroy(&team.gate);
    free(members);
    if (team.n != threads)
        return mgpt_fail(error, MGPT_NOMEM, "cannot start %u threads", threads);
    return MGPT_OK;
}
