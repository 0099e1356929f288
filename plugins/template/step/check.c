/* Step my-name: the gradient is the derivative of the loss, and other models are declined. */
#include <microgpt/step.h>

#include "host.h"

#define VOCAB 7
#define EMBD 6
#define MLP 8
#define CONTEXT 5
#define LAYERS 2
#define PARAMS (2 + 4 * LAYERS)
#define MOST 2048

static const struct mgpt_step_api *api;
static struct mgpt_error error;

/* A device of the test: its buffers are arrays. */
struct mgpt_buffer {
    float data[MOST];
};

static struct mgpt_buffer p, g, state;

static void *map(struct mgpt_device *device, struct mgpt_buffer *buffer)
{
    (void)device;
    return buffer->data;
}

static enum mgpt_status sync_device(struct mgpt_device *device, struct mgpt_error *why)
{
    (void)device, (void)why;
    return MGPT_OK;
}

/* As a microgpt to come may have them, with a field more. */
static struct {
    struct mgpt_model model;
    uint64_t more;
} newer_model;
static struct {
    struct mgpt_precision_plan plan;
    uint64_t more;
} newer_plan;
static struct {
    struct mgpt_step_spec spec;
    uint64_t more;
} newer_spec;
static struct mgpt_model model;
static struct mgpt_precision_plan plan;
static struct mgpt_backend_api backend;
static struct mgpt_caps caps;
static struct mgpt_param params[PARAMS];
static struct mgpt_step_spec spec;

static struct mgpt_tensor tensor(struct mgpt_buffer *buffer, uint64_t offset, int64_t rows,
                                 int64_t columns)
{
    struct mgpt_tensor t;
    memset(&t, 0, sizeof t);
    t.buffer = buffer;
    t.offset = offset;
    t.dtype = MGPT_F32;
    t.rank = 2;
    t.shape[0] = rows;
    t.shape[1] = columns;
    return t;
}

/* Parameters in the order of the model, each at a multiple of 64 bytes. */
static void lay_out(void)
{
    const int64_t shapes[][2] = {{VOCAB, EMBD}, {CONTEXT, EMBD}, {3 * EMBD, EMBD},
                                 {EMBD, EMBD},  {MLP, EMBD},     {EMBD, MLP}};
    uint64_t offset = 0;

    for (int i = 0; i < PARAMS; i++) {
        const int64_t *shape = shapes[i < 2 ? i : 2 + (i - 2) % 4];
        params[i].p = tensor(&p, offset, shape[0], shape[1]);
        params[i].g = tensor(&g, offset, shape[0], shape[1]);
        offset += ((uint64_t)(shape[0] * shape[1]) * sizeof(float) + 63) / 64 * 64;
    }
    CHECK(offset <= sizeof p.data);
    spec.p = tensor(&p, 0, 1, (int64_t)(offset / sizeof(float)));
    spec.g = tensor(&g, 0, 1, (int64_t)(offset / sizeof(float)));
}

static void describe(void)
{
    model.size = sizeof model;
    model.layers = LAYERS;
    model.heads = model.kv_heads = 2;
    model.embd = EMBD, model.mlp = MLP, model.context = CONTEXT, model.vocab = VOCAB;
    model.norm = MGPT_NORM_RMS;
    model.embed_norm = model.final_norm = model.tied = 1;
    model.activation = MGPT_ACT_RELU2;
    model.norm_eps = 1e-5;
    plan.size = sizeof plan;
    plan.master = plan.activation = plan.product = MGPT_F32;
    backend.size = sizeof backend;
    backend.map = map;
    backend.sync = sync_device;
    caps.size = sizeof caps;
    caps.flags = MGPT_CAPS_HOST;
    spec.size = sizeof spec;
    spec.rows = 2, spec.columns = CONTEXT, spec.micro_batches = 2, spec.ranks = 1;
    spec.n_params = PARAMS;
    spec.backend = &backend;
    spec.caps = &caps;
    spec.model = &model;
    spec.precision = &plan;
    spec.params = params;
    lay_out();
    spec.step_state = tensor(&state, 0, 1, sizeof(struct mgpt_step_state));
}

static int score(const struct mgpt_step_spec *of)
{
    struct mgpt_bid bid;
    memset(&bid, 0, sizeof bid);
    bid.size = sizeof bid;
    api->bid(of, &bid);
    CHECK(bid.reason[0]);
    CHECK_EQUAL(bid.covers, MGPT_COVERS_FB);
    return bid.score;
}

