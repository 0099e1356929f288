/* Every backend found: its memory, and each of its ops against the reference in double. A backend
 * that cannot run here is skipped, and says why. Over 500 lines because the contract is one list. */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "op_cases.h"
#include "plugin/options.h"
#include "testing.h"

#define OFFSET 128 /* of every tensor in its buffer */

/* Runs `body` for every backend that works here. */
static void each_backend(void (*body)(const struct mgpt_component *component,
                                      const struct mgpt_backend_api *api))
{
    struct mgpt_registry *registry = test_registry();
    size_t n, ran = 0;

    mgpt_registry_scan(registry, "backend");
    n = mgpt_registry_count(registry, "backend");
    for (size_t i = 0; i < n; i++) {
        const struct mgpt_component *c = mgpt_registry_at(registry, "backend", i).component;
        struct mgpt_error refused = {0};
        if (c->probe && c->probe(mgpt_host(), &refused) != MGPT_OK) {
            printf("backend %s: skipped: %s\n", c->name, refused.text);
            continue;
        }
        body(c, c->api);
        ran++;
    }
    ck_assert_msg(ran > 0, "no backend found (MICROGPT_PLUGIN_PATH)");
    mgpt_registry_destroy(registry);
}

struct opened {
    const struct mgpt_backend_api *api;
    struct mgpt_device *device;
    struct mgpt_config *config;
};

/* With `key` = `value` when key is not NULL. */
static enum mgpt_status try_backend(struct opened *o, const struct mgpt_component *c,
                                    const char *key, const char *value, struct mgpt_error *said)
{
    char section[80];

    (void)snprintf(section, sizeof section, "backend.%s", c->name);
    ck_ok(mgpt_config_create(&o->config, section, c->options, c->n_options, c->option_size, error));
    if (key)
        ck_ok(mgpt_config_set(o->config, key, value, "the test", error));
    return o->api->open(mgpt_host(), o->config, &o->device, said);
}

static struct opened open_backend(const struct mgpt_component *c, const char *key,
                                  const char *value)
{
    struct opened o = {.api = c->api};

    ck_ok(try_backend(&o, c, key, value, error));
    return o;
}

static void close_backend(struct opened *o)
{
    o->api->close(o->device);
    mgpt_config_destroy(o->config);
}

/* ---- the seven functions ---- */

static void memory_of(const struct mgpt_component *c, const struct mgpt_backend_api *api)
{
    struct opened o = open_backend(c, NULL, NULL);
    struct mgpt_buffer *buffer = NULL;
    struct mgpt_error refused;
    unsigned char data[1000], back[1000];

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 7 + i / 256);
    ck_ok(api->buffer_new(o.device, sizeof data, &buffer, error));
    ck_ok(api->upload(o.device, buffer, 0, data, sizeof data, error));
    ck_ok(api->upload(o.device, buffer, 333, data, 100, error));
    memset(back, 0, sizeof back);
    ck_ok(api->download(o.device, buffer, 0, back, sizeof back, error));
    ck_assert_mem_eq(back, data, 333);
    ck_assert_mem_eq(back + 333, data, 100);
    ck_assert_mem_eq(back + 433, data + 433, sizeof data - 433);
    ck_ok(api->download(o.device, buffer, 999, back, 1, error));
    ck_assert_uint_eq(back[0], data[999]);
    ck_ok(api->upload(o.device, buffer, 1000, data, 0, error));
    /* past the end, and where offset + bytes wraps */
    ck_assert_int_eq(api->upload(o.device, buffer, 999, data, 2, &refused), MGPT_INVALID);
    ck_assert_int_eq(api->download(o.device, buffer, 1001, back, 1, &refused), MGPT_INVALID);
    ck_assert_int_eq(api->upload(o.device, buffer, UINT64_MAX, data, 2, &refused), MGPT_INVALID);
    ck_assert_int_eq(api->download(o.device, buffer, 2, back, UINT64_MAX - 1, &refused),
                     MGPT_INVALID);
    ck_ok(api->sync(o.device, error));
    if (MGPT_HAS(api, map) && api->map && api->map(o.device, buffer)) {
        ck_assert_uint_eq((uintptr_t)api->map(o.device, buffer) % 64, 0);
        ck_assert_mem_eq(api->map(o.device, buffer), data, 333);
    }
    api->buffer_free(o.device, buffer);
    api->buffer_free(o.device, NULL);
    api->close(NULL);
    close_backend(&o);
}

