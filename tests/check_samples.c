/* Samples: with a cache and without, where they end, and many in lockstep. Ids are bytes. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/draws.h"
#include "conf/conf.h"
#include "run/samples.h"
#include "testing.h"

static const struct {
    const char *backend;
    uint32_t dtype;
    double tolerance;
} devices[] = {{"ref", MGPT_F64, 1e-12}, {"cpu", MGPT_F32, 2e-5}, {"cuda_emu", MGPT_F32, 2e-5}};

/* The last one is not everywhere. */
static int n_devices(void)
{
    int n = (int)(sizeof devices / sizeof *devices);

    return test_has_backend(devices[n - 1].backend) ? n : n - 1;
}

struct rig {
    struct mgpt_check_net net;
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
    struct mgpt_model m = mgpt_check_model_toygpt();
    const struct mgpt_config *config;
    const void *api;

    memset(r, 0, sizeof *r);
    m.context = 8;
    m.vocab = 256;
    mgpt_check_net_open(&r->net, backend, &m, dtype, 0);
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
    struct mgpt_net net = mgpt_check_net_of(&r->net);
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
    mgpt_check_net_close(&r->net);
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

/* ---- samples in lockstep ---- */

enum { COUNT = 21 };

struct texts {
    struct mgpt_string of[COUNT];
    uint64_t n;
};

static enum mgpt_status take(void *context, uint64_t number, const struct mgpt_string *text,
                             struct mgpt_error *error)
{
    struct texts *texts = context;

    (void)error;
    ck_assert_uint_eq(number, ++texts->n);
    mgpt_string_add(&texts->of[number - 1], text->data, text->size);
    return MGPT_OK;
}

static void forget(struct texts *texts)
{
    for (int i = 0; i < COUNT; i++)
        mgpt_string_finish(&texts->of[i]);
}

static void ck_same(const struct mgpt_string *a, const struct mgpt_string *b)
{
    ck_assert_uint_eq(a->size, b->size);
    if (a->size)
        ck_assert_mem_eq(a->data, b->data, a->size);
}

/* Samples 1..count, `batch` at once. */
static struct texts samples_of(struct rig *r, uint64_t batch, uint64_t count)
{
    struct texts texts = {0};
    int32_t *ids;
    size_t n;

    r->g.batch = batch;
    ck_ok(mgpt_prompt_ids(&r->s, "ab", &ids, &n, error));
    ck_ok(mgpt_samples_make(&r->g, ids, n, count, take, &texts, error));
    ck_assert_uint_eq(texts.n, count);
    free(ids);
    return texts;
}

/* Sample i alone, from the stream that samples.h gives it. */
static struct mgpt_string alone(struct rig *r, uint64_t i)
{
    struct mgpt_string text = {0};
    struct mgpt_draws draws;

