/* A logger and events to give it, for checks. */
#ifndef MGPT_CHECK_BENCH_LOGGER_H
#define MGPT_CHECK_BENCH_LOGGER_H

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include <microgpt/logger.h>

#include "check/check.h"

/* ---- events ---- */

static inline struct mgpt_run_info logger_bench_run_info(const char *dir, uint64_t first_step)
{
    return (struct mgpt_run_info){.size = sizeof(struct mgpt_run_info),
                                  .vocab = 27,
                                  .dir = dir,
                                  .first_step = first_step,
                                  .total_steps = 500,
                                  .documents = 32033,
                                  .train_documents = 28829,
                                  .valid_documents = 3204,
                                  .parameters = 3632,
                                  .summary = "backend ref"};
}

static inline struct mgpt_event logger_bench_step_event(uint64_t step)
{
    return (struct mgpt_event){.size = sizeof(struct mgpt_event),
                               .type = MGPT_EVENT_STEP,
                               .step = step,
                               .loss = 3.31848 / (double)step,
                               .grad_norm = 0.9172,
                               .lr = 1e-2,
                               .tokens_per_s = 98123.4,
                               .val_loss = NAN,
                               .best_loss = NAN,
                               .seconds = 0.01 * (double)step};
}

static inline struct mgpt_event logger_bench_other_event(enum mgpt_event_type type, uint64_t step,
                                                         const char *text)
{
    return (struct mgpt_event){.size = sizeof(struct mgpt_event),
                               .type = type,
                               .step = step,
                               .index = 1,
                               .loss = NAN,
                               .grad_norm = NAN,
                               .lr = NAN,
                               .tokens_per_s = NAN,
                               .val_loss = type == MGPT_EVENT_VALIDATION ? 2.80429 : NAN,
                               .best_loss = 2.80429,
                               .train_loss = NAN,
                               .text = text};
}

/* A logger that is open. */
struct logger_bench {
    const struct mgpt_logger_api *api;
    struct mgpt_logger *it;
};

static inline struct logger_bench logger_bench_opened(const struct mgpt_component *component,
                                                      struct mgpt_config *config,
                                                      const struct mgpt_run_info *run)
{
    struct logger_bench b = {.api = component->api};

    check_ok(b.api->open(mgpt_host(), config, run, &b.it, error));
    mgpt_config_destroy(config);
    return b;
}

static inline void logger_bench_put_event(struct logger_bench *b, struct mgpt_event event)
{
    check_ok(b->api->event(b->it, &event, error));
}

static inline void logger_bench_flush(struct logger_bench *b)
{
    if (b->api->flush)
        check_ok(b->api->flush(b->it, error));
}

/* From now on what is printed goes to a file, or to /dev/full. */
static inline void logger_bench_print_to(const char *path)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    check_that(file >= 0, "cannot open %s", path);
    fflush(stdout);
    check_that(dup2(file, STDOUT_FILENO) == STDOUT_FILENO, "cannot print to %s", path);
    close(file);
}

#endif
