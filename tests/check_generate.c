/* Generation: with a cache the same as without, past the context too; where samples end. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "run/generate.h"
#include "testing.h"

/* ---- the window: logits with a cache against those of whole passes ---- */

static struct mgpt_model shared_kv_and_all_biases(void)
{
    struct mgpt_model m = test_model_names();

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
    struct mgpt_model m = test_model_toygpt();

    m.context = 1;
    return m;
}

static struct mgpt_model longer_than_a_vector(void)
{
    struct mgpt_model m = test_model_toygpt();

    m.context = 37;
    m.vocab = 33;
    m.embd = 48;
    return m;
}

static struct mgpt_model (*const models[])(void) = {test_model_names, test_model_toygpt,
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
    struct test_net net;
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
    test_net_open(&p->net, devices[device].backend, &m, devices[device].dtype, 0);
    struct mgpt_net net = test_net_of(&p->net);
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
    test_net_close(&p->net);
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

/* ---- samples: ids are bytes ---- */

struct rig {
    struct test_net net;
    struct mgpt_registry *registry;
    struct mgpt_session s;
    struct mgpt_generator g;
};

static void open_module(struct rig *r, const char *want, const char *kind, const char *name,
                        const void **api, const struct mgpt_config **config)
{
    struct mgpt_module module;

    ck_ok(mgpt_registry_use(r->registry, want, name, &module, error));
    *api = module.component->api;
    *config = mgpt_conf_module(r->s.conf, kind, name);
}

static void rig_open(struct rig *r, const char *backend, uint32_t dtype, const char *const *set)
{
    struct mgpt_model m = test_model_toygpt();
    const struct mgpt_config *config;
    const void *api;

    memset(r, 0, sizeof *r);
    m.context = 8;
    m.vocab = 256;
    test_net_open(&r->net, backend, &m, dtype, 0);
    r->registry = test_registry();
    ck_ok(mgpt_conf_create(&r->s.conf, error));
    ck_ok(mgpt_conf_set(r->s.conf, "tokenizer.use=byte", "test", error));
    ck_ok(mgpt_conf_set(r->s.conf, "tokenizer.byte.bos=false", "test", error));
    for (; *set; set++)
        ck_ok(mgpt_conf_set(r->s.conf, *set, "test", error));
    ck_ok(mgpt_conf_check(r->s.conf, r->registry, error));
    r->s.model = r->net.model;
    open_module(r, MGPT_KIND_TOKENIZER, "tokenizer", "byte", &api, &config);
    r->s.tokenizer_api = api;
    ck_ok(r->s.tokenizer_api->create(mgpt_host(), config, &r->s.tokenizer, error));
    open_module(r, MGPT_KIND_SAMPLER, "sampler", "topk", &api, &config);
    r->s.sampler_api = api;
    ck_ok(r->s.sampler_api->create(mgpt_host(), config, m.vocab, &r->s.sampler, error));
    struct mgpt_net net = test_net_of(&r->net);
    ck_ok(mgpt_passes_open(&r->s.passes, &net, MGPT_MODE_LOSS, 1, m.context, error));
    ck_ok(mgpt_generator_init(&r->g, &r->s, error));
}

static void rig_close(struct rig *r)
{
    mgpt_generator_finish(&r->g);
    r->s.sampler_api->destroy(r->s.sampler);
    r->s.tokenizer_api->destroy(r->s.tokenizer);
    mgpt_passes_close(&r->s.passes);
    mgpt_conf_destroy(r->s.conf);
    mgpt_registry_destroy(r->registry);
    test_net_close(&r->net);
}

/* Two samples with the same seed each time. */
static struct mgpt_string two_samples(struct rig *r, const char *prompt)
{
    struct mgpt_string text = {0};
    int32_t *ids;
    size_t n;

    mgpt_session_seed(&r->s, 3);
    ck_ok(mgpt_prompt_ids(&r->s, prompt, &ids, &n, error));
    for (int i = 0; i < 2; i++)
        ck_ok(mgpt_generate(&r->g, ids, n, mgpt_emit_string, &text, error));
    free(ids);
    ck_assert(!text.failed);
    return text;
}

#define SHARP "sampler.topk.temperature=0.5"

START_TEST(samples_are_the_same_with_and_without_a_cache)
{
    const char *set[] = {"generate.max_tokens=60", SHARP, "sampler.topk.top_k=0",
                         _i % 2 ? "generate.window=hop" : "generate.window=recompute", NULL};
    const char *const prompts[] = {"", "abc", "a prompt longer than the context"};
    struct rig r;

    rig_open(&r, devices[_i / 2].backend, devices[_i / 2].dtype, set);
    for (int i = 0; i < 3; i++) {
        struct mgpt_string cached = two_samples(&r, prompts[i]);
        r.g.window.no_cache = true;
        struct mgpt_string whole = two_samples(&r, prompts[i]);
        r.g.window.no_cache = false;
        ck_assert_uint_eq(cached.size, 120);
        ck_assert_uint_eq(whole.size, 120);
        ck_assert_mem_eq(cached.data, whole.data, 120);
        mgpt_string_finish(&cached);
        mgpt_string_finish(&whole);
    }
    rig_close(&r);
}
END_TEST

/* One sample that ends at `size` bytes `stop`, where size is not 0; and the draw after it. */
static struct mgpt_string one_sample(const char *stop, size_t size, uint64_t *draw)
{
    const char *set[] = {"generate.max_tokens=40", "generate.stop=never to be seen|stop", NULL};
    struct mgpt_string text = {0};
    const int32_t prompt = 'a';
    struct rig r;

    rig_open(&r, "cpu", MGPT_F32, set);
    ck_assert_uint_eq(r.g.endings.n, 2);
    if (size) { /* bytes that no configuration could say */
        r.g.endings.stops[1].size = 0;
        mgpt_string_add(&r.g.endings.stops[1], stop, size);
    }
    mgpt_session_seed(&r.s, 3);
    ck_ok(mgpt_generate(&r.g, &prompt, 1, mgpt_emit_string, &text, error));
    *draw = r.s.stream.below(r.s.stream.context, 1u << 30);
    rig_close(&r);
    return text;
}

START_TEST(a_stop_string_ends_a_sample)
{
    enum { AT = 20, SIZE = 3 };
    uint64_t draw, early;
    struct mgpt_string whole = one_sample("", 0, &draw);

    ck_assert_uint_eq(whole.size, 40);
    struct mgpt_string text = one_sample(whole.data + AT, SIZE, &early);
    size_t first = 0;
    while (memcmp(whole.data + first, whole.data + AT, SIZE) != 0)
        first++;
    ck_assert_uint_eq(text.size, first);
    if (first)
        ck_assert_mem_eq(text.data, whole.data, first);
    ck_assert_uint_ne(draw, early); /* nothing was drawn past the end */
    mgpt_string_finish(&text);
    mgpt_string_finish(&whole);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_loop_test(tests, a_cache_changes_nothing_where_the_window_slides, 0,
                        N_MODELS * n_devices());
    tcase_add_loop_test(tests, a_cache_changes_nothing_where_the_window_hops, 0,
                        N_MODELS * n_devices());
    tcase_add_loop_test(tests, a_hop_is_a_fresh_start_on_the_newer_half, 0, N_MODELS * n_devices());
    tcase_add_test(tests, refuses_ids_that_do_not_go_into_the_cache);
    tcase_add_loop_test(tests, samples_are_the_same_with_and_without_a_cache, 0, 2 * n_devices());
    tcase_add_test(tests, a_stop_string_ends_a_sample);
}

int main(void)
{
    return test_main("generate", add_tests);
}
