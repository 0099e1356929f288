/* Logger "bad", for tests: a line of nine bytes for each step. Without a name it is sound; with one
 * that run_broken.sh defines, its file is not what it should be. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <microgpt/logger.h>

#define LINE 9

struct mgpt_logger {
    FILE *file; /* NULL: nothing is kept */
};

static enum mgpt_status failed(struct mgpt_error *error)
{
    return mgpt_fail(error, MGPT_IO, "bad.log: %s", strerror(errno));
}

static void close_file(struct mgpt_logger *l)
{
    if (l && l->file)
        fclose(l->file);
    free(l);
}

static enum mgpt_status open_file(const struct mgpt_host *host, const struct mgpt_config *config,
                                  const struct mgpt_run_info *run, struct mgpt_logger **logger,
                                  struct mgpt_error *error)
{
    struct mgpt_logger *l = calloc(1, sizeof *l);
    char path[4096];
    int sound = 1;

    (void)host, (void)config;
    if (!l)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for logger bad");
    if (run->dir) {
        snprintf(path, sizeof path, "%s/bad.log", run->dir);
#ifdef LOGGER_FORGETS
        l->file = fopen(path, "w");
#else
        l->file = fopen(path, "a");
#endif
        sound = l->file != NULL;
    }
#if !defined LOGGER_GOES_ON && !defined LOGGER_FORGETS
    if (l->file)
        sound = ftruncate(fileno(l->file), (off_t)run->first_step * LINE) == 0;
#endif
    if (!sound) {
        failed(error);
        close_file(l);
        return MGPT_IO;
    }
    *logger = l;
    return MGPT_OK;
}

static enum mgpt_status event(struct mgpt_logger *l, const struct mgpt_event *e,
                              struct mgpt_error *error)
{
    if (e->type == MGPT_EVENT_STEP && l->file &&
        fprintf(l->file, "%08llu\n", (unsigned long long)e->step) < 0)
        return failed(error);
    return MGPT_OK;
}

static enum mgpt_status flush(struct mgpt_logger *l, struct mgpt_error *error)
{
#ifdef LOGGER_HOLDS_BACK
    return MGPT_OK;
#endif
    return l->file && (fflush(l->file) != 0 || fsync(fileno(l->file)) != 0) ? failed(error)
                                                                            : MGPT_OK;
}

static const struct mgpt_logger_api api = {(uint32_t)sizeof api, 0,     open_file,
                                           close_file,           event, flush};
static const struct mgpt_component component = {(uint32_t)sizeof component,
                                                MGPT_NO_OPTIONS,
                                                0,
                                                MGPT_KIND_LOGGER,
                                                "bad",
                                                "for tests: a line for each step",
                                                NULL,
                                                NULL,
                                                &api};

MGPT_PLUGIN_DEFINE("org.microgpt.test.bad-logger", "1.0", "MIT", "microgpt", NULL, &component)
