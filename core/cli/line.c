/* A line that somebody types. */
#include <config.h>

#include "cli/line.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef HAVE_LIBEDIT
#include <histedit.h>
#endif

#include "base/file.h"
#include "base/log.h"
#include "base/stop.h"
#include "base/text.h"

#define PROMPT "> "
#define REMEMBERED 1000 /* lines */

static volatile sig_atomic_t interrupted; /* by Ctrl-C, while a line was read */

struct mgpt_line {
    bool terminal; /* input and output */
    char *text;    /* the line that was read last; malloc */
    size_t size;   /* of the buffer */
#ifdef HAVE_LIBEDIT
    EditLine *edit; /* or NULL: not a terminal */
    History *history;
    char *path; /* of the history, or NULL: it is not kept */
#endif
};

/* ---- libedit ---- */

#ifdef HAVE_LIBEDIT

static char *prompt(EditLine *edit)
{
    static char text[] = PROMPT;

    (void)edit;
    return text;
}

/* libedit knows characters by the locale, and ours are UTF-8 wherever we are. */
static void speak_utf8(void)
{
    if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

/* The file of the history (malloc), in a folder that is there; NULL: not kept. */
static char *history_path(void)
{
    char *folder = mgpt_path_xdg("XDG_STATE_HOME", ".local/state", "microgpt"), *path = NULL;
    struct mgpt_error why;

    if (folder && mgpt_dir_make(folder, &why) == MGPT_OK)
        path = mgpt_path_join(folder, "history");
    else if (folder)
        mgpt_log(MGPT_LOG_WARN, "no history is kept: %s", why.text);
    free(folder);
    return path;
}

static bool open_history(struct mgpt_line *l)
{
    HistEvent event;

    l->history = history_init();
    if (!l->history)
        return false;
    history(l->history, &event, H_SETSIZE, REMEMBERED);
    history(l->history, &event, H_SETUNIQUE, 1);
    l->path = history_path();
    if (l->path && mgpt_path_exists(l->path) && history(l->history, &event, H_LOAD, l->path) < 0)
        mgpt_log(MGPT_LOG_WARN, "%s: cannot be read as a history", l->path);
    el_set(l->edit, EL_HIST, history, l->history);
    return true;
}

static bool open_edit(struct mgpt_line *l)
{
    speak_utf8();
    l->edit = el_init("microgpt", stdin, stdout, stderr);
    if (!l->edit)
        return false;
    el_set(l->edit, EL_PROMPT, prompt);
    el_set(l->edit, EL_EDITOR, "emacs");
    el_set(l->edit, EL_SIGNAL, 1); /* what ends us gives the terminal back first */
    el_source(l->edit, NULL);      /* ~/.editrc */
    return open_history(l);
}

/* Written after each line: whoever is killed loses none. */
static void remember(struct mgpt_line *l, const char *text)
{
    HistEvent event;

    history(l->history, &event, H_ENTER, text);
    if (!l->path)
        return;
    mode_t mask = umask(077);
    if (history(l->history, &event, H_SAVE, l->path) < 0) {
        mgpt_log(MGPT_LOG_WARN, "%s: cannot be written; no history is kept", l->path);
        free(l->path);
        l->path = NULL;
    }
    umask(mask);
}

static void close_edit(struct mgpt_line *l)
{
    if (l->edit)
        el_end(l->edit);
    if (l->history)
        history_end(l->history);
    free(l->path);
}

static bool edited(const struct mgpt_line *l)
{
    return l->edit != NULL;
}

/* Bytes of the line in l->text; -1: the end, or interrupted. */
static ssize_t edit_line(struct mgpt_line *l)
{
    int count = 0;
    const char *typed = el_gets(l->edit, &count);

    if (!typed || count <= 0)
        return -1;
    free(l->text);
    count -= typed[count - 1] == '\n';
    l->text = strndup(typed, (size_t)count);
    if (l->text && count)
        remember(l, l->text);
    return l->text ? count : -1;
}

#else

static bool open_edit(struct mgpt_line *l)
{
    (void)l;
    return true;
}

static void close_edit(struct mgpt_line *l)
{
    (void)l;
}

static bool edited(const struct mgpt_line *l)
{
    (void)l;
    return false;
}

static ssize_t edit_line(struct mgpt_line *l)
{
    (void)l;
    return -1;
}

#endif

/* ---- either ---- */

enum mgpt_status mgpt_line_create(struct mgpt_line **line, struct mgpt_error *error)
{
    struct mgpt_line *l = calloc(1, sizeof *l);

    if (!l)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for a line");
    l->terminal = isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
    if (l->terminal && !open_edit(l)) {
        mgpt_line_destroy(l);
        return mgpt_fail(error, MGPT_NOMEM, "libedit cannot use this terminal");
    }
    *line = l;
    return MGPT_OK;
}

void mgpt_line_destroy(struct mgpt_line *l)
{
    if (!l)
        return;
    close_edit(l);
    free(l->text);
    free(l);
}

bool mgpt_line_terminal(const struct mgpt_line *l)
{
    return l->terminal;
}

static void on_interrupt(int number)
{
    interrupted = number; /* and reading ends */
}

/* While we wait nothing has to be saved: signals may end us, but for a Ctrl-C on a terminal. */
static void set_signals(bool terminal)
{
    struct sigaction action = {.sa_handler = terminal ? on_interrupt : SIG_DFL}, hangup;

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL); /* without SA_RESTART */
    signal(SIGTERM, SIG_DFL);
    sigaction(SIGHUP, NULL, &hangup);
    if (hangup.sa_handler != SIG_IGN)
        signal(SIGHUP, SIG_DFL);
}

/* As the terminal itself edits it, or as it is in a file. */
static ssize_t plain_line(struct mgpt_line *l)
{
    if (l->terminal) {
        fputs(PROMPT, stdout);
        fflush(stdout);
    }
    ssize_t count = getline(&l->text, &l->size, stdin);
    if (interrupted)
        clearerr(stdin);
    return count;
}

enum mgpt_status mgpt_line_read(struct mgpt_line *l, const char **text, struct mgpt_error *error)
{
    ssize_t count;

    do {
        interrupted = 0;
        set_signals(l->terminal);
        count = edited(l) ? edit_line(l) : plain_line(l);
        mgpt_stop_install();
        if (l->terminal && count < 0)
            fputc('\n', stdout);
    } while (interrupted && count < 0);
    *text = count < 0 ? NULL : l->text;
    if (count > 0 && l->text[count - 1] == '\n')
        l->text[count - 1] = 0;
    if (count < 0 && !edited(l) && ferror(stdin))
        return mgpt_fail(error, MGPT_IO, "standard input: %s", strerror(errno));
    return MGPT_OK;
}
