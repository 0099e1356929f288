/* microgpt doctor: what works on this machine and what does not, and how to mend it. */
#include <config.h>

#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "conf/faults.h"
#include "run/doctor.h"

static const char *const levels[] = {"ok", "note", "problem"};

static void print_text(const struct mgpt_findings *f)
{
    size_t problems = 0;

    for (size_t i = 0; i < f->n; i++) {
        const struct mgpt_finding *item = &f->items[i];
        printf("%-8s %-13s %s\n", levels[item->level], item->topic, item->text);
        if (item->level != MGPT_FINDING_PROBLEM)
            continue;
        problems++;
        printf("%-8s %-13s %s\n", "", "fix:", item->fix);
    }
    if (problems)
        printf("%zu problem%s\n", problems, problems == 1 ? "" : "s");
    else
        puts("nothing is wrong");
}

static enum mgpt_status print_json(const struct mgpt_findings *f, struct mgpt_error *error)
{
    json_t *list = json_array();

    for (size_t i = 0; i < f->n; i++) {
        const struct mgpt_finding *item = &f->items[i];
        json_t *entry = json_pack("{s:s, s:s, s:o}", "level", levels[item->level], "topic",
                                  item->topic, "text", mgpt_json_words(item->text));
        if (item->level == MGPT_FINDING_PROBLEM)
            json_object_set_new(entry, "fix", mgpt_json_words(item->fix));
        json_array_append_new(list, entry);
    }
    json_t *root =
        json_pack("{s:b, s:o}", "ok", mgpt_findings_status(f) == MGPT_OK, "findings", list);
    return mgpt_json_print(root, error);
}

/* What a first mistake asks for: another module where one is not to be had, else its correction. */
static const char *fix_of(const struct mgpt_fault *fault)
{
    bool use = fault && fault->status == MGPT_PLUGIN && fault->key && !strcmp(fault->key, "use");

    if (use)
        return "see the modules below; or take another one: --set KIND.use=NAME (microgpt plugins "
               "list)";
    return "correct it there; microgpt config check lists every mistake";
}

/* The configuration and the registry, or NULL and the first mistake. */
static void configure(struct mgpt_cli *cli, struct mgpt_findings *f, struct mgpt_conf **conf,
                      struct mgpt_registry **registry)
{
    struct mgpt_faults faults = {0};
    struct mgpt_error why;

    cli->faults = &faults;
    enum mgpt_status status = mgpt_cli_configure(cli, conf, registry, &why);
    cli->faults = NULL;
    if (status == MGPT_OK && !faults.n) {
        mgpt_findings_ok(f, "configuration", "%s",
                         cli->config_path ? cli->config_path : "the built-in defaults");
        return;
    }
    const struct mgpt_fault *first = faults.n ? &faults.items[0] : NULL;
    mgpt_findings_problem(f, first ? first->status : status, "configuration", fix_of(first), "%s",
                          first ? first->text : why.text);
    mgpt_faults_finish(&faults);
    mgpt_conf_destroy(*conf);
    mgpt_registry_destroy(*registry); /* the modules are looked at anew */
    *conf = NULL;
    *registry = NULL;
}

/* An unsound configuration is a finding, and the modules are looked at all the same. */
static enum mgpt_status examine(struct mgpt_cli *cli, struct mgpt_findings *f,
                                struct mgpt_error *error)
{
    struct mgpt_conf *conf = NULL;
    struct mgpt_registry *registry = NULL;
    enum mgpt_status status;

    configure(cli, f, &conf, &registry);
    status = registry ? MGPT_OK : mgpt_cli_registry(cli, &registry, error);
    if (status == MGPT_OK) {
        mgpt_registry_doubt(registry, MGPT_DOCTOR_PATIENCE);
        mgpt_doctor_modules(f, registry, conf);
    }
    if (status == MGPT_OK && conf)
        mgpt_doctor_files(f, conf, cli->config_path);
    mgpt_conf_destroy(conf);
    mgpt_registry_destroy(registry);
    return status;
}

/* The exit code is that of the first problem; its words are on stdout already. */
enum mgpt_status mgpt_cmd_doctor(struct mgpt_cli *cli, struct mgpt_error *error)
{
    struct mgpt_findings findings = {0};
    enum mgpt_status status;

    cli->patience = MGPT_DOCTOR_PATIENCE;
    mgpt_doctor_machine(&findings);
    status = examine(cli, &findings, error);
    if (status == MGPT_OK && findings.failed)
        status = mgpt_fail(error, MGPT_NOMEM, "out of memory");
    if (status == MGPT_OK && cli->json)
        status = print_json(&findings, error);
    else if (status == MGPT_OK)
        print_text(&findings);
    if (status == MGPT_OK)
        status = mgpt_findings_status(&findings);
    mgpt_findings_finish(&findings);
    return status;
}
