/* The suite: every case of a module's contract in a process of its own, with a time limit. */
#ifndef MGPT_CHECK_SUITE_H
#define MGPT_CHECK_SUITE_H

#include <stdbool.h>
#include <stdint.h>

#include <microgpt/status.h>

enum mgpt_outcome {
    MGPT_PASSED = 0,
    MGPT_SKIPPED = 1, /* does not apply, or cannot be tried here */
    MGPT_FAILED = 2,  /* an assertion, with its text */
    MGPT_CRASHED = 3, /* a signal, or an exit */
    MGPT_TIMEOUT = 4,
    MGPT_UNTRIED = 5 /* for want of an instance: MGPT_CHECK_MADE failed */
};

bool mgpt_outcome_failed(enum mgpt_outcome outcome);

/* What came of one case. Texts are owned. */
struct mgpt_case_result {
    char kind[32], name[208]; /* of the module; empty: the file as a whole */
    const char *check;        /* name of the case */
    const char *means;        /* what its failure means */
    enum mgpt_outcome outcome;
    char *text;   /* of the failure, the skip or the note; never NULL */
    char *output; /* the end of what it wrote to stderr; never NULL */
    double seconds;
};

/* What is checked. */
struct mgpt_suite {
    const char *path;          /* absolute */
    const char *kind, *name;   /* only these; NULL: all */
    uint64_t seed;             /* of all that is random */
    double limit;              /* seconds a check may take, at most; 0: as each needs */
    const char *const *search; /* more folders of modules, NULL-terminated; or NULL */
    void (*on_finding)(const struct mgpt_case_result *finding, void *context); /* or NULL */
    void *context;
    /* filled by run; finish frees */
    struct mgpt_case_result *findings;
    size_t n, failed, untried;
};

/* Loads the file and checks each module in it. MGPT_OK also when checks failed: see `failed`. An
 * error is one of ours: no memory, no process. Nothing of the file is ever loaded into this
 * process, which must not have threads. */
enum mgpt_status mgpt_suite_run(struct mgpt_suite *suite, struct mgpt_error *error);
void mgpt_suite_finish(struct mgpt_suite *suite);

#endif
