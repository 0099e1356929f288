/* Arguments against the tables. Options and words may mix; "--" ends the options. */
#include <config.h>

#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

/* ---- looking up ---- */

/* Walks the command's own options, then the common ones. */
static const struct mgpt_cli_option *option_at(const struct mgpt_command *command, size_t i)
{
    const struct mgpt_cli_option *own = command->options;
    for (; own && own->name; own++)
        if (i-- == 0)
            return own;
    const struct mgpt_cli_option *common = &mgpt_common_options[0];
    for (; common->name; common++)
        if (i-- == 0)
            return common;
    return NULL;
}

static const struct mgpt_cli_option *option_named(const struct mgpt_command *command,
                                                  const char *name, size_t size)
{
    const struct mgpt_cli_option *option;
    for (size_t i = 0; (option = option_at(command, i)); i++)
        if (strlen(option->name) == size && !strncmp(option->name, name, size))
            return option;
    return NULL;
}

static const struct mgpt_cli_option *option_lettered(const struct mgpt_command *command,
                                                     char letter)
{
    const struct mgpt_cli_option *option;
    for (size_t i = 0; (option = option_at(command, i)); i++)
        if (option->letter && option->letter == letter)
            return option;
    return NULL;
}

static const struct mgpt_command *command_named(const char *name)
{
    for (const struct mgpt_command *command = mgpt_commands; command->name; command++)
        if (!strcmp(command->name, name))
            return command;
    return NULL;
}

/* ---- refusals ---- */

static enum mgpt_status refuse_command(const char *name, struct mgpt_error *error)
{
    enum { MOST = 16 };
    const char *names[MOST] = {NULL};
    for (size_t i = 0; i + 1 < MOST && mgpt_commands[i].name; i++)
        names[i] = mgpt_commands[i].name;
    const char *nearest = mgpt_nearest(name, names);
    return mgpt_fail(error, MGPT_USAGE, "%s: no such command; %s%s%s", name,
                     nearest ? "did you mean " : "see microgpt --help", nearest ? nearest : "",
                     nearest ? "?" : "");
}

static enum mgpt_status refuse_option(const struct mgpt_command *command, const char *typed,
                                      struct mgpt_error *error)
{
    enum { MOST = 64 };
    const char *names[MOST] = {NULL}, *nearest = NULL;
    const struct mgpt_cli_option *option;
    for (size_t i = 0; i + 1 < MOST && (option = option_at(command, i)); i++)
        names[i] = option->name;
    int size = (int)strcspn(typed, "=");
    char *name = strndup(typed, (size_t)size);
    if (name && !strncmp(name, "--", 2))
        nearest = mgpt_nearest(name + 2, names);
    free(name);
    if (nearest)
        return mgpt_fail(error, MGPT_USAGE, "%s: %.*s: no such option; did you mean --%s?",
                         command->name, size, typed, nearest);
    return mgpt_fail(error, MGPT_USAGE, "%s: %.*s: no such option; see microgpt %s --help",
                     command->name, size, typed, command->name);
}

/* `surplus`: a word where only options go; it may be the run folder. */
static enum mgpt_status refuse_word(const struct mgpt_command *command, const char *surplus,
                                    struct mgpt_error *error)
{
    char *path = mgpt_path_join(surplus, "config.ini");
    bool run = path && access(path, F_OK) == 0 && option_named(command, "dir", 3);
    free(path);
    if (run) {
        struct mgpt_string dir = {0};
        mgpt_shell_add(&dir, surplus);
        mgpt_fail(error, MGPT_USAGE, "%s: %s: expected only options; did you mean --dir %s?",
                  command->name, surplus, dir.failed ? "DIR" : dir.data);
        mgpt_string_finish(&dir);
        return MGPT_USAGE;
    }
    return mgpt_fail(error, MGPT_USAGE, "%s: %s: expected only options; see microgpt %s --help",
                     command->name, surplus, command->name);
}

/* ---- parsing ---- */

static enum mgpt_status keep(struct mgpt_cli *cli, const struct mgpt_cli_option *option,
                             const char *word, const char *value, bool joined,
                             struct mgpt_error *error)
{
    struct mgpt_string typed = {0};
    mgpt_string_format(&typed, value && !joined ? "%s %s" : "%s", word, value);
    if (typed.failed)
        return mgpt_fail(error, MGPT_NOMEM, "no memory for the command line");
    cli->given[cli->n_given++] = (struct mgpt_cli_given){option, value, typed.data};
    cli->help |= !strcmp(option->name, "help");
    cli->json |= !strcmp(option->name, "json");
    bool quiet = !strcmp(option->name, "quiet"), verbose = !strcmp(option->name, "verbose");
    if (quiet || verbose) { /* the last one wins */
        cli->quiet = quiet;
        cli->verbose = verbose;
    }
    return MGPT_OK;
}

