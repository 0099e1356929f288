/* The suite: every case of a module's contract in a process of its own. */
#include <config.h>

#include "check/suite.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/file.h"
#include "base/text.h"
#include "check/check.h"
#include "plugin/kinds.h"
#include "plugin/loader.h"
#include "plugin/search.h"

#define USUAL_SECONDS 60 /* most cases take less than one */
#define LOAD_SECONDS 20

/* ---- in the child ---- */

/* Lines of the report: a letter and text. M module "KIND/1 NAME", U one of a kind unknown here,
 * N note, S skip, F failure, D done. A child that ends without D or F did not mean to. */
static int report = -1;

static void tell(char letter, const char *text)
{
    char line[2048];
    int n = snprintf(line, sizeof line, "%c%.2000s\n", letter, text);

    for (int i = 0; i < n - 1; i++)
        if (line[i] == '\n')
            line[i] = ' ';
    for (int sent = 0; sent < n;) {
        ssize_t k = write(report, line + sent, (size_t)(n - sent));
        if (k <= 0)
            return;
        sent += (int)k;
    }
}

static void tell_failure(const char *text)
{
    tell('F', text);
    _exit(1);
}

static void tell_note(const char *text, bool skips)
{
    tell(skips ? 'S' : 'N', text);
}

/* What a child is to do. */
struct task {
    const struct mgpt_suite *suite;
    const char *kind, *name;            /* of the module, "optimizer/1" */
    const struct mgpt_check_case *what; /* NULL: ask its probe */
};

static const struct mgpt_plugin *load(const char *path)
{
    const struct mgpt_plugin *plugin, *again;
    struct mgpt_error why = {0};

    if (mgpt_plugin_load(path, &plugin, &why) != MGPT_OK)
        tell_failure(mgpt_text_after_path(why.text, path));
    if (mgpt_plugin_load(path, &again, &why) != MGPT_OK || again != plugin)
        tell_failure("microgpt_plugin_v1() returns another descriptor when it is called again; "
                     "expected static data");
    return plugin;
}

/* A file called KIND_NAME.so is looked for by that name, and refused when it holds another. */
static void check_file_name(const struct mgpt_plugin *plugin, const char *path)
{
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path, *name;
    const struct mgpt_component *first = plugin->components[0];
    char text[600];
    size_t size;
    const struct mgpt_kind *kind = mgpt_search_parse(file, &name, &size);

    for (size_t i = 0; plugin->components[i]; i++) {
        const struct mgpt_component *c = plugin->components[i];
        const struct mgpt_kind *of = mgpt_kind_of(c->kind);
        if (!kind || !of || (of == kind && strlen(c->name) == size && !memcmp(c->name, name, size)))
            return; /* a kind unknown here is for another microgpt to judge */
    }
    (void)snprintf(text, sizeof text,
                   "%.200s holds %.32s %.200s; expected %s %.*s, as the file is called: change "
                   ".name, or rename the file",
                   file, mgpt_kind_of(first->kind)->name, first->name, kind->name,
                   (int)(size < 100 ? size : 100), name);
    tell_failure(text);
}

/* Lists what the file holds. */
static void play_load(void *context, int to)
{
    const struct task *task = context;

    report = to;
    const struct mgpt_plugin *plugin = load(task->suite->path);
    check_file_name(plugin, task->suite->path);
    for (size_t i = 0; plugin->components[i]; i++) {
        const struct mgpt_component *c = plugin->components[i];
        char text[300];
        bool known = mgpt_kind_of(c->kind) != NULL;
        (void)snprintf(text, sizeof text, "%.60s %.200s", c->kind, known ? c->name : "");
        tell(known ? 'M' : 'U', text);
    }
    tell('D', "");
}

static void play_case(void *context, int to)
{
    const struct task *task = context;

    report = to;
    mgpt_check_on_failure = tell_failure;
    mgpt_host_on_misuse(tell_failure);
    mgpt_check_on_note = tell_note;
    mgpt_check_seed = task->suite->seed;
    mgpt_check_search = task->suite->search;
    const struct mgpt_plugin *plugin = load(task->suite->path);
    const struct mgpt_component *c = NULL;
    for (size_t i = 0; plugin->components[i] && !c; i++)
        if (!strcmp(plugin->components[i]->kind, task->kind) &&
            !strcmp(plugin->components[i]->name, task->name))
            c = plugin->components[i];
    if (!c)
        tell_failure("the module is not there when the file is loaded again");
    struct mgpt_module module = {c, plugin, task->suite->path};
    struct mgpt_error why = {0};
    if (task->what)
        task->what->run(c);
    else if (mgpt_module_probe(&module, &why) != MGPT_OK)
        tell('S', why.text);
    tell('D', "");
}

/* ---- findings ---- */

