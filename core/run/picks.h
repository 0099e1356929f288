/* Settings for a text alone, or for a model alone: how to train when nothing else was said. */
#ifndef MGPT_RUN_PICKS_H
#define MGPT_RUN_PICKS_H

#include <stdbool.h>
#include <stdint.h>

#include <microgpt/model.h>

#include "base/text.h"

/* What was seen in a text, and what follows from it. */
struct mgpt_picks {
    uint64_t bytes, chars, distinct; /* characters, and how many different ones */
    bool by_byte;                    /* tokenizer byte, else char */
    uint64_t tokens;
    unsigned layers, heads, embd, context, batch;
    uint64_t steps;
    uint64_t parameters; /* about */
};

/* Reads the text and decides. MGPT_DATA: it cannot be read, is not UTF-8, or is too short. */
enum mgpt_status mgpt_picks_make(const char *path, struct mgpt_picks *picks,
                                 struct mgpt_error *error);
/* "section.key=value" lines for it. `dir` is the run's folder. */
void mgpt_picks_settings(const struct mgpt_picks *picks, const char *path, const char *dir,
                         struct mgpt_string *out);
/* The same for a model that was trained elsewhere: how to go on with it, on a text to be named. */
void mgpt_picks_tuning(const struct mgpt_model *model, struct mgpt_string *out);
/* The name of the run's folder: that of the file without its ending (malloc). */
char *mgpt_picks_dir(const char *path);

#endif
