/* [dataset] path: a file, a text that comes with microgpt, one to fetch, or none yet. */
#ifndef MGPT_RUN_DATA_H
#define MGPT_RUN_DATA_H

#include "conf/conf.h"

/* The file that [dataset] path means (malloc), absolute. "builtin:NAME" is data/NAME.txt beside
 * `config_path` (the INI in use, or NULL), or else the installed one; "fetch:NAME" is downloaded,
 * unless it was. The configuration then says the file. MGPT_CONFIG, as for "import:none", or as
 * mgpt_fetch. */
enum mgpt_status mgpt_data_path(struct mgpt_conf *conf, const char *config_path, char **path,
                                struct mgpt_error *error);

#endif
