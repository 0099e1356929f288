/* A small model with everything it needs on a backend, without a configuration. */
#ifndef MGPT_CHECK_NET_H
#define MGPT_CHECK_NET_H

#include "model/params.h"
#include "plugin/options.h"
#include "run/passes.h"

/* The shapes of both recipes at odd sizes: small enough to differentiate every parameter. */
struct mgpt_model mgpt_check_model_names(void);
struct mgpt_model mgpt_check_model_toygpt(void);

/* A model, its parameters drawn (none left at zero), on a backend. */
struct mgpt_check_net {
    struct mgpt_machine machine;
    struct mgpt_model model;
    struct mgpt_precision_plan precision;
    struct mgpt_params params;
    struct mgpt_tensor state;
    struct mgpt_rng rng;
    struct mgpt_config *config;
};
void mgpt_check_net_open(struct mgpt_check_net *net, const char *backend,
                         const struct mgpt_model *model, uint32_t dtype, uint32_t n_state);
/* The same with the state that an optimizer keeps. */
void mgpt_check_net_open_for(struct mgpt_check_net *net, const char *backend,
                             const struct mgpt_model *model, uint32_t dtype,
                             const struct mgpt_optimizer_api *optimizer,
                             const struct mgpt_optimizer *instance);
/* The same on a table of the caller's; the config stays the caller's. */
void mgpt_check_net_open_with(struct mgpt_check_net *net, const struct mgpt_backend_api *api,
                              const struct mgpt_config *config, const struct mgpt_model *model,
                              uint32_t dtype, const struct mgpt_optimizer_api *optimizer,
                              const struct mgpt_optimizer *instance);
/* The same on a table of the test's own, without options. */
void mgpt_check_net_open_on(struct mgpt_check_net *net, const struct mgpt_backend_api *api,
                            const struct mgpt_config *config, const struct mgpt_model *model,
                            uint32_t dtype, uint32_t n_state);
void mgpt_check_net_close(struct mgpt_check_net *net);
struct mgpt_net mgpt_check_net_of(struct mgpt_check_net *net);

/* rows x columns random ids and targets, some of them -1; returns the number of targets. */
uint64_t mgpt_check_batch(struct mgpt_rng *rng, const struct mgpt_model *model, uint32_t rows,
                          uint32_t columns, struct mgpt_batch *batch);

#endif
