/* When a run will end. A step takes what steps took lately; a pause, as a validation is, is spread
 * over the steps up to it and not counted as a slow step. */
#include "pace.h"

#include <math.h>

#define MEMORY 30.0 /* seconds: what is so long ago weighs 1/e */

/* The block that arrived is complete. */
static void settle(struct console_pace *p)
{
    double steps = (double)(p->step - p->last_step), took = p->seconds - p->last_seconds;

    if (p->step == p->last_step)
        return;
    if (!p->paused) {
        double kept = exp(-took / MEMORY);
        p->steps = p->steps * kept + steps;
        p->stepping = p->stepping * kept + took;
    } else if (p->steps > 0 && p->last_step > p->begun) {
        p->pauses += fmax(0, took - steps * p->stepping / p->steps);
        p->paused_at = p->last_step;
    }
    p->paused = false;
    p->last_step = p->step;
    p->last_seconds = p->seconds;
}

void console_pace_step(struct console_pace *p, uint64_t step, double seconds)
{
    if (seconds > p->seconds)
        settle(p);
    p->step = step;
    p->seconds = seconds;
}

void console_pace_pause(struct console_pace *p)
{
    settle(p);
    p->paused = true;
}

double console_pace_left(const struct console_pace *p, uint64_t total)
{
    double left = total > p->step ? (double)(total - p->step) : 0;
    double done = (double)(p->step - p->begun);
    double each;

    if (p->steps > 0)
        each = p->stepping / p->steps;
    else if (done > 0 && (!p->paused || p->last_step > p->begun))
        each = p->seconds / done; /* the first block, or pauses alone */
    else
        return NAN;
    if (p->paused_at)
        each += p->pauses / (double)(p->paused_at - p->begun);
    return left * each;
}
