/* Logger console: what a person watches, on standard output.
 *
 *   num docs: 32033 (train 28829, val 3204)
 *   num tokens: train 1003853, val 111539
 *   step    1/ 500 | loss 3.3185 | lr 1.00e-02 | grad norm 0.917 | 98k tok/s
 *   val loss: 2.8043
 *   val loss: 2.8043 | train loss: 2.7911
 *   sample  1: anna
 *   sample  2:
 *   one of several lines
 *
 * Of one text the parts are told in tokens, in place of documents.
 *
 * With loss scaling a step also says the scale of the next one.
 *
 * On a terminal the steps are one live line, redrawn in place (live.c). Elsewhere the lines come
 * through stdio's buffer, with a flush where a reader would wait for one, as between slow steps. */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <microgpt/logger.h>
#include <microgpt/utf8.h>

#include "live.h"

struct mgpt_logger {
    uint64_t first, total, every;
    bool terminal; /* so samples must not control it */
    bool live;
    double flushed; /* seconds of the step that was flushed last */
    struct console_live line;
};

/* ---- writing ---- */

static enum mgpt_status wrote(int result, struct mgpt_error *error)
{
    if (result >= 0 && !ferror(stdout))
        return MGPT_OK;
    return mgpt_fail(error, MGPT_IO, "standard output: %s", strerror(errno ? errno : EIO));
}

static enum mgpt_status flush(struct mgpt_logger *l, struct mgpt_error *error)
{
    (void)l;
    return wrote(fflush(stdout), error);
}

/* Prints text; for a terminal, control characters but newline and tab as \xNN, those of Latin-1 (in
 * UTF-8, C2 80 to C2 9F) among them, and bytes that are no UTF-8. */
static void print_text(const struct mgpt_logger *l, const struct mgpt_event *e)
{
    size_t size = mgpt_event_text_size(e), n;

    if (size && !l->terminal) {
        (void)fwrite(e->text, 1, size, stdout);
        return;
    }
    for (size_t at = 0; at < size; at += n) {
        uint32_t c = (unsigned char)e->text[at];
        n = mgpt_utf8_read(e->text + at, size - at, &c);
        if (n && mgpt_utf8_plain(c))
            (void)fwrite(e->text + at, 1, n, stdout);
        else
            printf("\\x%02x", (unsigned)c);
        n += !n;
    }
}

/* ---- steps ---- */

static enum mgpt_status print_step(struct mgpt_logger *l, const struct mgpt_event *e,
                                   struct mgpt_error *error)
{
    char pace[16], scale[32] = "";
    int result;

    console_live_clear(&l->line);
    if (MGPT_HAS(e, loss_scale) && e->loss_scale > 0)
        (void)snprintf(scale, sizeof scale, " | scale %.6g", e->loss_scale);
    if (e->skipped)
        result = printf("step %4llu/%4llu | loss %.4f | skipped: NaN or Inf%s\n",
                        (unsigned long long)e->step, (unsigned long long)l->total, e->loss, scale);
    else
        result = printf("step %4llu/%4llu | loss %.4f | lr %.2e | grad norm %.3f | %s tok/s%s\n",
                        (unsigned long long)e->step, (unsigned long long)l->total, e->loss, e->lr,
                        e->grad_norm, console_short_number(e->tokens_per_s, pace), scale);
    return wrote(result, error);
}

static enum mgpt_status on_step(struct mgpt_logger *l, const struct mgpt_event *e,
                                struct mgpt_error *error)
{
    bool last = e->step >= l->total;

    if (l->live && !last && !e->skipped) {
        console_live_draw(&l->line, e);
        return flush(l, error);
    }
    if (!last && !e->skipped && e->step != l->first + 1 && e->step % l->every != 0)
        return MGPT_OK;
    enum mgpt_status status = print_step(l, e, error);
    if (status != MGPT_OK || e->seconds < l->flushed + 1)
        return status;
    l->flushed = e->seconds;
    return flush(l, error);
}

