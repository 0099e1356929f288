/* Which device a run computes on, in which number formats, and why. */
#ifndef MGPT_RUN_DEVICE_H
#define MGPT_RUN_DEVICE_H

#include <stdbool.h>

#include <microgpt/precision.h>

#include "conf/conf.h"
#include "model/machine.h"

/* What was chosen, and in one line each what spoke for it. */
struct mgpt_choice {
    bool silent;      /* set before: another format than the configured one is not told */
    char backend[64]; /* module names, `auto` resolved */
    char backend_why[sizeof(struct mgpt_error) + 64];
    char precision[64];
    char precision_why[sizeof(struct mgpt_error) + 64];
};

/* Opens the device that [backend] use names, or the best there is. */
enum mgpt_status mgpt_choose_device(struct mgpt_choice *choice, struct mgpt_machine *machine,
                                    struct mgpt_conf *conf, struct mgpt_registry *registry,
                                    struct mgpt_error *error);

/* The plan of the module that [precision] use names, for that device, or of the one that it names
 * instead; then the configuration says that one. */
enum mgpt_status mgpt_choose_precision(struct mgpt_choice *choice, struct mgpt_precision_plan *plan,
                                       const struct mgpt_machine *machine, struct mgpt_conf *conf,
                                       struct mgpt_registry *registry, struct mgpt_error *error);

#endif
