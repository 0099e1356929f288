/* microgpt export: a trained model in the form that other programs read. */
#include <config.h>

#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "run/checkpoint.h"
#include "run/hf.h"

static enum mgpt_status run(const struct mgpt_cli *cli, const struct mgpt_conf *conf,
                            struct mgpt_error *error)
{
    const char *dir = mgpt_conf_text(conf, "run", "dir");
    const char *which = mgpt_conf_text(conf, "generate", "checkpoint");
    struct mgpt_hf_exported exported;
    char *checkpoint = NULL;
    enum mgpt_status status = mgpt_checkpoint_find(dir, which, &checkpoint, error);

    if (status == MGPT_OK && !checkpoint)
        return mgpt_fail(error, MGPT_DATA,
                         "%s: no checkpoint (%s) here; name the run's folder: --dir DIR", dir,
                         which);
    if (status == MGPT_OK)
        status = mgpt_hf_export(checkpoint, cli->operands[0], &exported, error);
    if (status == MGPT_OK && !exported.tokenizer)
        mgpt_log(MGPT_LOG_WARN, "exported without tokenizer.json: %s", exported.why_not.text);
    if (status == MGPT_OK)
        printf("%s: exported from %s\n", cli->operands[0], checkpoint);
    free(checkpoint);
    return status;
}

enum mgpt_status mgpt_cmd_export(struct mgpt_cli *cli, struct mgpt_error *error)
{
    const char *to = mgpt_cli_value(cli, "to");
    struct mgpt_conf *conf;
    struct mgpt_registry *registry;

    if (!to || strcmp(to, "hf") != 0)
        return mgpt_fail(
            error, MGPT_USAGE,
            "export: --to %s: expected --to hf, a folder for Hugging Face transformers",
            to ? to : "is missing");
    if (cli->n_operands != 1 || !*cli->operands[0])
        return mgpt_fail(error, MGPT_USAGE, "export: expected one word, the folder to write");
    enum mgpt_status status = mgpt_cli_configure_run(cli, &conf, &registry, error);
    if (status == MGPT_OK)
        status = run(cli, conf, error);
    mgpt_conf_destroy(conf);
    mgpt_registry_destroy(registry);
    return status;
}
