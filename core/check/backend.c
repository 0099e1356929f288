/* Kind backend: its memory, updates, threads; and models that run on some of its ops. What its ops
 * compute is in backend_ops.c. */
#include <config.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "check/device.h"
#include "check/net.h"
#include "check/step_rig.h"
#include "run/composed.h"

/* ---- the seven functions ---- */

static void memory_of(const struct mgpt_component *c)
{
    const struct mgpt_backend_api *api = c->api;
    struct mgpt_check_device o = mgpt_check_device_open(c, NULL, NULL);
    struct mgpt_buffer *buffer = NULL;
    struct mgpt_error refused;
    unsigned char data[1000], back[1000];

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 7 + i / 256);
    check_ok(api->buffer_new(o.device, sizeof data, &buffer, error));
    check_ok(api->upload(o.device, buffer, 0, data, sizeof data, error));
    check_ok(api->upload(o.device, buffer, 333, data, 100, error));
    memset(back, 0, sizeof back);
    check_ok(api->download(o.device, buffer, 0, back, sizeof back, error));
    check_that(memcmp(back, data, 333) == 0, "other bytes came back");
    check_that(memcmp(back + 333, data, 100) == 0, "other bytes came back");
    check_that(memcmp(back + 433, data + 433, sizeof data - 433) == 0, "other bytes came back");
    check_ok(api->download(o.device, buffer, 999, back, 1, error));
    check_that(back[0] == data[999], "another byte came back");
    check_ok(api->upload(o.device, buffer, 1000, data, 0, error));
    /* past the end, and where offset + bytes wraps */
    check_that(api->upload(o.device, buffer, 999, data, 2, &refused) == MGPT_INVALID,
               "upload past the end was not refused with MGPT_INVALID");
    check_that(api->download(o.device, buffer, 1001, back, 1, &refused) == MGPT_INVALID,
               "download past the end was not refused with MGPT_INVALID");
    check_that(api->upload(o.device, buffer, UINT64_MAX, data, 2, &refused) == MGPT_INVALID,
               "upload past the end was not refused with MGPT_INVALID");
    check_that(api->download(o.device, buffer, 2, back, UINT64_MAX - 1, &refused) == MGPT_INVALID,
               "download past the end was not refused with MGPT_INVALID");
    check_ok(api->sync(o.device, error));
    if (MGPT_HAS(api, map) && api->map && api->map(o.device, buffer)) {
        check_that((uintptr_t)api->map(o.device, buffer) % 64 == 0,
                   "a buffer is not aligned to 64 bytes");
        check_that(memcmp(api->map(o.device, buffer), data, 333) == 0, "other bytes came back");
    }
    api->buffer_free(o.device, buffer);
    api->buffer_free(o.device, NULL);
    api->close(NULL);
    mgpt_check_device_close(&o);
}

static void caps_of(const struct mgpt_component *c)
{
    const struct mgpt_backend_api *api = c->api;
    struct mgpt_check_device o = mgpt_check_device_open(c, NULL, NULL);
    struct mgpt_caps caps = {.size = sizeof caps}, small = {.size = 8};

    if (MGPT_HAS(api, caps) && api->caps) {
        check_ok(api->caps(o.device, &caps, error));
        check_that(caps.size == sizeof caps, "caps.size became %u", caps.size);
        check_that(caps.formats & 1u << MGPT_F32, "formats %x lack F32", caps.formats);
        check_that(caps.name[0], "the device has no name");
        small.formats = 0x5a5a;
        check_ok(api->caps(o.device, &small, error));
        check_that(small.formats == 0x5a5a, "caps were written past the size that was given");
    }
    mgpt_check_device_close(&o);
}

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

static void run_update(const struct mgpt_check_device *o, uint64_t nonfinite, float *p, float *s)
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
    mgpt_check_device_put(o, &u.p, p);
    mgpt_check_device_put(o, &u.g, g);
    mgpt_check_device_put(o, &u.state[0], s);
    mgpt_check_device_put(o, &u.step_state, &state);
    check_ok(o->api->update(o->device, &u, error));
    mgpt_check_device_get(o, &u.p, p, "the parameters of an update");
    mgpt_check_device_get(o, &u.state[0], s, "the state of an update");
    mgpt_check_device_get(o, &u.g, g, "the gradients of an update");
    o->api->buffer_free(o->device, u.p.buffer);
    o->api->buffer_free(o->device, u.g.buffer);
    o->api->buffer_free(o->device, u.state[0].buffer);
    o->api->buffer_free(o->device, u.step_state.buffer);
}

