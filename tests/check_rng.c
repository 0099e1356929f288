/* The random numbers: CPython's, value for value, Philox's published test vectors, and the streams
 * of samples. */
#include <config.h>

#include <microgpt/random.h>

#include <math.h>

#include "base/draws.h"
#include "base/rng.h"
#include "testing.h"

/* What python3 prints for random.seed(seed), then getrandbits(32) twice, random() twice,
 * getrandbits of 1, 7, 33, 64, randrange of 1, 2, 27, 1000000007, 2**40 + 1, gauss(0, 1),
 * gauss(0.5, 0.02), gauss(0, 1), shuffle(range(10)), and choices(range(5), weights=[1, .5, .25, .1,
 * .05]) six times. */
static const struct {
    uint64_t seed;
    uint32_t words[2];
    double uniform[2];
    uint64_t bits[4], below[5];
    double gauss[3];
    uint32_t shuffled[10], chosen[6];
} expected[] = {
    {0ull,
     {3626764237u, 1654615998u},
     {0x1.84129978f9c1ap-1, 0x1.aeaa51052e978p-2},
     {0ull, 123ull, 2195908194ull, 16938433693753131896ull},
     {0ull, 1ull, 11ull, 626401695ull, 619073466650ull},
     {0x1.23eecbfe18811p-2, 0x1.038474c96349ap-1, 0x1.cdf6a51659b68p-1},
     {3, 7, 1, 9, 6, 5, 0, 4, 2, 8},
     {0, 0, 1, 0, 1, 0}},
    {1ull,
     {577090037u, 2444712010u},
     {0x1.b1e2d5b3584f8p-1, 0x1.870d778409f13p-1},
     {0ull, 15ull, 6422844795ull, 8711387064946514083ull},
     {0ull, 0ull, 3ull, 523832096ull, 858288075698ull},
     {-0x1.8bcbb99030b49p+0, 0x1.071dcb9a891bep-1, 0x1.15f103ae093bfp+0},
     {2, 9, 8, 4, 7, 6, 0, 5, 1, 3},
     {3, 1, 1, 1, 3, 1}},
    {42ull,
     {2746317213u, 478163327u},
     {0x1.99c6b5eeb2060p-6, 0x1.19a1491f589dcp-2},
     {0ull, 17ull, 3163119785ull, 13662908291426823533ull},
     {0ull, 1ull, 1ull, 31994523ull, 477143787866ull},
     {0x1.2e46cd701ac07p-3, 0x1.0dd167e553617p-1, -0x1.787ee39256027p+0},
     {5, 1, 9, 0, 2, 4, 7, 3, 6, 8},
     {0, 0, 3, 0, 0, 0}},
    {1337ull,
     {2653228291u, 3975144315u},
     {0x1.11082f6d6eac7p-1, 0x1.76a0f3c915d6cp-2},
     {1ull, 93ull, 5006588767ull, 6138879553798023278ull},
     {0ull, 1ull, 9ull, 420425051ull, 802782238681ull},
     {0x1.6ee69eef8e1d7p+0, 0x1.0c07ec763e755p-1, -0x1.2ecb49cdb7433p-2},
     {4, 3, 1, 0, 2, 9, 7, 8, 6, 5},
     {0, 3, 2, 0, 1, 2}},
    {4294967296ull,
     {485306839u, 1508871100u},
     {0x1.abdb5477a4f26p-2, 0x1.1139c02ebd380p-6},
     {1ull, 112ull, 7755194880ull, 15455483573206641377ull},
     {0ull, 0ull, 4ull, 81361424ull, 953297164300ull},
     {-0x1.d506b277cbe00p-1, 0x1.ffdf49f1d0152p-2, -0x1.aeb2e0318dd83p+0},
     {3, 0, 6, 9, 7, 8, 5, 4, 1, 2},
     {1, 2, 2, 4, 1, 0}},
    {18446744073709551615ull,
     {93740670u, 1068495656u},
     {0x1.5a35a94f333d8p-2, 0x1.b21c0274c09a4p-3},
     {1ull, 12ull, 8244494580ull, 14166965630497767659ull},
     {0ull, 0ull, 23ull, 571648335ull, 1062273470235ull},
     {-0x1.a037c6a1b6352p-4, 0x1.0da0d3e4d0fc7p-1, -0x1.5090ce49dc641p-2},
     {3, 8, 0, 5, 6, 1, 2, 7, 4, 9},
     {0, 0, 0, 0, 0, 1}},
};
#define N_EXPECTED (int)(sizeof expected / sizeof *expected)

