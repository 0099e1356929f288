/* microgpt config check: every mistake of the configuration, not only the first. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "conf/faults.h"
#include "model/spec.h"
#include "run/generate.h"
#include "run/session.h"

/* ---- what shows only when settings are put together, before there is data or a device ---- */

static enum mgpt_status check_model(struct mgpt_conf *conf, struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;
    struct mgpt_model model;

    if (!mgpt_conf_sound(conf, "model"))
        return MGPT_OK;
    mgpt_model_read(conf, 1, &model);
    for (size_t i = 0; i < MGPT_MODEL_PAIRS && status == MGPT_OK; i++) {
        const char *key = "";
        status = mgpt_model_check_pair(conf, &model, i, &key, error);
        if (status != MGPT_OK)
            status = mgpt_conf_blame(conf, "model", key, status, error);
    }
    return status;
}

static enum mgpt_status check_stops(struct mgpt_session *s, struct mgpt_error *error)
{
    struct mgpt_endings endings = {0};
    enum mgpt_status status = MGPT_OK;

    if (mgpt_conf_sound(s->conf, "generate"))
        status = mgpt_generate_stops(s, &endings, error);
    mgpt_endings_finish(&endings);
    return mgpt_conf_blame(s->conf, "generate", "stop", status, error);
}

static enum mgpt_status create_tokenizer(struct mgpt_session *s, struct mgpt_error *error)
{
    return mgpt_session_tokenizer(s, NULL, error);
}

/* Does the module take its options as they are together? One without a section was not found:
 * that is told already, or comes of what is. */
static enum mgpt_status try_module(struct mgpt_session *s, const char *kind,
                                   enum mgpt_status (*create)(struct mgpt_session *s,
                                                              struct mgpt_error *error),
                                   struct mgpt_error *error)
{
    const char *name = mgpt_conf_text(s->conf, kind, "use");
    struct mgpt_string section = {0};
    struct mgpt_error why;

    mgpt_string_format(&section, "%s.%s", kind, name);
    enum mgpt_status status =
        section.failed ? mgpt_fail(&why, MGPT_NOMEM, "out of memory") : MGPT_OK;
    if (status == MGPT_OK && mgpt_conf_sound(s->conf, kind) &&
        mgpt_conf_sound(s->conf, section.data) && mgpt_conf_module(s->conf, kind, name))
        status = create(s, &why);
    mgpt_string_finish(&section);
    if (status == MGPT_OK)
        return MGPT_OK;
    mgpt_fail(error, status, "%s: [%s] use = %s: %s", mgpt_conf_origin(s->conf, kind, "use"), kind,
              name, why.text);
    return mgpt_conf_blame(s->conf, kind, "use", status, error);
}

static enum mgpt_status check_together(struct mgpt_conf *conf, struct mgpt_registry *registry,
                                       struct mgpt_error *error)
{
    struct mgpt_session session = {.conf = conf, .registry = registry};
    enum mgpt_status status = check_model(conf, error);

    if (status == MGPT_OK)
        status = check_stops(&session, error);
    if (status == MGPT_OK)
        status = try_module(&session, "tokenizer", create_tokenizer, error);
    if (status == MGPT_OK)
        status = try_module(&session, "optimizer", mgpt_session_optimizer, error);
    if (status == MGPT_OK)
        status = try_module(&session, "scheduler", mgpt_session_scheduler, error);
    mgpt_session_close(&session);
    return status;
}

/* ---- what came of it ---- */

static json_t *fault_json(const struct mgpt_fault *f)
{
    json_t *line = f->line ? json_integer(f->line) : json_null();

    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "origin", mgpt_json_words(f->origin), "line",
                     line, "section", mgpt_json_words(f->section), "key", mgpt_json_words(f->key),
                     "value", mgpt_json_words(f->value), "text", mgpt_json_words(f->text));
}

static enum mgpt_status print_json(const struct mgpt_cli *cli, const struct mgpt_faults *faults,
                                   struct mgpt_error *error)
{
    json_t *list = json_array();

    for (size_t i = 0; i < faults->n; i++)
        json_array_append_new(list, fault_json(&faults->items[i]));
    return mgpt_json_print(json_pack("{s:b, s:o, s:o, s:I, s:I}", "ok", !faults->n, "file",
                                     mgpt_json_words(cli->config_path), "mistakes", list, "more",
                                     (json_int_t)faults->more, "unchecked",
                                     (json_int_t)faults->unchecked),
                           error);
}

static enum mgpt_status print_text(const struct mgpt_cli *cli, const struct mgpt_faults *faults,
                                   struct mgpt_error *error)
{
    struct mgpt_string all = {0};

    for (size_t i = 0; i < faults->n; i++) {
        mgpt_visible_add(&all, faults->items[i].text, strlen(faults->items[i].text));
        mgpt_string_format(&all, "\n");
    }
    if (faults->more)
        mgpt_string_format(&all, "... and %zu more\n", faults->more);
    if (!faults->n)
        mgpt_string_format(&all, "%s: OK\n", mgpt_cli_source(cli));
    enum mgpt_status status = MGPT_OK;
    if (all.failed)
        status = mgpt_fail(error, MGPT_NOMEM, "no memory for the output");
    else
        (void)fputs(all.data, stdout);
    mgpt_string_finish(&all);
    return status;
}

/* How many there are, with the status that a run would end with. */
static enum mgpt_status count(const struct mgpt_cli *cli, const struct mgpt_faults *faults,
                              struct mgpt_error *error)
{
    size_t n = faults->n + faults->more;
    char rest[100] = "";

    if (!n)
        return MGPT_OK;
    if (faults->unchecked)
        MGPT_PRINT_INTO(rest, "; %zu more setting%s can be checked when %s mended",
                        faults->unchecked, faults->unchecked == 1 ? "" : "s",
                        n == 1 ? "it is" : "these are");
    return mgpt_fail(error, faults->status, "%s: %zu mistake%s%s", mgpt_cli_source(cli), n,
                     n == 1 ? "" : "s", rest);
}

enum mgpt_status mgpt_cli_config_check(struct mgpt_cli *cli, struct mgpt_error *error)
{
    struct mgpt_faults faults = {0};
    struct mgpt_conf *conf;
    struct mgpt_registry *registry;

    cli->faults = &faults;
    enum mgpt_status status = mgpt_cli_configure(cli, &conf, &registry, error);
    if (status == MGPT_OK)
        status = check_together(conf, registry, error);
    mgpt_faults_sort(&faults);
    if (status == MGPT_OK || faults.n) {
        enum mgpt_status printed = (cli->json ? print_json : print_text)(cli, &faults, error);
        status = status == MGPT_OK ? printed : status;
    }
    if (status == MGPT_OK)
        status = count(cli, &faults, error);
    mgpt_conf_destroy(conf);
    mgpt_registry_destroy(registry);
    mgpt_faults_finish(&faults);
    cli->faults = NULL;
    return status;
}
