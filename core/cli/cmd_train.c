/* microgpt train: a run from the start, or from its latest checkpoint; or, for `train TEXT`, with
 * settings that are picked to fit the text. */
#include <config.h>

#include "cli/cli.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "run/picks.h"
#include "run/train.h"

/* What `train TEXT` brings to the configuration. */
struct picked {
    char *path, *dir;
    struct mgpt_string settings;
    struct mgpt_picks picks;
};

static void finish_picked(struct picked *p)
{
    free(p->path);
    free(p->dir);
    mgpt_string_finish(&p->settings);
}

/* With -c the file decides, and the text is only its dataset. */
static enum mgpt_status pick(struct mgpt_cli *cli, struct picked *p, struct mgpt_error *error)
{
    bool from_file = mgpt_cli_value(cli, "config") != NULL;
    enum mgpt_status status = MGPT_OK;

    if (cli->n_operands != 1)
        return mgpt_fail(error, MGPT_USAGE, "train: %s: expected one text at most",
                         cli->operands[1]);
    p->path = mgpt_path_absolute(cli->operands[0]);
    p->dir = mgpt_picks_dir(cli->operands[0]);
    if (!p->path || !p->dir)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory");
    if (!from_file)
        status = mgpt_picks_make(p->path, &p->picks, error);
    if (status != MGPT_OK)
        return status;
    if (from_file)
        mgpt_string_format(&p->settings, "dataset.path=%s\n", p->path);
    else
        mgpt_picks_settings(&p->picks, p->path, p->dir, &p->settings);
    if (p->settings.failed)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory");
    cli->settings = p->settings.data;
    cli->settings_origin = cli->operands[0];
    cli->no_file = "when a text is named";
    return MGPT_OK;
}

/* As it came out, with what was typed. */
static void say_picked(const struct mgpt_picks *p, const struct mgpt_conf *conf)
{
    mgpt_log(MGPT_LOG_INFO,
             "text: %" PRIu64 " characters, %" PRIu64 " different ones: tokenizer %s", p->chars,
             p->distinct, mgpt_conf_text(conf, "tokenizer", "use"));
    mgpt_log(MGPT_LOG_INFO,
             "picked: %" PRId64 " layers, width %" PRId64 ", context %" PRId64 ", %" PRId64
             " steps of %" PRId64 " windows; any of it can be typed: --set "
             "model.layers=N",
             mgpt_conf_int(conf, "model", "layers"), mgpt_conf_int(conf, "model", "embd"),
             mgpt_conf_int(conf, "model", "context"), mgpt_conf_int(conf, "train", "steps"),
             mgpt_conf_int(conf, "train", "batch"));
}

/* Where the run is, and what was picked for it, if anything: only when it is so. */
static void say_kept(const struct mgpt_cli *cli, bool picked, const struct mgpt_conf *conf)
{
    const char *typed = mgpt_cli_typed_dir(cli);
    const char *dir = typed ? typed : mgpt_conf_text(conf, "run", "dir");
    struct mgpt_string next = {0}, ini = {0};
    char *path = mgpt_path_join(dir, "config.ini");

    mgpt_cli_next(dir, "--steps N", &next);
    mgpt_shell_add(&ini, path ? path : "");
    if (!next.failed)
        mgpt_log(MGPT_LOG_INFO, "kept in %s. %s", dir, next.data);
    if (picked && path && !ini.failed)
        mgpt_log(MGPT_LOG_INFO,
                 "all settings are in %s; microgpt config show -c %s prints them, and a copy of "
                 "that file makes an INI of your own: train -c COPY --dir NAME",
                 path, ini.data);
    mgpt_string_finish(&next);
    mgpt_string_finish(&ini);
    free(path);
}

/* A folder that is not there is most likely misspelt, unless -c says what is to begin in it. */
static enum mgpt_status refuse_missing(const struct mgpt_cli *cli, const struct mgpt_conf *conf,
                                       struct mgpt_error *error)
{
    const char *dir = mgpt_conf_text(conf, "run", "dir");

    if (mgpt_cli_value(cli, "config") || mgpt_path_exists(dir))
        return MGPT_OK;
    return mgpt_fail(error, MGPT_CONFIG,
                     "%s: no such folder; without --resume it would be a new run", dir);
}

static enum mgpt_status run(struct mgpt_cli *cli, const struct picked *picked,
                            struct mgpt_error *error)
{
    struct mgpt_train train = {.resume = mgpt_cli_flag(cli, "resume")};
    bool explain = mgpt_cli_flag(cli, "explain");
    enum mgpt_status status = (train.resume ? mgpt_cli_configure_run : mgpt_cli_configure)(
        cli, &train.conf, &train.registry, error);

    if (status != MGPT_OK)
        return status;
    if (picked->picks.steps)
        say_picked(&picked->picks, train.conf);
    train.config_path = cli->config_path;
    if (train.resume)
        status = refuse_missing(cli, train.conf, error);
    if (status == MGPT_OK)
        status = explain ? mgpt_cli_explain(cli, &train, error) : mgpt_train(&train, error);
    if (status == MGPT_OK && !explain)
        say_kept(cli, picked->picks.steps > 0, train.conf);
    mgpt_conf_destroy(train.conf);
    mgpt_registry_destroy(train.registry);
    return status;
}

enum mgpt_status mgpt_cmd_train(struct mgpt_cli *cli, struct mgpt_error *error)
{
    struct picked picked = {0};
    enum mgpt_status status = MGPT_OK;

    if (cli->json && !mgpt_cli_flag(cli, "explain"))
        return mgpt_fail(error, MGPT_USAGE,
                         "--json: train prints lines for people; metrics.jsonl in the run's folder "
                         "is for programs (--set logger.use=jsonl prints nothing else); --explain "
                         "--json is there");
    if (cli->n_operands && mgpt_cli_flag(cli, "resume"))
        return mgpt_fail(error, MGPT_USAGE,
                         "train: %s: --resume goes on with a run's own text; name its folder "
                         "instead: microgpt train --resume --dir DIR",
                         cli->operands[0]);
    if (cli->n_operands)
        status = pick(cli, &picked, error);
    if (status == MGPT_OK)
        status = run(cli, &picked, error);
    finish_picked(&picked);
    return status;
}