START_TEST(memory_keeps_what_is_uploaded_and_refuses_what_is_past_its_end)
{
    each_backend(memory_of);
}
END_TEST

static void caps_of(const struct mgpt_component *c, const struct mgpt_backend_api *api)
{
    struct opened o = open_backend(c, NULL, NULL);
    struct mgpt_caps caps = {.size = sizeof caps}, small = {.size = 8};

    if (MGPT_HAS(api, caps) && api->caps) {
        ck_ok(api->caps(o.device, &caps, error));
        ck_assert_uint_eq(caps.size, sizeof caps);
        ck_assert(caps.formats & 1u << MGPT_F32);
        ck_assert_uint_gt(strlen(caps.name), 0);
        small.formats = 0x5a5a;
        ck_ok(api->caps(o.device, &small, error));
        ck_assert_uint_eq(small.formats, 0x5a5a); /* past the size that it was given */
    }
    close_backend(&o);
}

START_TEST(caps_fill_no_more_than_the_caller_has)
{
    each_backend(caps_of);
}
END_TEST

/* ---- running a case ---- */

static int has_op(const struct opened *o, const struct mgpt_op *op, uint32_t dtype)
{
    const struct mgpt_backend_api *api = o->api;

    if (!MGPT_HAS(api, ops) || !api->ops || op->code >= api->n_ops || !api->ops[op->code])
        return 0;
    if (MGPT_HAS(api, supports) && api->supports)
        return api->supports(o->device, op);
    return dtype == MGPT_F32;
}

static void upload_slot(const struct opened *o, struct mgpt_tensor *t, const void *data)
{
    t->offset = OFFSET;
    ck_ok(o->api->buffer_new(o->device, OFFSET + op_case_bytes(t), &t->buffer, error));
    ck_ok(o->api->upload(o->device, t->buffer, OFFSET, data, op_case_bytes(t), error));
}

/* Runs the case on the device and downloads its outputs into the case's own data. */
static enum mgpt_status run_on(const struct opened *o, struct op_case *c,
                               struct mgpt_error *refused)
{
    struct mgpt_op *op = &c->op;
    enum mgpt_status status;

    for (int i = 0; i < MGPT_OP_MAX_IN; i++)
        if (c->in[i])
            upload_slot(o, &op->in[i], c->in[i]);
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++) {
        if (c->alias[i] >= 0)
            op->out[i] = op->in[c->alias[i]];
        else if (c->out[i])
            upload_slot(o, &op->out[i], c->out[i]);
    }
    status = o->api->ops[op->code](o->device, op, refused);
    if (status == MGPT_OK)
        status = o->api->sync(o->device, refused);
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        if (c->out[i])
            ck_ok(o->api->download(o->device, op->out[i].buffer, OFFSET, c->out[i],
                                   op_case_bytes(&op->out[i]), error));
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        if (c->out[i] && c->alias[i] < 0)
            o->api->buffer_free(o->device, op->out[i].buffer);
    for (int i = 0; i < MGPT_OP_MAX_IN; i++)
        if (c->in[i])
            o->api->buffer_free(o->device, op->in[i].buffer);
    return status;
}

static uint64_t test_seed(void)
{
    const char *text = getenv("MICROGPT_TEST_SEED");

    return text ? strtoull(text, NULL, 10) : 20240917;
}

/* In double, and where 16 bits round operands of products also in the same formats, which is
 * closer. */
static void check_case(const struct opened *o, uint32_t code, int index, uint32_t dtype, int *ran)
{
    struct op_case got, exact, same;
    struct mgpt_error refused = {0};

    op_case_make(&got, code, index, dtype, test_seed());
    if (has_op(o, &got.op, dtype)) {
        op_case_convert(&got, MGPT_F64, &exact);
        op_case_convert(&got, 0, &same);
        ck_assert_msg(run_on(o, &got, &refused) == MGPT_OK, "%s: %s", got.label, refused.text);
        ck_ok(mgpt_ref_run(&exact.op, (const void *const *)exact.in, exact.out, error));
        op_case_compare(&exact, &got, dtype);
        ck_ok(mgpt_ref_run(&same.op, (const void *const *)same.in, same.out, error));
        op_case_compare(&same, &got, 0);
        op_case_finish(&same);
        op_case_finish(&exact);
        ++*ran;
    }
    op_case_finish(&got);
}

