/* Messages for a person, on stderr. Results never go here. */
#ifndef MGPT_BASE_LOG_H
#define MGPT_BASE_LOG_H

#include <microgpt/plugin.h>

/* One line: "microgpt: warning: ..."; levels above the threshold (INFO at first) are dropped. [any]
 */
void mgpt_log(enum mgpt_log_level level, const char *format, ...) MGPT_PRINTF(2, 3);
void mgpt_log_threshold(enum mgpt_log_level level);

/* The same for struct mgpt_host: the line as it is. */
void mgpt_log_line(enum mgpt_log_level level, const char *line);

#endif
