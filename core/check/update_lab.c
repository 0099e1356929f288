/* Stage UPDATE alone: a small model with any optimizer, gradients that the test chooses. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "check/op_cases.h"
#include "check/update_lab.h"
#include "ref/ops.h"

void mgpt_update_lab_open(struct mgpt_update_lab *lab, const char *backend,
                          const struct mgpt_model *model, uint32_t dtype,
                          const struct mgpt_optimizer_api *api, struct mgpt_config *config)
{
    struct mgpt_check_net *net = &lab->net;

    memset(lab, 0, sizeof *lab);
    lab->api = api;
    check_ok(api->create(mgpt_host(), config, &lab->optimizer, error));
    mgpt_config_destroy(config);
    mgpt_check_net_open_for(net, backend, model, dtype, api, lab->optimizer);
    lab->spec = (struct mgpt_step_spec){.size = sizeof lab->spec,
                                        .n_params = net->params.n,
                                        .n_state = net->params.n_state,
                                        .backend = net->machine.api,
                                        .device = net->machine.device,
                                        .caps = &net->machine.caps,
                                        .model = &net->model,
                                        .optimizer = api,
                                        .params = net->params.items,
                                        .p = net->params.p,
                                        .g = net->params.g,
                                        .step_state = net->state,
                                        .optimizer_instance = lab->optimizer,
                                        .places = net->params.places};
    memcpy(lab->spec.state, net->params.state, sizeof lab->spec.state);
    check_ok(mgpt_updater_open(&lab->updater, &net->machine, &lab->spec, error));
}

void mgpt_update_lab_close(struct mgpt_update_lab *lab)
{
    mgpt_updater_close(&lab->updater);
    mgpt_check_net_close(&lab->net);
    lab->api->destroy(lab->optimizer);
}

static void write_values(struct mgpt_update_lab *lab, const struct mgpt_tensor *t,
                         const double *values)
{
    void *raw = malloc(mgpt_tensor_bytes(t));

    check_that(raw, "out of memory");
    mgpt_ref_store(t->dtype, values, raw, mgpt_tensor_count(t));
    check_ok(mgpt_machine_write(&lab->net.machine, t, raw, error));
    free(raw);
}

/* Tensor by tensor: the gaps between them stay zero. */
static void set_gradients(struct mgpt_update_lab *lab, uint64_t seed, double low, double high)
{
    for (uint32_t i = 0; i < lab->spec.n_params; i++) {
        const struct mgpt_tensor *g = &lab->spec.params[i].g;
        int64_t n = mgpt_tensor_count(g);
        double *values = malloc((size_t)n * sizeof *values);
        check_that(values, "out of memory");
        for (int64_t k = 0; k < n; k++)
            values[k] = (float)mgpt_op_case_uniform(&seed, low, high);
        write_values(lab, g, values);
        free(values);
    }
}

void mgpt_update_lab_draw(struct mgpt_update_lab *lab, uint64_t seed, double size)
{
    set_gradients(lab, seed, -size, size);
}

void mgpt_update_lab_fill(struct mgpt_update_lab *lab, double value)
{
    set_gradients(lab, 0, value, value);
}

void mgpt_update_lab_run(struct mgpt_update_lab *lab, double lr, double decay, double grad_scale,
                         bool nonfinite)
{
    struct mgpt_step_state state = {.grad_scale = grad_scale, .nonfinite = nonfinite};
    struct mgpt_step_input input = {.step = lab->step};

    for (int group = 0; group < 2; group++) {
        struct mgpt_tick tick = {
            .step = lab->step, .total = 100, .lr = lr, .weight_decay = group ? decay : 0};
        lab->api->scalars(lab->optimizer, &tick, input.scalars[group]);
    }
    lab->step++;
    check_ok(mgpt_machine_write(&lab->net.machine, &lab->spec.step_state, &state, error));
    check_ok(mgpt_updater_run(&lab->updater, &input, error));
    check_ok(lab->net.machine.api->sync(lab->net.machine.device, error));
}

double *mgpt_update_lab_read(struct mgpt_update_lab *lab, const struct mgpt_tensor *t)
{
    double *values = malloc((size_t)mgpt_tensor_count(t) * sizeof *values);
    void *raw = malloc(mgpt_tensor_bytes(t));

    check_that(values && raw, "out of memory");
    check_ok(mgpt_machine_read(&lab->net.machine, t, raw, error));
    mgpt_ref_load(t->dtype, raw, values, mgpt_tensor_count(t));
    free(raw);
    return values;
}

char *mgpt_update_lab_bits(struct mgpt_update_lab *lab, size_t *size)
{
    const struct mgpt_params *params = &lab->net.params;
    char *bits = malloc((1 + params->n_state) * mgpt_tensor_bytes(&params->p));

    check_that(bits, "out of memory");
    *size = 0;
    for (uint32_t k = 0; k <= params->n_state; k++) {
        const struct mgpt_tensor *t = k ? &params->state[k - 1] : &params->p;
        if (!t->rank)
            continue;
        check_ok(mgpt_machine_read(&lab->net.machine, t, bits + *size, error));
        *size += mgpt_tensor_bytes(t);
    }
    return bits;
}

void mgpt_update_lab_restore(struct mgpt_update_lab *lab, const char *bits)
{
    const struct mgpt_params *params = &lab->net.params;

    for (uint32_t k = 0; k <= params->n_state; k++) {
        const struct mgpt_tensor *t = k ? &params->state[k - 1] : &params->p;
        if (!t->rank)
            continue;
        check_ok(mgpt_machine_write(&lab->net.machine, t, bits, error));
        bits += mgpt_tensor_bytes(t);
    }
}
