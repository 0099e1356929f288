/* Programs compiled at run time: NVRTC and libcuda, or the emulation; and where they are kept. */
#ifndef MGPT_CUDA_PROGRAM_H
#define MGPT_CUDA_PROGRAM_H

#include <microgpt/cuda_native.h>

#include "ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What precedes each text: MGPT_SHARED and the like. (nvrtc.c) */
extern const char *const cuda_prelude;

/* The compiled image of a program, malloc'd: machine code, or PTX, which ends with a 0, for a
 * device that is newer than the compiler. MGPT_UNSUPPORTED: no compiler, or what it says of the
 * text. (nvrtc.c) */
enum mgpt_status cuda_compile(const struct mgpt_cuda_source *source, int capability, char **image,
                              size_t *size, struct mgpt_error *error);
/* What besides the source the image depends on: compiler, driver, architecture. (nvrtc.c) */
void cuda_compile_key(int capability, char *key, size_t size);

/* ---- on the device (module.c) ---- */

enum mgpt_status cuda_program_load(const char *image, size_t size, const char *const *kernels,
                                   struct mgpt_cuda_program **program, struct mgpt_error *error);
void cuda_program_unload(struct mgpt_cuda_program *program);
enum mgpt_status cuda_program_facts(const struct mgpt_cuda_program *program, uint32_t kernel,
                                    struct mgpt_cuda_facts *facts, struct mgpt_error *error);
enum mgpt_status cuda_program_resident(const struct mgpt_cuda_program *program, uint32_t kernel,
                                       const struct mgpt_cuda_launch *launch, uint32_t *blocks,
                                       struct mgpt_error *error);
enum mgpt_status cuda_program_launch(const struct mgpt_cuda_program *program, uint32_t kernel,
                                     const struct mgpt_cuda_launch *launch, cudaStream_t stream,
                                     void *const *args, struct mgpt_error *error);
/* The context that is current: CUcontext. */
void *cuda_context(void);

/* ---- compiled or found (program.c) ---- */

enum mgpt_status cuda_program_new(const struct mgpt_device *device,
                                  const struct mgpt_cuda_source *source,
                                  struct mgpt_cuda_program **program, struct mgpt_error *error);

/* ---- on disk (cache.c) ---- */

/* The image that was kept for the key, malloc'd; NULL: none, or it is damaged. */
char *cuda_cache_read(const char *key, size_t *size);
/* Keeps it, if that can be done, and prunes. */
void cuda_cache_write(const char *key, const char *image, size_t size);
/* Removes programs until all take at most `limit` bytes, first those that were used longest ago.
 * Other runs may read, write and prune at the same time: who does not find a program compiles
 * it. */
void cuda_cache_prune(uint64_t limit);
#define CUDA_CACHE_LIMIT ((uint64_t)256 << 20)

#ifdef __cplusplus
}
#endif
#endif
