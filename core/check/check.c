/* What contract checks are made of: assertions, files, modules, settings. */
#include <config.h>

#include "check/check.h"

#include <dirent.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "run/step.h"

void (*mgpt_check_on_failure)(const char *text);
void (*mgpt_check_on_note)(const char *text, bool skips);
uint64_t mgpt_check_seed = 20240917;
const char *mgpt_check_folder;
const char *const *mgpt_check_search;

void mgpt_check_failed(const char *file, int line, const char *condition, const char *format, ...)
{
    char what[1200], text[1600];
    const char *name = strrchr(file, '/');
    va_list args;

    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    (void)snprintf(text, sizeof text, "%.1100s (%.200s, %.60s:%d)", what, condition,
                   name ? name + 1 : file, line);
    if (mgpt_check_on_failure)
        mgpt_check_on_failure(text);
    (void)fprintf(stderr, "%s\n", text);
    abort();
}

static void say(bool skips, const char *format, va_list args)
{
    char text[512];

    (void)vsnprintf(text, sizeof text, format, args);
    if (mgpt_check_on_note)
        mgpt_check_on_note(text, skips);
}

void mgpt_check_note(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(false, format, args);
    va_end(args);
}

void mgpt_check_skip(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(true, format, args);
    va_end(args);
}

/* ---- files ---- */

const char *mgpt_check_path(const char *name)
{
    static char buffers[8][512];
    static unsigned turn;
    char *buffer = buffers[turn++ % 8];

    check_that(mgpt_check_folder, "there is no folder to write to");
    (void)snprintf(buffer, sizeof buffers[0], "%s/%s", mgpt_check_folder, name);
    return buffer;
}

void mgpt_check_put(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    bool whole = file && fwrite(data, 1, size, file) == size;

    whole = file && fclose(file) == 0 && whole;
    check_that(whole, "cannot write %s", path);
}

/* ---- modules ---- */

struct mgpt_registry *mgpt_check_registry(void)
{
    struct mgpt_registry *registry;

    check_ok(mgpt_registry_create(&registry, error));
    for (size_t i = 0; mgpt_check_search && mgpt_check_search[i]; i++)
        check_ok(mgpt_registry_add_path(registry, mgpt_check_search[i], error));
    check_ok(mgpt_builtin_register(registry, error));
    return registry;
}

const struct mgpt_component *mgpt_check_module(const char *want, const char *name)
{
    struct mgpt_registry *registry = mgpt_check_registry();
    struct mgpt_module module;

    struct mgpt_error why = {0};
    bool found = mgpt_registry_use(registry, want, name, &module, &why) == MGPT_OK;
    check_that(found, "the check needs one of ours (MICROGPT_PLUGIN_PATH, -P): %.900s", why.text);
    mgpt_registry_destroy(registry);
    return module.component;
}

bool mgpt_check_has(const char *want, const char *name)
{
    struct mgpt_registry *registry = mgpt_check_registry();
    struct mgpt_module module;
    bool found = mgpt_registry_use(registry, want, name, &module, NULL) == MGPT_OK;

    mgpt_registry_destroy(registry);
    return found;
}

struct mgpt_config *mgpt_check_settings(const struct mgpt_component *component, ...)
{
    struct mgpt_config *config = NULL;
    va_list args;

    check_ok(mgpt_config_create(&config, component->name, component->options, component->n_options,
                                component->option_size, error));
    va_start(args, component);
    for (const char *key; (key = va_arg(args, const char *));) {
        const char *value = va_arg(args, const char *);
        if (mgpt_config_index(config, key) < mgpt_config_count(config))
            check_ok(mgpt_config_set(config, key, value, "a check", error));
    }
    va_end(args);
    return config;
}

bool mgpt_check_has_option(const struct mgpt_component *component, const char *key)
{
    for (uint32_t i = 0; i < component->n_options; i++)
        if (!strcmp(mgpt_option_at(component, i)->key, key))
            return true;
    return false;
}

/* ---- leaks ---- */

size_t mgpt_check_heap(void)
{
#ifdef HAVE_MALLINFO2
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
#elif defined HAVE_MALLINFO /* wraps at 4 GiB, and so do differences of unsigned */
    struct mallinfo info = mallinfo();
    return (unsigned)info.uordblks + (unsigned)info.hblkhd;
#else
    return 0;
#endif
}

/* Bytes more than before; below 0: fewer. */
static ptrdiff_t more_heap(size_t before)
{
#ifdef HAVE_MALLINFO2
    return (ptrdiff_t)(mgpt_check_heap() - before);
#else
    return (int)((unsigned)mgpt_check_heap() - (unsigned)before);
#endif
}

size_t mgpt_check_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    size_t n = 0;

    for (struct dirent *entry; tasks && (entry = readdir(tasks));)
        n += entry->d_name[0] != '.';
    if (tasks)
        closedir(tasks);
    return n;
}

/* How many more threads there are than before; one that was joined may take a while to be gone. */
static ptrdiff_t more_threads(size_t before)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    ptrdiff_t more = 1;

    for (int i = 0; i < 200 && more > 0; i++) {
        more = (ptrdiff_t)(mgpt_check_threads() - before);
        if (more > 0)
            (void)nanosleep(&pause, NULL);
    }
    return more;
}

/* The first calls fill what is kept for the life of the process: buffers of streams, locales, the
 * caches of malloc, which count as in use and take many rounds to fill: 32, or as many as 5 s of
 * the processor allow. A leak grows in every round, by 16 bytes a call or more. */
void mgpt_check_leaks(const struct mgpt_component *component,
                      void (*body)(const struct mgpt_component *component))
{
    enum { CALLS = 8, ROUNDS = 32, LEAST = 16 };
    const clock_t start = clock();
    ptrdiff_t least = PTRDIFF_MAX;

    body(component);
    for (int round = 0; least >= CALLS * LEAST; round++) {
        if (round >= ROUNDS && clock() - start > 5 * CLOCKS_PER_SEC)
            break;
        size_t heap = mgpt_check_heap();
        size_t threads = mgpt_check_threads();
        for (int i = 0; i < CALLS; i++)
            body(component);
        ptrdiff_t grown = more_heap(heap);
        ptrdiff_t more = more_threads(threads);
        least = grown < least ? grown : least;
        check_that(more <= 0, "%d times opened and closed left %td threads", CALLS, more);
    }
    check_that(least < CALLS * LEAST, "%d times opened and closed left %td bytes, again and again",
               CALLS, least);
}

/* ---- the contracts ---- */

static const struct mgpt_contract contracts[] = {
    {"backend", mgpt_check_backend},     {"dataset", mgpt_check_dataset},
    {"logger", mgpt_check_logger},       {"optimizer", mgpt_check_optimizer},
    {"precision", mgpt_check_precision}, {"sampler", mgpt_check_sampler},
    {"scheduler", mgpt_check_scheduler}, {"step", mgpt_check_step},
    {"tokenizer", mgpt_check_tokenizer},
};

const struct mgpt_check_case *mgpt_contract_of(const char *kind)
{
    for (size_t i = 0; i < sizeof contracts / sizeof contracts[0]; i++)
        if (!strcmp(contracts[i].kind, kind))
            return contracts[i].cases;
    return NULL;
}
