/* Kind logger: every event, and a word when it cannot write. */
#include <config.h>

#include "check/bench_logger.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void check_events(const struct mgpt_component *component)
{
    logger_bench_print_to(mgpt_check_path("printed"));
    for (int kept = 0; kept < 2; kept++) {
        struct mgpt_run_info run = logger_bench_run_info(kept ? mgpt_check_folder : NULL, 0);
        struct logger_bench b =
            logger_bench_opened(component, mgpt_check_settings(component, NULL), &run);
        struct mgpt_event bad = logger_bench_step_event(3);
        logger_bench_put_event(&b, logger_bench_step_event(1));
        logger_bench_put_event(&b, logger_bench_step_event(2));
        bad.loss = INFINITY;
        bad.grad_norm = NAN;
        bad.skipped = 1;
        logger_bench_put_event(&b, bad);
        logger_bench_put_event(&b, logger_bench_other_event(MGPT_EVENT_VALIDATION, 3, NULL));
        logger_bench_put_event(
            &b, logger_bench_other_event(MGPT_EVENT_CHECKPOINT, 3, "/run/checkpoints/step-3"));
        logger_bench_flush(&b);
        logger_bench_put_event(&b, logger_bench_other_event(MGPT_EVENT_SAMPLE, 3, "anna"));
        logger_bench_put_event(&b, logger_bench_other_event(MGPT_EVENT_SAMPLE, 3, NULL));
        logger_bench_put_event(&b, logger_bench_other_event(MGPT_EVENT_NOTE, 3, "a word"));
        logger_bench_put_event(&b, logger_bench_other_event((enum mgpt_event_type)99, 3,
                                                            NULL)); /* of a later minor version */
        logger_bench_flush(&b);
        b.api->close(b.it);
        b.api->close(NULL);
    }
}

/* Steps `first` to `last`, until something fails; flushed. */
static enum mgpt_status talk(struct logger_bench *b, int first, int last, struct mgpt_error *why)
{
    enum mgpt_status status = MGPT_OK;

    for (int i = first; i <= last && status == MGPT_OK; i++) {
        struct mgpt_event event = logger_bench_step_event((uint64_t)i);
        status = b->api->event(b->it, &event, why);
    }
    if (status == MGPT_OK && b->api->flush)
        status = b->api->flush(b->it, why);
    return status;
}

static off_t size_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? st.st_size : 0;
}

/* The largest file of the folder. */
static off_t largest(void)
{
    DIR *folder = opendir(mgpt_check_folder);
    off_t most = 0;

    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        off_t size = strcmp(entry->d_name, "printed") ? size_of(mgpt_check_path(entry->d_name)) : 0;
        most = size > most ? size : most;
    }
    if (folder)
        closedir(folder);
    return most;
}

/* Files may not grow past LIMIT, and standard output is full: what wrote there has to say so. */
static void check_full(const struct mgpt_component *component)
{
    enum { LIMIT = 4096, STEPS = 400 };
    struct rlimit limit, before;
    struct mgpt_run_info run = logger_bench_run_info(mgpt_check_folder, 0), nowhere = run;
    struct mgpt_error why = {0};
    struct mgpt_logger *it = NULL;

    nowhere.dir = mgpt_check_path("missing");
    logger_bench_print_to(mgpt_check_path("printed"));
    struct mgpt_config *config = mgpt_check_settings(component, NULL);
    const struct mgpt_logger_api *api = component->api;
    enum mgpt_status status = api->open(mgpt_host(), config, &nowhere, &it, &why);
    if (status == MGPT_OK)
        api->close(it);
    else
        check_refused(status, MGPT_IO, why);
    mgpt_config_destroy(config);

    struct logger_bench b =
        logger_bench_opened(component, mgpt_check_settings(component, NULL), &run);
    check_that(talk(&b, 1, STEPS, &why) == MGPT_OK, "%s", why.text);
    b.api->close(b.it);
    off_t printed = (fflush(stdout), size_of(mgpt_check_path("printed"))), kept = largest();

    signal(SIGXFSZ, SIG_IGN);
    bool limited = getrlimit(RLIMIT_FSIZE, &before) == 0;
    limit = (struct rlimit){LIMIT, before.rlim_max};
    limited = limited && setrlimit(RLIMIT_FSIZE, &limit) == 0;
    check_that(limited, "cannot limit the size of files");
    logger_bench_print_to(access("/dev/full", W_OK) == 0 ? "/dev/full" : "/dev/null");
    config = mgpt_check_settings(component, NULL);
    it = NULL;
    status = api->open(mgpt_host(), config, &run, &it, &why);
    mgpt_config_destroy(config);
    if (status == MGPT_OK) {
        b.it = it;
        status = talk(&b, 1, STEPS, &why);
        api->close(it);
    }
    (void)setrlimit(RLIMIT_FSIZE, &before);
    if (status != MGPT_OK)
        check_refused(status, MGPT_IO, why);
    check_that(status == MGPT_IO || kept <= LIMIT, "its file is full, and it says nothing");
    check_that(status == MGPT_IO || printed == 0 || access("/dev/full", W_OK) != 0,
               "standard output is full, and it says nothing");
}

