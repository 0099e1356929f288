/* Compiled programs on the device, through libcuda: in the context that the runtime made
 * current. */
#include <stdlib.h>

#include "driver.h"
#include "program.h"

#define SHARED_USUAL (48u << 10) /* bytes; a kernel that takes more must be told so */

struct kernel {
    CUfunction function;
    uint32_t shared; /* most that it may take */
};

struct mgpt_cuda_program {
    CUmodule module;
    uint32_t n;
    struct kernel *kernels;
};

/* Nothing is wrong with a device that does not take an image, or has no room for it. */
static enum mgpt_status status_of(CUresult code)
{
    switch (code) {
    case CUDA_SUCCESS: return MGPT_OK;
    case CUDA_ERROR_OUT_OF_MEMORY: return MGPT_NOMEM;
    case CUDA_ERROR_INVALID_IMAGE:
    case CUDA_ERROR_INVALID_PTX:
    case CUDA_ERROR_INVALID_SOURCE:
    case CUDA_ERROR_NO_BINARY_FOR_GPU:
    case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
    case CUDA_ERROR_JIT_COMPILER_NOT_FOUND:
    case CUDA_ERROR_NOT_FOUND: return MGPT_UNSUPPORTED;
    default: return MGPT_DEVICE;
    }
}

static enum mgpt_status checked(CUresult code, const char *call, struct mgpt_error *error)
{
    const struct cuda_driver *driver = cuda_driver(NULL);
    const char *text = NULL;

    if (code == CUDA_SUCCESS)
        return MGPT_OK;
    (void)driver->error_string(code, &text);
    return mgpt_fail(error, status_of(code), "%s: %s", call, text ? text : "error");
}

void cuda_program_unload(struct mgpt_cuda_program *program)
{
    if (!program)
        return;
    if (program->module)
        (void)cuda_driver(NULL)->module_unload(program->module);
    free(program->kernels);
    free(program);
}

static enum mgpt_status load(struct mgpt_cuda_program *program, const char *image,
                             const char *const *kernels, struct mgpt_error *error)
{
    const struct cuda_driver *driver = cuda_driver(NULL);
    enum mgpt_status status =
        checked(driver->module_load(&program->module, image), "cuModuleLoadData", error);

    for (uint32_t i = 0; i < program->n && status == MGPT_OK; i++) {
        struct kernel *k = &program->kernels[i];
        k->shared = SHARED_USUAL;
        status = checked(driver->module_function(&k->function, program->module, kernels[i]),
                         "cuModuleGetFunction", error);
    }
    return status;
}

enum mgpt_status cuda_program_load(const char *image, size_t size, const char *const *kernels,
                                   struct mgpt_cuda_program **out, struct mgpt_error *error)
{
    struct mgpt_cuda_program *program;
    enum mgpt_status status = MGPT_NOMEM;

    (void)size; /* an image says itself how long it is */
    if (!cuda_driver(error))
        return MGPT_UNSUPPORTED;
    program = calloc(1, sizeof *program);
    if (program) {
        while (kernels[program->n])
            program->n++;
        program->kernels = calloc(program->n + 1, sizeof *program->kernels);
    }
    if (program && program->kernels)
        status = load(program, image, kernels, error);
    else
        mgpt_fail(error, status, "out of memory for a program");
    if (status == MGPT_OK)
        *out = program;
    else
        cuda_program_unload(program);
    return status;
}

enum mgpt_status cuda_program_facts(const struct mgpt_cuda_program *program, uint32_t kernel,
                                    struct mgpt_cuda_facts *facts, struct mgpt_error *error)
{
    const struct cuda_driver *driver = cuda_driver(NULL);
    CUfunction function = program->kernels[kernel].function;
    static const CUfunction_attribute which[] = {CU_FUNC_ATTRIBUTE_NUM_REGS,
                                                 CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES,
                                                 CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK};
    uint32_t *const to[] = {&facts->registers, &facts->spilled, &facts->threads};
    enum mgpt_status status = MGPT_OK;

    for (int i = 0; i < 3 && status == MGPT_OK; i++) {
        int value = 0;
        status = checked(driver->function_attribute(&value, which[i], function),
                         "cuFuncGetAttribute", error);
        *to[i] = (uint32_t)value;
    }
    return status;
}

/* Lets the kernel have that much shared memory. */
static enum mgpt_status allow(const struct mgpt_cuda_program *program, uint32_t kernel,
                              uint32_t shared, struct mgpt_error *error)
{
    struct kernel *k = &program->kernels[kernel];
    enum mgpt_status status;

    if (shared <= k->shared)
        return MGPT_OK;
    status = checked(cuda_driver(NULL)->function_set(
                         k->function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, (int)shared),
                     "cuFuncSetAttribute", error);
    if (status == MGPT_OK)
        k->shared = shared;
    return status;
}

enum mgpt_status cuda_program_resident(const struct mgpt_cuda_program *program, uint32_t kernel,
                                       const struct mgpt_cuda_launch *launch, uint32_t *blocks,
                                       struct mgpt_error *error)
{
    int threads = (int)(launch->block[0] * launch->block[1] * launch->block[2]), n = 0;
    enum mgpt_status status = allow(program, kernel, launch->shared, error);

    if (status == MGPT_OK)
        status = checked(cuda_driver(NULL)->resident_blocks(&n, program->kernels[kernel].function,
                                                            threads, launch->shared),
                         "cuOccupancyMaxActiveBlocksPerMultiprocessor", error);
    *blocks = (uint32_t)n;
    return status;
}

enum mgpt_status cuda_program_launch(const struct mgpt_cuda_program *program, uint32_t kernel,
                                     const struct mgpt_cuda_launch *launch, cudaStream_t stream,
                                     void *const *args, struct mgpt_error *error)
{
    const struct cuda_driver *driver = cuda_driver(NULL);
    const uint32_t *g = launch->grid, *b = launch->block;
    CUfunction function = program->kernels[kernel].function;
    void **parameters = (void **)(uintptr_t)args;
    enum mgpt_status status = allow(program, kernel, launch->shared, error);

    if (status != MGPT_OK)
        return status;
    return launch->flags & MGPT_CUDA_COOPERATIVE
               ? checked(driver->launch_together(function, g[0], g[1], g[2], b[0], b[1], b[2],
                                                 launch->shared, stream, parameters),
                         "cuLaunchCooperativeKernel", error)
               : checked(driver->launch(function, g[0], g[1], g[2], b[0], b[1], b[2],
                                        launch->shared, stream, parameters, NULL),
                         "cuLaunchKernel", error);
}

void *cuda_context(void)
{
    const struct cuda_driver *driver = cuda_driver(NULL);
    CUcontext context = NULL;

    return driver && driver->context(&context) == CUDA_SUCCESS ? context : NULL;
}
