/* The program: tables of commands and options, and what a status becomes. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/cli.h"

#define DIR_OPTION                                                                                 \
    {                                                                                              \
        "dir", "DIR", "run.dir", "folder of the run", 0                                            \
    }
#define SAMPLING_OPTIONS                                                                           \
    {"samples", "N", "generate.samples", "samples to print", 0},                                   \
        {"max-tokens", "N", "generate.max_tokens", "longest sample", 0},                           \
        {"stop", "TEXT", "generate.stop", "text that ends a sample; several: A|B", 0},             \
        {"top-k", "N", "sampler.topk.top_k", "draw from the N likeliest tokens; 0: all", 0},       \
        {"temperature", "X", "sampler.topk.temperature", "below 1 safer, above 1 wilder", 0},      \
    {                                                                                              \
        "seed", "N", "train.seed", "of everything random", 0                                       \
    }

static const struct mgpt_cli_option train_options[] = {
    {"steps", "N", "train.steps", "training steps", 0},
    {"val-every", "N", "train.val_every", "validate after every N steps; 0: never", 0},
    {"val-docs", "N", "train.val_docs", "documents to validate on", 0},
    SAMPLING_OPTIONS,
    DIR_OPTION,
    {"resume", NULL, NULL, "go on from the run's latest checkpoint", 0},
    {"explain", NULL, NULL, "say what would run where, and why, and train nothing", 0},
    {NULL, NULL, NULL, NULL, 0},
};

static const struct mgpt_cli_option generate_options[] = {
    {"prompt", "TEXT", NULL, "text that every sample begins with", 0},
    SAMPLING_OPTIONS,
    {"batch", "N", "generate.batch", "samples at once: faster, other texts", 0},
    {"interactive", NULL, NULL, "a prompt a line, until Ctrl-D; /help says more", 'i'},
    {"show-probs", NULL, NULL, "how likely each token was: by color, or in braces after it", 0},
    {"checkpoint", "WHICH", "generate.checkpoint", "latest, best, or a path", 0},
    DIR_OPTION,
    {NULL, NULL, NULL, NULL, 0},
};

static const struct mgpt_cli_option eval_options[] = {
    {"val-docs", "N", "train.val_docs", "documents to validate on", 0},
    {"logits", "FILE", NULL, "write ids, targets and logits of the first batch, as safetensors", 0},
    {"checkpoint", "WHICH", "generate.checkpoint", "latest, best, or a path", 0},
    DIR_OPTION,
    {NULL, NULL, NULL, NULL, 0},
};

static const struct mgpt_cli_option bench_options[] = {
    {"seconds", "X", NULL, "about how long all of it may take; 10", 0},
    {"steps", "N", NULL, "steps to time of each combination, at most; else as time allows", 0},
    {"vocab", "N", NULL, "size of the vocabulary; else that of the data", 0},
    {"only", "BACKEND", NULL, "time this backend alone", 0},
    {NULL, NULL, NULL, NULL, 0},
};

static const struct mgpt_cli_option plugins_options[] = {
    {"why", NULL, NULL, "list: also every path tried, and what came of it", 0},
    {"lang", "LANG", NULL, "new: the language of the module, c or c++; else c", 0},
    {"force", NULL, NULL, "new: even where a module has that name, which it then hides", 0},
    {"kind", "KIND", NULL, "check: only modules of this kind", 0},
    {"name", "NAME", NULL, "check: only the module of this name", 0},
    {"seed", "N", NULL, "check: another seed for the random numbers of its checks", 0},
    {"limit", "SECONDS", NULL, "check: the most time that one of its checks may take", 0},
    {NULL, NULL, NULL, NULL, 0},
};

static const struct mgpt_cli_option explain_options[] = {
    {"print", NULL, NULL, "only print where the page is", 0},
    {NULL, NULL, NULL, NULL, 0},
};

static const struct mgpt_cli_option watch_options[] = {
    {"export", "FILE", NULL, "only write the page, as it is now", 0},
    {NULL, NULL, NULL, NULL, 0},
};

static const struct mgpt_cli_option export_options[] = {
    {"to", "FORM", NULL, "hf: a folder for Hugging Face transformers, as a GPT-2", 0},
    {"checkpoint", "WHICH", "generate.checkpoint", "latest, best, or a path", 0},
    DIR_OPTION,
    {NULL, NULL, NULL, NULL, 0},
};

static const struct mgpt_cli_option import_options[] = {
    DIR_OPTION,
    {NULL, NULL, NULL, NULL, 0},
};

/* A trained model is used without what trained it. */
static const char *const generate_spares[] = {"optimizer", "scheduler", "step",
                                              "logger",    "dataset",   NULL};
static const char *const eval_spares[] = {"optimizer", "scheduler", "step",
                                          "logger",    "sampler",   NULL};
static const char *const import_spares[] = {"step", "logger", "dataset", "sampler", NULL};
/* Files alone. */
static const char *const all_spares[] = {"backend",   "step",    "precision", "optimizer",
                                         "scheduler", "dataset", "tokenizer", "sampler",
                                         "logger",    NULL};

