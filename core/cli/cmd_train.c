/* microgpt train: a run from the start, or from its latest checkpoint. */
#include <config.h>

#include "cli/cli.h"

#include "run/train.h"

enum mgpt_status mgpt_cmd_train(struct mgpt_cli *cli, struct mgpt_error *error)
{
    struct mgpt_train train = {.resume = mgpt_cli_flag(cli, "resume")};
    bool explain = mgpt_cli_flag(cli, "explain");

    if (cli->json && !explain)
        return mgpt_fail(error, MGPT_USAGE,
                         "--json: train prints lines for people; metrics.jsonl in the run's folder "
                         "is for programs (--set logger.use=jsonl prints nothing else); --explain "
                         "--json is there");
    enum mgpt_status status = (train.resume ? mgpt_cli_configure_run : mgpt_cli_configure)(
        cli, &train.conf, &train.registry, error);

    if (status != MGPT_OK)
        return status;
    train.config_path = cli->config_path;
    status = explain ? mgpt_cli_explain(cli, &train, error) : mgpt_train(&train, error);
    mgpt_conf_destroy(train.conf);
    mgpt_registry_destroy(train.registry);
    return status;
}
