/* What works on this machine and what does not, with one fix for each problem. */
#ifndef MGPT_RUN_DOCTOR_H
#define MGPT_RUN_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"
#include "plugin/registry.h"

#define MGPT_DOCTOR_PATIENCE 10 /* seconds for a probe or a device, in a process of its own */

enum mgpt_finding_level {
    MGPT_FINDING_OK,
    MGPT_FINDING_NOTE,   /* nobody asked for what is missing */
    MGPT_FINDING_PROBLEM /* has a fix */
};

struct mgpt_finding {
    enum mgpt_finding_level level;
    enum mgpt_status status; /* of a problem: what a run would end with */
    const char *topic;       /* "memory"; static */
    char text[640], fix[320];
};

/* Zero-initialise. */
struct mgpt_findings {
    struct mgpt_finding *items;
    size_t n;
    bool failed; /* no memory for one */
};
void mgpt_findings_finish(struct mgpt_findings *findings);

void mgpt_findings_ok(struct mgpt_findings *findings, const char *topic, const char *format, ...)
    MGPT_PRINTF(3, 4);
void mgpt_findings_note(struct mgpt_findings *findings, const char *topic, const char *format, ...)
    MGPT_PRINTF(3, 4);
/* A status of MGPT_OK would be no problem: give another. */
void mgpt_findings_problem(struct mgpt_findings *findings, enum mgpt_status status,
                           const char *topic, const char *fix, const char *format, ...)
    MGPT_PRINTF(5, 6);
/* Status of the first problem, or MGPT_OK. */
enum mgpt_status mgpt_findings_status(const struct mgpt_findings *findings);

/* The processor, its cores, memory. */
void mgpt_doctor_machine(struct mgpt_findings *findings);
/* Search path, refused files, what each module says of this machine; devices are opened in a
 * process of their own. `conf` is checked, or NULL when it is not sound. The registry doubts. */
void mgpt_doctor_modules(struct mgpt_findings *findings, struct mgpt_registry *registry,
                         struct mgpt_conf *conf);
/* The files that the configuration names: data, the run's folder. */
void mgpt_doctor_files(struct mgpt_findings *findings, struct mgpt_conf *conf,
                       const char *config_path);

#endif