static void declines_other_models(void)
{
    CHECK(score(&spec) > 0);
    model.dropout = 0.1;
    CHECK_EQUAL(score(&spec), 0);
    model.dropout = 0;
    model.tied = 0;
    CHECK_EQUAL(score(&spec), 0);
    model.tied = 1;
    plan.master = MGPT_F64;
    CHECK_EQUAL(score(&spec), 0);
    plan.master = MGPT_F32;
    plan.tf32 = 1;
    CHECK_EQUAL(score(&spec), 0);
    plan.tf32 = 0;
    backend.map = NULL;
    CHECK_EQUAL(score(&spec), 0);
    backend.map = map;
    CHECK(score(&spec) > 0);
}

/* A field that is not known and not zero asks for something that this module does not do. */
static void declines_what_it_does_not_know(void)
{
    newer_model.model = model, newer_model.model.size = sizeof newer_model;
    newer_plan.plan = plan, newer_plan.plan.size = sizeof newer_plan;
    newer_spec.spec = spec, newer_spec.spec.size = sizeof newer_spec;
    newer_spec.spec.model = &newer_model.model;
    newer_spec.spec.precision = &newer_plan.plan;
    CHECK(score(&newer_spec.spec) > 0);
    newer_model.more = 1;
    CHECK_EQUAL(score(&newer_spec.spec), 0);
    newer_model.more = 0, newer_plan.more = 1;
    CHECK_EQUAL(score(&newer_spec.spec), 0);
    newer_plan.more = 0, newer_spec.more = 1;
    CHECK_EQUAL(score(&newer_spec.spec), 0);
}

/* One step over two micro-batches; the loss. */
static double loss_of(struct mgpt_step *step)
{
    int32_t ids[2 * CONTEXT] = {0, 1, 2, 3, 4, 5, 6, 0, 2, 4};
    int32_t targets[2 * CONTEXT] = {1, 2, 3, 4, -1, 6, 0, 2, 4, 1};
    const struct mgpt_batch batches[] = {{2, CONTEXT, ids, targets}, {1, 3, ids + 2, targets + 2}};
    struct mgpt_step_input input;
    struct mgpt_step_state *at = (struct mgpt_step_state *)(void *)state.data;
    uint32_t n = 7;

    memset(&input, 0, sizeof input);
    input.targets = 11;
    input.batches = batches;
    at->inv_targets = at->loss = 7; /* of the step before */
    at->loss_scale = 1;
    CHECK_STATUS(api->run(step, &input, 1, &error), MGPT_OK, error);
    CHECK_STATUS(api->fence(step, NULL, &n, &error), MGPT_OK, error);
    CHECK_EQUAL(n, 0);
    return at->loss;
}

/* Along random directions: (L(p + h d) - L(p - h d)) / 2h = g d. */
static void gradient_is_the_derivative(struct mgpt_step *step)
{
    uint64_t seed = 3;
    static float start[MOST], gradient[MOST], direction[MOST];
    const double h = 1e-3;

    for (int i = 0; i < MOST; i++)
        start[i] = p.data[i] = (float)(draw_uniform(&seed) - 0.5);
    CHECK(loss_of(step) > 0.5);
    memcpy(gradient, g.data, sizeof gradient);
    for (int k = 0; k < 20; k++) {
        double slope = 0, difference = 0;
        for (int i = 0; i < MOST; i++) {
            direction[i] = draw_uniform(&seed) < 0.5 ? -1 : 1;
            slope += (double)gradient[i] * direction[i];
        }
        for (int sign = -1; sign <= 1; sign += 2) {
            for (int i = 0; i < MOST; i++)
                p.data[i] = start[i] + (float)(sign * h) * direction[i];
            difference += sign * loss_of(step) / (2 * h);
        }
        CHECK_NEAR(difference, slope, 5e-3 * (1 + fabs(slope)));
    }
}

int main(int argc, char **argv)
{
    struct mgpt_step *step = NULL;

    load(argc > 1 ? argv[1] : NULL, MGPT_KIND_STEP);
    api = (const struct mgpt_step_api *)component->api;
    describe();
    declines_other_models();
    declines_what_it_does_not_know();
    CHECK_STATUS(api->open(&host, NULL, &spec, &step, &error), MGPT_OK, error);
    gradient_is_the_derivative(step);
    CHECK_STATUS(api->adopt(step, &error), MGPT_OK, error);
    api->close(step);
    api->close(NULL);
    puts("check: step my-name is sound");
    return 0;
}
