/* What a person types next. */
#include <config.h>

#include "cli/cli.h"

void mgpt_cli_next(const char *dir, const char *more, struct mgpt_string *out)
{
    mgpt_string_format(out, "To write: microgpt generate --dir ");
    mgpt_shell_add(out, dir);
    mgpt_string_format(out, "; to train on: microgpt train --resume --dir ");
    mgpt_shell_add(out, dir);
    mgpt_string_format(out, " %s", more);
}