/* The option in argv[*at], and its value, which may be the next word. */
static enum mgpt_status parse_option(struct mgpt_cli *cli, int argc, char **argv, int *at,
                                     struct mgpt_error *error)
{
    const char *word = argv[*at], *value = NULL;
    const struct mgpt_cli_option *option;
    if (word[1] == '-') {
        const char *equals = strchr(word, '=');
        option = option_named(cli->command, word + 2, strcspn(word + 2, "="));
        value = equals ? equals + 1 : NULL;
    } else {
        option = word[2] ? NULL : option_lettered(cli->command, word[1]);
    }
    if (!option)
        return refuse_option(cli->command, word, error);
    bool joined = value != NULL;
    if (joined && !option->value)
        return mgpt_fail(error, MGPT_USAGE, "%s: %s: expected no value", cli->command->name, word);
    if (option->value && !joined) {
        if (*at + 1 >= argc)
            return mgpt_fail(error, MGPT_USAGE, "%s: %s: expected a value: %s %s",
                             cli->command->name, word, word, option->value);
        value = argv[++*at];
    }
    return keep(cli, option, word, value, joined, error);
}

/* argv[1]: the command, or an option of the program itself, or help. */
static enum mgpt_status parse_first(struct mgpt_cli *cli, int argc, char **argv,
                                    struct mgpt_error *error)
{
    const char *word = argc > 1 ? argv[1] : NULL;
    if (!word)
        return mgpt_fail(error, MGPT_USAGE, "expected a command; see microgpt --help");
    cli->help = !strcmp(word, "--help") || !strcmp(word, "-h");
    cli->version = !strcmp(word, "--version") || !strcmp(word, "-V");
    if (cli->help || cli->version)
        return MGPT_OK;
    if (!strcmp(word, "help")) { /* help COMMAND, as COMMAND --help */
        cli->help = true;
        if (argc == 2)
            return MGPT_OK;
        word = argv[2];
    }
    if (*word == '-')
        return mgpt_fail(error, MGPT_USAGE,
                         "%s: expected a command before the options; see microgpt --help", word);
    cli->command = command_named(word);
    return cli->command ? MGPT_OK : refuse_command(word, error);
}

enum mgpt_status mgpt_cli_parse(struct mgpt_cli *cli, int argc, char **argv,
                                struct mgpt_error *error)
{
    enum mgpt_status status = parse_first(cli, argc, argv, error);
    bool options = true;
    if (status != MGPT_OK || !cli->command || cli->help)
        return status;
    cli->given = calloc((size_t)argc, sizeof *cli->given);
    cli->operands = calloc((size_t)argc, sizeof *cli->operands);
    if (!cli->given || !cli->operands)
        return mgpt_fail(error, MGPT_NOMEM, "no memory for the command line");
    for (int at = 2; at < argc && status == MGPT_OK; at++) {
        if (options && !strcmp(argv[at], "--"))
            options = false;
        else if (options && argv[at][0] == '-' && argv[at][1])
            status = parse_option(cli, argc, argv, &at, error);
        else
            cli->operands[cli->n_operands++] = argv[at];
    }
    if (status == MGPT_OK && cli->n_operands && !cli->command->usage && !cli->help)
        status = refuse_word(cli->command, cli->operands[0], error);
    return status;
}

void mgpt_cli_finish(struct mgpt_cli *cli)
{
    if (!cli)
        return;
    for (size_t i = 0; i < cli->n_given; i++)
        free(cli->given[i].typed);
    free(cli->given);
    free(cli->operands);
    free(cli->config_path);
    *cli = (struct mgpt_cli){0};
}

/* ---- for the commands ---- */

static const struct mgpt_cli_given *last_given(const struct mgpt_cli *cli, const char *option)
{
    for (size_t i = cli->n_given; i-- > 0;)
        if (!strcmp(cli->given[i].option->name, option))
            return &cli->given[i];
    return NULL;
}

bool mgpt_cli_flag(const struct mgpt_cli *cli, const char *option)
{
    return last_given(cli, option) != NULL;
}

const char *mgpt_cli_value(const struct mgpt_cli *cli, const char *option)
{
    const struct mgpt_cli_given *given = last_given(cli, option);
    return given ? given->value : NULL;
}
