/* microgpt eval: the validation loss of a trained model; with [train] val_train, the training loss
 * too. */
#include <config.h>

#include "cli/cli.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/stop.h"
#include "run/eval.h"
#include "run/logits.h"
#include "run/trained.h"

static void print_json(const struct mgpt_eval *valid, const struct mgpt_eval *train)
{
    printf("{\"val_loss\": %.9g, ", valid->loss);
    if (train->targets)
        printf("\"train_loss\": %.9g, ", train->loss);
    printf("\"batches\": %" PRIu64 ", \"targets\": %" PRIu64 "}\n", valid->batches, valid->targets);
}

/* Of documents a batch is one, of one text a batch is [train] batch windows. */
static void print_text(const struct mgpt_session *s, const struct mgpt_eval *valid,
                       const struct mgpt_eval *train, const char *checkpoint)
{
    struct mgpt_dataset_info info = {.size = sizeof info};

    s->dataset_api->info(s->dataset, &info);
    printf("val loss: %.4f ", valid->loss);
    if (train->targets)
        printf("| train loss: %.4f ", train->loss);
    printf("(mean over %" PRIu64 " predicted tokens in ", valid->targets);
    if (info.valid_batches)
        printf("%" PRIu64 " of %" PRIu64 " held-out %s; %s)\n", valid->batches, info.valid_batches,
               info.valid_batches == info.valid_documents ? "documents" : "batches", checkpoint);
    else
        printf("%" PRIu64 " windows; %s)\n",
               valid->batches * (uint64_t)mgpt_conf_int(s->conf, "train", "batch"), checkpoint);
    if (valid->targets < info.valid_tokens)
        mgpt_log(MGPT_LOG_INFO, "%s takes more",
                 info.valid_batches ? "--val-docs N" : "--set train.val_batches=N");
}

static enum mgpt_status run(struct mgpt_cli *cli, struct mgpt_session *s, struct mgpt_error *error)
{
    const char *logits = mgpt_cli_value(cli, "logits");
    char *checkpoint = NULL;
    struct mgpt_eval eval, train = {0};
    enum mgpt_status status = mgpt_trained_open(s, true, &checkpoint, error);

    if (status == MGPT_OK)
        status = mgpt_evaluate(s, MGPT_PART_VALID, &eval, error);
    if (status == MGPT_OK && !eval.targets)
        status = mgpt_fail(error, MGPT_DATA,
                           "%s: nothing to validate on; [dataset] split leaves none", s->data_path);
    if (status == MGPT_OK && mgpt_conf_int(s->conf, "train", "val_train"))
        status = mgpt_evaluate(s, MGPT_PART_TRAIN_EVAL, &train, error);
    if (status == MGPT_OK && logits)
        status = mgpt_logits_save(s, logits, error);
    if (status == MGPT_OK && !isfinite(eval.loss))
        status =
            mgpt_fail(error, MGPT_NONFINITE, "%s: its validation loss is not finite", checkpoint);
    if (status == MGPT_OK && cli->json)
        print_json(&eval, &train);
    else if (status == MGPT_OK)
        print_text(s, &eval, &train, checkpoint);
    free(checkpoint);
    return status;
}

enum mgpt_status mgpt_cmd_eval(struct mgpt_cli *cli, struct mgpt_error *error)
{
    struct mgpt_session session = {0};
    enum mgpt_status status = mgpt_cli_configure_run(cli, &session.conf, &session.registry, error);

    if (status != MGPT_OK)
        return status;
    session.config_path = cli->config_path;
    mgpt_stop_install();
    status = run(cli, &session, error);
    mgpt_session_close(&session);
    mgpt_conf_destroy(session.conf);
    mgpt_registry_destroy(session.registry);
    return status;
}