/* random.choices as a sampler makes it: u = random() * total, the first index whose cumulative
 * weight is above u. */
static uint32_t choose(struct mgpt_rng *rng)
{
    static const double weights[5] = {1, .5, .25, .1, .05};
    double cumulative[5], total = 0;
    uint32_t i = 0;

    for (int k = 0; k < 5; k++)
        cumulative[k] = total += weights[k];
    double u = mgpt_rng_uniform(rng) * total;
    while (i < 4 && u >= cumulative[i])
        i++;
    return i;
}

START_TEST(draws_what_cpython_draws)
{
    static const unsigned widths[4] = {1, 7, 33, 64};
    static const uint64_t limits[5] = {1, 2, 27, 1000000007, (1ull << 40) + 1};
    struct mgpt_rng rng;
    uint32_t order[10];

    mgpt_rng_seed(&rng, expected[_i].seed);
    for (int i = 0; i < 2; i++)
        ck_assert_uint_eq(mgpt_rng_u32(&rng), expected[_i].words[i]);
    for (int i = 0; i < 2; i++)
        ck_assert_double_eq(mgpt_rng_uniform(&rng), expected[_i].uniform[i]);
    for (int i = 0; i < 4; i++)
        ck_assert_uint_eq(mgpt_rng_bits(&rng, widths[i]), expected[_i].bits[i]);
    for (int i = 0; i < 5; i++)
        ck_assert_uint_eq(mgpt_rng_below(&rng, limits[i]), expected[_i].below[i]);
    ck_assert_double_eq(mgpt_rng_gauss(&rng, 0, 1), expected[_i].gauss[0]);
    ck_assert_double_eq(mgpt_rng_gauss(&rng, 0.5, 0.02), expected[_i].gauss[1]);
    ck_assert_double_eq(mgpt_rng_gauss(&rng, 0, 1), expected[_i].gauss[2]);
    for (uint32_t i = 0; i < 10; i++)
        order[i] = i;
    for (uint32_t i = 9; i > 0; i--) {
        uint32_t j = (uint32_t)mgpt_rng_below(&rng, i + 1), keep = order[i];
        order[i] = order[j];
        order[j] = keep;
    }
    ck_assert_mem_eq(order, expected[_i].shuffled, sizeof order);
    for (int i = 0; i < 6; i++)
        ck_assert_uint_eq(choose(&rng), expected[_i].chosen[i]);
}
END_TEST

START_TEST(draws_the_same_far_along)
{
    struct mgpt_rng rng;
    uint64_t hash = 0;

    mgpt_rng_seed(&rng, 42);
    for (int i = 0; i < 100000; i++)
        hash = hash * 6364136223846793005ull + mgpt_rng_u32(&rng);
    ck_assert_uint_eq(hash, 2942696707841950023ull);
}
END_TEST

START_TEST(goes_on_from_a_copy)
{
    struct mgpt_rng a, b;

    mgpt_rng_seed(&a, 3);
    for (int i = 0; i < 1001; i++)
        mgpt_rng_gauss(&a, 0, 1);
    b = a; /* as a checkpoint does, with the second gauss waiting */
    for (int i = 0; i < 1001; i++)
        ck_assert_double_eq(mgpt_rng_gauss(&a, 0, 1), mgpt_rng_gauss(&b, 0, 1));
}
END_TEST

