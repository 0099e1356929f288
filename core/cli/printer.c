/* Samples on standard output.
 *
 * --show-probs says of each token what the model gave it, before temperature and filters: by color
 * on a terminal, after it in braces elsewhere, an{0.31}na{0.87}. Where the text of several tokens
 * comes out at once (bytes of one character, the beginning of what was no stop string) that is
 * their product. */
#include <config.h>

#include "cli/printer.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/terminal.h"

static enum mgpt_status write_out(const char *text, size_t size, struct mgpt_error *error)
{
    errno = 0;
    if (fwrite(text, 1, size, stdout) == size && fflush(stdout) == 0)
        return MGPT_OK;
    return mgpt_fail(error, MGPT_IO, "cannot write the output: %s", strerror(errno ? errno : EIO));
}

enum mgpt_status mgpt_printer_newline(struct mgpt_error *error)
{
    return write_out("\n", 1, error);
}

enum mgpt_status mgpt_printer_read(const struct mgpt_printer *p, const char *name,
                                   const char *prompt, int32_t **ids, size_t *n,
                                   struct mgpt_error *error)
{
    struct mgpt_error why;
    enum mgpt_status status = mgpt_prompt_ids(p->generator->session, prompt, ids, n, &why);

    return status == MGPT_OK ? MGPT_OK : mgpt_fail(error, status, "%s: %.900s", name, why.text);
}

enum mgpt_status mgpt_printer_init(struct mgpt_printer *p, struct mgpt_error *error)
{
    p->terminal = isatty(STDOUT_FILENO) == 1;
    p->color = mgpt_terminal_colors(STDOUT_FILENO);
    return p->probs ? mgpt_generator_weigh(p->generator, error) : MGPT_OK;
}

/* ---- text ---- */

static enum mgpt_status show(struct mgpt_printer *printer, const char *text, size_t size,
                             struct mgpt_error *error)
{
    struct mgpt_string visible = {0};

    printer->lines |= size && memchr(text, '\n', size);
    if (!printer->terminal || !size)
        return write_out(text, size, error);
    mgpt_visible_add(&visible, text, size);
    enum mgpt_status status = visible.failed
                                  ? mgpt_fail(error, MGPT_NOMEM, "no memory for the output")
                                  : write_out(visible.data, visible.size, error);
    mgpt_string_finish(&visible);
    return status;
}

/* Of the 256 colors of a terminal: from green, what was expected, to red, a surprise. */
static unsigned color_of(double probability)
{
    static const struct {
        double least;
        unsigned color;
    } scale[] = {{0.5, 40}, {0.25, 148}, {0.1, 220}, {0.03, 208}, {0, 196}};
    size_t i = 0;

    while (scale[i].least > probability)
        i++;
    return scale[i].color;
}

/* What the text that comes out now has, of the ids since some came out last; false: no text, no
 * id. */
static bool take_probability(struct mgpt_printer *p, int32_t id, size_t size, double *probability)
{
    if (id >= 0) {
        p->together += log(p->generator->probability);
        p->held = true;
    }
    if (!size || !p->held)
        return false;
    *probability = exp(p->together);
    p->together = 0;
    p->held = false;
    return true;
}

static enum mgpt_status emit(void *context, int32_t id, const char *text, size_t size,
                             struct mgpt_error *error)
{
    struct mgpt_printer *p = context;
    double probability;
    char mark[32] = "";
    bool marked = p->probs && take_probability(p, id, size, &probability);

    if (marked && p->color)
        printf("\033[38;5;%um", color_of(probability));
    enum mgpt_status status = show(p, text, size, error);
    if (!marked || status != MGPT_OK)
        return status;
    if (p->color)
        return write_out("\033[0m", 4, error);
    (void)snprintf(mark, sizeof mark, "{%.2g}", probability);
    return write_out(mark, strlen(mark), error);
}

/* Samples of several lines: where does the next one begin? */
static enum mgpt_status part(const struct mgpt_printer *p, uint64_t number,
                             struct mgpt_error *error)
{
    char text[40];

    if (!p->parts || !p->lines || number < 2)
        return MGPT_OK;
    (void)snprintf(text, sizeof text, "\n--- %llu ---\n", (unsigned long long)number);
    return write_out(text, strlen(text), error);
}