bool mgpt_outcome_failed(enum mgpt_outcome outcome)
{
    return outcome == MGPT_FAILED || outcome == MGPT_CRASHED || outcome == MGPT_TIMEOUT;
}

/* Joins what the lines of one letter say; malloc, or NULL without memory. Lines that come again are
 * told once. */
static char *lines_of(const struct mgpt_child *child, char letter)
{
    struct mgpt_string all = {0};
    const char *at = child->said.data ? child->said.data : "";

    mgpt_string_add(&all, "", 0);
    for (size_t n; *at; at += n + (at[n] == '\n')) {
        n = strcspn(at, "\n");
        if (*at != letter || n < 2)
            continue;
        char *line = strndup(at + 1, n - 1);
        if (line && (!all.size || !strstr(all.data, line)))
            mgpt_string_format(&all, "%s%s", all.size ? "; " : "", line);
        free(line);
    }
    if (all.failed || !all.data) {
        mgpt_string_finish(&all);
        return strdup("");
    }
    return all.data;
}

static bool said(const struct mgpt_child *child, char letter)
{
    const char *at = child->said.data ? child->said.data : "";

    for (; *at; at += strcspn(at, "\n"), at += *at == '\n')
        if (*at == letter)
            return true;
    return false;
}

static char *text_of_end(const struct mgpt_child *child, double limit, const char *during)
{
    char text[300];

    if (child->timed_out)
        (void)snprintf(text, sizeof text, "%s did not end within %g seconds: it hangs, or is slow",
                       during, limit);
    else if (child->signal)
        (void)snprintf(text, sizeof text, "%s crashed: signal %d (%s)", during, child->signal,
                       strsignal(child->signal));
    else
        (void)snprintf(text, sizeof text,
                       "%s ended the process (exit code %d), which no plugin may", during,
                       child->exited);
    return strdup(text);
}

/* Its last line, without the newline; malloc. */
static char *end_of_output(const struct mgpt_child *child)
{
    const char *text = child->output.data ? child->output.data : "";
    size_t n = strlen(text);

    while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
        n--;
    size_t start = n;
    while (start && text[start - 1] != '\n' && n - start < 400)
        start--;
    return strndup(text + start, n - start);
}

static void judge(struct mgpt_case_result *f, const struct mgpt_child *child, double limit,
                  const char *during)
{
    f->seconds = child->seconds;
    f->output = end_of_output(child);
    if (said(child, 'F')) {
        f->outcome = MGPT_FAILED;
        f->text = lines_of(child, 'F');
    } else if (!said(child, 'D')) {
        f->outcome = child->timed_out ? MGPT_TIMEOUT : MGPT_CRASHED;
        f->text = text_of_end(child, limit, during);
    } else {
        f->outcome = said(child, 'S') ? MGPT_SKIPPED : MGPT_PASSED;
        f->text = lines_of(child, f->outcome == MGPT_SKIPPED ? 'S' : 'N');
    }
}

static enum mgpt_status add(struct mgpt_suite *suite, struct mgpt_case_result *f,
                            struct mgpt_error *error)
{
    struct mgpt_case_result *all = realloc(suite->findings, (suite->n + 1) * sizeof *all);

    if (all)
        suite->findings = all;
    if (!all || !f->text || !f->output) {
        free(f->text);
        free(f->output);
        return mgpt_fail(error, MGPT_NOMEM, "no memory for what the checks find");
    }
    all[suite->n++] = *f;
    suite->failed += mgpt_outcome_failed(f->outcome);
    suite->untried += f->outcome == MGPT_UNTRIED;
    if (suite->on_finding)
        suite->on_finding(f, suite->context);
    return MGPT_OK;
}

static double limit_of(const struct mgpt_suite *suite, double own)
{
    return suite->limit > 0 && suite->limit < own ? suite->limit : own;
}

/* ---- the parent ---- */

/* One case with a folder of its own, which is gone afterwards. */
static enum mgpt_status run_case(struct mgpt_suite *suite, struct task *task,
                                 enum mgpt_outcome *outcome, struct mgpt_error *error)
{
    struct mgpt_case_result f = {.check = task->what ? task->what->name : "probe_answers",
                                 .means = task->what ? task->what->means
                                                     : "plugins list and auto would wait for ever, "
                                                       "or die"};
    double limit = limit_of(suite, !task->what           ? LOAD_SECONDS
                                   : task->what->seconds ? task->what->seconds
                                                         : USUAL_SECONDS);
    char folder[256], during[80];
    const char *base = getenv("TMPDIR");
    struct mgpt_child child = {0};

