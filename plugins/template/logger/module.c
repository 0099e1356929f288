/* Logger my-name: DIR/my-name.csv, a line for each step, for spreadsheets.
 *
 * A run that was killed is resumed from its last checkpoint, so on opening, lines of later steps
 * are cut off: those steps are about to happen again. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <microgpt/logger.h>

#define LINE 256 /* more than any line has */

static const char head[] = "step,loss,grad_norm,lr,skipped\n";

struct mgpt_logger {
    FILE *file; /* NULL: the run keeps nothing */
    char *path;
    uint64_t every;
};

static enum mgpt_status failed(const struct mgpt_logger *l, struct mgpt_error *error)
{
    return mgpt_fail(error, MGPT_IO, "%s: %s", l->path, strerror(errno));
}

static void close_file(struct mgpt_logger *l)
{
    if (l && l->file)
        fclose(l->file);
    if (l)
        free(l->path);
    free(l);
}

/* Finds the end of the line of step `last`, cuts the file there, and stays there. */
static enum mgpt_status cut_back(struct mgpt_logger *l, uint64_t last, struct mgpt_error *error)
{
    char line[LINE];
    off_t end = 0;

    if (last && fgets(line, sizeof line, l->file) && strcmp(line, head) == 0)
        for (end = sizeof head - 1; fgets(line, sizeof line, l->file); end += strlen(line))
            if (!strchr(line, '\n') || strtoull(line, NULL, 10) > last)
                break;
    if (fseeko(l->file, end, SEEK_SET) != 0 || ftruncate(fileno(l->file), end) != 0)
        return failed(l, error);
    return end || fputs(head, l->file) >= 0 ? MGPT_OK : failed(l, error);
}

static enum mgpt_status open_path(struct mgpt_logger *l, const struct mgpt_run_info *run,
                                  struct mgpt_error *error)
{
    size_t size = strlen(run->dir) + sizeof "/my-name.csv";

    l->path = (char *)malloc(size);
    if (!l->path)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for logger my-name");
    snprintf(l->path, size, "%s/my-name.csv", run->dir);
    int fd = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    l->file = fd < 0 ? NULL : fdopen(fd, "r+");
    if (l->file)
        return cut_back(l, run->first_step, error);
    if (fd >= 0)
        close(fd);
    return failed(l, error);
}

static enum mgpt_status open_logger(const struct mgpt_host *host, const struct mgpt_config *config,
                                    const struct mgpt_run_info *run, struct mgpt_logger **logger,
                                    struct mgpt_error *error)
{
    struct mgpt_logger *l = (struct mgpt_logger *)calloc(1, sizeof *l);

    if (!l)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for logger my-name");
    l->every = (uint64_t)host->get_int(config, "every");
    enum mgpt_status status = run->dir ? open_path(l, run, error) : MGPT_OK;
    if (status == MGPT_OK)
        *logger = l;
    else
        close_file(l);
    return status;
}

static enum mgpt_status event(struct mgpt_logger *l, const struct mgpt_event *e,
                              struct mgpt_error *error)
{
    if (!l->file || e->type != MGPT_EVENT_STEP || e->step % l->every != 0)
        return MGPT_OK;
    if (fprintf(l->file, "%llu,%.9g,%.9g,%.9g,%u\n", (unsigned long long)e->step, e->loss,
                e->grad_norm, e->lr, (unsigned)e->skipped) < 0)
        return failed(l, error);
    return MGPT_OK;
}

/* A checkpoint is about to be written: what it will be resumed from must be on disk. */
static enum mgpt_status flush(struct mgpt_logger *l, struct mgpt_error *error)
{
    if (l->file && (fflush(l->file) != 0 || fsync(fileno(l->file)) != 0))
        return failed(l, error);
    return MGPT_OK;
}

/* key, default, help, unit, least, most (both 0: no limit), choices, type, 0 */
static const struct mgpt_option options[] = {
    {"every", "1", "a line for every so many steps", "steps", 1, 1e9, NULL, MGPT_OPTION_INT, 0},
};

static const struct mgpt_logger_api api = {
    .size = sizeof api,
    .open = open_logger,
    .close = close_file,
    .event = event,
    .flush = flush,
};

static const struct mgpt_component component = {
    .size = sizeof component,
    .n_options = sizeof options / sizeof options[0],
    .option_size = sizeof options[0],
    .kind = MGPT_KIND_LOGGER,
    .name = "my-name",
    .summary = "my-name.csv in the run's folder, a line a step",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.example.my-name", "0.1.0", "LicenseRef-none-yet", "YOUR NAME", NULL,
                   &component)
