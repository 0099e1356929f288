/* The curve of a run's loss, in a fixed room: each point is the mean of as many steps. */
#ifndef CONSOLE_CURVE_H
#define CONSOLE_CURVE_H

#include <stdbool.h>
#include <stdint.h>

#define CONSOLE_POINTS 64 /* a power of 2; when all are taken, each two become one */

/* Zero-initialise. */
struct console_curve {
    double points[CONSOLE_POINTS], sum; /* sum: of the point that is not complete */
    uint64_t each, summed;              /* steps of a point (0: 1), steps in sum */
    int n;
};

/* NAN and infinities are left out. */
void console_curve_add(struct console_curve *curve, double loss);

/* The last points, `columns` at most, as bars between the lowest and the highest of them; each is
 * one column wide and, as one of U+2581 to U+2588, three bytes. Returns the columns. */
int console_curve_text(const struct console_curve *curve, int columns, bool unicode,
                       char text[3 * CONSOLE_POINTS + 1]);

#endif
