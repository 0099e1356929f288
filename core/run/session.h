/* A session: everything that a run has open, from the device to the sampler, opened by name from
 * the configuration. */
#ifndef MGPT_RUN_SESSION_H
#define MGPT_RUN_SESSION_H

#include <microgpt/dataset.h>
#include <microgpt/optimizer.h>
#include <microgpt/precision.h>
#include <microgpt/sampler.h>
#include <microgpt/scheduler.h>

#include "base/rng.h"
#include "conf/conf.h"
#include "model/params.h"
#include "run/checkpoint.h"
#include "run/device.h"
#include "run/passes.h"

/* Zero-initialise, set the first three, then open what is needed, in this order; close takes any
 * state. */
struct mgpt_session {
    struct mgpt_conf *conf;
    struct mgpt_registry *registry;
    const char *config_path; /* the INI in use, or NULL; builtin: data lies beside it */

    struct mgpt_choice choice;
    struct mgpt_machine machine;
    struct mgpt_precision_plan precision;

    struct mgpt_rng rng; /* the run's one stream */
    struct mgpt_stream stream;

    const struct mgpt_tokenizer_api *tokenizer_api;
    struct mgpt_tokenizer *tokenizer;
    const struct mgpt_dataset_api *dataset_api;
    struct mgpt_dataset *dataset;
    char *data_path;

    struct mgpt_model model;
    struct mgpt_params params;
    struct mgpt_tensor eval_state; /* struct mgpt_step_state of validation */
    struct mgpt_passes passes;     /* of validation and generation */

    const struct mgpt_optimizer_api *optimizer_api;
    struct mgpt_optimizer *optimizer;
    const struct mgpt_scheduler_api *scheduler_api;
    struct mgpt_scheduler *scheduler;
    const struct mgpt_sampler_api *sampler_api;
    struct mgpt_sampler *sampler;
};

/* Backend and precision. */
enum mgpt_status mgpt_session_device(struct mgpt_session *s, struct mgpt_error *error);
/* Seeds the stream. */
void mgpt_session_seed(struct mgpt_session *s, uint64_t seed);
/* The dataset; then a tokenizer trained on it or, with a checkpoint, loaded; then the ids. */
enum mgpt_status mgpt_session_data(struct mgpt_session *s, const char *checkpoint,
                                   struct mgpt_error *error);
/* The tokenizer of a checkpoint alone. */
enum mgpt_status mgpt_session_tokenizer(struct mgpt_session *s, const char *checkpoint,
                                        struct mgpt_error *error);
/* One that is in memory; `path` is where it was read, for messages. */
enum mgpt_status mgpt_session_tokenizer_from(struct mgpt_session *s, const char *path,
                                             const char *json, size_t size,
                                             struct mgpt_error *error);
/* Ids of the tokenizer: the model may have more, which text never becomes and no sample has. */
uint32_t mgpt_session_ids(const struct mgpt_session *s);
/* The model for the tokenizer's vocabulary and the table of its parameters, not yet allocated. */
enum mgpt_status mgpt_session_shape(struct mgpt_session *s, struct mgpt_error *error);
/* The same for a tokenizer of `vocab` ids, without one. An optimizer is opened before. */
enum mgpt_status mgpt_session_shape_for(struct mgpt_session *s, uint32_t vocab,
                                        struct mgpt_error *error);
/* That, unless it was done, and its parameters on the device, zero. With training also gradients
 * and the optimizer's state. */
enum mgpt_status mgpt_session_model(struct mgpt_session *s, bool training,
                                    struct mgpt_error *error);
/* What a training step of this run is to compute, by [train]; after shape, and complete after
 * model.
 */
struct mgpt_step_spec mgpt_session_spec(const struct mgpt_session *s,
                                        struct mgpt_tensor step_state);
/* The step state on the device, as it is before the first step. */
enum mgpt_status mgpt_session_step_state(struct mgpt_session *s, struct mgpt_tensor *tensor,
                                         struct mgpt_error *error);
/* Passes for validation and generation over at most `batch` sequences. */
enum mgpt_status mgpt_session_passes(struct mgpt_session *s, int64_t batch,
                                     struct mgpt_error *error);
enum mgpt_status mgpt_session_optimizer(struct mgpt_session *s, struct mgpt_error *error);
enum mgpt_status mgpt_session_scheduler(struct mgpt_session *s, struct mgpt_error *error);
enum mgpt_status mgpt_session_sampler(struct mgpt_session *s, struct mgpt_error *error);
void mgpt_session_close(struct mgpt_session *s);

/* The parameters of a checkpoint, whose model must be the configured one. */
enum mgpt_status mgpt_session_load(struct mgpt_session *s, const char *checkpoint,
                                   struct mgpt_error *error);

#endif
