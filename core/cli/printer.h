/* Samples on standard output: as they come, with the probability of each token, or as JSON. */
#ifndef MGPT_CLI_PRINTER_H
#define MGPT_CLI_PRINTER_H

#include "run/samples.h"

/* Fill in the first five, then mgpt_printer_init. */
struct mgpt_printer {
    struct mgpt_generator *generator;
    bool json;
    bool probs;         /* --show-probs */
    const char *prompt; /* of the samples to come; not owned */
    bool parts;         /* samples of several lines are parted */

    bool lines;      /* there was a sample of several */
    bool terminal;   /* which a sample must not control */
    bool color;      /* it shows colors, and they are wanted */
    double together; /* the logarithm of the probability of all ids... */
    bool held;       /* ...whose text has not come out yet: there are some */
};

/* Asks the generator for probabilities where they are to be shown. */
enum mgpt_status mgpt_printer_init(struct mgpt_printer *printer, struct mgpt_error *error);

/* The ids of a prompt (malloc), which an error calls by `name`: "--prompt". */
enum mgpt_status mgpt_printer_read(const struct mgpt_printer *printer, const char *name,
                                   const char *prompt, int32_t **ids, size_t *n,
                                   struct mgpt_error *error);
/* One sample after the n ids of the prompt, the first one being number 1: text the moment it is
 * drawn, or a line of JSON when it is complete. */
enum mgpt_status mgpt_printer_sample(struct mgpt_printer *printer, uint64_t number,
                                     const int32_t *ids, size_t n, struct mgpt_error *error);
/* An mgpt_take: prints a sample that is complete. Probabilities are lost by then. */
enum mgpt_status mgpt_printer_take(void *printer, uint64_t number, const struct mgpt_string *text,
                                   struct mgpt_error *error);
/* Ends a line. */
enum mgpt_status mgpt_printer_newline(struct mgpt_error *error);

#endif
