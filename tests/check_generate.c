/* Generation: with a cache the same logits as without, past the context too; rows in lockstep. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run/lockstep.h"
#include "testing.h"

/* ---- the window: logits with a cache against those of whole passes ---- */

static struct mgpt_model shared_kv_and_all_biases(void)
{
    struct mgpt_model m = mgpt_check_model_names();

    m.layers = 3;
    m.heads = 4;
    m.kv_heads = 2;
    m.embd = 20;
    m.context = 7;
    m.init = MGPT_INIT_UNIFORM; /* no bias is 0 */
    m.bias = MGPT_BIAS_QKV | MGPT_BIAS_PROJ | MGPT_BIAS_MLP | MGPT_BIAS_HEAD;
    return m;
}

static struct mgpt_model one_position(void)
{
    struct mgpt_model m = mgpt_check_model_toygpt();

    m.context = 1;
    return m;
}

static struct mgpt_model longer_than_a_vector(void)
{
    struct mgpt_model m = mgpt_check_model_toygpt();

    m.context = 37;
    m.vocab = 33;
    m.embd = 48;
    return m;
}

static struct mgpt_model (*const models[])(void) = {mgpt_check_model_names, mgpt_check_model_toygpt,
                                                    shared_kv_and_all_biases, one_position,
                                                    longer_than_a_vector};

static const struct {
    const char *backend;
    uint32_t dtype;
    double tolerance;
} devices[] = {{"ref", MGPT_F64, 1e-12}, {"cpu", MGPT_F32, 2e-5}, {"cuda_emu", MGPT_F32, 2e-5}};

#define N_MODELS (int)(sizeof models / sizeof *models)

/* The last one is not everywhere. */
static int n_devices(void)
{
    int n = (int)(sizeof devices / sizeof *devices);

    return test_has_backend(devices[n - 1].backend) ? n : n - 1;
}

/* A net and two windows over it: one with a cache, one without. */
struct pair {
    struct mgpt_check_net net;
    struct mgpt_passes passes;
    struct mgpt_window with, without;
    double *a, *b; /* logits */
    size_t V;
};

static void pair_open(struct pair *p, int test, enum mgpt_window_past past)
{
    struct mgpt_model m = models[test % N_MODELS]();
    int device = test / N_MODELS;

    memset(p, 0, sizeof *p);
    mgpt_check_net_open(&p->net, devices[device].backend, &m, devices[device].dtype, 0);
    struct mgpt_net net = mgpt_check_net_of(&p->net);
    ck_ok(mgpt_passes_open(&p->passes, &net, MGPT_MODE_LOSS, 1, m.context, error));
    p->with = (struct mgpt_window){.passes = &p->passes, .past = past};
    p->without = (struct mgpt_window){.passes = &p->passes, .past = past, .no_cache = true};
    ck_ok(mgpt_window_init(&p->with, error));
    ck_ok(mgpt_window_init(&p->without, error));
    p->V = m.vocab;
    p->a = calloc(p->V, sizeof *p->a);
    p->b = calloc(p->V, sizeof *p->b);
    ck_assert(p->a && p->b);
}

static void pair_close(struct pair *p)
{
    free(p->a);
    free(p->b);
    mgpt_window_finish(&p->with);
    mgpt_window_finish(&p->without);
    mgpt_passes_close(&p->passes);
    mgpt_check_net_close(&p->net);
}

static size_t largest(const double *x, size_t n)
{
    size_t at = 0;

    for (size_t i = 1; i < n; i++)
        at = x[i] > x[at] ? i : at;
    return at;
}

/* Grows `ids` from n to `end`: a few drawn ids among the likeliest, so that nothing repeats. */
static void grow(struct pair *p, int32_t *ids, size_t n, size_t end, double tolerance)
{
    mgpt_window_reset(&p->with);
    mgpt_window_reset(&p->without);
    for (; n < end; n++) {
        ck_ok(mgpt_window_logits(&p->with, ids, n, p->a, error));
        ck_ok(mgpt_window_logits(&p->without, ids, n, p->b, error));
        for (size_t i = 0; i < p->V; i++)
            ck_assert_double_eq_tol(p->a[i], p->b[i], tolerance);
        ck_assert_uint_eq(largest(p->a, p->V), largest(p->b, p->V));
        ck_assert_uint_eq(p->with.first, p->without.first);
        ids[n] = n % 3 ? (int32_t)largest(p->a, p->V) : (int32_t)mgpt_rng_below(&p->net.rng, p->V);
    }
}

static void cache_changes_nothing(int test, enum mgpt_window_past past)
{
    struct pair p;

    pair_open(&p, test, past);
    size_t context = p.net.model.context, end = 3 * context + 4;
    const size_t prompts[] = {1, 2, context, context + 1, 2 * context + 3};
    int32_t *ids = calloc(end, sizeof *ids);
    ck_assert_ptr_nonnull(ids);
    for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++) {
        for (size_t k = 0; k < prompts[i]; k++)
            ids[k] = (int32_t)mgpt_rng_below(&p.net.rng, p.V);
        grow(&p, ids, prompts[i], end, devices[test / N_MODELS].tolerance);
    }
    free(ids);
    pair_close(&p);
}

START_TEST(a_cache_changes_nothing_where_the_window_slides)
{
    cache_changes_nothing(_i, MGPT_WINDOW_RECOMPUTE);
}
END_TEST

START_TEST(a_cache_changes_nothing_where_the_window_hops)
{
    cache_changes_nothing(_i, MGPT_WINDOW_HOP);
}
END_TEST

