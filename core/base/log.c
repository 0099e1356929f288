/* Messages for a person, on stderr. */
#include <config.h>

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/terminal.h"

static atomic_int threshold = MGPT_LOG_INFO;
static atomic_bool over_live;

/* What stands before a line of each level, and its colour on a terminal. */
static const struct {
    const char *word, *colour;
} levels[] = {
    [MGPT_LOG_ERROR] = {"error: ", "\033[1;31m"},
    [MGPT_LOG_WARN] = {"warning: ", "\033[1;33m"},
    [MGPT_LOG_INFO] = {"", ""},
    [MGPT_LOG_DEBUG] = {"debug: ", "\033[2m"},
};

void mgpt_log_threshold(enum mgpt_log_level level)
{
    atomic_store(&threshold, (int)level);
}

void mgpt_log_over_live(bool live)
{
    atomic_store(&over_live, live);
}

/* What takes a live line of standard output away, where both streams are on the terminal. */
static const char *wiper(void)
{
    bool both = atomic_load(&over_live) && isatty(STDOUT_FILENO) == 1;
    return both && mgpt_terminal_moves(STDERR_FILENO) ? "\r\033[K" : "";
}

/* One write, so that lines of several threads do not mix; a message that cannot be written is lost.
 * What was printed before comes first, also where both streams are one file. */
static void write_all(const char *data, size_t size)
{
    (void)fflush(stdout);
    while (size) {
        ssize_t written = write(STDERR_FILENO, data, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        data += written;
        size -= (size_t)written;
    }
}

/* Control characters become blanks, those of Latin-1 (in UTF-8, C2 80 to C2 9F) too: a message may
 * quote a file, and a file may not write to the terminal. */
static void make_plain(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++)
        if (*c < 0x20 || *c == 0x7f)
            *c = ' ';
        else if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
            c[0] = c[1] = ' ';
}

void mgpt_log_line(enum mgpt_log_level level, const char *line)
{
    char text[2048], out[sizeof text + 64]; /* twice a struct mgpt_error */
    if ((int)level < MGPT_LOG_ERROR)
        level = MGPT_LOG_ERROR;
    if ((int)level > MGPT_LOG_DEBUG)
        level = MGPT_LOG_DEBUG;
    if ((int)level > atomic_load(&threshold))
        return;
    (void)snprintf(text, sizeof text, "%s", line);
    make_plain(text);
    bool colour = *levels[level].colour && mgpt_terminal_colors(STDERR_FILENO);
    int size = snprintf(out, sizeof out, "%smicrogpt: %s%s%s%s\n", wiper(),
                        colour ? levels[level].colour : "", levels[level].word,
                        colour ? "\033[0m" : "", text);
    if (size > 0)
        write_all(out, (size_t)size);
}

void mgpt_log(enum mgpt_log_level level, const char *format, ...)
{
    char line[2048];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    mgpt_log_line(level, line);
}
