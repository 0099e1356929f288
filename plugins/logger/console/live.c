/* The live line:
 *
 *   [####------] step 120/500 | loss 2.3185 | best val 2.4043 | 98k tok/s | ETA 0:00:12 █▆▄▃▂▂▁▁
 *
 * What does not fit into the terminal is left out, in the order of `layouts`. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "live.h"

#define REDRAW 0.1 /* seconds between two pictures of the line */
#define WIDEST 32  /* columns of the curve at most */

/* From all to nothing but the step and its loss; the first that fits is taken. */
static const struct layout {
    int bar, curve; /* columns: all of the bar, at least of the curve */
    bool eta, best, rate;
} layouts[] = {
    {20, 24, true, true, true}, {20, 12, true, true, true}, {10, 12, true, true, true},
    {10, 8, true, true, true},  {0, 8, true, true, true},   {0, 8, true, true, false},
    {0, 0, true, true, false},  {0, 0, true, false, false}, {0, 0, false, false, false},
};

/* ---- what the terminal can show ---- */

/* Whether the characters of the locale are UTF-8, as setlocale would find: the host calls none. */
static bool is_unicode(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *locale = NULL, *charset;

    for (size_t i = 0; i < sizeof names / sizeof names[0] && !(locale && *locale); i++)
        locale = getenv(names[i]);
    charset = locale ? strchr(locale, '.') : NULL;
    return charset &&
           (strncasecmp(charset, ".utf-8", 6) == 0 || strncasecmp(charset, ".utf8", 5) == 0);
}

/* Columns of the terminal, but the last, where some would begin a new line. */
static int columns(void)
{
    struct winsize size;
    const char *given = getenv("COLUMNS");
    int n = given ? atoi(given) : 0;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
        n = size.ws_col;
    return (n > 0 ? n : 80) - 1;
}

void console_live_init(struct console_live *l, const struct mgpt_run_info *run)
{
    const char *no_color = getenv("NO_COLOR"); /* https://no-color.org */
    const char *term = getenv("TERM");
    bool dumb = term && strcmp(term, "dumb") == 0;

    *l = (struct console_live){
        .total = run->total_steps,
        .unicode = !dumb && is_unicode(),
        .color = !dumb && (!no_color || !*no_color),
        .best = NAN,
        .pace = {.begun = run->first_step, .step = run->first_step, .last_step = run->first_step},
    };
}

/* ---- the line ---- */

const char *console_short_number(double x, char text[16])
{
    static const char *const units[] = {"", "k", "M", "G", "T"};
    size_t unit = 0;

    for (; x >= 999.5 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        x /= 1000;
    (void)snprintf(text, 16, "%.*f%s", unit && x < 9.95, x, units[unit]);
    return text;
}

/* " | ETA 0:01:30", or nothing while there is no telling. */
static void add_eta(const struct console_live *l, char *text, size_t size)
{
    double left = console_pace_left(&l->pace, l->total);
    unsigned long long s = left < 1e9 ? (unsigned long long)(left + 0.5) : 0;

    if (left < 1e9)
        (void)snprintf(text, size, " | ETA %llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
}

/* All but bar and curve. */
static int format(const struct console_live *l, const struct mgpt_event *e,
                  const struct layout *layout, char text[256])
{
    char best[32] = "", rate[32] = "", eta[48] = "", number[16];

    if (layout->best && isfinite(l->best))
        (void)snprintf(best, sizeof best, " | best val %.4f", l->best);
    if (layout->rate)
        (void)snprintf(rate, sizeof rate, " | %s tok/s",
                       console_short_number(e->tokens_per_s, number));
    if (layout->eta)
        add_eta(l, eta, sizeof eta);
    return snprintf(text, 256, "step %llu/%llu | loss %.4f%s%s%s", (unsigned long long)e->step,
                    (unsigned long long)l->total, e->loss, best, rate, eta);
}

static void print_bar(const struct console_live *l, uint64_t step, int bar)
{
    int filled = (int)((double)step / (double)l->total * bar);

    fputs(l->color ? "[\033[32m" : "[", stdout);
    for (int i = 0; i < bar; i++)
        putchar(i < filled ? '#' : '-');
    fputs(l->color ? "\033[0m] " : "] ", stdout);
}

void console_live_draw(struct console_live *l, const struct mgpt_event *e)
{
    enum { LAST = sizeof layouts / sizeof layouts[0] - 1 };
    const struct layout *layout = layouts;
    char text[256], curve[3 * CONSOLE_POINTS + 1];
    int room = columns(), rest;

    if (l->drawn && e->seconds - l->shown < REDRAW)
        return;
    for (;; layout++) { /* "[bar] text curve" */
        rest = room - format(l, e, layout, text) - (layout->bar ? layout->bar + 3 : 0) - 1;
        if (rest >= layout->curve || layout == &layouts[LAST])
            break;
    }
    putchar('\r');
    if (layout->bar)
        print_bar(l, e->step, layout->bar);
    printf("%.*s", room > 0 ? room : 0, text);
    if (layout->curve &&
        console_curve_text(&l->curve, rest < WIDEST ? rest : WIDEST, l->unicode, curve))
        printf(l->color ? " \033[36m%s\033[0m" : " %s", curve);
    fputs("\033[K", stdout);
    l->drawn = true;
    l->shown = e->seconds;
}

void console_live_clear(struct console_live *l)
{
    if (l->drawn)
        fputs("\r\033[K", stdout);
    l->drawn = false;
}

void console_live_take(struct console_live *l, const struct mgpt_event *e)
{
    if (e->type == MGPT_EVENT_STEP) {
        console_pace_step(&l->pace, e->step, e->seconds);
        if (!e->skipped)
            console_curve_add(&l->curve, e->loss);
    } else if (e->type == MGPT_EVENT_VALIDATION || e->type == MGPT_EVENT_SAMPLE ||
               e->type == MGPT_EVENT_CHECKPOINT) {
        console_pace_pause(&l->pace);
    }
    if (e->type == MGPT_EVENT_VALIDATION)
        l->best = e->best_loss;
}
