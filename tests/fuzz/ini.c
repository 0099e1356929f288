/* An INI: every entry names a line, and can be written so that it reads back. Read for all of its
 * mistakes, the first is that of a reading that ends there. */
#include <config.h>

#include <string.h>

#include "conf/conf.h"
#include "conf/faults.h"
#include "conf/ini.h"
#include "conf/state.h"
#include "fuzz.h"

static void check_entries(const struct mgpt_conf *conf)
{
    for (size_t i = 0; i < conf->n_entries; i++) {
        const struct mgpt_conf_entry *e = &conf->entries[i];
        FUZZ_MUST(e->line >= 1 && strlen(e->section) <= MGPT_INI_NAME);
        FUZZ_MUST(!mgpt_conf_unwritable(e->key, e->value));
        FUZZ_MUST(i == 0 || e->line > conf->entries[i - 1].line);
    }
}

/* `first` is the error of the reading that ends at it, or "". */
static void find_all(const char *data, size_t size, const char *first)
{
    struct mgpt_error error = {0, ""};
    struct mgpt_faults faults = {0};
    struct mgpt_conf *conf = NULL;
    FUZZ_MUST(mgpt_conf_create(&conf, &error) == MGPT_OK);
    mgpt_conf_collect(conf, &faults);
    enum mgpt_status status = mgpt_conf_read_text(conf, "file", data, size, &error);
    FUZZ_MUST(status == MGPT_OK || (status == MGPT_CONFIG && strstr(error.text, "more keys")));
    FUZZ_MUST(!strcmp(first, faults.n            ? faults.items[0].text
                             : status == MGPT_OK ? ""
                                                 : error.text));
    FUZZ_MUST(faults.n <= MGPT_FAULTS_MAX && (faults.n == MGPT_FAULTS_MAX || !faults.more));
    mgpt_faults_sort(&faults);
    for (size_t i = 0; i < faults.n; i++) {
        FUZZ_MUST(faults.items[i].file == 1 && faults.items[i].line >= 1);
        FUZZ_MUST(!strncmp(faults.items[i].text, "file:", 5));
        FUZZ_MUST(i == 0 || faults.items[i].line > faults.items[i - 1].line);
    }
    check_entries(conf);
    mgpt_conf_destroy(conf);
    mgpt_faults_finish(&faults);
}

int fuzz_ini(const uint8_t *data, size_t size)
{
    struct mgpt_error error = {0, ""};
    struct mgpt_conf *conf = NULL;
    FUZZ_MUST(mgpt_conf_create(&conf, &error) == MGPT_OK);
    enum mgpt_status status = mgpt_conf_read_text(conf, "file", (const char *)data, size, &error);
    FUZZ_MUST(status == MGPT_OK || (status == MGPT_CONFIG && strstr(error.text, "file:")));
    check_entries(conf);
    find_all((const char *)data, size, error.text);
    mgpt_conf_destroy(conf);
    return status == MGPT_OK;
}

FUZZ_ENTRY(ini)
