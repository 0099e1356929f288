/* Training by step micro_cuda on the emulated device, and by the reference: micro_rig.h. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conform.h"
#include "counters.h"
#include "micro_rig.h"
#include "run/composed.h"

#include <microgpt/cuda_native.h>

struct mgpt_model micro_narrow(uint32_t layers, uint32_t vocab)
{
    struct mgpt_model m = mgpt_check_model_names();

    m.layers = layers;
    m.vocab = vocab;
    m.heads = m.kv_heads = 2;
    m.embd = 8, m.mlp = 16, m.context = 6;
    m.init_std = 0.1;
    return m;
}

/* The device that is opened last says in which order threads take their turns. */
static void set_order(const char *order)
{
    const struct mgpt_component *c = mgpt_check_module(MGPT_KIND_BACKEND, "cuda_emu");
    const struct mgpt_backend_api *api = c->api;
    struct mgpt_config *config = mgpt_check_settings(c, "order", order, NULL);
    struct mgpt_device *device;

    ck_ok(api->open(mgpt_host(), config, &device, error));
    api->close(device);
    mgpt_config_destroy(config);
}

/* ---- a device that holds few blocks at once ---- */

static const struct mgpt_backend_api *whole;
static const struct mgpt_cuda_native *native;
static struct mgpt_cuda_native few;
static uint32_t few_blocks, few_shared, launched_blocks; /* in all; bytes; of the last launch */

static enum mgpt_status one_resident(struct mgpt_device *device,
                                     const struct mgpt_cuda_program *program, uint32_t kernel,
                                     const struct mgpt_cuda_launch *launch, uint32_t *blocks,
                                     struct mgpt_error *why)
{
    enum mgpt_status status = native->resident(device, program, kernel, launch, blocks, why);

    *blocks = *blocks > 1 ? 1 : *blocks;
    return status;
}

static enum mgpt_status counted_launch(struct mgpt_device *device,
                                       const struct mgpt_cuda_program *program, uint32_t kernel,
                                       const struct mgpt_cuda_launch *launch, void *const *args,
                                       struct mgpt_error *why)
{
    launched_blocks = launch->grid[0];
    return native->launch(device, program, kernel, launch, args, why);
}

static const void *query_few(struct mgpt_device *device, const char *id)
{
    if (strcmp(id, MGPT_CUDA_NATIVE) != 0)
        return whole->query(device, id);
    native = whole->query(device, id);
    few = *native;
    few.launch = counted_launch;
    if (few_blocks) {
        few.resident = one_resident;
        few.multiprocessors = few_blocks;
    }
    if (few_shared)
        few.shared_most = few_shared;
    return &few;
}

static void open_emulated(struct mgpt_step_rig *rig, const struct micro_subject *s)
{
    static struct mgpt_backend_api api;
    const struct mgpt_component *component = mgpt_check_module(MGPT_KIND_BACKEND, "cuda_emu");
    struct mgpt_config *config = mgpt_check_settings(component, NULL);

    whole = component->api;
    api = *whole;
    api.query = query_few;
    few_blocks = s->blocks;
    few_shared = s->shared;
    mgpt_step_rig_open_on(rig, &api, config, &s->model, MGPT_F32, &s->setup);
    rig->net.config = config;
}

/* ---- training ---- */

/* Formats, and the first scale of the loss. */
static void set_precision(struct mgpt_step_rig *rig, const struct micro_subject *s)
{
    struct mgpt_step_state state = mgpt_step_rig_state(rig);

    if (!s->precision)
        return;
    rig->net.precision = *s->precision;
    state.loss_scale = s->precision->scale_interval ? s->precision->scale_initial : 1;
    ck_ok(mgpt_machine_write(&rig->net.machine, &rig->net.state, &state, error));
}

static void run_steps(const struct mgpt_step_api *api, struct mgpt_step *step,
                      struct mgpt_step *rest, struct mgpt_step_rig *rig, uint32_t steps,
                      uint32_t at_once, struct micro_trained *out)
{
    for (uint32_t i = 0, k = 0; i < steps; i += at_once) {
        uint32_t n = steps - i < at_once ? steps - i : at_once;
        ck_ok(api->run(step, rig->inputs + i, n, error));
        ck_ok(api->fence(step, out->results + i, &k, error));
        if (!rest) {
            ck_assert_uint_eq(k, n);
            continue;
        }
        ck_ok(mgpt_composed_rest(rest, &rig->inputs[i], MGPT_COVERS_FBC, error));
        ck_ok(api->adopt(step, error));
        struct mgpt_step_state state = mgpt_step_rig_state(rig);
        out->results[i] = (struct mgpt_step_result){.step = state.step,
                                                    .loss = state.loss,
                                                    .grad_norm = state.grad_norm,
                                                    .loss_scale = state.loss_scale,
                                                    .skipped = state.nonfinite != 0};
    }
}

