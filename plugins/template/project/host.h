/* What tests of a module need: CHECK and its sisters, which also say what they got; the module,
 * loaded from its file; and a host that answers with the defaults of its options, or with what
 * `set` gave. */
#ifndef TESTS_HOST_H
#define TESTS_HOST_H

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <microgpt/plugin.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)
/* Whole numbers that are the same. */
#define CHECK_EQUAL(got, expected)                                                                 \
    check_equal(__FILE__, __LINE__, #got, (int64_t)(got), (int64_t)(expected))
/* Numbers that are no further apart than `within`; NAN is near nothing. */
#define CHECK_NEAR(got, expected, within)                                                          \
    check_near(__FILE__, __LINE__, #got, (got), (expected), (within))
/* A call that puts its reason into the struct mgpt_error `error`. */
#define CHECK_STATUS(call, expected, error)                                                        \
    check_status(__FILE__, __LINE__, #call, (call), (expected), &(error))

static inline void check_equal(const char *file, int line, const char *what, int64_t got,
                               int64_t expected)
{
    if (got != expected) {
        fprintf(stderr, "%s:%d: %s: expected %lld, got %lld\n", file, line, what,
                (long long)expected, (long long)got);
        exit(1);
    }
}

static inline void check_near(const char *file, int line, const char *what, double got,
                              double expected, double within)
{
    if (!(fabs(got - expected) <= within)) {
        fprintf(stderr, "%s:%d: %s: expected %.9g (within %g), got %.9g\n", file, line, what,
                expected, within, got);
        exit(1);
    }
}

static inline void check_status(const char *file, int line, const char *what, enum mgpt_status got,
                                enum mgpt_status expected, const struct mgpt_error *error)
{
    if (got != expected) {
        fprintf(stderr, "%s:%d: %s: expected status %d, got %d%s%s\n", file, line, what,
                (int)expected, (int)got, got == MGPT_OK ? "" : ": ",
                got == MGPT_OK ? "" : error->text);
        exit(1);
    }
}

static const struct mgpt_component *component;
static const char *given[16][2]; /* key, value */

/* The one component of the file; its table is component->api. */
static inline void load(const char *path, const char *kind)
{
    void *file = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    void *symbol = file ? dlsym(file, MGPT_PLUGIN_SYMBOL) : NULL;
    mgpt_plugin_entry entry;

    if (!symbol) {
        fprintf(stderr, "usage: check MODULE.so: %s\n", path ? dlerror() : "no file was named");
        exit(2);
    }
    memcpy(&entry, &symbol, sizeof entry);
    CHECK(entry()->magic == MGPT_ABI_MAGIC && entry()->abi_major == MGPT_ABI_MAJOR);
    component = entry()->components[0];
    CHECK(strcmp(component->kind, kind) == 0);
}

/* The option `key` has `value` from now on; NULL: its default. */
static inline void set(const char *key, const char *value)
{
    int i = 0;
    while (given[i][0] && strcmp(given[i][0], key) != 0)
        i++;
    CHECK(i < 15);
    given[i][0] = key;
    given[i][1] = value;
}

static inline const char *get_text(const struct mgpt_config *config, const char *key)
{
    (void)config;
    for (int i = 0; given[i][0]; i++)
        if (strcmp(given[i][0], key) == 0 && given[i][1])
            return given[i][1];
    for (uint32_t i = 0; i < component->n_options; i++)
        if (strcmp(component->options[i].key, key) == 0)
            return component->options[i].value;
    fprintf(stderr, "the module asks for option %s, which is not in its table\n", key);
    exit(1);
}

static inline int64_t get_int(const struct mgpt_config *config, const char *key)
{
    const char *text = get_text(config, key);
    return strcmp(text, "true") == 0 ? 1 : strtoll(text, NULL, 10);
}

static inline double get_float(const struct mgpt_config *config, const char *key)
{
    return strtod(get_text(config, key), NULL);
}

static inline uint64_t get_seed(const struct mgpt_config *config, const char *key)
{
    return strtoull(get_text(config, key), NULL, 10);
}

static inline void log_line(enum mgpt_log_level level, const char *line)
{
    fprintf(stderr, "log %d: %s\n", (int)level, line);
}

static inline int never(void)
{
    return 0;
}

static const struct mgpt_host host = {.size = sizeof host,
                                      .abi_minor = MGPT_ABI_MINOR,
                                      .version = "tests",
                                      .log = log_line,
                                      .get_int = get_int,
                                      .get_float = get_float,
                                      .get_seed = get_seed,
                                      .get_text = get_text,
                                      .canceled = never};

/* Numbers in [0, 1) for a struct mgpt_stream: context is a uint64_t. Lehmer 1951. */
static inline double draw_uniform(void *context)
{
    uint64_t *state = (uint64_t *)context;
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) / 9007199254740992.0;
}

static inline uint64_t draw_below(void *context, uint64_t n)
{
    return (uint64_t)(draw_uniform(context) * (double)n);
}

#endif
