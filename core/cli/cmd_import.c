/* microgpt import: a model that another program wrote, as a run to go on from. */
#include <config.h>

#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

#include "run/hf.h"
#include "run/picks.h"

static void report(const struct mgpt_hf *hf, const char *dir)
{
    struct mgpt_string next = {0};

    mgpt_cli_next(dir, "--set dataset.path=FILE", &next);
    printf("%s: a model of %u layers, width %u, context %u, tokenizer %s\n%s\n", dir,
           hf->model.layers, hf->model.embd, hf->model.context, hf->tokenizer,
           next.data ? next.data : "");
    mgpt_string_finish(&next);
}

/* The folder's own settings come before what was typed. How to train is for the file of -c to say;
 * without one it is picked, for the defaults are those of a small model that knows nothing yet. */
static enum mgpt_status run(struct mgpt_cli *cli, const struct mgpt_hf *hf,
                            struct mgpt_error *error)
{
    struct mgpt_string settings = {0}, origin = {0};
    struct mgpt_conf *conf = NULL;
    struct mgpt_registry *registry = NULL;
    enum mgpt_status status = MGPT_NOMEM;

    mgpt_hf_settings(hf, &settings);
    if (!mgpt_cli_value(cli, "config")) {
        mgpt_picks_tuning(&hf->model, &settings);
        cli->no_file = "by import";
    }
    mgpt_string_format(&origin, "%s/config.json", hf->dir);
    cli->settings = settings.data;
    cli->settings_origin = origin.data;
    if (settings.failed || origin.failed)
        mgpt_fail(error, MGPT_NOMEM, "out of memory");
    else
        status = mgpt_cli_configure(cli, &conf, &registry, error);
    if (status == MGPT_OK)
        status = mgpt_hf_import(hf, conf, registry, cli->config_path, error);
    if (status == MGPT_OK)
        report(hf, mgpt_conf_text(conf, "run", "dir"));
    mgpt_conf_destroy(conf);
    mgpt_registry_destroy(registry);
    mgpt_string_finish(&settings);
    mgpt_string_finish(&origin);
    return status;
}

enum mgpt_status mgpt_cmd_import(struct mgpt_cli *cli, struct mgpt_error *error)
{
    struct mgpt_hf hf = {0};

    if (cli->n_operands != 1 || !*cli->operands[0])
        return mgpt_fail(
            error, MGPT_USAGE,
            "import: expected one word, a folder that Hugging Face transformers wrote");
    enum mgpt_status status = mgpt_hf_open(cli->operands[0], &hf, error);
    if (status == MGPT_OK)
        status = run(cli, &hf, error);
    mgpt_hf_close(&hf);
    return status;
}
