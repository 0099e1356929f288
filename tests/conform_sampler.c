/* Kind sampler: every module keeps the contract, and ours draw what they are called. */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include "check/bench_sampler.h"
#include "conform.h"

/* ---- topk, greedy ---- */

static void logits_of(double logits[SAMPLER_BENCH_N])
{
    for (int i = 0; i < SAMPLER_BENCH_N; i++)
        logits[i] = (i * 37 % 11) * 0.35 - 1;
}

/* random.choices of CPython over the same candidates, after random.seed(1). */
START_TEST(topk_draws_as_python_does)
{
    static const int32_t five[] = {8, 2, 2,  8, 5, 8, 5, 2, 8, 8, 2, 8, 2, 8, 8, 5, 8, 10, 10, 8,
                                   8, 5, 10, 8, 8, 8, 8, 8, 8, 5, 8, 8, 8, 8, 8, 8, 2, 5,  5,  8};
    static const int32_t all[] = {8, 10, 2, 8, 5, 5, 5, 2, 8, 8, 10, 8, 2, 8, 5, 2, 8,  7, 10, 8,
                                  8, 5,  7, 8, 8, 8, 8, 8, 8, 5, 8,  8, 8, 5, 8, 8, 10, 5, 5,  8};
    const struct mgpt_component *component = one_module(MGPT_KIND_SAMPLER, "topk");
    struct sampler_bench b;
    double logits[SAMPLER_BENCH_N];

    logits_of(logits);
    sampler_bench_open(&b, component, SAMPLER_BENCH_N, mgpt_check_settings(component, NULL));
    for (int i = 0; i < 40; i++)
        ck_assert_int_eq(sampler_bench_next(&b, logits), five[i]);
    ck_assert_uint_eq(b.counted.draws, 40);
    b.api->destroy(b.it);
    sampler_bench_open(&b, component, SAMPLER_BENCH_N,
                       mgpt_check_settings(component, "top_k", "0", NULL));
    for (int i = 0; i < 40; i++)
        ck_assert_int_eq(sampler_bench_next(&b, logits), all[i]);
    b.api->destroy(b.it);
}
END_TEST

/* Chi-squared over the ids that `kept` marks against their softmax; no other id may come. */
static void follows(struct mgpt_config *config, double temperature, const int kept[SAMPLER_BENCH_N])
{
    enum { DRAWS = 20000 };
    struct sampler_bench b;
    double logits[SAMPLER_BENCH_N], weights[SAMPLER_BENCH_N], total = 0, chi = 0;
    int counts[SAMPLER_BENCH_N] = {0}, free_ = -1;

    logits_of(logits);
    sampler_bench_open(&b, one_module(MGPT_KIND_SAMPLER, "topk"), SAMPLER_BENCH_N, config);
    for (int i = 0; i < SAMPLER_BENCH_N; i++)
        total += weights[i] = kept[i] ? exp(logits[i] / temperature) : 0;
    for (int i = 0; i < DRAWS; i++)
        counts[sampler_bench_next(&b, logits)]++;
    for (int i = 0; i < SAMPLER_BENCH_N; i++) {
        double expected = DRAWS * weights[i] / total;
        ck_assert_msg(kept[i] || !counts[i], "id %d came %d times", i, counts[i]);
        if (kept[i]) {
            chi += (counts[i] - expected) * (counts[i] - expected) / expected;
            free_++;
        }
    }
    ck_assert_msg(chi < free_ + 5 * sqrt(2.0 * free_ + 1), "chi squared %g, %d free", chi, free_);
    b.api->destroy(b.it);
}

/* In descending order the ids are 8 5 2 10 7 4 1 9 6 3 0 11, 0.35 apart, 0 and 11 alike. */
START_TEST(topk_follows_the_softmax)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_SAMPLER, "topk");

    follows(mgpt_check_settings(component, "temperature", "1.5", "top_k", "0", NULL), 1.5,
            (int[SAMPLER_BENCH_N]){1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
    follows(mgpt_check_settings(component, "temperature", "0.7", "top_k", "3", NULL), 0.7,
            (int[SAMPLER_BENCH_N]){[8] = 1, [5] = 1, [2] = 1});
}
END_TEST

START_TEST(topk_keeps_the_fewest_with_the_share)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_SAMPLER, "topk");

    /* Of 8 5 2 10, at temperature 0.35, shares of 0.644, 0.237, 0.087, 0.032. */
    follows(
        mgpt_check_settings(component, "temperature", "0.35", "top_k", "4", "top_p", "0.7", NULL),
        0.35, (int[SAMPLER_BENCH_N]){[8] = 1, [5] = 1});
    follows(
        mgpt_check_settings(component, "temperature", "0.35", "top_k", "4", "top_p", "0.9", NULL),
        0.35, (int[SAMPLER_BENCH_N]){[8] = 1, [5] = 1, [2] = 1});
    follows(mgpt_check_settings(component, "temperature", "0.35", "top_p", "0", NULL), 0.35,
            (int[SAMPLER_BENCH_N]){[8] = 1});
}
END_TEST

START_TEST(topk_drops_what_is_far_less_likely)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_SAMPLER, "topk");

    /* At temperature 0.35 each is 0.368 as likely as the one before. */
    follows(
        mgpt_check_settings(component, "temperature", "0.35", "top_k", "0", "min_p", "0.13", NULL),
        0.35, (int[SAMPLER_BENCH_N]){[8] = 1, [5] = 1, [2] = 1});
    follows(mgpt_check_settings(component, "temperature", "0.35", "top_k", "0", "min_p", "1", NULL),
            0.35, (int[SAMPLER_BENCH_N]){[8] = 1});
}
END_TEST

START_TEST(cold_topk_is_greedy_and_draws_nothing)
{
    const struct mgpt_component *cold = one_module(MGPT_KIND_SAMPLER, "topk");
    const struct mgpt_component *greedy = one_module(MGPT_KIND_SAMPLER, "greedy");
    struct sampler_bench a, b;
    double logits[SAMPLER_BENCH_N];

    sampler_bench_open(&a, cold, SAMPLER_BENCH_N,
                       mgpt_check_settings(cold, "temperature", "0", NULL));
    sampler_bench_open(&b, greedy, SAMPLER_BENCH_N, mgpt_check_settings(greedy, NULL));
    for (int trial = 0; trial < 50; trial++) {
        for (int i = 0; i < SAMPLER_BENCH_N; i++)
            logits[i] = floor(mgpt_rng_gauss(&a.counted.rng, 0, 2));
        int32_t id = sampler_bench_next(&a, logits);
        ck_assert_int_eq(sampler_bench_next(&b, logits), id);
        for (int i = 0; i < SAMPLER_BENCH_N; i++)
            ck_assert(logits[i] < logits[id] || (logits[i] == logits[id] && i >= id));
    }
    ck_assert_uint_eq(a.counted.draws + b.counted.draws, 0);
    a.api->destroy(a.it);
    b.api->destroy(b.it);
}
END_TEST

static void add_tests(TCase *tests)
{
    add_contract(tests, "sampler");
    tcase_add_test(tests, topk_draws_as_python_does);
    tcase_add_test(tests, topk_follows_the_softmax);
    tcase_add_test(tests, topk_keeps_the_fewest_with_the_share);
    tcase_add_test(tests, topk_drops_what_is_far_less_likely);
    tcase_add_test(tests, cold_topk_is_greedy_and_draws_nothing);
}

int main(void)
{
    return test_main("conform_sampler", add_tests);
}
