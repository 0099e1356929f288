/* microgpt plugins new: a project for a module of one's own, from the templates that are installed
 * with the program. It is written under a temporary name and then takes its own, so that there is
 * a whole one or none. */
#include <config.h>

#include "cli/plugins.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "plugin/kinds.h"

#define MAX_NAME 64
#define MAX_TEMPLATE (UINT64_C(1) << 20)

/* What is asked for. */
struct project {
    const char *kind, *name;
    const char *lang;          /* "c" or "c++", which end the names of templates */
    const char *suffix;        /* of sources: "c" or "cpp" */
    char c_name[MAX_NAME + 1]; /* with _ for each -: what it is called in C */
    char year[8];
    char *templates; /* the folder; owned */
};

/* Templates and what becomes of them; words such as my-kind are replaced in both. */
static const struct {
    const char *from, *to;
} files[] = {
    {"my-kind/module.c", "my-kind_my-name.my-suffix"},
    {"my-kind/check.c", "tests/check.my-suffix"},
    {"project/host.h", "tests/host.h"},
    {"project/run.sh", "tests/run.sh"},
    {"project/my-lang/Makefile", "Makefile"},
    {"project/my-lang/Makefile.am", "Makefile.am"},
    {"project/my-lang/configure.ac", "configure.ac"},
    {"project/README.md", "README.md"},
    {"project/LICENSE", "LICENSE"},
    {"project/gitignore", ".gitignore"},
};

#define N_FILES (sizeof files / sizeof files[0])

/* ---- what was typed ---- */

static enum mgpt_status check_name(const char *name, struct mgpt_error *error)
{
    if (!mgpt_module_name_valid(name) || name[0] == '-')
        return mgpt_fail(error, MGPT_USAGE,
                         "\"%s\" cannot be the name of a module: expected only a-z, 0-9, _ and -, "
                         "and no - first",
                         name);
    if (strlen(name) > MAX_NAME)
        return mgpt_fail(error, MGPT_USAGE,
                         "\"%.20s...\" cannot be the name of a module: it has %zu characters, "
                         "expected at most %d",
                         name, strlen(name), MAX_NAME);
    return MGPT_OK;
}

/* A module found first hides one of its name elsewhere, without a word. */
static enum mgpt_status check_free(const struct mgpt_cli *cli, const struct project *p,
                                   struct mgpt_error *error)
{
    struct mgpt_registry *registry;
    struct mgpt_module there;
    if (mgpt_conf_reserved(p->kind, p->name))
        return mgpt_fail(error, MGPT_USAGE,
                         "[%s] use = %s means something else than a module: take another name",
                         p->kind, p->name);
    enum mgpt_status status = mgpt_cli_registry(cli, &registry, error);
    if (status != MGPT_OK || mgpt_cli_flag(cli, "force")) {
        mgpt_registry_destroy(registry);
        return status;
    }
    if (mgpt_registry_find(registry, p->kind, p->name, &there, NULL) == MGPT_OK)
        status = mgpt_fail(error, MGPT_USAGE,
                           "%s %s is there already (%s): take another name, or --force hides it",
                           p->kind, p->name, there.path);
    mgpt_registry_destroy(registry);
    return status;
}

