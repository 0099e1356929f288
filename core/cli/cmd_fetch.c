/* microgpt fetch: downloads the texts that are known by name. */
#include <config.h>

#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/stop.h"
#include "run/fetch.h"

static enum mgpt_status print_json(const struct mgpt_text_source *source, const char *path,
                                   struct mgpt_error *error)
{
    json_t *object =
        json_pack("{s:s, s:I, s:s, s:o}", "name", source->name, "bytes", (json_int_t)source->size,
                  "sha256", source->sha256, "path", mgpt_json_words(path));
    return mgpt_json_print(object, error);
}

static enum mgpt_status fetch(const struct mgpt_cli *cli, const struct mgpt_conf *conf,
                              const char *name, struct mgpt_error *error)
{
    char *path = NULL;
    enum mgpt_status status =
        mgpt_fetch(name, mgpt_conf_text(conf, "fetch", "mirror"), &path, error);

    if (status != MGPT_OK)
        return status;
    for (const struct mgpt_text_source *s = &mgpt_text_sources[0]; s->name && cli->json; s++)
        if (!strcmp(s->name, name))
            status = print_json(s, path, error);
    if (!cli->json)
        puts(path);
    free(path);
    return status;
}

enum mgpt_status mgpt_cmd_fetch(struct mgpt_cli *cli, struct mgpt_error *error)
{
    struct mgpt_conf *conf;
    struct mgpt_registry *registry;

    if (!cli->n_operands)
        return mgpt_fail(error, MGPT_USAGE,
                         "fetch: expected a name: %s or %s; then train --set dataset.path=fetch:%s",
                         mgpt_text_sources[0].name, mgpt_text_sources[1].name,
                         mgpt_text_sources[0].name);
    mgpt_stop_install();
    enum mgpt_status status = mgpt_cli_configure(cli, &conf, &registry, error);
    for (size_t i = 0; i < cli->n_operands && status == MGPT_OK; i++)
        status = fetch(cli, conf, cli->operands[i], error);
    mgpt_conf_destroy(conf);
    mgpt_registry_destroy(registry);
    return status;
}