static uint32_t formats_of(const struct opened *o)
{
    struct mgpt_caps caps = {.size = sizeof caps, .formats = 1u << MGPT_F32};

    if (MGPT_HAS(o->api, caps) && o->api->caps)
        ck_ok(o->api->caps(o->device, &caps, error));
    return caps.formats;
}

/* A product of 10 bits of mantissa, where the device says so; what it multiplies on the way, such as
 * probabilities, it may round so, too. Returns whether the flag changed anything. */
static bool check_tf32(const struct opened *o, uint32_t code, int index)
{
    struct op_case got, same, plain;
    struct mgpt_error refused = {0};
    bool differs = false;

    op_case_make(&got, code, index, MGPT_F32, test_seed());
    op_case_convert(&got, 0, &plain);
    got.op.flags |= MGPT_OP_TF32;
    op_case_convert(&got, 0, &same);
    if (has_op(o, &got.op, MGPT_F32)) {
        ck_assert_msg(run_on(o, &got, &refused) == MGPT_OK, "%s: %s", got.label, refused.text);
        ck_assert_msg(run_on(o, &plain, &refused) == MGPT_OK, "%s: %s", got.label, refused.text);
        ck_ok(mgpt_ref_run(&same.op, (const void *const *)same.in, same.out, error));
        op_case_compare(&same, &got, MGPT_F16);
        for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
            differs = differs || (got.out[i] && memcmp(got.out[i], plain.out[i],
                                                       op_case_bytes(&got.op.out[i])) != 0);
    }
    op_case_finish(&same);
    op_case_finish(&plain);
    op_case_finish(&got);
    return differs;
}

static void tf32_of(const struct mgpt_component *c, const struct mgpt_backend_api *api)
{
    static const uint32_t codes[] = {MGPT_OP_LINEAR, MGPT_OP_LINEAR_BACKWARD, MGPT_OP_ATTENTION,
                                     MGPT_OP_ATTENTION_BACKWARD};
    struct opened o = open_backend(c, NULL, NULL);
    struct mgpt_caps caps = {.size = sizeof caps};

    if (MGPT_HAS(api, caps) && api->caps)
        ck_ok(api->caps(o.device, &caps, error));
    for (int k = 0; caps.flags & MGPT_CAPS_TF32 && k < 4; k++) {
        int changed = 0;
        for (int i = 0; i < op_case_count(codes[k]); i++)
            changed += check_tf32(&o, codes[k], i);
        ck_assert_msg(changed > 0, "%s has TF32, but its %s rounds nothing", c->name,
                      mgpt_op_name(codes[k]));
    }
    close_backend(&o);
}

/* Every `step`th case, from `first` on; the large one with all others. */
static void ops_in(const struct mgpt_component *c, const struct opened *o, uint32_t dtype,
                   int first, int step)
{
    for (uint32_t code = 1; code < MGPT_OP_COUNT; code++) {
        int ran = 0;
        for (int i = first; i < op_case_count(code); i += step)
            check_case(o, code, i, dtype, &ran);
        if (step == 1)
            check_case(o, code, OP_CASE_LARGE, dtype, &ran);
        if (!ran)
            printf("backend %s: has no %s in format %" PRIu32 "\n", c->name, mgpt_op_name(code),
                   dtype);
    }
}

/* All cases in F32, and so many in each other format. */
static void ops_in_all(const struct mgpt_component *c, const struct opened *o, int first, int step)
{
    uint32_t all = formats_of(o);

    for (uint32_t dtype = MGPT_F32; dtype <= MGPT_BF16; dtype++)
        if (all >> dtype & 1)
            ops_in(c, o, dtype, dtype == MGPT_F32 ? 0 : first, dtype == MGPT_F32 ? 1 : step);
}

static void ops_of(const struct mgpt_component *c, const struct mgpt_backend_api *api)
{
    struct opened o = open_backend(c, NULL, NULL);
    const char *step = getenv("MICROGPT_TEST_STEP"); /* of cases with 16 bits, in slow builds */

    (void)api;
    ops_in_all(c, &o, 0, step ? atoi(step) : 1);
    close_backend(&o);
}

