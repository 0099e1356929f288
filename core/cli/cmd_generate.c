/* microgpt generate: samples from a trained model, as they come. */
#include <config.h>

#include "cli/cli.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/stop.h"
#include "run/samples.h"
#include "run/trained.h"

static enum mgpt_status write_out(const char *text, size_t size, struct mgpt_error *error)
{
    if (fwrite(text, 1, size, stdout) == size && fflush(stdout) == 0)
        return MGPT_OK;
    return mgpt_fail(error, MGPT_IO, "cannot write the output: %s", strerror(errno));
}

struct printer {
    const char *prompt;
    bool terminal; /* which a sample must not control */
};

static enum mgpt_status show(const struct printer *printer, const char *text, size_t size,
                             struct mgpt_error *error)
{
    struct mgpt_string visible = {0};

    if (!printer->terminal || !size)
        return write_out(text, size, error);
    mgpt_visible_add(&visible, text, size);
    enum mgpt_status status = visible.failed
                                  ? mgpt_fail(error, MGPT_NOMEM, "no memory for the output")
                                  : write_out(visible.data, visible.size, error);
    mgpt_string_finish(&visible);
    return status;
}

static enum mgpt_status emit(void *context, int32_t id, const char *text, size_t size,
                             struct mgpt_error *error)
{
    (void)id;
    return show(context, text, size, error);
}

/* The prompt, then each id's text the moment it is drawn. */
static enum mgpt_status stream(struct mgpt_generator *g, struct printer *printer,
                               const int32_t *ids, size_t n, struct mgpt_error *error)
{
    enum mgpt_status status = show(printer, printer->prompt, strlen(printer->prompt), error);

    if (status == MGPT_OK)
        status = mgpt_generate(g, ids, n, emit, printer, error);
    return status == MGPT_OK ? write_out("\n", 1, error) : status;
}

/* A complete sample: the prompt, the text. */
static enum mgpt_status print_text(void *context, uint64_t number, const struct mgpt_string *text,
                                   struct mgpt_error *error)
{
    const struct printer *printer = context;
    enum mgpt_status status = show(printer, printer->prompt, strlen(printer->prompt), error);

    (void)number;
    if (status == MGPT_OK)
        status = show(printer, text->size ? text->data : "", text->size, error);
    return status == MGPT_OK ? write_out("\n", 1, error) : status;
}

/* One object a line: {"sample": 1, "text": "..."}. Bytes that are no character, which a tokenizer of
 * bytes may sample, become U+FFFD: JSON has no others. */
static enum mgpt_status print_json(void *context, uint64_t number, const struct mgpt_string *text,
                                   struct mgpt_error *error)
{
    const struct printer *printer = context;
    struct mgpt_string whole = {0}, clean = {0};
    char *line = NULL;

    mgpt_string_add(&whole, printer->prompt, strlen(printer->prompt));
    mgpt_string_add(&whole, text->data, text->size);
    mgpt_utf8_add(&clean, whole.data, whole.size);
    json_t *value = whole.failed || clean.failed
                        ? NULL
                        : json_stringn(clean.data ? clean.data : "", clean.size);
    json_t *object = json_pack("{s:I, s:o}", "sample", (json_int_t)number, "text", value);
    line = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    enum mgpt_status status = line ? write_out(line, strlen(line), error)
                                   : mgpt_fail(error, MGPT_NOMEM, "no memory for the output");
    if (status == MGPT_OK)
        status = write_out("\n", 1, error);
    free(line);
    mgpt_string_finish(&clean);
    mgpt_string_finish(&whole);
    return status;
}

static enum mgpt_status run(struct mgpt_cli *cli, struct mgpt_session *s, struct mgpt_error *error)
{
    const char *prompt = mgpt_cli_value(cli, "prompt");
    struct printer printer = {prompt ? prompt : "", isatty(STDOUT_FILENO) == 1};
    uint64_t samples = (uint64_t)mgpt_conf_int(s->conf, "generate", "samples");
    struct mgpt_generator generator = {0}, *g = &generator;
    char *checkpoint = NULL;
    int32_t *ids = NULL;
    size_t n = 0;
    enum mgpt_status status = mgpt_trained_open(s, false, &checkpoint, error);

    samples = samples ? samples : 1; /* 0 keeps `train` quiet; who asks for samples wants one */
    if (status == MGPT_OK)
        status = mgpt_prompt_ids(s, printer.prompt, &ids, &n, error);
    if (status == MGPT_OK)
        status = mgpt_generator_init(g, s, error);
    if (status == MGPT_OK && (cli->json || g->batch > 1))
        status = mgpt_samples_make(g, ids, n, samples, cli->json ? print_json : print_text,
                                   &printer, error);
    for (uint64_t i = 1; i <= samples && !cli->json && g->batch == 1 && status == MGPT_OK; i++)
        status = stream(g, &printer, ids, n, error);
    mgpt_generator_finish(g);
    free(ids);
    free(checkpoint);
    return status;
}

enum mgpt_status mgpt_cmd_generate(struct mgpt_cli *cli, struct mgpt_error *error)
{
    struct mgpt_session session = {0};
    enum mgpt_status status = mgpt_cli_configure_run(cli, &session.conf, &session.registry, error);

    if (status != MGPT_OK)
        return status;
    session.config_path = cli->config_path;
    mgpt_stop_install();
    status = run(cli, &session, error);
    mgpt_session_close(&session);
    mgpt_conf_destroy(session.conf);
    mgpt_registry_destroy(session.registry);
    return status;
}
