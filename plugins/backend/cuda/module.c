/* Compiled programs on the device, through libcuda: in the context that the runtime made current. */
#include <stdlib.h>

#include "driver.h"
#include "update.h"

struct cuda_program {
    CUmodule module;
    CUfunction function;
};

static enum mgpt_status checked(const struct cuda_driver *driver, CUresult code, const char *call,
                                struct mgpt_error *error)
{
    const char *text = NULL;

    if (code == CUDA_SUCCESS)
        return MGPT_OK;
    (void)driver->error_string(code, &text);
    return mgpt_fail(error, MGPT_DEVICE, "%s: %s", call, text ? text : "error");
}

void cuda_program_unload(struct cuda_program *program)
{
    const struct cuda_driver *driver = cuda_driver(NULL);

    if (program && driver && program->module)
        (void)driver->module_unload(program->module);
    free(program);
}

enum mgpt_status cuda_program_load(const char *image, size_t size, struct cuda_program **out,
                                   struct mgpt_error *error)
{
    const struct cuda_driver *driver = cuda_driver(error);
    struct cuda_program *program;
    enum mgpt_status status;

    (void)size; /* an image says itself how long it is */
    if (!driver)
        return MGPT_UNSUPPORTED;
    program = calloc(1, sizeof *program);
    if (!program)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for a program");
    status =
        checked(driver, driver->module_load(&program->module, image), "cuModuleLoadData", error);
    if (status == MGPT_OK)
        status = checked(
            driver, driver->module_function(&program->function, program->module, CUDA_RULE_ENTRY),
            "cuModuleGetFunction", error);
    if (status == MGPT_OK)
        *out = program;
    else
        cuda_program_unload(program);
    return status;
}

enum mgpt_status cuda_program_launch(const struct cuda_program *program, cudaStream_t stream,
                                     unsigned blocks, const struct cuda_rule_args *args,
                                     struct mgpt_error *error)
{
    const struct cuda_driver *driver = cuda_driver(error);
    void *parameters[] = {(void *)(uintptr_t)args};

    return driver ? checked(driver,
                            driver->launch(program->function, blocks, 1, 1, CUDA_RULE_THREADS, 1, 1,
                                           0, stream, parameters, NULL),
                            "cuLaunchKernel", error)
                  : MGPT_UNSUPPORTED;
}