static void update_of(const struct mgpt_component *c)
{
    const struct mgpt_backend_api *api = c->api;
    static float p[N_UPDATE], s[N_UPDATE];
    struct mgpt_check_device o = mgpt_check_device_open(c, NULL, NULL);

    if (MGPT_HAS(api, update) && api->update) {
        run_update(&o, 1, p, s);
        for (int i = 0; i < N_UPDATE; i++) /* nonfinite: nothing */
            check_that(p[i] == (float)(i % 100) && s[i] == 1, "a nonfinite step changed element %d",
                       i);
        run_update(&o, 0, p, s);
        for (int i = 0; i < N_UPDATE; i++) { /* all of these are exact in binary */
            float sum = 1 + (float)(i % 32) * 0.25f;
            check_that(s[i] == sum && p[i] == (float)(i % 100) - 0.5f * sum,
                       "element %d: p %.9g, state %.9g, expected %.9g, %.9g", i, (double)p[i],
                       (double)s[i], (double)((float)(i % 100) - 0.5f * sum), (double)sum);
        }
    }
    mgpt_check_device_close(&o);
}

/* ---- threads ---- */

/* Where the device has the op in the format; else the outputs stay what they were. */
static void run_large(const struct mgpt_check_device *o, uint32_t code, uint32_t dtype,
                      struct mgpt_op_case *c)
{
    struct mgpt_error refused = {0};

    mgpt_op_case_make(c, code, OP_CASE_LARGE, dtype, mgpt_check_seed);
    if (!mgpt_check_device_has(o, &c->op, dtype))
        return;
    check_that(mgpt_check_device_run(o, c, &refused) == MGPT_OK, "%s: %s", c->label, refused.text);
}

static void same_bits(const struct mgpt_op_case *one, const struct mgpt_op_case *many,
                      const char *threads)
{
    for (int i = 0; i < MGPT_OP_MAX_OUT; i++)
        if (one->out[i])
            check_that(memcmp(one->out[i], many->out[i], mgpt_tensor_bytes(&one->op.out[i])) == 0,
                       "%s: %s threads give other bits than one in output %d", one->label, threads,
                       i);
}

/* Every op at a large size, with `count` threads, against what one thread made of it. */
static void threads_count(const struct mgpt_component *c, const char *count, uint32_t dtype,
                          const struct mgpt_op_case *want)
{
    struct mgpt_check_device o = mgpt_check_device_open(c, "threads", count);
    const uint32_t *ran = MGPT_HAS(o.api, query) && o.api->query
                              ? o.api->query(o.device, "microgpt.cpu-threads/1")
                              : NULL;

    for (uint32_t code = 1; code < MGPT_OP_COUNT; code++) {
        struct mgpt_op_case got;
        run_large(&o, code, dtype, &got);
        same_bits(&want[code], &got, count);
        mgpt_op_case_finish(&got);
    }
    if (ran) /* where the system gives fewer, caps say so */
        check_that(*ran == mgpt_check_device_caps(&o).threads,
                   "%" PRIu32 " threads ran, not %" PRIu32, *ran,
                   mgpt_check_device_caps(&o).threads);
    mgpt_check_device_close(&o);
}

static void threads_in(const struct mgpt_component *c, uint32_t dtype)
{
    static const char *const counts[] = {"1", "2", "3", "8", "17", "32"};
    struct mgpt_op_case want[MGPT_OP_COUNT];
    struct mgpt_check_device one = mgpt_check_device_open(c, "threads", "1");

    for (uint32_t code = 1; code < MGPT_OP_COUNT; code++)
        run_large(&one, code, dtype, &want[code]);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        threads_count(c, counts[i], dtype, want);
    for (uint32_t code = 1; code < MGPT_OP_COUNT; code++)
        mgpt_op_case_finish(&want[code]);
    mgpt_check_device_close(&one);
}

