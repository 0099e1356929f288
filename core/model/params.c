/* The parameters of a model: a table of names, shapes, how they start and whether they decay. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/params.h"

#define ALIGNMENT 64 /* bytes; see struct mgpt_step_spec */

/* The table while it is built. */
struct builder {
    struct mgpt_params *params;
    const struct mgpt_model *model;
    bool decay_matrices;
    uint32_t capacity;
    enum mgpt_status status;
};

/* The array with room for `capacity` elements of `size`, or as it was. */
static void *widen(struct builder *b, void *array, size_t capacity, size_t size)
{
    void *wider = realloc(array, capacity * size);

    if (!wider)
        b->status = MGPT_NOMEM;
    return wider ? wider : array;
}

static bool grow(struct builder *b)
{
    struct mgpt_params *p = b->params;
    uint32_t capacity = b->capacity ? 2 * b->capacity : 32;

    if (p->n < b->capacity)
        return true;
    p->items = widen(b, p->items, capacity, sizeof *p->items);
    p->start = widen(b, p->start, capacity, sizeof *p->start);
    p->places = widen(b, p->places, capacity, sizeof *p->places);
    p->keeps = widen(b, p->keeps, capacity, sizeof *p->keeps);
    if (b->status == MGPT_OK)
        b->capacity = capacity;
    return b->status == MGPT_OK;
}

/* Elements from the start of a tensor to that of the next. */
static int64_t span_of(const struct mgpt_tensor *t)
{
    int64_t step = (int64_t)(ALIGNMENT / mgpt_dtype_size(t->dtype));

    return (mgpt_tensor_count(t) + step - 1) / step * step;
}

static struct mgpt_place place_of(const struct mgpt_model *m, int layer, const char *name,
                                  int64_t rows, int64_t columns)
{
    struct mgpt_place place = {.role = MGPT_ROLE_EMBEDDING, .n_parts = 1, .rows = {rows}};
    int64_t kv = m->kv_heads * (int64_t)(m->embd / m->heads);

    if (!columns)
        place.role = MGPT_ROLE_VECTOR;
    else if (layer >= 0)
        place.role = MGPT_ROLE_HIDDEN;
    else if (strcmp(name, "lm_head.weight") == 0)
        place.role = MGPT_ROLE_HEAD;
    if (strcmp(name, "attn.qkv.weight") == 0)
        place = (struct mgpt_place){MGPT_ROLE_HIDDEN, 3, {m->embd, kv, kv}};
    return place;
}

/* One tensor; columns 0 makes a vector. `layer` < 0: a tensor of the whole model. */
static void add(struct builder *b, int layer, const char *name, int64_t rows, int64_t columns,
                struct mgpt_start_value start)
{
    struct mgpt_params *params = b->params;
    char full[64];

    if (b->status != MGPT_OK || !grow(b))
        return;
    if (layer < 0)
        snprintf(full, sizeof full, "%s", name);
    else
        snprintf(full, sizeof full, "h.%d.%s", layer, name);
    struct mgpt_param *item = &params->items[params->n];
    memset(item, 0, sizeof *item);
    item->name = strdup(full);
    if (!item->name) {
        b->status = MGPT_NOMEM;
        return;
    }
    size_t size = mgpt_dtype_size(params->dtype);
    item->p = (struct mgpt_tensor){.offset = (uint64_t)params->elements * size,
                                   .dtype = params->dtype,
                                   .rank = columns ? 2 : 1,
                                   .shape = {rows, columns}};
    item->decays = columns || !b->decay_matrices;
    params->start[params->n] = start;
    params->places[params->n] = place_of(b->model, layer, name, rows, columns);
    params->keeps[params->n++] = UINT32_MAX;
    params->count += (uint64_t)mgpt_tensor_count(&item->p);
    params->elements += span_of(&item->p);
}

static struct mgpt_start_value constant(double value)
{
    return (struct mgpt_start_value){MGPT_START_CONSTANT, value};
}

