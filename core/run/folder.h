/* The folder of a run, before and beside its checkpoints. */
#ifndef MGPT_RUN_FOLDER_H
#define MGPT_RUN_FOLDER_H

#include "conf/conf.h"

/* MGPT_CONFIG when `dir`, which is [run] dir of `conf`, holds a run: that is not overwritten. */
enum mgpt_status mgpt_folder_refuse(const char *dir, const struct mgpt_conf *conf,
                                    struct mgpt_error *error);
/* Makes the folder of a run ours alone, as mgpt_dir_lock does; MGPT_CONFIG when another has it. */
enum mgpt_status mgpt_folder_lock(const char *dir, int *lock, struct mgpt_error *error);
/* Writes DIR/config.ini, the effective configuration, so that the run can be repeated and read. */
enum mgpt_status mgpt_folder_keep(const char *dir, const struct mgpt_conf *conf,
                                  struct mgpt_error *error);

#endif