    (void)snprintf(folder, sizeof folder, "%.200s/microgpt-check-XXXXXX",
                   base && base[0] == '/' ? base : "/tmp");
    if (!mkdtemp(folder))
        return mgpt_file_fail(error, MGPT_IO, folder, "make folder");
    mgpt_check_folder = folder;
    (void)snprintf(f.kind, sizeof f.kind, "%.*s", (int)strcspn(task->kind, "/"), task->kind);
    (void)snprintf(f.name, sizeof f.name, "%s", task->name);
    (void)snprintf(during, sizeof during, "%s", task->what ? "the check" : "probe()");
    enum mgpt_status status = mgpt_child_run(&child, limit, play_case, task, error);
    if (status == MGPT_OK) {
        judge(&f, &child, limit, during);
        *outcome = f.outcome;
        status = add(suite, &f, error);
    }
    mgpt_check_folder = NULL;
    mgpt_child_finish(&child);
    (void)mgpt_dir_remove(folder, NULL);
    return status;
}

/* A case that could only say again why there is no instance. */
static enum mgpt_status pass_over(struct mgpt_suite *suite, const struct task *task,
                                  struct mgpt_error *error)
{
    struct mgpt_case_result f = {.check = task->what->name,
                                 .means = task->what->means,
                                 .outcome = MGPT_UNTRIED,
                                 .text = strdup("not tried: there is no instance to try it on"),
                                 .output = strdup("")};

    (void)snprintf(f.kind, sizeof f.kind, "%.*s", (int)strcspn(task->kind, "/"), task->kind);
    (void)snprintf(f.name, sizeof f.name, "%s", task->name);
    return add(suite, &f, error);
}

static enum mgpt_status run_module(struct mgpt_suite *suite, const char *kind, const char *name,
                                   struct mgpt_error *error)
{
    struct task task = {.suite = suite, .kind = kind, .name = name};
    char plain[32];
    enum mgpt_outcome outcome = MGPT_PASSED, first = MGPT_PASSED;
    enum mgpt_status status = run_case(suite, &task, &outcome, error);

    (void)snprintf(plain, sizeof plain, "%.*s", (int)strcspn(kind, "/"), kind);
    const struct mgpt_check_case *cases = mgpt_contract_of(plain);
    if (outcome != MGPT_PASSED) /* it cannot run here */
        return status;
    for (size_t i = 0; cases && cases[i].name && status == MGPT_OK; i++) {
        bool unmade =
            i > 0 && !strcmp(cases[0].name, MGPT_CHECK_MADE) && mgpt_outcome_failed(first);
        task.what = &cases[i];
        status = unmade ? pass_over(suite, &task, error) : run_case(suite, &task, &outcome, error);
        first = i ? first : outcome;
    }
    return status;
}

static bool is_wanted(const struct mgpt_suite *suite, const char *kind, const char *name)
{
    size_t n = strcspn(kind, "/");

    return (!suite->kind || (strlen(suite->kind) == n && !strncmp(suite->kind, kind, n))) &&
           (!suite->name || !strcmp(suite->name, name));
}

/* What the file as a whole has to say; then each module that it told of. */
static enum mgpt_status run_modules(struct mgpt_suite *suite, const char *told,
                                    struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;
    size_t wanted = 0;

    for (const char *at = told; *at && status == MGPT_OK;) {
        char kind[64] = "", name[208] = "";
        if (sscanf(at, "M%63s %207s", kind, name) == 2 && is_wanted(suite, kind, name)) {
            status = run_module(suite, kind, name, error);
            wanted++;
        }
        at += strcspn(at, "\n");
        at += *at == '\n';
    }
    if (status != MGPT_OK || wanted)
        return status;
    const char *other = strstr(told, "U"); /* kinds are in lower case */
    return mgpt_fail(error, MGPT_PLUGIN, "%s: holds no %s%s%s that this microgpt knows%s%.*s",
                     suite->path, suite->kind ? suite->kind : "module", suite->name ? " " : "",
                     suite->name ? suite->name : "", other ? ", but one of kind " : "",
                     other ? (int)strcspn(other + 1, " \n") : 0, other ? other + 1 : "");
}

enum mgpt_status mgpt_suite_run(struct mgpt_suite *suite, struct mgpt_error *error)
{
    struct task task = {.suite = suite};
    double limit = limit_of(suite, LOAD_SECONDS);
    struct mgpt_child child = {0};
    struct mgpt_case_result f = {.check = "loads",
                                 .means = "microgpt would not use this file, or would die of it"};
    enum mgpt_status status = mgpt_child_run(&child, limit, play_load, &task, error);

    if (status == MGPT_OK) {
        judge(&f, &child, limit, "loading it");
        status = add(suite, &f, error);
    }
    if (status == MGPT_OK && f.outcome == MGPT_PASSED)
        status = run_modules(suite, child.said.data, error);
    mgpt_child_finish(&child);
    return status;
}

void mgpt_suite_finish(struct mgpt_suite *suite)
{
    for (size_t i = 0; i < suite->n; i++) {
        free(suite->findings[i].text);
        free(suite->findings[i].output);
    }
    free(suite->findings);
    suite->findings = NULL;
    suite->n = suite->failed = 0;
}
