/* microgpt generate --interactive: a prompt a line, commands after a slash. */
#include <config.h>

#include "cli/interactive.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/stop.h"
#include "cli/line.h"

struct chat {
    struct mgpt_printer *printer;
    struct mgpt_session *session;
    struct mgpt_line *line;
    char *prompt;    /* the last one */
    uint64_t number; /* of its sample, from 1 */
    bool over;
};

/* ---- a sample ---- */

/* Ctrl-C on a terminal ends the sample, and the line where it stands. */
static enum mgpt_status forgive(const struct chat *chat, enum mgpt_status status,
                                struct mgpt_error *error)
{
    if (status != MGPT_CANCELED || mgpt_stop_signal() != SIGINT || !mgpt_line_terminal(chat->line))
        return status;
    mgpt_stop_install();
    return mgpt_printer_newline(error);
}

/* An empty text is the last prompt again; one that cannot be read does not become that. `name` is
 * what an error calls it. */
static enum mgpt_status answer(struct chat *chat, const char *name, const char *text,
                               struct mgpt_error *error)
{
    int32_t *ids = NULL;
    size_t n = 0;
    char *prompt = strdup(*text ? text : chat->prompt);
    enum mgpt_status status = prompt
                                  ? mgpt_printer_read(chat->printer, name, prompt, &ids, &n, error)
                                  : mgpt_fail(error, MGPT_NOMEM, "out of memory");

    if (status != MGPT_OK) {
        free(prompt);
        return status;
    }
    free(chat->prompt);
    chat->printer->prompt = chat->prompt = prompt;
    status = mgpt_printer_sample(chat->printer, ++chat->number, ids, n, error);
    free(ids);
    return forgive(chat, status, error);
}

/* ---- commands ---- */

/* The sampler's own settings; NULL: it has none. */
static const struct mgpt_config *sampler_config(const struct chat *chat)
{
    struct mgpt_conf *conf = chat->session->conf;

    return mgpt_conf_module(conf, "sampler", mgpt_conf_text(conf, "sampler", "use"));
}

static void say_settings(const struct chat *chat)
{
    const struct mgpt_config *config = sampler_config(chat);
    struct mgpt_string text = {0};

    for (size_t i = 0; config && i < mgpt_config_count(config); i++)
        mgpt_string_format(&text, "%s %s, ", mgpt_config_option(config, i)->key,
                           mgpt_config_value(config, i)->text);
    mgpt_string_format(&text, "max_tokens %zu", chat->printer->generator->max);
    if (!text.failed)
        mgpt_log(MGPT_LOG_INFO, "%s", text.data);
    mgpt_string_finish(&text);
}

/* A sampler with the new value in place of the old one, which stays when there is none. */
static enum mgpt_status remake_sampler(struct mgpt_session *s, struct mgpt_error *error)
{
    struct mgpt_sampler *old = s->sampler;
    enum mgpt_status status;

    s->sampler = NULL;
    status = mgpt_session_sampler(s, error);
    if (status != MGPT_OK)
        s->sampler = old;
    else
        s->sampler_api->destroy(old);
    return status;
}

static enum mgpt_status set_sampler(struct chat *chat, const char *key, const char *value,
                                    struct mgpt_error *error)
{
    struct mgpt_session *s = chat->session;
    const struct mgpt_config *config = sampler_config(chat);
    const char *section = mgpt_config_section(config);
    size_t i = mgpt_config_index(config, key);
    char *before =
        i < mgpt_config_count(config) ? strdup(mgpt_config_value(config, i)->text) : NULL;
    enum mgpt_status status = mgpt_conf_settle(s->conf, section, key, value, "/set", error);

    if (status == MGPT_OK)
        status = remake_sampler(s, error);
    if (status != MGPT_OK && before)
        (void)mgpt_conf_settle(s->conf, section, key, before, "/set", NULL);
    free(before);
    return status;
}