const struct mgpt_command mgpt_commands[] = {
    {"train", "[TEXT]",
     "train a model and keep it in a run folder; with a TEXT, by settings that fit it, and only -c "
     "names an INI",
     train_options, mgpt_cmd_train, NULL, true},
    {"generate", NULL, "print samples from a trained model", generate_options, mgpt_cmd_generate,
     generate_spares, false},
    {"eval", NULL, "print the validation loss of a trained model", eval_options, mgpt_cmd_eval,
     eval_spares, false},
    {"bench", NULL, "time this model with every backend, step and precision, and compare them",
     bench_options, mgpt_cmd_bench, NULL, false},
    {"export", "DIR", "write a trained model as other programs read it", export_options,
     mgpt_cmd_export, all_spares, true},
    {"import", "DIR", "make a run of a GPT-2 that Hugging Face transformers wrote", import_options,
     mgpt_cmd_import, import_spares, true},
    {"fetch", "NAME...", "download texts to train on: names, tinyshakespeare", NULL, mgpt_cmd_fetch,
     all_spares, true},
    {"plugins", "list|inspect NAME|new KIND NAME|check FILE",
     "show the modules there are, begin one, or check one", plugins_options, mgpt_cmd_plugins, NULL,
     false},
    {"config", "show|check", "show every setting in effect, or check for every mistake in them",
     NULL, mgpt_cmd_config, NULL, false},
    {"explain", NULL, "open the page that shows the algorithm in Python, C and CUDA",
     explain_options, mgpt_cmd_explain, NULL, false},
    {"watch", "RUN...",
     "show the curves of runs as a page, watch.html in the first one, live while they go on",
     watch_options, mgpt_cmd_watch, NULL, true},
    {"doctor", NULL, "say what works on this machine, what does not, and how to mend it", NULL,
     mgpt_cmd_doctor, NULL, false},
    {NULL, NULL, NULL, NULL, NULL, NULL, false},
};

const struct mgpt_cli_option mgpt_common_options[] = {
    {"config", "FILE", NULL, "settings; else microgpt.ini here, else the user's, else the system's",
     'c'},
    {"set", "S.KEY=VALUE", NULL, "override a setting; may be given again", 0},
    {"plugin-path", "DIR", NULL, "a folder of modules to look in first; may be given again", 'P'},
    {"json", NULL, NULL, "results for programs", 0},
    {"verbose", NULL, NULL, "say more", 'v'},
    {"quiet", NULL, NULL,
     "only warnings, errors and results; without steps too: --set logger.use=jsonl", 'q'},
    {"help", NULL, NULL, "this text", 'h'},
    {NULL, NULL, NULL, NULL, 0},
};

/* The brackets in <microgpt/status.h>. */
static int exit_code(enum mgpt_status status)
{
    switch (status) {
    case MGPT_OK: return 0;
    case MGPT_USAGE: return 2;
    case MGPT_CONFIG: return 3;
    case MGPT_UNSUPPORTED:
    case MGPT_DEVICE:
    case MGPT_PLUGIN: return 4;
    case MGPT_DATA: return 5;
    case MGPT_CANCELED: return 130;
    default: return 1;
    }
}

static enum mgpt_status print_help(const struct mgpt_cli *cli, struct mgpt_error *error)
{
    struct mgpt_string text = {0};
    mgpt_cli_usage(cli->command, &text);
    if (text.failed)
        mgpt_fail(error, MGPT_NOMEM, "no memory for the help");
    else
        (void)fputs(text.data, stdout);
    enum mgpt_status status = text.failed ? MGPT_NOMEM : MGPT_OK;
    mgpt_string_finish(&text);
    return status;
}

static enum mgpt_status run(struct mgpt_cli *cli, struct mgpt_error *error)
{
    if (cli->help)
        return print_help(cli, error);
    if (cli->version) {
        puts("microgpt " PACKAGE_VERSION);
        return MGPT_OK;
    }
    if (cli->quiet)
        mgpt_log_threshold(MGPT_LOG_WARN);
    if (cli->verbose)
        mgpt_log_threshold(MGPT_LOG_DEBUG);
    return cli->command->run(cli, error);
}

/* A closed stream must not have its number taken by a file of ours, which would then get its
 * text. */
static void open_standard_streams(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            abort();
}

int main(int argc, char **argv)
{
    open_standard_streams();
    struct mgpt_cli cli = {0};
    struct mgpt_error error = {0, ""};
    enum mgpt_status status = mgpt_cli_parse(&cli, argc, argv, &error);
    if (cli.command && cli.command->keeps && !cli.help)
        signal(SIGPIPE, SIG_IGN); /* a failed write, with a message: `| head` must not kill it */
    if (status == MGPT_OK)
        status = run(&cli, &error);
    errno = 0;
    if ((fflush(stdout) || ferror(stdout)) && status == MGPT_OK)
        status = mgpt_fail(&error, MGPT_IO, "cannot write the output: %s",
                           strerror(errno ? errno : EIO)); /* 0: an earlier write failed */
    if (status != MGPT_OK && *error.text)
        mgpt_log_line(status == MGPT_CANCELED ? MGPT_LOG_WARN : MGPT_LOG_ERROR, error.text);
    mgpt_cli_finish(&cli);
    return exit_code(status);
}
