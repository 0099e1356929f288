/* The diary of a search. */
#include <config.h>

#include "plugin/diary.h"

#include <stdlib.h>
#include <string.h>

void mgpt_diary_add(struct mgpt_diary *diary, const char *path, const char *outcome, int loaded)
{
    for (size_t i = 0; i < diary->count; i++)
        if (strcmp(diary->attempts[i].path, path) == 0 &&
            strcmp(diary->attempts[i].outcome, outcome) == 0)
            return;
    struct mgpt_attempt *attempts = realloc(diary->attempts, (diary->count + 1) * sizeof *attempts);
    if (!attempts)
        return;
    diary->attempts = attempts;
    char *path_copy = strdup(path), *outcome_copy = strdup(outcome);
    if (!path_copy || !outcome_copy) {
        free(path_copy);
        free(outcome_copy);
        return;
    }
    attempts[diary->count++] = (struct mgpt_attempt){path_copy, outcome_copy, loaded};
}

void mgpt_diary_finish(struct mgpt_diary *diary)
{
    for (size_t i = 0; i < diary->count; i++) {
        free((char *)diary->attempts[i].path);
        free((char *)diary->attempts[i].outcome);
    }
    free(diary->attempts);
    *diary = (struct mgpt_diary){NULL, 0};
}