/* After a hop the model sees the ids kept as if nothing had been before them. */
START_TEST(a_hop_is_a_fresh_start_on_the_newer_half)
{
    struct pair p;

    pair_open(&p, _i, MGPT_WINDOW_HOP);
    size_t context = p.net.model.context, n = context + 1, dropped = (context + 1) / 2;
    int32_t *ids = calloc(n, sizeof *ids);
    ck_assert_ptr_nonnull(ids);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)mgpt_rng_below(&p.net.rng, p.V);
    ck_ok(mgpt_window_logits(&p.with, ids, context, p.a, error));
    ck_assert_uint_eq(p.with.hops, 0);
    ck_ok(mgpt_window_logits(&p.with, ids, n, p.a, error));
    ck_assert_uint_eq(p.with.hops, 1);
    ck_ok(mgpt_window_logits(&p.without, ids + dropped, n - dropped, p.b, error));
    for (size_t i = 0; i < p.V; i++)
        ck_assert_double_eq_tol(p.a[i], p.b[i], devices[_i / N_MODELS].tolerance);
    free(ids);
    pair_close(&p);
}
END_TEST

START_TEST(refuses_ids_that_do_not_go_into_the_cache)
{
    static const struct {
        int64_t n, position;
    } bad[] = {{0, 0}, {8, 0}, {1, 7}, {1, -1}, {2, 1}};
    struct pair p;
    int32_t ids[8] = {0};
    struct mgpt_tape *tape;
    struct mgpt_error error;

    pair_open(&p, 2, MGPT_WINDOW_RECOMPUTE);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_int_eq(
            mgpt_passes_decode(&p.passes, ids, bad[i].n, bad[i].position, &tape, &error),
            MGPT_INVALID);
    pair_close(&p);
}
END_TEST

/* ---- lockstep: the logits of each row against those of a window of its own ---- */

enum { ROWS = 9, GONE = 4 };

/* Rows 0 to 4 begin alike, the others each in their own way; row GONE is not read any more after
 * the third step. */
static void rows_are_apart(int test, enum mgpt_window_past past)
{
    struct pair p;
    struct mgpt_lockstep lockstep = {0};
    int32_t *ids[ROWS];
    const int32_t *read[ROWS];

    pair_open(&p, test, past);
    size_t context = p.net.model.context, end = 3 * context + 4, V = p.V;
    double *logits = calloc(ROWS * V, sizeof *logits),
           tolerance = devices[test / N_MODELS].tolerance;
    ck_assert_ptr_nonnull(logits);
    lockstep.window = (struct mgpt_window){.passes = &p.passes, .past = past};
    ck_ok(mgpt_lockstep_init(&lockstep, ROWS, error));
    for (int i = 0; i < ROWS; i++) {
        ids[i] = calloc(end, sizeof *ids[i]);
        ck_assert_ptr_nonnull(ids[i]);
        read[i] = ids[i];
        ids[i][0] = i < 5 ? 1 : (int32_t)mgpt_rng_below(&p.net.rng, V);
    }
    for (size_t n = 1; n < end; n++) {
        if (n == 4)
            read[GONE] = NULL;
        ck_ok(mgpt_lockstep_logits(&lockstep, read, n, logits, error));
        for (int i = 0; i < ROWS; i++) {
            ids[i][n] = (int32_t)mgpt_rng_below(&p.net.rng, V);
            if (!read[i])
                continue;
            p.without.first = lockstep.window.first;
            p.without.known = n - 1; /* as if it had come all the way */
            ck_ok(mgpt_window_logits(&p.without, ids[i], n, p.b, error));
            ck_assert_uint_eq(p.without.first, lockstep.window.first);
            for (size_t k = 0; k < V; k++)
                ck_assert_double_eq_tol(logits[(size_t)i * V + k], p.b[k], tolerance);
        }
    }
    ck_assert_int_eq(lockstep.window.hops > 0, past == MGPT_WINDOW_HOP);
    for (int i = 0; i < ROWS; i++)
        free(ids[i]);
    free(logits);
    mgpt_lockstep_finish(&lockstep);
    pair_close(&p);
}

START_TEST(rows_in_lockstep_do_not_mix_where_the_window_slides)
{
    rows_are_apart(_i, MGPT_WINDOW_RECOMPUTE);
}
END_TEST

START_TEST(rows_in_lockstep_do_not_mix_where_the_window_hops)
{
    rows_are_apart(_i, MGPT_WINDOW_HOP);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_set_timeout(tests, 600); /* the largest one on the emulated device, under sanitizers */
    tcase_add_loop_test(tests, rows_in_lockstep_do_not_mix_where_the_window_slides, 0,
                        N_MODELS * n_devices());
    tcase_add_loop_test(tests, rows_in_lockstep_do_not_mix_where_the_window_hops, 0,
                        N_MODELS * n_devices());
    tcase_add_loop_test(tests, a_cache_changes_nothing_where_the_window_slides, 0,
                        N_MODELS * n_devices());
    tcase_add_loop_test(tests, a_cache_changes_nothing_where_the_window_hops, 0,
                        N_MODELS * n_devices());
    tcase_add_loop_test(tests, a_hop_is_a_fresh_start_on_the_newer_half, 0, N_MODELS * n_devices());
    tcase_add_test(tests, refuses_ids_that_do_not_go_into_the_cache);
}

int main(void)
{
    return test_main("generate", add_tests);
}
