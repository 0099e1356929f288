/* The words of microgpt plugins, one a file. */
#ifndef MGPT_CLI_PLUGINS_H
#define MGPT_CLI_PLUGINS_H

#include "cli/cli.h"

/* Seconds for a constructor or a probe, in a process of its own: they are to return at once. */
#define MGPT_PLUGINS_PATIENCE 5

/* new KIND NAME */
enum mgpt_status mgpt_plugins_new(struct mgpt_cli *cli, struct mgpt_error *error);

#endif
