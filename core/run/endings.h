/* Endings: a sample's text on its way out. Holds back what may turn out to be the beginning of a
 * stop string, and bytes of a character that is not complete. */
#ifndef MGPT_RUN_ENDINGS_H
#define MGPT_RUN_ENDINGS_H

#include "base/text.h"

/* Zero-initialise. */
struct mgpt_endings {
    struct mgpt_string *stops;
    size_t n;
    struct mgpt_string held;
    size_t ready; /* bytes of `held` that may go out now */
    bool ended;   /* a stop string came: it and what follows are not in `held` */
};

/* [generate] stop: strings parted by |, in which \n, \t, \s (a blank), \\ and \| stand for
 * themselves. */
enum mgpt_status mgpt_endings_parse(struct mgpt_endings *endings, const char *text,
                                    struct mgpt_error *error);
void mgpt_endings_finish(struct mgpt_endings *endings);
/* Another sample begins. */
void mgpt_endings_reset(struct mgpt_endings *endings);

/* Drops what was ready, takes in the text of an id and says what is ready now. The stop string that
 * is complete first ends the sample; of several at one place, the longest. */
enum mgpt_status mgpt_endings_add(struct mgpt_endings *endings, const char *text, size_t size,
                                  struct mgpt_error *error);
/* The sample ended otherwise: all that was held is ready. */
void mgpt_endings_flush(struct mgpt_endings *endings);

#endif
