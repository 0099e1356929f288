/* What a person types next. */
#include <config.h>

#include "cli/cli.h"

/* As one word of a shell, whatever is in it. */
static void add_quoted(struct mgpt_string *out, const char *text)
{
    mgpt_string_add(out, "'", 1);
    for (; *text; text++)
        mgpt_string_format(out, *text == '\'' ? "'\\''" : "%c", *text);
    mgpt_string_add(out, "'", 1);
}

void mgpt_cli_next(const char *dir, const char *more, struct mgpt_string *out)
{
    mgpt_string_format(out, "To write: microgpt generate --dir ");
    add_quoted(out, dir);
    mgpt_string_format(out, "; to train on: microgpt train --resume --dir ");
    add_quoted(out, dir);
    mgpt_string_format(out, " %s", more);
}