static void read_tensor(struct mgpt_step_rig *rig, const struct mgpt_tensor *t, double *out)
{
    size_t n = (size_t)mgpt_tensor_count(t);
    float *single = malloc(n * sizeof *single);

    ck_ok(mgpt_machine_read(&rig->net.machine, t, t->dtype == MGPT_F64 ? (void *)out : single,
                            error));
    for (size_t i = 0; t->dtype != MGPT_F64 && i < n; i++)
        out[i] = (double)single[i];
    free(single);
}

static void read_values(struct mgpt_step_rig *rig, struct micro_trained *out)
{
    const struct mgpt_params *params = &rig->net.params;

    out->values = malloc(params->count * sizeof *out->values);
    ck_assert_uint_lt(params->n, sizeof out->starts / sizeof *out->starts);
    for (uint32_t i = 0; i < params->n; i++) {
        read_tensor(rig, &params->items[i].p, out->values + out->n);
        out->starts[i] = out->n;
        out->n += (size_t)mgpt_tensor_count(&params->items[i].p);
    }
    out->n_tensors = params->n;
    out->starts[params->n] = out->n;
}

void micro_reference(const struct micro_subject *s, uint32_t steps, struct micro_trained *out)
{
    const struct mgpt_step_api *composed = mgpt_composed.api;
    struct mgpt_step_rig rig;
    struct mgpt_step *step;

    memset(out, 0, sizeof *out);
    mgpt_step_rig_open_as(&rig, "ref", &s->model, s->precision ? MGPT_F32 : MGPT_F64, &s->setup);
    set_precision(&rig, s);
    ck_ok(composed->open(mgpt_host(), NULL, &rig.spec, &step, error));
    run_steps(composed, step, NULL, &rig, steps, 1, out);
    composed->close(step);
    read_values(&rig, out);
    mgpt_step_rig_close(&rig);
}

void micro_rig_bid(const struct micro_subject *s, struct mgpt_bid *bid)
{
    const struct mgpt_step_api *api = one_module(MGPT_KIND_STEP, "micro_cuda")->api;
    struct mgpt_step_rig rig;

    open_emulated(&rig, s);
    set_precision(&rig, s);
    *bid = (struct mgpt_bid){.size = sizeof *bid};
    api->bid(&rig.spec, bid);
    mgpt_step_rig_close(&rig);
}

void micro_rig_open(struct micro_rig *r, const struct micro_subject *s)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_STEP, "micro_cuda");
    char at_once[16];

    memset(r, 0, sizeof *r);
    (void)snprintf(at_once, sizeof at_once, "%u", s->at_once);
    r->api = component->api;
    r->config = mgpt_check_settings(component, "threads", s->threads, "steps", at_once, NULL);
    open_emulated(&r->rig, s);
    set_precision(&r->rig, s);
    set_order(s->order);
    r->bid.size = sizeof r->bid;
    r->api->bid(&r->rig.spec, &r->bid);
    check_that(r->bid.score > 0, "%s", r->bid.reason);
    ck_ok(r->api->open(mgpt_host(), r->config, &r->rig.spec, &r->step, error));
}

void micro_rig_close(struct micro_rig *r)
{
    r->api->close(r->step);
    mgpt_config_destroy(r->config);
    mgpt_step_rig_close(&r->rig);
}

void micro_train(const struct micro_subject *s, uint32_t steps, struct micro_trained *out)
{
    const struct mgpt_step_api *composed = mgpt_composed.api;
    struct micro_rig r;
    struct mgpt_step *rest = NULL;

    memset(out, 0, sizeof *out);
    micro_rig_open(&r, s);
    const struct emu_counters *counters =
        r.rig.spec.backend->query(r.rig.spec.device, EMU_COUNTERS);
    out->covers = r.bid.covers;
    if (r.bid.covers < MGPT_COVERS_FBCUS)
        ck_ok(mgpt_composed_open_rest(&r.rig.spec, &rest, error));
    struct emu_counters before = *counters;
    run_steps(r.api, r.step, rest, &r.rig, steps, rest ? 1 : s->at_once, out);
    out->launches = counters->programs - before.programs;
    out->others =
        counters->kernels - before.kernels + counters->products - before.products - out->launches;
    out->barriers = counters->barriers - before.barriers;
    out->blocks = launched_blocks;
    composed->close(rest);
    read_values(&r.rig, out);
    micro_rig_close(&r);
}

double micro_distance(const struct micro_trained *a, const struct micro_trained *b, size_t from,
                      size_t to)
{
    double off = 0, size = 0;

    for (size_t i = from; i < to; i++) {
        off += (a->values[i] - b->values[i]) * (a->values[i] - b->values[i]);
        size += a->values[i] * a->values[i];
    }
    return sqrt(off / size);
}