/* Each choice of each option, where this machine has what it names; with a few cases of 16 bits,
 * others each time (7 divides no count of variants). */
static void choices_of(const struct mgpt_component *c, const struct mgpt_backend_api *api)
{
    for (uint32_t i = 0; i < c->n_options; i++) {
        const struct mgpt_option *option = mgpt_option_at(c, i);
        for (int k = 0; option->type == MGPT_OPTION_ENUM && option->choices[k]; k++) {
            struct opened o = {.api = api};
            struct mgpt_error said = {0};
            enum mgpt_status status = try_backend(&o, c, option->key, option->choices[k], &said);
            ck_assert_msg(status == MGPT_OK || status == MGPT_UNSUPPORTED, "%s", said.text);
            if (status == MGPT_OK)
                ops_in_all(c, &o, k, 7);
            close_backend(&o);
        }
    }
}

START_TEST(ops_compute_what_the_reference_computes)
{
    printf("MICROGPT_TEST_SEED=%" PRIu64 "\n", test_seed());
    each_backend(ops_of);
}
END_TEST

START_TEST(products_round_to_tf32_where_the_device_has_that)
{
    each_backend(tf32_of);
}
END_TEST

START_TEST(so_do_they_with_every_choice_of_an_option)
{
    each_backend(choices_of);
}
END_TEST

/* A whole matrix as one row, as an optimizer scales it: y = x / sqrt(mean of x^2 + eps). */
static void long_norm_of(const struct mgpt_component *c, const struct mgpt_backend_api *api)
{
    static float x[200003], y[200003];
    const int64_t n = sizeof x / sizeof *x;
    struct mgpt_op op = {.size = sizeof op, .code = MGPT_OP_NORM, .norm = MGPT_NORM_RMS};
    struct opened o = open_backend(c, NULL, NULL);
    double sum = 0;

    for (int64_t i = 0; i < n; i++) {
        x[i] = (float)(1 + i % 7) / 64;
        sum += (double)x[i] * x[i];
    }
    op.in[0] = op.out[0] = (struct mgpt_tensor){.dtype = MGPT_F32, .rank = 2, .shape = {1, n}};
    op.eps = 1e-6;
    if (has_op(&o, &op, MGPT_F32)) {
        upload_slot(&o, &op.in[0], x);
        op.out[0] = op.in[0];
        ck_ok(api->ops[op.code](o.device, &op, error));
        ck_ok(api->download(o.device, op.in[0].buffer, OFFSET, y, sizeof y, error));
        for (int64_t i = 0; i < n; i++)
            ck_assert_double_eq_tol(y[i], x[i] / sqrt(sum / (double)n + op.eps), 1e-5);
        api->buffer_free(o.device, op.in[0].buffer);
    }
    close_backend(&o);
}

START_TEST(a_norm_takes_a_whole_matrix_as_a_row)
{
    each_backend(long_norm_of);
}
END_TEST

/* ---- errors ---- */

/* An index far outside of its table, at the end of ids or targets. */
static void spoil_ids(struct op_case *c, int slot)
{
    ((int32_t *)c->in[slot])[mgpt_tensor_count(&c->op.in[slot]) - 1] = 1000000;
}

static void bad_ids_of(const struct mgpt_component *c, const struct mgpt_backend_api *api)
{
    static const struct {
        uint32_t code;
        int slot;
    } ops[] = {{MGPT_OP_EMBED, 0}, {MGPT_OP_EMBED_BACKWARD, 0}, {MGPT_OP_CROSS_ENTROPY, 1}};
    struct opened o = open_backend(c, NULL, NULL);
    struct mgpt_caps caps = {.size = sizeof caps};

    if (MGPT_HAS(api, caps) && api->caps)
        ck_ok(api->caps(o.device, &caps, error));
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        struct op_case before, after;
        struct mgpt_error refused = {0};
        int last = op_case_count(ops[i].code) - 1;
        op_case_make(&before, ops[i].code, last, MGPT_F32, test_seed());
        spoil_ids(&before, ops[i].slot);
        op_case_convert(&before, MGPT_F32, &after);
        /* a device need not look at ids; one on the host must, since it would corrupt the process
         */
        if (caps.flags & MGPT_CAPS_HOST && has_op(&o, &after.op, MGPT_F32)) {
            ck_assert_int_eq(run_on(&o, &after, &refused), MGPT_INVALID);
            ck_assert_ptr_nonnull(strstr(refused.text, "1000000"));
            for (int k = 0; k < MGPT_OP_MAX_OUT; k++)
                if (before.out[k])
                    ck_assert_mem_eq(after.out[k], before.out[k], op_case_bytes(&before.op.out[k]));
        }
        op_case_finish(&after);
        op_case_finish(&before);
    }
    close_backend(&o);
}

