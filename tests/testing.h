/* What the test programs share: a model with everything it needs on a backend, without a
 * configuration. */
#ifndef MGPT_TESTS_TESTING_H
#define MGPT_TESTS_TESTING_H

#include <check.h>
#include <stdbool.h>

#include "model/params.h"
#include "plugin/options.h"
#include "plugin/registry.h"
#include "run/passes.h"

/* Fails the test with the error's text unless the call returns MGPT_OK. */
#define ck_ok(call)                                                                                \
    do {                                                                                           \
        struct mgpt_error error_of_call = {0};                                                     \
        struct mgpt_error *error = &error_of_call;                                                 \
        enum mgpt_status status_of_call = (call);                                                  \
        ck_assert_msg(status_of_call == MGPT_OK, "%s: %d %s", #call, (int)status_of_call,          \
                      error_of_call.text);                                                         \
    } while (0)

/* Runs one suite of one case; the program's exit status. */
int test_main(const char *name, void (*add_tests)(TCase *));

/* A registry over MICROGPT_PLUGIN_PATH and the folder of test plugins, with the core's own
 * components. */
struct mgpt_registry *test_registry(void);
/* Is there a backend of that name? cuda_emu wants a C++ compiler. */
bool test_has_backend(const char *name);
/* The module of a kind ("backend/1") by name, and its section with all defaults (to be destroyed).
 */
struct mgpt_module test_module(const char *want, const char *name);
struct mgpt_config *test_defaults(const struct mgpt_component *component);

/* The shapes of both recipes at odd sizes: small enough to differentiate every parameter. */
struct mgpt_model test_model_names(void);
struct mgpt_model test_model_toygpt(void);

/* A model, its parameters drawn (none left at zero), on a backend. */
struct test_net {
    struct mgpt_machine machine;
    struct mgpt_model model;
    struct mgpt_precision_plan precision;
    struct mgpt_params params;
    struct mgpt_tensor state;
    struct mgpt_rng rng;
    struct mgpt_config *config;
};
void test_net_open(struct test_net *net, const char *backend, const struct mgpt_model *model,
                   uint32_t dtype, uint32_t n_state);
/* The same with the state that an optimizer keeps. */
void test_net_open_for(struct test_net *net, const char *backend, const struct mgpt_model *model,
                       uint32_t dtype, const struct mgpt_optimizer_api *optimizer,
                       const struct mgpt_optimizer *instance);
/* The same on a table of the test's own, without options. */
void test_net_open_on(struct test_net *net, const struct mgpt_backend_api *api,
                      const struct mgpt_config *config, const struct mgpt_model *model,
                      uint32_t dtype, uint32_t n_state);
void test_net_close(struct test_net *net);
struct mgpt_net test_net_of(struct test_net *net);

/* rows x columns random ids and targets, some of them -1; returns the number of targets. */
uint64_t test_batch(struct mgpt_rng *rng, const struct mgpt_model *model, uint32_t rows,
                    uint32_t columns, struct mgpt_batch *batch);

#endif
