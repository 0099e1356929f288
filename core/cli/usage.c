/* The help, from the tables. */
#include <config.h>

#include "cli/cli.h"

/* "  -c, --config FILE     settings" */
static void add_option(const struct mgpt_cli_option *option, struct mgpt_string *out)
{
    size_t start = out->size;
    if (option->letter)
        mgpt_string_format(out, "  -%c, --%s", option->letter, option->name);
    else
        mgpt_string_format(out, "      --%s", option->name);
    if (option->value)
        mgpt_string_format(out, " %s", option->value);
    int gap = 28 - (int)(out->size - start);
    mgpt_string_format(out, "%*s%s", gap > 1 ? gap : 1, "", option->help);
    if (option->alias)
        mgpt_string_format(out, " (%s)", option->alias);
    mgpt_string_format(out, "\n");
}

static void add_options(const char *title, const struct mgpt_cli_option *options,
                        struct mgpt_string *out)
{
    mgpt_string_format(out, "\n%s\n", title);
    for (; options && options->name; options++)
        add_option(options, out);
}

static void add_commands(struct mgpt_string *out)
{
    mgpt_string_format(out, "Usage: microgpt COMMAND [OPTION]...\n"
                            "       microgpt help [COMMAND], or COMMAND --help\n"
                            "       microgpt --version, or -V\n"
                            "Train small GPTs and generate from them.\n"
                            "\nCommands:\n");
    for (const struct mgpt_command *command = mgpt_commands; command->name; command++)
        mgpt_string_format(out, "  %-10s %s\n", command->name, command->help);
}

void mgpt_cli_usage(const struct mgpt_command *command, struct mgpt_string *out)
{
    if (!command) {
        add_commands(out);
        add_options("Options of every command:", mgpt_common_options, out);
        return;
    }
    mgpt_string_format(out, "Usage: microgpt %s [OPTION]...%s%s\nmicrogpt %s: %s.\n", command->name,
                       command->usage ? " " : "", command->usage ? command->usage : "",
                       command->name, command->help);
    if (command->options)
        add_options("Options:", command->options, out);
    add_options("Options of every command:", mgpt_common_options, out);
}