/* The files of the folder, but for what is printed. */
struct files {
    int n;
    char names[32][256];
    off_t sizes[32], all;
};

static struct files look(void)
{
    struct files files = {0};
    DIR *folder = opendir(mgpt_check_folder);

    for (struct dirent *entry; folder && files.n < 32 && (entry = readdir(folder));)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "printed") != 0) {
            off_t size = size_of(mgpt_check_path(entry->d_name));
            (void)snprintf(files.names[files.n], sizeof files.names[0], "%s", entry->d_name);
            files.sizes[files.n++] = size;
            files.all += size;
        }
    if (folder)
        closedir(folder);
    return files;
}

/* Steps first + 1 to `last` of a run; the bytes that came to the files after flush. */
static off_t late_bytes(const struct mgpt_component *component, int first, int last)
{
    struct mgpt_run_info run = logger_bench_run_info(mgpt_check_folder, (uint64_t)first);
    struct logger_bench b =
        logger_bench_opened(component, mgpt_check_settings(component, NULL), &run);
    struct mgpt_error why = {0};

    check_that(talk(&b, first + 1, last, &why) == MGPT_OK, "%s", why.text);
    off_t flushed = look().all;
    b.api->close(b.it);
    return look().all - flushed;
}

/* Of 40 steps those after the 10th come again: a file that goes on has what it had. */
static void check_resume(const struct mgpt_component *component)
{
    enum { LAST = 40, RESUMED = 10 };

    logger_bench_print_to(mgpt_check_path("printed"));
    off_t at_the_end = late_bytes(component, 0, 0); /* what close itself writes */
    struct files none = look();
    off_t late = late_bytes(component, 0, LAST);
    struct files whole = look();
    if (whole.all == none.all) {
        mgpt_check_skip("it keeps no file");
        return;
    }
    check_that(late <= at_the_end, "%lld bytes were not on disk after flush",
               (long long)(late - at_the_end));
    (void)late_bytes(component, RESUMED, LAST);
    struct files again = look();
    for (int i = 0; i < whole.n; i++)
        for (int k = 0; k < again.n; k++) {
            off_t was = whole.sizes[i], is = again.sizes[k], room = was / 10; /* times differ */
            if (strcmp(whole.names[i], again.names[k]) == 0)
                check_that(
                    is >= was - room && is <= was + room,
                    "%s has %lld bytes after %d steps, and %lld when resumed at %d: it must be "
                    "cut back to there",
                    whole.names[i], (long long)was, LAST, (long long)is, RESUMED);
        }
}

static void once(const struct mgpt_component *component)
{
    struct mgpt_run_info run = logger_bench_run_info(mgpt_check_folder, 0);
    struct logger_bench b =
        logger_bench_opened(component, mgpt_check_settings(component, NULL), &run);

    (void)talk(&b, 1, 3, NULL);
    b.api->close(b.it);
}

static void check_left(const struct mgpt_component *component)
{
    logger_bench_print_to(mgpt_check_path("printed"));
    mgpt_check_leaks(component, once);
}

static void check_made(const struct mgpt_component *component)
{
    struct mgpt_run_info run = logger_bench_run_info(mgpt_check_folder, 0);

    logger_bench_print_to(mgpt_check_path("printed"));
    struct logger_bench b =
        logger_bench_opened(component, mgpt_check_settings(component, NULL), &run);
    b.api->close(b.it);
}

const struct mgpt_check_case mgpt_check_logger[] = {
    {MGPT_CHECK_MADE, "no run could begin with it", check_made, 0},
    {"takes_every_event",
     "a run would stop at an event that the module does not know, or that has no number",
     check_events, 0},
    {"says_when_it_cannot_write", "a full disk would go unnoticed, and the metrics have a hole",
     check_full, 0},
    {"a_resumed_run_goes_on_where_it_was",
     "after a crash the metrics would have a hole, and after a resume steps twice", check_resume,
     0},
    {"leaves_nothing_behind", "what open takes, close gives back", check_left, 0},
    {NULL, NULL, NULL, 0},
};
