/* The curve of a run's loss. Its end is what is shown: from half full to full, so that between 3/8
 * and 3/4 of the run fill 24 columns, and a steep beginning does not flatten the rest for ever. */
#include "curve.h"

#include <math.h>
#include <string.h>

#define LEVELS 8

static void halve(struct console_curve *c)
{
    for (int i = 0; i < CONSOLE_POINTS / 2; i++)
        c->points[i] = (c->points[2 * i] + c->points[2 * i + 1]) / 2;
    c->n = CONSOLE_POINTS / 2;
    c->each *= 2;
}

void console_curve_add(struct console_curve *c, double loss)
{
    if (!isfinite(loss))
        return;
    c->each += !c->each;
    c->sum += loss;
    if (++c->summed < c->each)
        return;
    c->points[c->n++] = c->sum / (double)c->summed;
    c->sum = 0;
    c->summed = 0;
    if (c->n == CONSOLE_POINTS)
        halve(c);
}

int console_curve_text(const struct console_curve *c, int columns, bool unicode,
                       char text[3 * CONSOLE_POINTS + 1])
{
    int shown = columns < c->n ? columns : c->n;
    const double *points = c->points + c->n - shown;
    double least = INFINITY, most = -INFINITY;

    for (int i = 0; i < shown; i++) {
        least = fmin(least, points[i]);
        most = fmax(most, points[i]);
    }
    for (int i = 0; i < shown; i++) {
        int level = most > least ? (int)((points[i] - least) / (most - least) * LEVELS) : 0;
        level = level < LEVELS ? level : LEVELS - 1;
        if (unicode) {
            *text++ = '\xe2';
            *text++ = '\x96';
            *text++ = (char)(0x81 + level);
        } else {
            *text++ = "_.-:=+*#"[level];
        }
    }
    *text = 0;
    return shown;
}
