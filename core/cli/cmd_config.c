/* microgpt config: the settings in effect and where each came from. For config check see
 * config_check.c. */
#include <config.h>

#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"

/* ---- JSON ---- */

/* A value in the type that JSON has for it. A seed above 2^63 - 1 is a string, for JSON's readers
 * keep no more. */
static json_t *value_json(const struct mgpt_option *option, const struct mgpt_value *value)
{
    switch (option->type) {
    case MGPT_OPTION_BOOL: return json_boolean(value->integer);
    case MGPT_OPTION_INT: return json_integer(value->integer);
    case MGPT_OPTION_FLOAT: return json_real(value->number);
    case MGPT_OPTION_SEED:
        if (value->seed <= INT64_MAX)
            return json_integer((json_int_t)value->seed);
        return mgpt_json_words(value->text);
    default: return mgpt_json_words(value->text);
    }
}

static json_t *section_json(const struct mgpt_config *config)
{
    json_t *section = json_object();
    for (size_t i = 0; section && i < mgpt_config_count(config); i++) {
        const struct mgpt_option *option = mgpt_config_option(config, i);
        json_t *entry = json_object();
        int failed =
            json_object_set_new(entry, "value", value_json(option, mgpt_config_value(config, i)));
        failed |=
            json_object_set_new(entry, "origin", mgpt_json_words(mgpt_config_origin(config, i)));
        if (json_object_set_new(section, option->key, entry) || failed) {
            json_decref(section);
            return NULL;
        }
    }
    return section;
}

static json_t *source_json(const struct mgpt_cli *cli)
{
    return mgpt_json_words(cli->config_path);
}

static enum mgpt_status show_json(const struct mgpt_cli *cli, const struct mgpt_conf *conf,
                                  struct mgpt_error *error)
{
    json_t *object = json_object(), *sections = json_object();
    int failed = json_object_set_new(object, "file", source_json(cli));
    for (size_t i = 0; i < mgpt_conf_count(conf); i++) {
        const struct mgpt_config *config = mgpt_conf_at(conf, i);
        failed |= json_object_set_new(sections, mgpt_config_section(config), section_json(config));
    }
    failed |= json_object_set_new(object, "sections", sections);
    if (failed) {
        json_decref(object);
        object = NULL;
    }
    return mgpt_json_print(object, error);
}

/* ---- the words ---- */

const char *mgpt_cli_source(const struct mgpt_cli *cli)
{
    return cli->config_path ? cli->config_path : "built-in defaults";
}

static enum mgpt_status show(const struct mgpt_cli *cli, const struct mgpt_conf *conf,
                             struct mgpt_error *error)
{
    if (cli->json)
        return show_json(cli, conf, error);
    struct mgpt_string text = {0};
    mgpt_string_format(&text, "# %s\n", mgpt_cli_source(cli));
    mgpt_conf_print(conf, true, &text);
    if (text.failed)
        mgpt_fail(error, MGPT_NOMEM, "no memory for the output");
    else
        (void)fputs(text.data, stdout);
    enum mgpt_status status = text.failed ? MGPT_NOMEM : MGPT_OK;
    mgpt_string_finish(&text);
    return status;
}

enum mgpt_status mgpt_cmd_config(struct mgpt_cli *cli, struct mgpt_error *error)
{
    struct mgpt_conf *conf;
    struct mgpt_registry *registry;
    const char *word = cli->n_operands == 1 ? cli->operands[0] : "";
    if (!strcmp(word, "check"))
        return mgpt_cli_config_check(cli, error);
    if (strcmp(word, "show"))
        return mgpt_fail(error, MGPT_USAGE, "config: expected one word, show or check");
    enum mgpt_status status = mgpt_cli_configure(cli, &conf, &registry, error);
    if (status == MGPT_OK)
        status = show(cli, conf, error);
    mgpt_conf_destroy(conf);
    mgpt_registry_destroy(registry);
    return status;
}