static void threads_of(const struct mgpt_component *c)
{
    struct mgpt_check_device o;
    uint32_t all;

    if (!mgpt_check_has_option(c, "threads")) {
        mgpt_check_skip("it has no option threads");
        return;
    }
    o = mgpt_check_device_open(c, NULL, NULL);
    all = mgpt_check_device_formats(&o);
    mgpt_check_device_close(&o);
    for (uint32_t dtype = MGPT_F32; dtype <= MGPT_BF16; dtype++)
        if (all >> dtype & 1)
            threads_in(c, dtype);
}

/* ---- a part of the ops ---- */

/* The backend's table with some of the ops left out. */
static struct mgpt_backend_api table;
static mgpt_op_fn some_ops[MGPT_OP_COUNT];

static const struct mgpt_backend_api *with_some(const struct mgpt_backend_api *api, uint64_t seed)
{
    memset(&table, 0, sizeof table);
    memcpy(&table, api, api->size < sizeof table ? api->size : sizeof table);
    table.size = (uint32_t)sizeof table;
    if (!MGPT_HAS(api, ops) || !api->ops)
        return &table;
    for (uint32_t code = 0; code < MGPT_OP_COUNT; code++)
        some_ops[code] =
            code < api->n_ops && mgpt_op_case_random(&seed) & 1 ? api->ops[code] : NULL;
    table.ops = some_ops;
    table.n_ops = MGPT_OP_COUNT;
    return &table;
}

/* Parameters and state after a few composed steps, as doubles (malloc). */
static double *trained(const struct mgpt_backend_api *api, const struct mgpt_config *config,
                       const struct mgpt_model *model, size_t *n)
{
    const struct mgpt_step_api *composed = mgpt_composed.api;
    const struct mgpt_rig_setup setup = {"adamw", 3, 2, 0.5, NULL};
    struct mgpt_step_result results[RIG_STEPS + 1];
    struct mgpt_step *step;
    struct mgpt_step_rig rig;
    uint32_t k = 0;

    mgpt_step_rig_open_on(&rig, api, config, model, MGPT_F32, &setup);
    check_ok(composed->open(mgpt_host(), NULL, &rig.spec, &step, error));
    for (int i = 0; i < RIG_STEPS; i++) {
        check_ok(composed->run(step, &rig.inputs[i], 1, error));
        check_ok(composed->fence(step, results, &k, error));
        check_that(k == 1 && isfinite(results[0].loss), "step %d: loss %g", i, results[0].loss);
    }
    double *values = mgpt_step_rig_values(&rig, n);
    composed->close(step);
    mgpt_step_rig_close(&rig);
    return values;
}

static void mix_of(const struct mgpt_component *c)
{
    const struct mgpt_component *ref = mgpt_check_module(MGPT_KIND_BACKEND, "ref");
    struct mgpt_config *config = mgpt_check_settings(c, NULL);
    struct mgpt_config *of_ref = mgpt_check_settings(ref, NULL);
    const struct mgpt_model models[] = {mgpt_check_model_names(), mgpt_check_model_toygpt()};

    for (int m = 0; m < 2; m++) {
        size_t n;
        double *want = trained(ref->api, of_ref, &models[m], &n);
        for (uint64_t seed = 0; seed < 6; seed++) { /* the first with all it has */
            const struct mgpt_backend_api *api =
                seed ? with_some(c->api, mgpt_check_seed + seed) : c->api;
            double *got = trained(api, config, &models[m], &n);
            for (size_t i = 0; i < n; i++)
                check_that(fabs(got[i] - want[i]) <= 1e-4 * fmax(1, fabs(want[i])),
                           "model %d, mix %" PRIu64 ": value %zu after %d steps is %.9g, on ref "
                           "%.9g",
                           m, seed, i, RIG_STEPS, got[i], want[i]);
            free(got);
        }
        free(want);
    }
    mgpt_config_destroy(config);
    mgpt_config_destroy(of_ref);
}

/* ---- the gradient, without the reference ---- */

