/* The live line: one line of a terminal, redrawn in place while steps are made. */
#ifndef CONSOLE_LIVE_H
#define CONSOLE_LIVE_H

#include <microgpt/logger.h>

#include "curve.h"
#include "pace.h"

struct console_live {
    uint64_t total;
    bool unicode, color;
    bool drawn;   /* the line stands there */
    double shown; /* when it was drawn, in seconds of the run */
    double best;  /* the lowest validation loss so far, or NAN */
    struct console_curve curve;
    struct console_pace pace;
};

/* Reads NO_COLOR, TERM and the locale from the environment. */
void console_live_init(struct console_live *live, const struct mgpt_run_info *run);
/* Takes in an event, of any type; a step that was made may then draw the line, on stdout. */
void console_live_take(struct console_live *live, const struct mgpt_event *event);
void console_live_draw(struct console_live *live, const struct mgpt_event *step);
/* Takes the line away, before anything else is printed. */
void console_live_clear(struct console_live *live);

/* "950", "98k", "1.2M": three digits at most. Returns text. */
const char *console_short_number(double x, char text[16]);

#endif