static void add_norm(struct builder *b, int layer, const char *name)
{
    char full[48];

    if (b->model->norm_gain) {
        snprintf(full, sizeof full, "%s.weight", name);
        add(b, layer, full, b->model->embd, 0, constant(1));
    }
    if (b->model->norm_bias) {
        snprintf(full, sizeof full, "%s.bias", name);
        add(b, layer, full, b->model->embd, 0, constant(0));
    }
}

/* A linear layer (out, in); `residual` when it writes into the residual stream. */
static void add_linear(struct builder *b, int layer, const char *name, int64_t out, int64_t in,
                       bool bias, bool residual)
{
    const struct mgpt_model *m = b->model;
    struct mgpt_start_value weight = {MGPT_START_GAUSS, m->init_std}, offset = constant(0);
    char full[48];

    if (m->init == MGPT_INIT_UNIFORM) {
        weight = (struct mgpt_start_value){MGPT_START_UNIFORM, 1 / sqrt((double)in)};
        offset = weight;
    } else if (residual) {
        weight.value *= m->init_residual;
    }
    snprintf(full, sizeof full, "%s.weight", name);
    add(b, layer, full, out, in, weight);
    if (bias) {
        snprintf(full, sizeof full, "%s.bias", name);
        add(b, layer, full, out, 0, offset);
    }
}

static void add_all(struct builder *b)
{
    const struct mgpt_model *m = b->model;
    int64_t C = m->embd, head = C / m->heads, kv = m->kv_heads * head;
    struct mgpt_start_value embedding = {MGPT_START_GAUSS,
                                         m->init == MGPT_INIT_UNIFORM ? 1 : m->init_std};

    add(b, -1, "wte.weight", m->vocab, C, embedding);
    add(b, -1, "wpe.weight", m->context, C, embedding);
    if (m->embed_norm)
        add_norm(b, -1, "ln_e");
    for (int l = 0; l < (int)m->layers; l++) {
        add_norm(b, l, "ln_1");
        add_linear(b, l, "attn.qkv", C + 2 * kv, C, m->bias & MGPT_BIAS_QKV, false);
        add_linear(b, l, "attn.proj", C, C, m->bias & MGPT_BIAS_PROJ, true);
        add_norm(b, l, "ln_2");
        add_linear(b, l, "mlp.fc", m->mlp, C, m->bias & MGPT_BIAS_MLP, false);
        add_linear(b, l, "mlp.proj", C, m->mlp, m->bias & MGPT_BIAS_MLP, true);
    }
    if (m->final_norm)
        add_norm(b, -1, "ln_f");
    if (!m->tied)
        add_linear(b, -1, "lm_head", m->vocab, C, m->bias & MGPT_BIAS_HEAD, false);
    else if (m->bias & MGPT_BIAS_HEAD)
        add(b, -1, "lm_head.bias", m->vocab, 0, constant(0));
}

enum mgpt_status mgpt_params_init(struct mgpt_params *params, const struct mgpt_model *model,
                                  uint32_t dtype, bool decay_matrices, struct mgpt_error *error)
{
    struct builder b = {.params = params, .model = model, .decay_matrices = decay_matrices};

    params->dtype = dtype;
    add_all(&b);
    if (b.status != MGPT_OK)
        return mgpt_fail(error, b.status, "out of memory for the table of parameters");
    return MGPT_OK;
}

bool mgpt_optimizer_takes(const struct mgpt_optimizer_api *api,
                          const struct mgpt_optimizer *optimizer, const struct mgpt_param *param,
                          const struct mgpt_place *place, struct mgpt_needs *needs)
{
    *needs = (struct mgpt_needs){.size = sizeof *needs};
    return MGPT_HAS(api, takes) && api->takes && api->takes(optimizer, param, place, needs);
}

void mgpt_params_ask(struct mgpt_params *params, const struct mgpt_optimizer_api *api,
                     const struct mgpt_optimizer *optimizer)
{
    struct mgpt_needs needs;

    for (uint32_t i = 0; i < params->n; i++)
        params->keeps[i] =
            mgpt_optimizer_takes(api, optimizer, &params->items[i], &params->places[i], &needs)
                ? needs.state
                : UINT32_MAX;
}

