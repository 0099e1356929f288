/* microgpt eval: the validation loss of a trained model. */
#include <config.h>

#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "run/eval.h"
#include "run/trained.h"

static enum mgpt_status run(struct mgpt_cli *cli, struct mgpt_session *s, struct mgpt_error *error)
{
    uint64_t limit = (uint64_t)mgpt_conf_int(s->conf, "train", "val_docs");
    char *checkpoint = NULL;
    struct mgpt_eval eval;
    enum mgpt_status status = mgpt_trained_open(s, true, &checkpoint, error);

    if (status == MGPT_OK)
        status = mgpt_evaluate(s, MGPT_PART_VALID, limit, &eval, error);
    if (status == MGPT_OK && !eval.targets)
        status = mgpt_fail(error, MGPT_DATA,
                           "%s: nothing to validate on; [dataset] split leaves none", s->data_path);
    if (status == MGPT_OK && cli->json)
        printf("{\"val_loss\": %.9g, \"batches\": %" PRIu64 ", \"targets\": %" PRIu64 "}\n",
               eval.loss, eval.batches, eval.targets);
    else if (status == MGPT_OK)
        printf("val loss: %.4f (%" PRIu64 " targets, %s)\n", eval.loss, eval.targets, checkpoint);
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
    status = run(cli, &session, error);
    mgpt_session_close(&session);
    mgpt_conf_destroy(session.conf);
    mgpt_registry_destroy(session.registry);
    return status;
}
