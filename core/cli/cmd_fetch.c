/* microgpt fetch: downloads the texts that are known by name. */
#include <config.h>

#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "run/fetch.h"

/* Paths are of this machine and hold what they hold; the rest is ours. */
static void print_json(const struct mgpt_text_source *source, const char *path)
{
    printf("{\"name\": \"%s\", \"bytes\": %" PRIu64 ", \"sha256\": \"%s\", \"path\": \"",
           source->name, source->size, source->sha256);
    for (const char *c = path; *c; c++)
        if (*c == '"' || *c == '\\')
            printf("\\%c", *c);
        else if ((unsigned char)*c < 0x20)
            printf("\\u%04x", (unsigned)*c);
        else
            putchar(*c);
    puts("\"}");
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
            print_json(s, path);
    if (!cli->json)
        puts(path);
    free(path);
    return MGPT_OK;
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
