/* libcuda and other libraries, opened at run time: so the plugin loads everywhere, and says what is
 * missing. */
#ifndef MGPT_CUDA_DRIVER_H
#define MGPT_CUDA_DRIVER_H

#include <stddef.h>

#include <cuda.h>

#include <microgpt/plugin.h>

/* The functions of libcuda that are used here. */
struct cuda_driver {
    CUresult (*init)(unsigned flags);
    CUresult (*version)(int *version);
    CUresult (*device_count)(int *count);
    CUresult (*device_get)(CUdevice *device, int index);
    CUresult (*device_attribute)(int *value, CUdevice_attribute attribute, CUdevice device);
    CUresult (*device_name)(char *name, int size, CUdevice device);
    CUresult (*module_load)(CUmodule *module, const void *image);
    CUresult (*module_unload)(CUmodule module);
    CUresult (*module_function)(CUfunction *function, CUmodule module, const char *name);
    CUresult (*launch)(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                       unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                       CUstream stream, void **parameters, void **extra);
    CUresult (*launch_together)(CUfunction function, unsigned grid_x, unsigned grid_y,
                                unsigned grid_z, unsigned block_x, unsigned block_y,
                                unsigned block_z, unsigned shared, CUstream stream,
                                void **parameters);
    CUresult (*function_attribute)(int *value, CUfunction_attribute attribute, CUfunction function);
    CUresult (*function_set)(CUfunction function, CUfunction_attribute attribute, int value);
    CUresult (*resident_blocks)(int *blocks, CUfunction function, int threads, size_t shared);
    CUresult (*context)(CUcontext *context);
    CUresult (*error_string)(CUresult code, const char **text);
};

/* Static, opened once; NULL and the cause when there is no driver. [main] */
const struct cuda_driver *cuda_driver(struct mgpt_error *error);

/* dlopen by soname, then in the folder of the toolkit that this was built with; NULL: not there. */
void *cuda_library(const char *soname);

/* A function of a library, and where its pointer goes in a struct of them. */
struct cuda_symbol {
    const char *name;
    size_t at;
};

/* Fills `to` with the n symbols; NULL, or the name of the first that the library lacks (the first
 * of all where `library` is NULL). */
const char *cuda_symbols(void *library, const struct cuda_symbol *symbols, size_t n, void *to);

#endif