START_TEST(ids_out_of_range_are_refused_and_nothing_is_written)
{
    each_backend(bad_ids_of);
}
END_TEST

/* ---- update ---- */

static void descend(size_t n, float *p, const float *g, float *const *s, const double *h, double c)
{
    for (size_t i = 0; i < n; i++) {
        s[0][i] += g[i] * (float)c;
        p[i] -= (float)h[0] * s[0][i];
    }
}

static void descend_f64(size_t n, double *p, const double *g, double *const *s, const double *h,
                        double c)
{
    for (size_t i = 0; i < n; i++) {
        s[0][i] += g[i] * c;
        p[i] -= h[0] * s[0][i];
    }
}

static const struct mgpt_rule rule = {
    sizeof rule, 1, 1, 0, "descend", "(s)", "(lr)", "s += g; p -= lr * s;", descend, descend_f64};

#define N_UPDATE 40001

static void run_update(const struct opened *o, uint64_t nonfinite, float *p, float *s)
{
    static float g[N_UPDATE];
    const double lr = 0.5;
    struct mgpt_step_state state = {.grad_scale = 0.25, .loss_scale = 1, .nonfinite = nonfinite};
    struct mgpt_tensor t = {.dtype = MGPT_F32, .rank = 1, .shape = {N_UPDATE}};
    struct mgpt_update u = {.size = sizeof u,
                            .n_state = 1,
                            .n_scalars = 1,
                            .rule = &rule,
                            .scalars = &lr,
                            .p = t,
                            .g = t,
                            .state = {t}};

    for (int i = 0; i < N_UPDATE; i++) {
        g[i] = (float)(i % 32);
        p[i] = (float)(i % 100);
        s[i] = 1;
    }
    u.step_state = (struct mgpt_tensor){.dtype = MGPT_U8, .rank = 1, .shape = {sizeof state}};
    upload_slot(o, &u.p, p);
    upload_slot(o, &u.g, g);
    upload_slot(o, &u.state[0], s);
    upload_slot(o, &u.step_state, &state);
    ck_ok(o->api->update(o->device, &u, error));
    ck_ok(o->api->download(o->device, u.p.buffer, OFFSET, p, sizeof g, error));
    ck_ok(o->api->download(o->device, u.state[0].buffer, OFFSET, s, sizeof g, error));
    o->api->buffer_free(o->device, u.p.buffer);
    o->api->buffer_free(o->device, u.g.buffer);
    o->api->buffer_free(o->device, u.state[0].buffer);
    o->api->buffer_free(o->device, u.step_state.buffer);
}

static void update_of(const struct mgpt_component *c, const struct mgpt_backend_api *api)
{
    static float p[N_UPDATE], s[N_UPDATE];
    struct opened o = open_backend(c, NULL, NULL);

    if (MGPT_HAS(api, update) && api->update) {
        run_update(&o, 1, p, s);
        for (int i = 0; i < N_UPDATE; i++) /* nonfinite: nothing */
            ck_assert(p[i] == (float)(i % 100) && s[i] == 1);
        run_update(&o, 0, p, s);
        for (int i = 0; i < N_UPDATE; i++) { /* all of these are exact in binary */
            float sum = 1 + (float)(i % 32) * 0.25f;
            ck_assert(s[i] == sum && p[i] == (float)(i % 100) - 0.5f * sum);
        }
    }
    close_backend(&o);
}

START_TEST(update_applies_the_rule_to_scaled_gradients_and_skips_nonfinite_steps)
{
    each_backend(update_of);
}
END_TEST