static enum mgpt_status read_command(struct mgpt_cli *cli, struct project *p,
                                     struct mgpt_error *error)
{
    const char *lang = mgpt_cli_value(cli, "lang");
    if (cli->n_operands != 3)
        return mgpt_fail(error, MGPT_USAGE,
                         "plugins new: expected a kind and a name, as in: microgpt plugins new "
                         "scheduler mine");
    cli->patience = MGPT_PLUGINS_PATIENCE;
    p->kind = cli->operands[1];
    p->name = cli->operands[2];
    p->lang = lang ? lang : "c";
    if (strcmp(p->lang, "c") != 0 && strcmp(p->lang, "c++") != 0)
        return mgpt_fail(error, MGPT_USAGE, "--lang %s: expected c or c++", p->lang);
    p->suffix = p->lang[1] ? "cpp" : "c";
    enum mgpt_status status = mgpt_kind_known(p->kind, MGPT_USAGE, error);
    if (status == MGPT_OK)
        status = check_name(p->name, error);
    if (status == MGPT_OK)
        status = check_free(cli, p, error);
    if (status != MGPT_OK)
        return status;
    for (size_t i = 0; p->name[i]; i++)
        p->c_name[i] = p->name[i] == '-' ? '_' : p->name[i];
    time_t now = time(NULL);
    struct tm tm;
    if (!localtime_r(&now, &tm) || !strftime(p->year, sizeof p->year, "%Y", &tm))
        memcpy(p->year, "YEAR", 5);
    return MGPT_OK;
}

/* ---- the templates ---- */

static enum mgpt_status find_templates(struct project *p, struct mgpt_error *error)
{
    p->templates = mgpt_path_installed("plugins/template", "../share/" PACKAGE "/plugins/template",
                                       MGPT_DATADIR "/plugins/template");
    if (!p->templates)
        return mgpt_fail(error, MGPT_NOMEM, "no memory for the folder of templates");
    if (mgpt_path_exists(p->templates))
        return MGPT_OK;
    return mgpt_fail(error, MGPT_DATA,
                     "%s: the templates of plugins are not there; make install puts them there",
                     p->templates);
}

/* Replaces the words my-kind, my-name, ... of a template. */
static void fill_in(const struct project *p, const char *text, struct mgpt_string *out)
{
    const struct {
        const char *word, *value;
    } words[] = {{"my-kind", p->kind},   {"my_kind", p->kind}, {"my-name", p->name},
                 {"my_name", p->c_name}, {"my-lang", p->lang}, {"my-suffix", p->suffix},
                 {"my-year", p->year}};
    while (*text) {
        size_t plain = 0, i = 0;
        while (text[plain] && strncmp(text + plain, "my", 2) != 0)
            plain++;
        mgpt_string_add(out, text, plain);
        text += plain;
        while (i < sizeof words / sizeof words[0] &&
               strncmp(text, words[i].word, strlen(words[i].word)) != 0)
            i++;
        if (i < sizeof words / sizeof words[0]) {
            mgpt_string_format(out, "%s", words[i].value);
            text += strlen(words[i].word);
        } else if (*text) {
            mgpt_string_add(out, text++, 1);
        }
    }
}

/* ---- the project ---- */

static enum mgpt_status write_text(const char *path, const struct mgpt_string *text,
                                   struct mgpt_error *error)
{
    bool script = strlen(path) > 3 && strcmp(path + strlen(path) - 3, ".sh") == 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, script ? 0777 : 0666);
    if (fd < 0)
        return mgpt_file_fail(error, MGPT_IO, path, "create");
    enum mgpt_status status = MGPT_OK;
    for (size_t done = 0; done < text->size && status == MGPT_OK;) {
        ssize_t n = write(fd, text->data + done, text->size - done);
        if (n > 0)
            done += (size_t)n;
        else if (n < 0 && errno != EINTR)
            status = mgpt_file_fail(error, MGPT_IO, path, "write");
    }
    if (close(fd) != 0 && status == MGPT_OK)
        status = mgpt_file_fail(error, MGPT_IO, path, "write");
    return status;
}

static enum mgpt_status write_file(const struct project *p, const char *folder, size_t i,
                                   struct mgpt_error *error)
{
    struct mgpt_string from = {0}, to = {0}, text = {0};
    char *template = NULL;
    size_t size;
    mgpt_string_format(&from, "%s/", p->templates);
    fill_in(p, files[i].from, &from);
    mgpt_string_format(&to, "%s/", folder);
    fill_in(p, files[i].to, &to);
    enum mgpt_status status =
        from.failed || to.failed ? mgpt_fail(error, MGPT_NOMEM, "no memory for %s", folder)
                                 : mgpt_file_read(from.data, MAX_TEMPLATE, &template, &size, error);
    if (status == MGPT_OK) {
        fill_in(p, template, &text);
        status = text.failed ? mgpt_fail(error, MGPT_NOMEM, "no memory for %s", to.data)
                             : write_text(to.data, &text, error);
    }
    free(template);
    mgpt_string_finish(&text);
    mgpt_string_finish(&to);
    mgpt_string_finish(&from);
    return status;
}

