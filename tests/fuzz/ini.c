/* An INI: every entry names a line, and can be written so that it reads back. */
#include <config.h>

#include <string.h>

#include "conf/conf.h"
#include "conf/ini.h"
#include "conf/state.h"
#include "fuzz.h"

int fuzz_ini(const uint8_t *data, size_t size)
{
    struct mgpt_error error;
    struct mgpt_conf *conf = NULL;
    FUZZ_MUST(mgpt_conf_create(&conf, &error) == MGPT_OK);
    enum mgpt_status status = mgpt_conf_read_text(conf, "file", (const char *)data, size, &error);
    FUZZ_MUST(status == MGPT_OK || (status == MGPT_CONFIG && strstr(error.text, "file:")));
    for (size_t i = 0; i < conf->n_entries; i++) {
        const struct mgpt_conf_entry *e = &conf->entries[i];
        FUZZ_MUST(e->line >= 1 && strlen(e->section) <= MGPT_INI_NAME);
        FUZZ_MUST(!mgpt_conf_unwritable(e->key, e->value));
        FUZZ_MUST(i == 0 || e->line > conf->entries[i - 1].line);
    }
    mgpt_conf_destroy(conf);
    return status == MGPT_OK;
}

FUZZ_ENTRY(ini)
