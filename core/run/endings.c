/* Endings: a sample's text on its way out. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "run/endings.h"

/* ---- [generate] stop ---- */

static struct mgpt_string *new_stop(struct mgpt_endings *e)
{
    struct mgpt_string *stops = realloc(e->stops, (e->n + 1) * sizeof *stops);

    if (!stops)
        return NULL;
    e->stops = stops;
    stops[e->n] = (struct mgpt_string){0};
    return &stops[e->n++];
}

/* What stands after a backslash; 0: nothing of ours. */
static char unescape(char c)
{
    static const char from[] = "nts\\|", to[] = "\n\t \\|";
    const char *at = c ? strchr(from, c) : NULL;

    return at ? to[at - from] : 0;
}

/* Reads one string, up to | or the end. */
static enum mgpt_status parse_one(struct mgpt_string *stop, const char **text,
                                  struct mgpt_error *error)
{
    const char *at = *text;

    for (; *at && *at != '|'; at++) {
        char c = *at;
        if (c == '\\') {
            c = unescape(*++at);
            if (!c)
                return mgpt_fail(error, MGPT_CONFIG, "\\%.1s is not \\n, \\t, \\s, \\\\ or \\|",
                                 at);
        }
        mgpt_string_add(stop, &c, 1);
    }
    *text = at;
    if (stop->failed)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for stop strings");
    return stop->size
               ? MGPT_OK
               : mgpt_fail(error, MGPT_CONFIG, "an empty string; expected strings parted by |");
}

enum mgpt_status mgpt_endings_parse(struct mgpt_endings *e, const char *text,
                                    struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;

    for (bool more = *text; more && status == MGPT_OK; text += more) {
        struct mgpt_string *stop = new_stop(e);
        status = stop ? parse_one(stop, &text, error)
                      : mgpt_fail(error, MGPT_NOMEM, "out of memory for stop strings");
        more = status == MGPT_OK && *text == '|';
    }
    return status;
}

void mgpt_endings_finish(struct mgpt_endings *e)
{
    for (size_t i = 0; i < e->n; i++)
        mgpt_string_finish(&e->stops[i]);
    free(e->stops);
    mgpt_string_finish(&e->held);
    *e = (struct mgpt_endings){0};
}

/* ---- the text ---- */

static void cut(struct mgpt_endings *e, size_t size)
{
    if (e->held.data)
        e->held.data[size] = 0;
    e->held.size = size;
}

static void drop_ready(struct mgpt_endings *e)
{
    if (e->ready)
        memmove(e->held.data, e->held.data + e->ready, e->held.size - e->ready);
    cut(e, e->held.size - e->ready);
    e->ready = 0;
}

void mgpt_endings_reset(struct mgpt_endings *e)
{
    cut(e, 0);
    e->ready = 0;
    e->ended = false;
}

/* Where the longest stop string begins that the text ends with, or its size. */
static size_t find_stop(const struct mgpt_endings *e)
{
    const struct mgpt_string *held = &e->held;
    size_t start = held->size;

    for (size_t i = 0; i < e->n; i++) {
        const struct mgpt_string *stop = &e->stops[i];
        if (stop->size <= held->size && held->size - stop->size < start &&
            memcmp(held->data + held->size - stop->size, stop->data, stop->size) == 0)
            start = held->size - stop->size;
    }
    return start;
}

/* Where the longest end of the text begins that some stop string begins with, or its size. */
static size_t find_begun(const struct mgpt_endings *e)
{
    const struct mgpt_string *held = &e->held;

    for (size_t start = 0; start < held->size; start++)
        for (size_t i = 0; i < e->n; i++)
            if (held->size - start < e->stops[i].size &&
                memcmp(held->data + start, e->stops[i].data, held->size - start) == 0)
                return start;
    return held->size;
}

enum mgpt_status mgpt_endings_add(struct mgpt_endings *e, const char *text, size_t size,
                                  struct mgpt_error *error)
{
    drop_ready(e);
    for (size_t i = 0; i < size && !e->ended; i++) {
        mgpt_string_add(&e->held, text + i, 1);
        if (e->held.failed)
            return mgpt_fail(error, MGPT_NOMEM, "out of memory for the text of a sample");
        size_t stop = find_stop(e);
        e->ended = stop < e->held.size;
        if (e->ended)
            cut(e, stop);
    }
    e->ready = e->ended ? e->held.size : mgpt_utf8_whole(e->held.data, find_begun(e));
    return MGPT_OK;
}

void mgpt_endings_flush(struct mgpt_endings *e)
{
    drop_ready(e);
    e->ready = e->held.size;
}