static enum mgpt_status write_files(const struct project *p, const char *folder,
                                    struct mgpt_error *error)
{
    char *tests = mgpt_path_join(folder, "tests");
    enum mgpt_status status = tests ? mgpt_dir_make(tests, error)
                                    : mgpt_fail(error, MGPT_NOMEM, "no memory for %s", folder);
    free(tests);
    for (size_t i = 0; i < N_FILES && status == MGPT_OK; i++)
        status = write_file(p, folder, i, error);
    return status;
}

static enum mgpt_status fail_there(const char *name, struct mgpt_error *error)
{
    return mgpt_fail(error, MGPT_USAGE,
                     "%s is there already: remove it, take another name, or call from elsewhere",
                     name);
}

/* Renames, but not over anything: not even over an empty folder, which rename would take. Some file
 * systems do not know that flag. */
static enum mgpt_status give_name(const char *temporary, const char *name, struct mgpt_error *error)
{
    int failed = renameat2(AT_FDCWD, temporary, AT_FDCWD, name, RENAME_NOREPLACE);
    if (failed && errno == EINVAL)
        failed = rename(temporary, name);
    if (!failed)
        return MGPT_OK;
    if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR)
        return fail_there(name, error);
    return mgpt_file_fail(error, MGPT_IO, name, "make the folder");
}

static enum mgpt_status make_project(const struct project *p, struct mgpt_error *error)
{
    struct stat there;
    if (lstat(p->name, &there) == 0)
        return fail_there(p->name, error);
    char *temporary = mgpt_path_temporary(p->name);
    if (!temporary)
        return mgpt_fail(error, MGPT_NOMEM, "no memory for %s", p->name);
    enum mgpt_status status = mgpt_dir_remove(temporary, error); /* of a killed process */
    if (status == MGPT_OK)
        status = write_files(p, temporary, error);
    if (status == MGPT_OK)
        status = give_name(temporary, p->name, error);
    if (status != MGPT_OK)
        (void)mgpt_dir_remove(temporary, NULL);
    free(temporary);
    return status;
}

static enum mgpt_status report(const struct project *p, bool json, struct mgpt_error *error)
{
    json_t *list = json_array();
    if (!json)
        printf("%s: %s %s that works, with tests. Try it, then change it:\n"
               "  cd %s && make check\n",
               p->name, strchr("aeiou", p->kind[0]) ? "an" : "a", p->kind, p->name);
    for (size_t i = 0; i < N_FILES; i++) {
        struct mgpt_string to = {0};
        fill_in(p, files[i].to, &to);
        if (!json)
            printf("  %s/%s\n", p->name, to.data ? to.data : "");
        json_array_append_new(list, json_string(to.data ? to.data : ""));
        mgpt_string_finish(&to);
    }
    if (!json) {
        json_decref(list);
        return MGPT_OK;
    }
    return mgpt_json_print(json_pack("{s:s, s:s, s:s, s:o}", "folder", p->name, "kind", p->kind,
                                     "lang", p->lang, "files", list),
                           error);
}

enum mgpt_status mgpt_plugins_new(struct mgpt_cli *cli, struct mgpt_error *error)
{
    struct project p = {0};
    enum mgpt_status status = read_command(cli, &p, error);
    if (status == MGPT_OK)
        status = find_templates(&p, error);
    if (status == MGPT_OK)
        status = make_project(&p, error);
    if (status == MGPT_OK)
        status = report(&p, cli->json, error);
    free(p.templates);
    return status;
}
