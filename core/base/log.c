/* Messages for a person, on stderr. */
#include <config.h>

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_int threshold = MGPT_LOG_INFO;

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

/* https://no-color.org: set and not empty means no colour. */
static bool coloured(void)
{
    const char *no_color = getenv("NO_COLOR");
    return !(no_color && *no_color) && isatty(STDERR_FILENO);
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

/* Control characters become blanks: a message may quote a file, and a file may not write to the
 * terminal. */
static void make_plain(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = ' ';
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
    bool colour = *levels[level].colour && coloured();
    int size = snprintf(out, sizeof out, "microgpt: %s%s%s%s\n", colour ? levels[level].colour : "",
                        levels[level].word, colour ? "\033[0m" : "", text);
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
