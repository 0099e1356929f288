/* Stopping on request: SIGINT, SIGTERM and SIGHUP set a flag, which whatever lasts polls. */
#ifndef MGPT_BASE_STOP_H
#define MGPT_BASE_STOP_H

/* From now on the first SIGINT, SIGTERM or SIGHUP only asks to stop; a second one ends the process
 * at once, as if none were caught. [main] */
void mgpt_stop_install(void);

int mgpt_stop_requested(void); /* 1 once a signal came [any] */
int mgpt_stop_signal(void);    /* which one, or 0 [any] */

#endif
