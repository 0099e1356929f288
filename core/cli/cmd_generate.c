/* microgpt generate: samples from a trained model, as they come. */
#include <config.h>

#include <stdlib.h>

#include "base/stop.h"
#include "cli/cli.h"
#include "cli/interactive.h"
#include "run/trained.h"

/* As many samples as are asked for; 0 keeps `train` quiet, who asks for samples wants one. */
static enum mgpt_status print_all(struct mgpt_printer *printer, struct mgpt_error *error)
{
    struct mgpt_generator *g = printer->generator;
    uint64_t samples = (uint64_t)mgpt_conf_int(g->session->conf, "generate", "samples");
    int32_t *ids = NULL;
    size_t n = 0;
    enum mgpt_status status =
        mgpt_printer_read(printer, "--prompt", printer->prompt, &ids, &n, error);

    samples = samples ? samples : 1;
    if (status == MGPT_OK && g->batch > 1)
        status = mgpt_samples_make(g, ids, n, samples, mgpt_printer_take, printer, error);
    for (uint64_t i = 1; i <= samples && g->batch == 1 && status == MGPT_OK; i++)
        status = mgpt_printer_sample(printer, i, ids, n, error);
    free(ids);
    return status;
}

static enum mgpt_status run(struct mgpt_cli *cli, struct mgpt_session *s, struct mgpt_error *error)
{
    const char *prompt = mgpt_cli_value(cli, "prompt");
    struct mgpt_generator generator = {0};
    struct mgpt_printer printer = {.generator = &generator,
                                   .json = cli->json,
                                   .parts = !mgpt_cli_flag(cli, "interactive"),
                                   .probs = mgpt_cli_flag(cli, "show-probs"),
                                   .prompt = prompt ? prompt : ""};
    char *checkpoint = NULL;
    enum mgpt_status status = mgpt_trained_open(s, false, &checkpoint, error);

    if (status == MGPT_OK)
        status = mgpt_generator_init(&generator, s, error);
    if (status == MGPT_OK)
        status = mgpt_printer_init(&printer, error);
    if (status == MGPT_OK)
        status = mgpt_cli_flag(cli, "interactive") ? mgpt_interactive(&printer, error)
                                                   : print_all(&printer, error);
    mgpt_generator_finish(&generator);
    free(checkpoint);
    return status;
}

/* Samples in lockstep are printed when they are complete. */
static enum mgpt_status check(const struct mgpt_cli *cli, const struct mgpt_conf *conf,
                              struct mgpt_error *error)
{
    long long batch = (long long)mgpt_conf_int(conf, "generate", "batch");

    if (mgpt_cli_flag(cli, "show-probs") && batch > 1)
        return mgpt_fail(error, MGPT_USAGE,
                         "generate: --show-probs: expected [generate] batch = 1, not %lld (%s)",
                         batch, mgpt_conf_origin(conf, "generate", "batch"));
    return MGPT_OK;
}

enum mgpt_status mgpt_cmd_generate(struct mgpt_cli *cli, struct mgpt_error *error)
{
    struct mgpt_session session = {0};
    enum mgpt_status status = mgpt_cli_configure_run(cli, &session.conf, &session.registry, error);

    if (status != MGPT_OK)
        return status;
    session.config_path = cli->config_path;
    mgpt_stop_install();
    status = check(cli, session.conf, error);
    if (status == MGPT_OK)
        status = run(cli, &session, error);
    mgpt_session_close(&session);
    mgpt_conf_destroy(session.conf);
    mgpt_registry_destroy(session.registry);
    return status;
}