/* The prompt, then each id's text the moment it is drawn. */
static enum mgpt_status stream(struct mgpt_printer *p, uint64_t number, const int32_t *ids,
                               size_t n, struct mgpt_error *error)
{
    enum mgpt_status status = part(p, number, error);

    if (status == MGPT_OK)
        status = show(p, p->prompt, strlen(p->prompt), error);
    p->together = 0;
    p->held = false;
    if (status == MGPT_OK)
        status = mgpt_generate(p->generator, ids, n, emit, p, error);
    return status == MGPT_OK ? mgpt_printer_newline(error) : status;
}

/* ---- JSON ---- */

/* One object a line: {"sample": 1, "text": "..."}, and "tokens" where there are any. Takes them. */
static enum mgpt_status print_json(const struct mgpt_printer *p, uint64_t number,
                                   const struct mgpt_string *text, json_t *tokens,
                                   struct mgpt_error *error)
{
    struct mgpt_string whole = {0};

    mgpt_string_add(&whole, p->prompt, strlen(p->prompt));
    mgpt_string_add(&whole, text->data, text->size);
    json_t *object =
        json_pack("{s:I, s:o, s:o*}", "sample", (json_int_t)number, "text",
                  whole.failed ? NULL : mgpt_json_text(whole.data, whole.size), "tokens", tokens);
    char *line = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    enum mgpt_status status = line ? write_out(line, strlen(line), error)
                                   : mgpt_fail(error, MGPT_NOMEM, "no memory for the output");
    if (status == MGPT_OK)
        status = mgpt_printer_newline(error);
    json_decref(object);
    free(line);
    mgpt_string_finish(&whole);
    return status;
}

struct record {
    const struct mgpt_generator *generator;
    struct mgpt_string text;
    json_t *tokens; /* {"id": 5, "text": "e", "p": 0.31} each, or NULL */
};

/* Text that comes out at the end belongs to the last token. */
static bool add_to_last(json_t *tokens, const char *text, size_t size)
{
    json_t *last = json_array_get(tokens, json_array_size(tokens) - 1);
    json_t *before = json_object_get(last, "text");
    struct mgpt_string both = {0};

    mgpt_string_add(&both, json_string_value(before), json_string_length(before));
    mgpt_utf8_add(&both, text, size);
    bool added =
        !both.failed && json_object_set_new(last, "text", json_stringn(both.data, both.size)) == 0;
    mgpt_string_finish(&both);
    return added;
}

static bool add_token(const struct record *r, int32_t id, const char *text, size_t size)
{
    json_t *token;

    if (id < 0)
        return add_to_last(r->tokens, text, size);
    token = json_pack("{s:i, s:o, s:f}", "id", (int)id, "text", mgpt_json_text(text, size), "p",
                      r->generator->probability);
    return json_array_append_new(r->tokens, token) == 0;
}

static enum mgpt_status keep(void *context, int32_t id, const char *text, size_t size,
                             struct mgpt_error *error)
{
    struct record *r = context;

    mgpt_string_add(&r->text, text, size);
    if (r->text.failed || (r->tokens && !add_token(r, id, text, size)))
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for a sample");
    return MGPT_OK;
}

static enum mgpt_status record(struct mgpt_printer *p, uint64_t number, const int32_t *ids,
                               size_t n, struct mgpt_error *error)
{
    struct record r = {.generator = p->generator, .tokens = p->probs ? json_array() : NULL};
    enum mgpt_status status = mgpt_generate(p->generator, ids, n, keep, &r, error);

    if (status == MGPT_OK)
        status = print_json(p, number, &r.text, r.tokens, error);
    else
        json_decref(r.tokens);
    mgpt_string_finish(&r.text);
    return status;
}

/* ---- either ---- */

enum mgpt_status mgpt_printer_sample(struct mgpt_printer *p, uint64_t number, const int32_t *ids,
                                     size_t n, struct mgpt_error *error)
{
    mgpt_generator_tell(p->generator, n); /* its line may not stand within the text */
    return p->json ? record(p, number, ids, n, error) : stream(p, number, ids, n, error);
}

enum mgpt_status mgpt_printer_take(void *context, uint64_t number, const struct mgpt_string *text,
                                   struct mgpt_error *error)
{
    struct mgpt_printer *p = context;

    if (p->json)
        return print_json(p, number, text, NULL, error);
    enum mgpt_status status = part(p, number, error);
    if (status == MGPT_OK)
        status = show(p, p->prompt, strlen(p->prompt), error);
    if (status == MGPT_OK)
        status = show(p, text->size ? text->data : "", text->size, error);
    return status == MGPT_OK ? mgpt_printer_newline(error) : status;
}