static enum mgpt_status event(struct mgpt_logger *l, const struct mgpt_event *e,
                              struct mgpt_error *error)
{
    console_live_take(&l->line, e);
    if (e->type == MGPT_EVENT_STEP)
        return on_step(l, e, error);
    if (e->type == MGPT_EVENT_VALIDATION) {
        console_live_clear(&l->line);
        printf("val loss: %.4f", e->val_loss);
        if (MGPT_HAS(e, train_loss) && !isnan(e->train_loss))
            printf(" | train loss: %.4f", e->train_loss);
        putchar('\n');
    } else if (e->type == MGPT_EVENT_SAMPLE) {
        console_live_clear(&l->line);
        bool lines = e->text && memchr(e->text, '\n', mgpt_event_text_size(e));
        printf("sample %2llu:%c", (unsigned long long)e->index, lines ? '\n' : ' ');
        print_text(l, e);
        putchar('\n');
    } else if (e->type == MGPT_EVENT_NOTE) {
        console_live_clear(&l->line);
        fputs("note: ", stdout);
        print_text(l, e);
        putchar('\n');
    } else {
        return MGPT_OK; /* a checkpoint is no news to a person */
    }
    return flush(l, error);
}

/* ---- life ---- */

/* One text trains and validates with different parts of it: "train 1, val 1" would hide that. */
static void print_data(const struct mgpt_run_info *run)
{
    if (MGPT_HAS(run, valid_tokens) && run->documents == 1 && run->train_tokens)
        printf("num tokens: train %llu, val %llu\n", (unsigned long long)run->train_tokens,
               (unsigned long long)run->valid_tokens);
    else
        printf("num docs: %llu (train %llu, val %llu)\n", (unsigned long long)run->documents,
               (unsigned long long)run->train_documents, (unsigned long long)run->valid_documents);
}

static bool wants_live(const char *setting, bool terminal)
{
    const char *term = getenv("TERM");

    if (strcmp(setting, "auto") != 0)
        return strcmp(setting, "on") == 0;
    return terminal && term && strcmp(term, "dumb") != 0;
}

static enum mgpt_status open_console(const struct mgpt_host *host, const struct mgpt_config *config,
                                     const struct mgpt_run_info *run, struct mgpt_logger **logger,
                                     struct mgpt_error *error)
{
    struct mgpt_logger *l = calloc(1, sizeof *l);
    enum mgpt_status status;

    if (!l)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for logger console");
    l->first = run->first_step;
    l->total = run->total_steps;
    l->every = (uint64_t)host->get_int(config, "every");
    l->live = wants_live(host->get_text(config, "live"), isatty(STDOUT_FILENO));
    l->terminal = l->live || isatty(STDOUT_FILENO);
    console_live_init(&l->line, run);
    print_data(run);
    printf("vocab size: %u\nnum params: %llu\n", (unsigned)run->vocab,
           (unsigned long long)run->parameters);
    status = flush(l, error);
    if (status != MGPT_OK) {
        free(l);
        return status;
    }
    *logger = l;
    return MGPT_OK;
}

/* An error has nobody left to hear of it: whoever calls flushes first. */
static void close_console(struct mgpt_logger *l)
{
    if (l) {
        console_live_clear(&l->line);
        (void)fflush(stdout);
    }
    free(l);
}

static const char *const lives[] = {"auto", "on", "off", NULL};
static const struct mgpt_option options[] = {
    {.key = "every",
     .value = "1",
     .help = "print each step of which this is a divisor, besides the first and the last",
     .unit = "steps",
     .min = 1,
     .max = INFINITY,
     .type = MGPT_OPTION_INT},
    {.key = "live",
     .value = "auto",
     .help = "one line redrawn in place; auto: where standard output is a terminal",
     .choices = lives,
     .type = MGPT_OPTION_ENUM},
};

static const struct mgpt_logger_api api = {
    .size = sizeof api,
    .open = open_console,
    .close = close_console,
    .event = event,
    .flush = flush,
};

static const struct mgpt_component component = {
    .size = sizeof component,
    MGPT_OPTIONS(options),
    .kind = MGPT_KIND_LOGGER,
    .name = "console",
    .summary = "steps, losses and samples on standard output",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.logger.console", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
