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

static const char *const outcomes[] = {"pass", "skip", "fail", "crash", "timeout", "untried"};
static const char *const words[] = {"ok", "skip", "FAIL", "CRASH", "HANGS", "skip"};

/* ---- a table ---- */

/* What stands above: the module and what was last told of it; and the checks since that say the
 * same. */
struct above {
    char module[256], told[2048];
    enum mgpt_outcome outcome;
    struct mgpt_string names; /* of those checks, parted by commas */
    size_t n;
};

/* One cause can fail all checks, in the same words. It is told once, and then who else met it. */
static bool is_told(const struct mgpt_case_result *f, struct above *above)
{
    char this[sizeof above->told];

    if (f->outcome == MGPT_PASSED || f->outcome == MGPT_UNTRIED)
        return f->outcome == MGPT_UNTRIED;
    (void)snprintf(this, sizeof this, "%d %s\n%s", (int)f->outcome, f->text, f->output);
    if (strcmp(this, above->told) == 0)
        return true;
    memcpy(above->told, this, sizeof this);
    return false;
}

static void print_same(struct above *above)
{
    const char *why = above->outcome == MGPT_UNTRIED        ? "not tried, for want of an instance"
                      : mgpt_outcome_failed(above->outcome) ? "for the same cause"
                                                            : "for the same reason";

    if (above->n)
        printf("  %-5s %zu more check%s, %s: %s\n", words[above->outcome], above->n,
               above->n == 1 ? "" : "s", why, above->names.failed ? "?" : above->names.data);
    mgpt_string_finish(&above->names);
    above->names = (struct mgpt_string){0};
    above->n = 0;
}

static void begin_module(const struct mgpt_case_result *f, struct above *above)
{
    char this[sizeof above->module];

    (void)snprintf(this, sizeof this, "%s %s", f->kind, f->name);
    if (!f->kind[0] || strcmp(above->module, this) == 0)
        return;
    print_same(above);
    printf("%s\n", this);
    memcpy(above->module, this, sizeof this);
    above->told[0] = '\0';
}

static void print_finding(const struct mgpt_case_result *f, void *context)
{
    struct above *above = context;

    begin_module(f, above);
    bool told = is_told(f, above);
    if (!told || f->outcome != above->outcome)
        print_same(above);
    above->outcome = f->outcome;
    if (told) {
        mgpt_string_format(&above->names, "%s%s", above->n++ ? ", " : "", f->check);
        return;
    }
    printf("  %-5s %-66s %6.2f s\n", words[f->outcome], f->check, f->seconds);
    if (f->text[0] && f->outcome != MGPT_PASSED)
        printf("        %s\n", f->text);
    if (mgpt_outcome_failed(f->outcome)) {
        printf("        It matters: %s.\n", f->means);
        if (f->output[0])
            printf("        It last said: %s\n", f->output);
        if (f->kind[0])
            printf("        Read on: <microgpt/%s.h>; section %s of kinds.md.\n", f->kind, f->kind);
    }
    (void)fflush(stdout);
}

static void print_sum(const struct mgpt_suite *suite, struct above *above)
{
    size_t n[MGPT_UNTRIED + 1] = {0};

    print_same(above);
    for (size_t i = 0; i < suite->n; i++)
        n[suite->findings[i].outcome]++;
    printf("%zu passed, %zu failed, %zu skipped; seed %llu\n", n[MGPT_PASSED], suite->failed,
           n[MGPT_SKIPPED] + suite->untried, (unsigned long long)suite->seed);
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
    struct above above = {.module = ""};
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
        print_sum(&suite, &above);
    if (status == MGPT_OK && suite.failed)
        status = mgpt_fail(error, MGPT_PLUGIN, "%s: %zu of %zu checks failed", path, suite.failed,
                           suite.n - suite.untried);
    mgpt_string_finish(&above.names);
    mgpt_suite_finish(&suite);
    free_folders(folders);
    return status;
}
