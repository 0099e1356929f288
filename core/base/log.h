/* Messages for a person, on stderr. Results never go here. */
#ifndef MGPT_BASE_LOG_H
#define MGPT_BASE_LOG_H

#include <stdbool.h>

#include <microgpt/plugin.h>

/* One line: "microgpt: warning: ..."; levels above the threshold (INFO at first) are dropped. [any]
 */
void mgpt_log(enum mgpt_log_level level, const char *format, ...) MGPT_PRINTF(2, 3);
void mgpt_log_threshold(enum mgpt_log_level level);
/* From now on a line may stand unfinished on the terminal that is drawn anew anyway (a logger's
 * live line): a message takes its place. [any] */
void mgpt_log_over_live(bool live);

/* The same for struct mgpt_host: the line as it is. */
void mgpt_log_line(enum mgpt_log_level level, const char *line);

#endif