/* "KEY VALUE" of [generate] max_tokens or of the sampler, with - for _ as in options. */
static enum mgpt_status set(struct chat *chat, char *words, struct mgpt_error *error)
{
    char *rest, *key = strtok_r(words, " \t=", &rest), *value = strtok_r(NULL, " \t=", &rest);
    enum mgpt_status status;

    if (!key) {
        say_settings(chat);
        return MGPT_OK;
    }
    if (!value || strtok_r(NULL, " \t", &rest))
        return mgpt_fail(error, MGPT_USAGE, "/set: expected KEY VALUE, as in /set temperature 0.8");
    for (char *at = key; (at = strchr(at, '-')); at++)
        *at = '_';
    if (strcmp(key, "max_tokens") != 0) {
        if (sampler_config(chat))
            return set_sampler(chat, key, value, error);
        return mgpt_fail(error, MGPT_USAGE, "/set: %s: the sampler has no settings", key);
    }
    status = mgpt_conf_settle(chat->session->conf, "generate", key, value, "/set", error);
    mgpt_generator_limit(chat->printer->generator);
    return status;
}

static enum mgpt_status help(struct chat *chat, char *words, struct mgpt_error *error)
{
    (void)chat;
    (void)words;
    (void)error;
    mgpt_log(MGPT_LOG_INFO, "a line is a prompt, an empty one the last prompt again; //text is the "
                            "prompt /text. Ctrl-C ends a sample, Ctrl-D the program");
    mgpt_log(MGPT_LOG_INFO, "/set KEY VALUE: max-tokens, or a setting of the sampler; /set alone "
                            "says what they are; /quit; /help");
    return MGPT_OK;
}

static enum mgpt_status quit(struct chat *chat, char *words, struct mgpt_error *error)
{
    (void)words;
    (void)error;
    chat->over = true;
    return MGPT_OK;
}

/* text: what follows the slash. */
static enum mgpt_status command(struct chat *chat, const char *text, struct mgpt_error *error)
{
    static const struct {
        const char *name;
        enum mgpt_status (*run)(struct chat *chat, char *words, struct mgpt_error *error);
    } commands[] = {{"set", set}, {"help", help}, {"quit", quit}};
    size_t size = strcspn(text, " \t");

    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strlen(commands[i].name) != size || strncmp(text, commands[i].name, size) != 0)
            continue;
        char *words = strdup(text + size);
        enum mgpt_status status = words ? commands[i].run(chat, words, error)
                                        : mgpt_fail(error, MGPT_NOMEM, "out of memory");
        free(words);
        return status;
    }
    return mgpt_fail(error, MGPT_USAGE,
                     "/%s: expected /set, /help or /quit; a prompt that begins with / has two",
                     text);
}

/* ---- the loop ---- */

static enum mgpt_status react(struct chat *chat, const char *text, struct mgpt_error *error)
{
    enum mgpt_status status = text[0] == '/' && text[1] != '/'
                                  ? command(chat, text + 1, error)
                                  : answer(chat, "prompt", text + (*text == '/'), error);

    if ((status == MGPT_USAGE || status == MGPT_CONFIG) && mgpt_line_terminal(chat->line)) {
        mgpt_log(MGPT_LOG_ERROR, "%s", error->text);
        return MGPT_OK;
    }
    return status;
}

enum mgpt_status mgpt_interactive(struct mgpt_printer *printer, struct mgpt_error *error)
{
    struct chat chat = {
        .printer = printer, .session = printer->generator->session, .prompt = strdup("")};
    const char *text = printer->prompt;
    enum mgpt_status status = chat.prompt ? mgpt_line_create(&chat.line, error)
                                          : mgpt_fail(error, MGPT_NOMEM, "out of memory");

    if (status == MGPT_OK && mgpt_line_terminal(chat.line))
        help(NULL, NULL, NULL);
    if (status == MGPT_OK && *text)
        status = answer(&chat, "--prompt", text, error);
    while (status == MGPT_OK && text && !chat.over) {
        status = mgpt_line_read(chat.line, &text, error);
        if (status == MGPT_OK && text)
            status = react(&chat, text, error);
    }
    mgpt_line_destroy(chat.line);
    free(chat.prompt);
    return status;
}