/* ---- threads ---- */

static int has_threads(const struct mgpt_component *c)
{
    for (uint32_t i = 0; i < c->n_options; i++)
        if (strcmp(mgpt_option_at(c, i)->key, "threads") == 0)
            return 1;
    return 0;
}

/* Where the device has the op in the format; else the outputs stay what they were. */
static void run_large(const struct opened *o, uint32_t code, uint32_t dtype, struct op_case *c)
{
    struct mgpt_error refused = {0};

    op_case_make(c, code, OP_CASE_LARGE, dtype, test_seed());
    if (!has_op(o, &c->op, dtype))
        return;
    ck_assert_msg(run_on(o, c, &refused) == MGPT_OK, "%s: %s", c->label, refused.text);
}

static void same_bits(const struct op_case *one, const struct op_case *many, const char *threads)
{
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        if (one->out[i])
            ck_assert_msg(memcmp(one->out[i], many->out[i], op_case_bytes(&one->op.out[i])) == 0,
                          "%s: %s threads give other bits than one in output %d", one->label,
                          threads, i);
}

/* The threads that caps name. */
static uint32_t threads_said(const struct opened *o)
{
    struct mgpt_caps caps = {.size = sizeof caps};

    ck_ok(o->api->caps(o->device, &caps, error));
    return caps.threads;
}

/* Every op at a large size, with `count` threads, against what one thread made of it. */
static void threads_count(const struct mgpt_component *c, const char *count, uint32_t dtype,
                          const struct op_case *want)
{
    struct opened o = open_backend(c, "threads", count);
    const uint32_t *ran = MGPT_HAS(o.api, query) && o.api->query
                              ? o.api->query(o.device, "microgpt.cpu-threads/1")
                              : NULL;

    for (uint32_t code = 1; code < MGPT_OP_COUNT; code++) {
        struct op_case got;
        run_large(&o, code, dtype, &got);
        same_bits(&want[code], &got, count);
        op_case_finish(&got);
    }
    if (ran) /* where the system gives fewer, caps say so */
        ck_assert_msg(*ran == threads_said(&o), "%" PRIu32 " threads ran, not %" PRIu32, *ran,
                      threads_said(&o));
    close_backend(&o);
}

static void threads_in(const struct mgpt_component *c, uint32_t dtype)
{
    static const char *const counts[] = {"1", "2", "3", "8", "17", "32"};
    struct op_case want[MGPT_OP_COUNT];
    struct opened one = open_backend(c, "threads", "1");

    for (uint32_t code = 1; code < MGPT_OP_COUNT; code++)
        run_large(&one, code, dtype, &want[code]);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        threads_count(c, counts[i], dtype, want);
    for (uint32_t code = 1; code < MGPT_OP_COUNT; code++)
        op_case_finish(&want[code]);
    close_backend(&one);
}

static void threads_of(const struct mgpt_component *c, const struct mgpt_backend_api *api)
{
    struct opened o;
    uint32_t all;

    (void)api;
    if (!has_threads(c))
        return;
    o = open_backend(c, NULL, NULL);
    all = formats_of(&o);
    close_backend(&o);
    for (uint32_t dtype = MGPT_F32; dtype <= MGPT_BF16; dtype++)
        if (all >> dtype & 1)
            threads_in(c, dtype);
}

START_TEST(bits_do_not_depend_on_the_number_of_threads)
{
    each_backend(threads_of);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, memory_keeps_what_is_uploaded_and_refuses_what_is_past_its_end);
    tcase_add_test(tests, caps_fill_no_more_than_the_caller_has);
    tcase_add_test(tests, ops_compute_what_the_reference_computes);
    tcase_add_test(tests, products_round_to_tf32_where_the_device_has_that);
    tcase_add_test(tests, so_do_they_with_every_choice_of_an_option);
    tcase_add_test(tests, a_norm_takes_a_whole_matrix_as_a_row);
    tcase_add_test(tests, ids_out_of_range_are_refused_and_nothing_is_written);
    tcase_add_test(tests, update_applies_the_rule_to_scaled_gradients_and_skips_nonfinite_steps);
    tcase_add_test(tests, bits_do_not_depend_on_the_number_of_threads);
}

int main(void)
{
    return test_main("conform_backend", add_tests);
}
