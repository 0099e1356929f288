/* The mistakes of a configuration, when all of them are wanted and not only the first. */
#ifndef MGPT_CONF_FAULTS_H
#define MGPT_CONF_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

#include <microgpt/status.h>

#define MGPT_FAULTS_MAX 100 /* more are only counted: it is another kind of file */

/* What is known of the setting at fault: NULL what is not. */
struct mgpt_fault_place {
    const char *origin; /* "microgpt.ini:12", "--set train.lr=x" */
    const char *section, *key, *value;
    unsigned file, line; /* counted from 1; 0: the command line, or a default */
};

/* The same and what is wrong; all owned. */
struct mgpt_fault {
    enum mgpt_status status;
    char *origin, *section, *key, *value;
    unsigned file, line;
    char *text; /* one line that begins with the origin */
};

/* Zero-initialise. */
struct mgpt_faults {
    struct mgpt_fault *items; /* as they were found; after mgpt_faults_sort as they stand */
    size_t n, capacity;
    size_t more;             /* those beyond MGPT_FAULTS_MAX */
    size_t unchecked;        /* settings that nobody can judge before these are mended */
    enum mgpt_status status; /* of the first that was found: what a run would end with */
    bool lost;    /* settings were lost with a [section] that cannot be read or does not exist */
    bool modules; /* among the lost or wrong is what says where modules are */
};

/* Copies all of it. MGPT_NOMEM. */
enum mgpt_status mgpt_faults_add(struct mgpt_faults *faults, const struct mgpt_fault_place *at,
                                 const struct mgpt_error *why);
/* By file and line; the command line last. */
void mgpt_faults_sort(struct mgpt_faults *faults);
void mgpt_faults_finish(struct mgpt_faults *faults); /* frees; NULL is fine */

#endif