/* Views of array k of the state, without its buffer; elements of the array. */
static int64_t place_state(struct mgpt_params *params, uint32_t k)
{
    int64_t elements = 0;

    for (uint32_t i = 0; i < params->n; i++) {
        struct mgpt_param *item = &params->items[i];
        if (!(params->keeps[i] >> k & 1))
            continue;
        item->state[k] = item->p;
        item->state[k].offset = (uint64_t)elements * mgpt_dtype_size(params->dtype);
        elements += span_of(&item->p);
    }
    return elements;
}

/* Points every parameter's view at the whole buffers. */
static void attach(struct mgpt_params *params, bool training)
{
    for (uint32_t i = 0; i < params->n; i++) {
        struct mgpt_param *item = &params->items[i];
        item->p.buffer = params->p.buffer;
        item->n_state = params->n_state;
        if (!training)
            continue;
        item->g = item->p;
        item->g.buffer = params->g.buffer;
        for (uint32_t k = 0; k < params->n_state; k++)
            item->state[k].buffer = item->state[k].rank ? params->state[k].buffer : NULL;
    }
}

enum mgpt_status mgpt_params_alloc(struct mgpt_params *params, struct mgpt_machine *machine,
                                   bool training, uint32_t n_state, struct mgpt_error *error)
{
    enum mgpt_dtype dtype = (enum mgpt_dtype)params->dtype;
    enum mgpt_status status;

    params->machine = machine;
    params->n_state = n_state;
    status = mgpt_machine_new(machine, dtype, params->elements, &params->p, error);
    if (status == MGPT_OK && training)
        status = mgpt_machine_new(machine, dtype, params->elements, &params->g, error);
    for (uint32_t k = 0; k < n_state && status == MGPT_OK; k++) {
        int64_t elements = place_state(params, k);
        if (elements)
            status = mgpt_machine_new(machine, dtype, elements, &params->state[k], error);
    }
    if (status == MGPT_OK)
        attach(params, training);
    return status;
}

static double draw(const struct mgpt_start_value *start, struct mgpt_rng *rng)
{
    switch (start->how) {
    case MGPT_START_GAUSS: return mgpt_rng_gauss(rng, 0, start->value);
    case MGPT_START_UNIFORM: return -start->value + 2 * start->value * mgpt_rng_uniform(rng);
    case MGPT_START_CONSTANT: break;
    }
    return start->value;
}

enum mgpt_status mgpt_params_draw(struct mgpt_params *params, struct mgpt_rng *rng,
                                  struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;
    size_t size = mgpt_dtype_size(params->dtype);

    for (uint32_t i = 0; i < params->n && status == MGPT_OK; i++) {
        const struct mgpt_tensor *t = &params->items[i].p;
        int64_t n = mgpt_tensor_count(t);
        void *data = malloc((size_t)n * size);
        if (!data)
            return mgpt_fail(error, MGPT_NOMEM, "out of memory drawing %s", params->items[i].name);
        for (int64_t k = 0; k < n; k++) {
            double value = draw(&params->start[i], rng);
            if (params->dtype == MGPT_F64)
                ((double *)data)[k] = value;
            else
                ((float *)data)[k] = (float)value;
        }
        status = mgpt_machine_write(params->machine, t, data, error);
        free(data);
    }
    return status;
}

void mgpt_params_finish(struct mgpt_params *params)
{
    if (params->machine) {
        mgpt_machine_free(params->machine, &params->p);
        mgpt_machine_free(params->machine, &params->g);
        for (int k = 0; k < MGPT_MAX_STATE; k++)
            mgpt_machine_free(params->machine, &params->state[k]);
    }
    for (uint32_t i = 0; i < params->n; i++)
        free((char *)(uintptr_t)params->items[i].name);
    free(params->items);
    free(params->start);
    free(params->places);
    free(params->keeps);
    memset(params, 0, sizeof *params);
}
