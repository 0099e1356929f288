/* Runs as a page: the curves of one or several run folders in one HTML file that needs no
 * network. */
#ifndef MGPT_RUN_WATCH_H
#define MGPT_RUN_WATCH_H

#include <stdbool.h>

#include "base/text.h"

/* Adds the whole page of n runs to *page (zero-initialised by the caller, who also finishes it).
 * `refresh`: seconds after which a browser reads it again while a run goes on; 0: never. *live: one
 * of the runs goes on. A folder without metrics: MGPT_DATA. Half a line at the end of
 * metrics.jsonl, which a run that goes on may show, is left out; any other line that is not ours is
 * MGPT_DATA, with its number. [main] */
enum mgpt_status mgpt_watch_page(const char *const *runs, size_t n, unsigned refresh,
                                 struct mgpt_string *page, bool *live, struct mgpt_error *error);

#endif