/* The vectors of Random123's kat_vectors for philox4x32-10. */
START_TEST(philox_gives_the_published_vectors)
{
    static const struct {
        struct mgpt_philox counter;
        uint32_t key[2];
        struct mgpt_philox result;
    } kat[] = {
        {{{0, 0, 0, 0}}, {0, 0}, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
        {{{~0u, ~0u, ~0u, ~0u}}, {~0u, ~0u}, {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
        {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
         {0xa4093822, 0x299f31d0},
         {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}},
    };

    for (size_t i = 0; i < sizeof kat / sizeof *kat; i++) {
        struct mgpt_philox got = mgpt_philox4x32(kat[i].counter, kat[i].key[0], kat[i].key[1]);
        ck_assert_mem_eq(&got, &kat[i].result, sizeof got);
    }
}
END_TEST

START_TEST(draws_lie_where_the_design_says)
{
    uint64_t seed = 0x1122334455667788u, i = 0x500000006u;
    struct mgpt_philox counter = {{0x40000001, 1, 9, 4u << 16 | 2}};
    struct mgpt_philox block = mgpt_philox4x32(counter, 0x55667788, 0x11223344);

    ck_assert_uint_eq(mgpt_draw_u32(seed, 9, MGPT_DRAW_ATTENTION, 2, i), block.v[2]);
}
END_TEST

START_TEST(keeps_the_share_that_dropout_asks_for)
{
    int kept = 0, n = 100000;

    for (int i = 0; i < n; i++)
        kept += mgpt_keep(mgpt_draw_u32(1, 0, MGPT_DRAW_MLP, 0, (uint64_t)i), 0.3);
    ck_assert_double_eq_tol((double)kept / n, 0.7, 0.01);
    ck_assert(mgpt_keep(0, 0));
    ck_assert(!mgpt_keep(0x7fffffff, 0.5));
    ck_assert(mgpt_keep(0x80000000, 0.5));
}
END_TEST

START_TEST(draws_below_any_bound)
{
    int count[7] = {0};

    for (uint64_t i = 0; i < 70000; i++)
        count[mgpt_draw_below(5, 1, MGPT_DRAW_CROP, 0, i, 7)]++;
    for (int k = 0; k < 7; k++)
        ck_assert_int_gt(count[k], 9500);
    for (uint64_t i = 0; i < 100; i++) {
        ck_assert_uint_eq(mgpt_draw_below(5, 1, MGPT_DRAW_CROP, 0, i, 1), 0);
        ck_assert_uint_lt(mgpt_draw_below(5, 1, MGPT_DRAW_CROP, 0, i, (1ull << 63) + 1),
                          (1ull << 63) + 1);
    }
}
END_TEST

/* Draw k of sample i, in whatever order samples are drawn. */
START_TEST(draws_of_samples_lie_apart)
{
    struct mgpt_draws one, two;
    struct mgpt_stream a = mgpt_draws_stream(&one, 9, 1), b = mgpt_draws_stream(&two, 9, 2);

    for (uint64_t k = 0; k < 5; k++) {
        struct mgpt_philox d = mgpt_draw_block(9, 0, MGPT_DRAW_SAMPLE, 0, (2ull << 32) + k);
        double of_two = b.uniform(b.context);
        ck_assert_double_eq(of_two, ldexp(d.v[0] >> 5, -27) + ldexp(d.v[1] >> 6, -53));
        ck_assert_double_ne(of_two, a.uniform(a.context));
    }
}
END_TEST

START_TEST(draws_of_a_sample_have_their_distributions)
{
    enum { N = 40000 };
    struct mgpt_draws draws;
    struct mgpt_stream stream = mgpt_draws_stream(&draws, 1, 7);
    double mean = 0, squares = 0, uniform = 0;
    int low = 0;

    for (int i = 0; i < N; i++) {
        double z = stream.gauss(stream.context, 3, 2), u = stream.uniform(stream.context);
        ck_assert(u >= 0 && u < 1);
        mean += z / N;
        squares += (z - 3) * (z - 3) / N;
        uniform += u / N;
        low += stream.below(stream.context, 3) == 0;
    }
    ck_assert_double_eq_tol(mean, 3, 0.05);
    ck_assert_double_eq_tol(squares, 4, 0.1);
    ck_assert_double_eq_tol(uniform, 0.5, 0.01);
    ck_assert_double_eq_tol((double)low / N, 1.0 / 3, 0.01);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, draws_of_samples_lie_apart);
    tcase_add_test(tests, draws_of_a_sample_have_their_distributions);
    tcase_add_loop_test(tests, draws_what_cpython_draws, 0, N_EXPECTED);
    tcase_add_test(tests, draws_the_same_far_along);
    tcase_add_test(tests, goes_on_from_a_copy);
    tcase_add_test(tests, philox_gives_the_published_vectors);
    tcase_add_test(tests, draws_lie_where_the_design_says);
    tcase_add_test(tests, keeps_the_share_that_dropout_asks_for);
    tcase_add_test(tests, draws_below_any_bound);
}

int main(void)
{
    return test_main("rng", add_tests);
}
