/* The optimizer's rule on the device. */
#ifndef MGPT_CUDA_UPDATE_H
#define MGPT_CUDA_UPDATE_H

#include <microgpt/optimizer.h>

#include "ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what a program is handed; rule_text.c writes the same in the program's own words ---- */

#define CUDA_RULE_TILE 2048 /* elements that a block does at a time */
#define CUDA_RULE_SETS 4    /* of scalars: one a parameter group */
#define CUDA_RULE_SEGMENTS 128

/* Elements first .. first + count - 1 from p on; `tiles` of this and all segments before it. */
struct cuda_rule_segment {
    int64_t first, count;
    int32_t tiles, set;
};

/* Below 4 KB, the least that a launch may be handed. */
struct cuda_rule_args {
    float *p;
    const float *g;
    float *s[MGPT_MAX_STATE];
    const struct mgpt_step_state *state;
    int32_t n_segments, n_tiles;
    double h[CUDA_RULE_SETS][MGPT_MAX_SCALARS];
    struct cuda_rule_segment segment[CUDA_RULE_SEGMENTS];
};

#define CUDA_RULE_ENTRY "mgpt_update"
#define CUDA_RULE_THREADS 256

/* The program of a rule, malloc'd; NULL when the rule's lists of names are none, or no memory. */
char *cuda_rule_text(const struct mgpt_rule *rule);

/* ---- compiling and running a program: NVRTC and libcuda, or the emulation ---- */

struct cuda_program;

/* The compiled image of a program, malloc'd. MGPT_UNSUPPORTED: no compiler. (nvrtc.c) */
enum mgpt_status cuda_compile(const char *text, int capability, char **image, size_t *size,
                              struct mgpt_error *error);
/* Everything besides the text that the image depends on: compiler, options, driver, architecture.
 */
void cuda_compile_key(int capability, char *key, size_t size);
/* (module.c) */
enum mgpt_status cuda_program_load(const char *image, size_t size, struct cuda_program **program,
                                   struct mgpt_error *error);
void cuda_program_unload(struct cuda_program *program);
enum mgpt_status cuda_program_launch(const struct cuda_program *program, cudaStream_t stream,
                                     unsigned blocks, const struct cuda_rule_args *args,
                                     struct mgpt_error *error);

/* ---- compiled programs on disk (cache.c) ---- */

/* The image that was kept for the key, malloc'd; NULL: none, or it is damaged. */
char *cuda_cache_read(const char *key, size_t *size);
/* Keeps it, if that can be done. */
void cuda_cache_write(const char *key, const char *image, size_t size);

/* ---- updates (update.c) ---- */

/* Gathers calls of one step, which go out as one launch before anything else happens. */
enum mgpt_status cuda_update(struct mgpt_device *device, const struct mgpt_update *update,
                             struct mgpt_error *error);
void cuda_updates_close(struct cuda_updates *updates);

#ifdef __cplusplus
}
#endif
#endif