static double pass_loss(struct mgpt_check_net *net, struct mgpt_passes *passes,
                        const struct mgpt_batch *batch, uint64_t targets)
{
    struct mgpt_step_state state = {
        .step = 3, .inv_targets = 1.0 / (double)targets, .loss_scale = 1};
    struct mgpt_op zero = {.size = sizeof zero, .code = MGPT_OP_FILL, .out = {net->params.g}};
    struct mgpt_tape *tape;

    check_ok(mgpt_machine_write(&net->machine, &net->state, &state, error));
    check_ok(mgpt_machine_do(&net->machine, &zero, error));
    check_ok(mgpt_passes_run(passes, MGPT_MODE_TRAIN, batch, 0, &tape, error));
    check_ok(mgpt_machine_read(&net->machine, &net->state, &state, error));
    return state.loss;
}

/* The loss at p + h d. */
static double loss_along(struct mgpt_check_net *net, struct mgpt_passes *passes,
                         const struct mgpt_batch *batch, uint64_t targets, const float *p,
                         const float *d, double h)
{
    size_t n = (size_t)net->params.elements;
    float *moved = malloc(n * sizeof *moved);

    check_that(moved, "out of memory");
    for (size_t i = 0; i < n; i++)
        moved[i] = (float)(p[i] + h * d[i]);
    check_ok(mgpt_machine_write(&net->machine, &net->params.p, moved, error));
    free(moved);
    return pass_loss(net, passes, batch, targets);
}

/* (L(p + h d) - L(p - h d)) / 2h = g . d, for random directions d of length 1. */
static void derivative_of(const struct mgpt_component *c, const struct mgpt_model *model)
{
    struct mgpt_config *config = mgpt_check_settings(c, NULL);
    struct mgpt_check_net net;
    struct mgpt_passes passes = {0};
    struct mgpt_batch batch;
    const double h = 4e-3;

    mgpt_check_net_open_on(&net, c->api, config, model, MGPT_F32, 0);
    struct mgpt_net shared = mgpt_check_net_of(&net);
    check_ok(mgpt_passes_open(&passes, &shared, MGPT_MODE_TRAIN, 3, model->context, error));
    uint64_t targets = mgpt_check_batch(&net.rng, model, 3, model->context, &batch);
    (void)pass_loss(&net, &passes, &batch, targets);
    size_t n = (size_t)net.params.elements;
    float *p = malloc(n * sizeof *p), *g = malloc(n * sizeof *g), *d = calloc(n, sizeof *d);
    check_that(p && g && d, "out of memory");
    check_ok(mgpt_machine_read(&net.machine, &net.params.p, p, error));
    check_ok(mgpt_machine_read(&net.machine, &net.params.g, g, error));
    for (int trial = 0; trial < 8; trial++) {
        double length = 0, slope = 0;
        for (size_t i = 0; i < n; i++) { /* gaps between parameters stay zero */
            d[i] = p[i] != 0 ? (float)mgpt_rng_gauss(&net.rng, 0, 1) : 0;
            length += (double)d[i] * d[i];
        }
        for (size_t i = 0; i < n; i++) {
            d[i] = (float)(d[i] / sqrt(length));
            slope += (double)g[i] * d[i];
        }
        double up = loss_along(&net, &passes, &batch, targets, p, d, h);
        double down = loss_along(&net, &passes, &batch, targets, p, d, -h);
        check_that(fabs((up - down) / (2 * h) - slope) <= 1e-3 + 1e-2 * fabs(slope),
                   "the gradient says %.6g, the loss itself changes by %.6g", slope,
                   (up - down) / (2 * h));
    }
    free(p);
    free(g);
    free(d);
    free(batch.ids);
    free(batch.targets);
    mgpt_passes_close(&passes);
    mgpt_check_net_close(&net);
    mgpt_config_destroy(config);
}

static void gradient_of(const struct mgpt_component *c)
{
    struct mgpt_model names = mgpt_check_model_names(), toy = mgpt_check_model_toygpt();

    names.activation = MGPT_ACT_GELU_TANH; /* smooth */
    derivative_of(c, &names);
    derivative_of(c, &toy);
}

/* ---- leaks ---- */

