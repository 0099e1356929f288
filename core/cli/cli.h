/* The command line: commands and options are tables; what was typed becomes a struct mgpt_cli. */
#ifndef MGPT_CLI_CLI_H
#define MGPT_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "conf/conf.h"
#include "plugin/registry.h"

/* --name VALUE or --name=VALUE; without `value` a flag. */
struct mgpt_cli_option {
    const char *name;  /* "steps"; NULL ends a table */
    const char *value; /* what the value is called in the help, "N"; NULL: a flag */
    const char *alias; /* "train.steps": sets this key; or NULL: the command reads it */
    const char *help;
    char letter; /* -c is short for --config; or 0 */
};

struct mgpt_cli;

struct mgpt_command {
    const char *name;
    const char *usage; /* the words after the options, "show|check"; NULL: none may follow */
    const char *help;  /* one line */
    const struct mgpt_cli_option *options; /* besides those of every command; or NULL */
    enum mgpt_status (*run)(struct mgpt_cli *cli, struct mgpt_error *error);
    const char *const *spares; /* kinds of module it can do without; or NULL */
    bool keeps; /* work that is not done when nobody reads its words any more: no SIGPIPE */
};

extern const struct mgpt_command mgpt_commands[]; /* ends with a NULL name */
extern const struct mgpt_cli_option mgpt_common_options[];

/* One option as it was typed. */
struct mgpt_cli_given {
    const struct mgpt_cli_option *option;
    const char *value; /* or NULL */
    char *typed;       /* "--steps 10"; owned */
};

/* Zero-initialise. It points into argv. */
struct mgpt_cli {
    const struct mgpt_command *command; /* NULL when only help or the version was asked for */
    struct mgpt_cli_given *given;       /* in the order typed */
    size_t n_given;
    const char **operands; /* words that are no options: "show" */
    size_t n_operands;
    bool help, version, json, quiet, verbose;
    double patience;   /* 0, or that of mgpt_registry_doubt: set by a command that only looks */
    char *config_path; /* the INI in use, once configured; NULL: the built-in defaults */
    /* For a command, before it configures: "section.key=value" lines over those of the file, under
     * those typed; and where they come from. Both live as long as the configuration. */
    const char *settings, *settings_origin;
    struct mgpt_faults *faults; /* and mistakes are collected here: mgpt_conf_collect; or NULL */
    const char *no_file;        /* and without -c no INI is read: "when a text is named" */
};

/* MGPT_USAGE, with the nearest command or option. Finish it in any case. */
enum mgpt_status mgpt_cli_parse(struct mgpt_cli *cli, int argc, char **argv,
                                struct mgpt_error *error);
void mgpt_cli_finish(struct mgpt_cli *cli);

/* For a command: was --option given, and with what value (the last one; NULL: not given)? */
bool mgpt_cli_flag(const struct mgpt_cli *cli, const char *option);
const char *mgpt_cli_value(const struct mgpt_cli *cli, const char *option);

/* Help from the tables, of a command or (NULL) of the program. */
void mgpt_cli_usage(const struct mgpt_command *command, struct mgpt_string *out);

/* A registry with the core's own components and the folders of -P. */
enum mgpt_status mgpt_cli_registry(const struct mgpt_cli *cli, struct mgpt_registry **registry,
                                   struct mgpt_error *error);
/* The same, and the checked configuration: the file, then --set and aliases in the order typed.
 * Destroy conf, then registry; after a failure both are NULL. */
enum mgpt_status mgpt_cli_configure(struct mgpt_cli *cli, struct mgpt_conf **conf,
                                    struct mgpt_registry **registry, struct mgpt_error *error);

/* The same for a command on a run that is there: without -c, the run's own config.ini where there
 * is one. */
enum mgpt_status mgpt_cli_configure_run(struct mgpt_cli *cli, struct mgpt_conf **conf,
                                        struct mgpt_registry **registry, struct mgpt_error *error);

/* The INI in use, or that there is none; for messages. */
const char *mgpt_cli_source(const struct mgpt_cli *cli);
/* config check: prints every mistake of the configuration. */
enum mgpt_status mgpt_cli_config_check(struct mgpt_cli *cli, struct mgpt_error *error);

/* The folder of the run as it was typed; NULL: it was not. */
const char *mgpt_cli_typed_dir(const struct mgpt_cli *cli);
/* Adds how to write with the run in `dir`, and to train on, with `more` after that command. */
void mgpt_cli_next(const char *dir, const char *more, struct mgpt_string *out);

/* train --explain: prints what the run would do, and why. */
struct mgpt_train;
enum mgpt_status mgpt_cli_explain(const struct mgpt_cli *cli, const struct mgpt_train *train,
                                  struct mgpt_error *error);

/* The commands, one a file. What they return becomes the exit code; nobody has printed `error` yet.
 */
enum mgpt_status mgpt_cmd_train(struct mgpt_cli *cli, struct mgpt_error *error);
enum mgpt_status mgpt_cmd_generate(struct mgpt_cli *cli, struct mgpt_error *error);
enum mgpt_status mgpt_cmd_eval(struct mgpt_cli *cli, struct mgpt_error *error);
enum mgpt_status mgpt_cmd_bench(struct mgpt_cli *cli, struct mgpt_error *error);
enum mgpt_status mgpt_cmd_plugins(struct mgpt_cli *cli, struct mgpt_error *error);
enum mgpt_status mgpt_cmd_doctor(struct mgpt_cli *cli, struct mgpt_error *error);
enum mgpt_status mgpt_cmd_export(struct mgpt_cli *cli, struct mgpt_error *error);
enum mgpt_status mgpt_cmd_fetch(struct mgpt_cli *cli, struct mgpt_error *error);
enum mgpt_status mgpt_cmd_import(struct mgpt_cli *cli, struct mgpt_error *error);
enum mgpt_status mgpt_cmd_plugins_check(struct mgpt_cli *cli, struct mgpt_error *error);
enum mgpt_status mgpt_cmd_config(struct mgpt_cli *cli, struct mgpt_error *error);
enum mgpt_status mgpt_cmd_explain(struct mgpt_cli *cli, struct mgpt_error *error);
enum mgpt_status mgpt_cmd_watch(struct mgpt_cli *cli, struct mgpt_error *error);

#endif
