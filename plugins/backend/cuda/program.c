/* Programs from text: compiled, or taken from the cache. */
#include "program.h"

#include <stdlib.h>
#include <string.h>

static size_t length(const char *const *list)
{
    size_t n = 0;

    for (; list && *list; list++)
        n += strlen(*list) + 1;
    return n;
}

static char *append(char *to, const char *const *list)
{
    for (; list && *list; list++)
        to += sprintf(to, "%s\n", *list);
    return to;
}

/* All that the image depends on, malloc'd. */
static char *key_of(const struct mgpt_device *device, const struct mgpt_cuda_source *source)
{
    char versions[256], *key, *to;

    cuda_compile_key(device->capability, versions, sizeof versions);
    key = malloc(strlen(versions) + length(source->options) + length(source->kernels) +
                 strlen(cuda_prelude) + strlen(source->text) + 2);
    if (!key)
        return NULL;
    to = key + sprintf(key, "%s\n", versions);
    to = append(append(to, source->options), source->kernels);
    (void)sprintf(to, "%s%s", cuda_prelude, source->text);
    return key;
}

/* Compiles it and keeps the image, which is then loaded. */
static enum mgpt_status make(const struct mgpt_device *device,
                             const struct mgpt_cuda_source *source, const char *key,
                             struct mgpt_cuda_program **program, struct mgpt_error *error)
{
    char *image = NULL;
    size_t size = 0;
    enum mgpt_status status = cuda_compile(source, device->capability, &image, &size, error);

    if (status == MGPT_OK) {
        cuda_cache_write(key, image, size);
        status = cuda_program_load(image, size, source->kernels, program, error);
    }
    free(image);
    return status;
}

/* What the driver does not take of the cache is made anew, and replaces it. */
enum mgpt_status cuda_program_new(const struct mgpt_device *device,
                                  const struct mgpt_cuda_source *source,
                                  struct mgpt_cuda_program **program, struct mgpt_error *error)
{
    char *key = key_of(device, source), *image;
    enum mgpt_status status = MGPT_UNSUPPORTED;
    size_t size = 0;

    if (!key)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for program %s", source->name);
    image = cuda_cache_read(key, &size);
    if (image)
        status = cuda_program_load(image, size, source->kernels, program, error);
    if (status == MGPT_UNSUPPORTED)
        status = make(device, source, key, program, error);
    free(image);
    free(key);
    return status;
}
