/* Kind "logger/1": what a run tells the world. Several may listen to one run. */
#ifndef MICROGPT_LOGGER_H
#define MICROGPT_LOGGER_H

#include <string.h>

#include <microgpt/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a component of this kind states. */
#define MGPT_KIND_LOGGER "logger/1"

struct mgpt_logger; /* the module's own */

enum mgpt_event_type {
    MGPT_EVENT_STEP = 1,       /* step, loss, grad_norm, lr, tokens_per_s, skipped, loss_scale */
    MGPT_EVENT_VALIDATION = 2, /* step, val_loss, best_loss, train_loss */
    MGPT_EVENT_SAMPLE = 3,     /* step, index, text */
    MGPT_EVENT_CHECKPOINT = 4, /* step, text: its path */
    MGPT_EVENT_NOTE = 5        /* text: one line for a person */
};

/* Grows at the tail. Numbers that the type does not name are 0 or NAN. */
struct mgpt_event {
    uint32_t size;
    uint32_t type;                            /* enum mgpt_event_type */
    uint64_t step;                            /* counted from 1; of a validation, steps completed */
    uint64_t index;                           /* of a sample, from 1 */
    double loss, grad_norm, lr, tokens_per_s; /* of a step */
    double val_loss, best_loss;               /* of a validation; the lowest so far, with it */
    double seconds;                           /* since the run, or its resumption, started */
    const char *text;                         /* UTF-8, terminated, or NULL */
    uint32_t skipped;                         /* 1: the step met NaN or Inf and changed nothing */
    uint32_t reserved;
    double train_loss;  /* of the training data, looked at as val_loss is; NAN: was not asked for */
    uint64_t text_size; /* bytes of text, 0 bytes among them; 0: up to the first one (ABI 1.1) */
    double loss_scale;  /* STEP: what the next step's loss is multiplied with; 0 or NAN: no scaling
                          (ABI 1.1) */
};

/* Bytes of an event's text, also of one made before text_size was there; 0 without text. */
static inline size_t mgpt_event_text_size(const struct mgpt_event *event)
{
    if (!event->text || (MGPT_HAS(event, text_size) && event->text_size))
        return event->text ? (size_t)event->text_size : 0;
    return strlen(event->text);
}

/* Grows at the tail. Lives as long as the logger. */
struct mgpt_run_info {
    uint32_t size;
    uint32_t vocab;      /* rows of the model: the ids, and padding */
    const char *dir;     /* the run's folder, or NULL: nothing is kept */
    uint64_t first_step; /* steps completed before: 0, or those of the checkpoint that is resumed */
    uint64_t total_steps;                    /* [train] steps */
    uint64_t documents, train_documents;     /* these four as in struct mgpt_dataset_info */
    uint64_t valid_documents, cut_documents; /* likewise */
    uint64_t parameters;                     /* numbers that are trained */
    const char *summary;                     /* "backend cpu, precision fp32, ..." */
    uint64_t train_tokens, valid_tokens;     /* as in struct mgpt_dataset_info (ABI 1.1) */
};

/* Grows at the tail. */
struct mgpt_logger_api {
    uint32_t size, reserved;
    /* A logger that keeps a file cuts it back to first_step: what came after is about to happen
     * again. [main] */
    enum mgpt_status (*open)(const struct mgpt_host *host, const struct mgpt_config *config,
                             const struct mgpt_run_info *run, struct mgpt_logger **logger,
                             struct mgpt_error *error);
    void (*close)(struct mgpt_logger *logger); /* [main] */
    enum mgpt_status (*event)(struct mgpt_logger *logger, const struct mgpt_event *event,
                              struct mgpt_error *error); /* [main] */
    /* Called before a checkpoint is written: all events so far must be on disk. May be NULL. [main]
     */
    enum mgpt_status (*flush)(struct mgpt_logger *logger, struct mgpt_error *error);
};

#ifdef __cplusplus
}
#endif
#endif