    r->s.stream = mgpt_draws_stream(&draws, 42, (uint32_t)i);
    ck_ok(mgpt_generate(&r->g, (int32_t[]){'a', 'b'}, 2, mgpt_emit_string, &text, error));
    return text;
}

/* Some end by the stop string, some at the end; some batches are full, some are not. The emulator
 * is slow. */
START_TEST(a_sample_in_lockstep_is_its_own_stream_alone)
{
    const char *set[] = {"generate.max_tokens=24", "sampler.topk.top_k=0", "generate.stop=e|A|f|B",
                         _i % 2 ? "generate.window=hop" : "generate.window=recompute", NULL};
    static const uint64_t batches[] = {5, 2, 8, 20, 64};
    const uint64_t count = _i / 2 < 2 ? COUNT : 7;
    size_t ended = 0, all = 0;
    struct mgpt_string one[COUNT];
    struct rig r;

    rig_open(&r, devices[_i / 2].backend, devices[_i / 2].dtype, set);
    for (uint64_t i = 0; i < count; i++)
        one[i] = alone(&r, i + 1);
    for (int b = 0; b < (_i / 2 < 2 ? 5 : 1); b++) {
        uint64_t n = b == 2 ? count - 2 : count;
        struct texts texts = samples_of(&r, batches[b], n);
        for (uint64_t i = 0; i < n; i++) {
            ck_same(&texts.of[i], &one[i]);
            ended += one[i].size < 24;
            all++;
        }
        forget(&texts);
    }
    ck_assert_uint_gt(ended, 0);
    ck_assert_uint_lt(ended, all);
    for (uint64_t i = 0; i < count; i++)
        mgpt_string_finish(&one[i]);
    rig_close(&r);
}
END_TEST

/* And the stream of the session is not drawn from. */
START_TEST(samples_in_lockstep_leave_the_stream_alone)
{
    const char *set[] = {"generate.max_tokens=3", NULL};
    struct rig r;

    rig_open(&r, "cpu", MGPT_F32, set);
    mgpt_session_seed(&r.s, 3);
    uint64_t draw = r.s.stream.below(r.s.stream.context, 1u << 30);
    mgpt_session_seed(&r.s, 3);
    struct texts texts = samples_of(&r, 4, 6);
    ck_assert_uint_eq(r.s.stream.below(r.s.stream.context, 1u << 30), draw);
    forget(&texts);
    rig_close(&r);
}
END_TEST

/* ---- probabilities ---- */

struct seen {
    struct rig *r;
    struct mgpt_window window; /* without a cache */
    double *logits;
    int32_t ids[64];
    size_t n;
};

/* Each id's probability is its share of exp(logits), of logits that no sampler touched. */
static enum mgpt_status weigh(void *context, int32_t id, const char *text, size_t size,
                              struct mgpt_error *why)
{
    struct seen *seen = context;
    double sum = 0;

    (void)text;
    (void)size;
    (void)why;
    if (id < 0)
        return MGPT_OK;
    ck_ok(mgpt_window_logits(&seen->window, seen->ids, seen->n, seen->logits, error));
    for (uint32_t i = 0; i < seen->r->s.model.vocab; i++)
        sum += exp(seen->logits[i]);
    ck_assert_double_eq_tol(seen->r->g.probability, exp(seen->logits[id]) / sum, 1e-12);
    seen->ids[seen->n++] = id;
    return MGPT_OK;
}

START_TEST(a_probability_is_that_of_the_model_whatever_the_sampler_does)
{
    const char *set[] = {"generate.max_tokens=20", "generate.stop=",
                         _i ? "sampler.topk.temperature=5" : "sampler.topk.top_k=1", NULL};
    struct seen seen = {.ids = {'a', 'b'}, .n = 2};
    struct rig r;

    rig_open(&r, "ref", MGPT_F64, set);
    seen.r = &r;
    seen.window = (struct mgpt_window){.passes = &r.s.passes, .no_cache = true};
    ck_ok(mgpt_window_init(&seen.window, error));
    seen.logits = calloc(r.s.model.vocab, sizeof *seen.logits);
    ck_ok(mgpt_generator_weigh(&r.g, error));
    mgpt_session_seed(&r.s, 3);
    ck_ok(mgpt_generate(&r.g, (int32_t[]){'a', 'b'}, 2, weigh, &seen, error));
    ck_assert_uint_eq(seen.n, 22);
    free(seen.logits);
    mgpt_window_finish(&seen.window);
    rig_close(&r);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_loop_test(tests, a_sample_in_lockstep_is_its_own_stream_alone, 0, 2 * n_devices());
    tcase_add_test(tests, samples_in_lockstep_leave_the_stream_alone);
    tcase_add_loop_test(tests, samples_are_the_same_with_and_without_a_cache, 0, 2 * n_devices());
    tcase_add_test(tests, a_stop_string_ends_a_sample);
    tcase_add_loop_test(tests, a_probability_is_that_of_the_model_whatever_the_sampler_does, 0, 2);
}

int main(void)
{
    return test_main("samples", add_tests);
}
