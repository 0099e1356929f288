/* microgpt plugins check: holds the modules of a file to the contracts of their kinds. The file is
 * never loaded into this process: each check has one of its own. */
#include <config.h>

#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "check/suite.h"
#include "plugin/kinds.h"

#define USUAL_SEED 20240917

static const char *const outcomes[] = {"pass", "skip", "fail", "crash", "timeout"};

/* ---- a table ---- */

/* What stands above: the module, and its last failure. */
struct above {
    char module[256], failure[2048];
};

/* A module that fails when it is made fails every check, in the same words: they are told once. */
static bool is_told(const struct mgpt_case_result *f, struct above *above)
{
    char this[sizeof above->failure];

    (void)snprintf(this, sizeof this, "%s\n%s", f->text, f->output);
    if (strcmp(this, above->failure) == 0)
        return true;
    memcpy(above->failure, this, sizeof this);
    return false;
}

static void print_finding(const struct mgpt_case_result *f, void *context)
{
    static const char *const words[] = {"ok", "skip", "FAIL", "CRASH", "HANGS"};
    struct above *above = context;
    char this[sizeof above->module];

    (void)snprintf(this, sizeof this, "%s %s", f->kind, f->name);
    if (f->kind[0] && strcmp(above->module, this) != 0) {
        printf("%s\n", this);
        *above = (struct above){0};
        memcpy(above->module, this, sizeof this);
    }
    printf("  %-5s %-66s %6.2f s\n", words[f->outcome], f->check, f->seconds);
    bool told = f->outcome >= MGPT_FAILED && is_told(f, above);
    if (told)
        printf("        As above.\n");
    else if (f->text[0] && f->outcome != MGPT_PASSED)
        printf("        %s\n", f->text);
    if (f->outcome >= MGPT_FAILED && !told) {
        printf("        It matters: %s.\n", f->means);
        if (f->output[0])
            printf("        It last said: %s\n", f->output);
        if (f->kind[0])
            printf("        Read on: <microgpt/%s.h>; section %s of kinds.md.\n", f->kind, f->kind);
    }
    (void)fflush(stdout);
}

static void print_sum(const struct mgpt_suite *suite)
{
    size_t n[MGPT_TIMEOUT + 1] = {0};

    for (size_t i = 0; i < suite->n; i++)
        n[suite->findings[i].outcome]++;
    printf("%zu passed, %zu failed, %zu skipped; seed %llu\n", n[MGPT_PASSED], suite->failed,
           n[MGPT_SKIPPED], (unsigned long long)suite->seed);
}

/* ---- JSON ---- */

static enum mgpt_status print_json(const struct mgpt_suite *suite, struct mgpt_error *error)
{
    json_t *list = json_array();
    for (size_t i = 0; i < suite->n; i++) {
        const struct mgpt_case_result *f = &suite->findings[i];
        json_array_append_new(
            list,
            json_pack("{s:o, s:o, s:s, s:s, s:o, s:o, s:s, s:f}", "kind", mgpt_json_words(f->kind),
                      "name", mgpt_json_words(f->name), "check", f->check, "outcome",
                      outcomes[f->outcome], "text", mgpt_json_words(f->text), "output",
                      mgpt_json_words(f->output), "means", f->means, "seconds", f->seconds));
    }
    json_t *all = json_pack("{s:o, s:o, s:i, s:o}", "file", mgpt_json_words(suite->path), "seed",
                            json_sprintf("%llu", (unsigned long long)suite->seed), "failed",
                            (int)suite->failed, "checks", list);
    return mgpt_json_print(all, error);
}

/* ---- the command ---- */

static enum mgpt_status read_options(const struct mgpt_cli *cli, struct mgpt_suite *suite,
                                     struct mgpt_error *error)
{
    const char *seed = mgpt_cli_value(cli, "seed"), *limit = mgpt_cli_value(cli, "limit");

    suite->kind = mgpt_cli_value(cli, "kind");
    suite->name = mgpt_cli_value(cli, "name");
    suite->seed = USUAL_SEED;
    if (seed && !mgpt_parse_seed(seed, &suite->seed))
        return mgpt_fail(error, MGPT_USAGE, "--seed %s: expected a whole number from 0 to 2^64-1",
                         seed);
    if (limit && (!mgpt_parse_float(limit, &suite->limit) || suite->limit <= 0))
        return mgpt_fail(error, MGPT_USAGE, "--limit %s: expected seconds, more than 0", limit);
    if (suite->kind && !mgpt_kind_named(suite->kind, strlen(suite->kind)))
        return mgpt_fail(error, MGPT_USAGE, "--kind %s: there is no such kind of module",
                         suite->kind);
    return MGPT_OK;
}

static void free_folders(char **folders)
{
    for (size_t i = 0; folders && folders[i]; i++)
        free(folders[i]);
    free(folders);
}

/* The folders of -P, absolute as the registry wants them; NULL-terminated; or NULL, no memory. */
static char **folders_of(const struct mgpt_cli *cli)
{
    char **folders = calloc(cli->n_given + 1, sizeof *folders);
    size_t n = 0;

    for (size_t i = 0; folders && i < cli->n_given; i++)
        if (!strcmp(cli->given[i].option->name, "plugin-path") &&
            !(folders[n++] = mgpt_path_absolute(cli->given[i].value))) {
            free_folders(folders);
            return NULL;
        }
    return folders;
}

enum mgpt_status mgpt_cmd_plugins_check(struct mgpt_cli *cli, struct mgpt_error *error)
{
    struct mgpt_suite suite = {0};
    struct above above = {"", ""};
    char path[4096];
    enum mgpt_status status = read_options(cli, &suite, error);

    if (status != MGPT_OK)
        return status;
    if (cli->n_operands != 2)
        return mgpt_fail(error, MGPT_USAGE, "plugins check: expected one file, as KIND_NAME.so");
    if (!realpath(cli->operands[1], path))
        return mgpt_fail(error, MGPT_PLUGIN, "%s: %s", cli->operands[1], strerror(errno));
    char **folders = folders_of(cli);
    if (!folders)
        return mgpt_fail(error, MGPT_NOMEM, "no memory for a list of folders");
    suite.path = path;
    suite.search = (const char *const *)folders;
    suite.on_finding = cli->json ? NULL : print_finding;
    suite.context = &above;
    status = mgpt_suite_run(&suite, error);
    if (status == MGPT_OK && cli->json)
        status = print_json(&suite, error);
    if (status == MGPT_OK && !cli->json)
        print_sum(&suite);
    if (status == MGPT_OK && suite.failed)
        status = mgpt_fail(error, MGPT_PLUGIN, "%s: %zu of %zu checks failed", path, suite.failed,
                           suite.n);
    mgpt_suite_finish(&suite);
    free_folders(folders);
    return status;
}