static void once(const struct mgpt_component *c)
{
    struct mgpt_check_device d = mgpt_check_device_open(c, NULL, NULL);
    struct mgpt_buffer *buffer = NULL;
    struct mgpt_error refused;

    for (int i = 0; i < 4; i++) {
        check_ok(d.api->buffer_new(d.device, 4096, &buffer, error));
        d.api->buffer_free(d.device, buffer);
    }
    if (d.api->buffer_new(d.device, UINT64_MAX / 2, &buffer, &refused) == MGPT_OK)
        d.api->buffer_free(d.device, buffer);
    for (uint32_t code = 1; code < MGPT_OP_COUNT; code++) {
        struct mgpt_op_case small;
        mgpt_op_case_make(&small, code, mgpt_op_case_count(code) / OP_CASE_SHAPES, MGPT_F32,
                          mgpt_check_seed);
        if (mgpt_check_device_has(&d, &small.op, MGPT_F32))
            (void)mgpt_check_device_run(&d, &small, &refused);
        mgpt_op_case_finish(&small);
    }
    mgpt_check_device_close(&d);
}

/* What a device holds while it is open: buffers that come and go leave nothing, in its memory
 * either, where caps say how much is free. */
static void leaks_of(const struct mgpt_component *c)
{
    mgpt_check_leaks(c, once);
    struct mgpt_check_device d = mgpt_check_device_open(c, NULL, NULL);
    uint64_t before = mgpt_check_device_caps(&d).memory_free;
    bool host = mgpt_check_device_caps(&d).flags & MGPT_CAPS_HOST;
    for (int i = 0; i < 64; i++) {
        struct mgpt_buffer *buffer = NULL;
        check_ok(d.api->buffer_new(d.device, 1 << 20, &buffer, error));
        d.api->buffer_free(d.device, buffer);
    }
    uint64_t after = mgpt_check_device_caps(&d).memory_free;
    check_that(host || after + (32 << 20) >= before,
               "64 buffers of 1 MiB came and went, and %" PRIu64 " bytes fewer are free",
               before - after);
    mgpt_check_device_close(&d);
}

static void check_made(const struct mgpt_component *component)
{
    struct mgpt_check_device d = mgpt_check_device_open(component, NULL, NULL);

    mgpt_check_device_close(&d);
}

const struct mgpt_check_case mgpt_check_backend[] = {
    {MGPT_CHECK_MADE, "no run could begin with it", check_made, 0},
    {"memory_keeps_what_is_uploaded_and_refuses_what_is_past_its_end",
     "parameters and checkpoints would not be what was written", memory_of, 0},
    {"caps_fill_no_more_than_the_caller_has",
     "a microgpt whose struct is smaller would have its memory overwritten", caps_of, 0},
    {"ops_compute_what_the_reference_computes",
     "a model trained here is another one than on the other backends", mgpt_check_ops, 300},
    {"products_round_to_tf32_where_the_device_has_that",
     "precision tf32 would be another one here than what it is called", mgpt_check_tf32, 300},
    {"a_row_may_be_a_whole_matrix",
     "optimizers that scale whole matrices would scale them by something else",
     mgpt_check_long_norm, 0},
    {"so_do_they_with_every_choice_of_an_option", "the same, for users who set the option",
     mgpt_check_choices, 600},
    {"a_model_trains_on_any_mix_of_its_ops_and_the_reference",
     "the core runs the ops that a backend lacks itself; the two must fit together", mix_of, 120},
    {"the_gradient_is_the_slope_of_the_loss",
     "training would not go downhill: forward and backward do not belong together", gradient_of,
     120},
    {"ids_out_of_range_are_refused_and_nothing_is_written",
     "a broken batch would corrupt the process; an op that fails must have written nothing",
     mgpt_check_bad_ids, 0},
    {"update_applies_the_rule_to_scaled_gradients_and_skips_nonfinite_steps",
     "every optimizer would take other steps, or a step with NaN reach the parameters", update_of,
     0},
    {"bits_do_not_depend_on_the_number_of_threads",
     "a run resumed with other threads would be another run", threads_of, 600},
    {"leaves_nothing_behind", "buffers, memory or threads are lost each time", leaks_of, 120},
    {NULL, NULL, NULL, 0},
};
