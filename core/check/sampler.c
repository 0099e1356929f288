/* Kind sampler: an id that exists, as often drawn for the same logits. */
#include <config.h>

#include "check/bench_sampler.h"

#include <math.h>
#include <stdlib.h>

static void check_choices(const struct mgpt_component *component)
{
    struct sampler_bench b;
    double logits[64];

    for (uint32_t n = 1; n <= 64; n = 2 * n + 1) {
        sampler_bench_open(&b, component, n, mgpt_check_settings(component, NULL));
        for (int trial = 0; trial < 20; trial++) {
            for (uint32_t i = 0; i < n; i++)
                logits[i] = mgpt_rng_gauss(&b.counted.rng, 0, trial < 10 ? 3 : 1e6);
            b.counted.draws = 0;
            (void)sampler_bench_next(&b, logits);
            unsigned draws = b.counted.draws;
            (void)sampler_bench_next(&b, logits);
            check_that(b.counted.draws == 2 * draws, "%u draws, then %u", draws,
                       b.counted.draws - draws);
        }
        b.api->destroy(b.it);
    }
    b.api->destroy(NULL);
}

static void check_winner(const struct mgpt_component *component)
{
    struct sampler_bench b;
    double logits[SAMPLER_BENCH_N] = {0};

    sampler_bench_open(&b, component, SAMPLER_BENCH_N, mgpt_check_settings(component, NULL));
    for (int32_t winner = 0; winner < SAMPLER_BENCH_N; winner++) {
        memset(logits, 0, sizeof logits);
        logits[winner] = 1000;
        for (int i = 0; i < 20; i++)
            check_that(sampler_bench_next(&b, logits) == winner, "not %d", winner);
    }
    b.api->destroy(b.it);
}

/* Where one id is chosen: with top_k = 1, or without a draw. Which one a draw takes is chance. */
static void check_ties(const struct mgpt_component *component)
{
    struct sampler_bench b;
    const double tied[SAMPLER_BENCH_N] = {0, 1, 2, 5, 5, 0, 5, 1, 5, 4, 3, 2};
    bool one = mgpt_check_has_option(component, "top_k");

    sampler_bench_open(&b, component, SAMPLER_BENCH_N,
                       mgpt_check_settings(component, "top_k", "1", NULL));
    for (int i = 0; i < 50; i++) {
        int32_t id = sampler_bench_next(&b, tied);
        if (!one && b.counted.draws) {
            mgpt_check_skip("it draws, and has no option top_k to leave one id");
            break;
        }
        check_that(id == 3, "a tie of ids 3, 4, 6 and 8 goes to %d, expected 3", (int)id);
    }
    b.api->destroy(b.it);
}

/* Any sampler that is fair in some sense: of two ids the likelier one comes at least as often,
 * within five standard deviations of 20,000 draws (chi squared of the two counts, one degree of
 * freedom, would have to exceed 25). */
static void check_order(const struct mgpt_component *component)
{
    enum { DRAWS = 20000 };
    struct sampler_bench b;
    double logits[SAMPLER_BENCH_N];
    int counts[SAMPLER_BENCH_N] = {0};

    for (int i = 0; i < SAMPLER_BENCH_N; i++)
        logits[i] = (i * 37 % 11) * 0.35 - 1;
    sampler_bench_open(&b, component, SAMPLER_BENCH_N, mgpt_check_settings(component, NULL));
    for (int i = 0; i < DRAWS; i++)
        counts[sampler_bench_next(&b, logits)]++;
    for (int i = 0; i < SAMPLER_BENCH_N; i++)
        for (int k = 0; k < SAMPLER_BENCH_N; k++)
            if (logits[i] > logits[k] && counts[k] > counts[i]) {
                double sum = counts[i] + counts[k], gap = counts[k] - counts[i];
                check_that(gap * gap / sum < 25,
                           "id %d (logit %g) came %d times, id %d (logit %g) %d times", i,
                           logits[i], counts[i], k, logits[k], counts[k]);
            }
    b.api->destroy(b.it);
}

/* Two samplers with streams of one seed, one of which has sampled something else in between. */
static void check_pure(const struct mgpt_component *component)
{
    struct sampler_bench a, b;
    double logits[SAMPLER_BENCH_N], other[SAMPLER_BENCH_N] = {0};

    for (int i = 0; i < SAMPLER_BENCH_N; i++)
        logits[i] = (i * 37 % 11) * 0.35 - 1;
    sampler_bench_open(&a, component, SAMPLER_BENCH_N, mgpt_check_settings(component, NULL));
    sampler_bench_open(&b, component, SAMPLER_BENCH_N, mgpt_check_settings(component, NULL));
    for (int i = 0; i < 200; i++) {
        struct sampler_bench_counted kept = b.counted;
        (void)sampler_bench_next(&b, other);
        b.counted = kept;
        int32_t one = sampler_bench_next(&a, logits), two = sampler_bench_next(&b, logits);
        check_that(one == two, "draw %d: %d, and %d by one that had sampled before", i, one, two);
    }
    a.api->destroy(a.it);
    b.api->destroy(b.it);
}

static void once(const struct mgpt_component *component)
{
    struct sampler_bench b;
    double logits[SAMPLER_BENCH_N] = {0};

    sampler_bench_open(&b, component, SAMPLER_BENCH_N, mgpt_check_settings(component, NULL));
    (void)sampler_bench_next(&b, logits);
    b.api->destroy(b.it);
}

static void check_left(const struct mgpt_component *component)
{
    mgpt_check_leaks(component, once);
}

static void check_made(const struct mgpt_component *component)
{
    struct sampler_bench b;

    sampler_bench_open(&b, component, SAMPLER_BENCH_N, mgpt_check_settings(component, NULL));
    b.api->destroy(b.it);
}

const struct mgpt_check_case mgpt_check_sampler[] = {
    {MGPT_CHECK_MADE, "no run could begin with it", check_made, 0},
    {"picks_an_id_that_exists",
     "generation would read past the vocabulary, or samples would change with what was sampled "
     "before",
     check_choices, 0},
    {"picks_what_is_far_ahead", "a token whose probability is 1 is not drawn", check_winner, 0},
    {"gives_ties_to_the_lower_id", "samples differ between machines whose logits tie", check_ties,
     0},
    {"keeps_the_order_of_the_logits", "a less likely token is drawn more often than a likelier one",
     check_order, 0},
    {"takes_no_part_in_what_is_drawn_elsewhere",
     "the same stream gives other ids: state is kept between calls", check_pure, 0},
    {"leaves_nothing_behind", "what create takes, destroy gives back", check_left, 0},
    {NULL, NULL, NULL, 0},
};
