/* libcuda, opened at run time, and what can be said about a machine without opening a device. */
#include "driver.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include <cuda_runtime_api.h>

#include "ops.h"

void *cuda_library(const char *soname)
{
    void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    char path[1024];

#if defined CUDA_LIBDIR
    if (!library && snprintf(path, sizeof path, "%s/%s", CUDA_LIBDIR, soname) < (int)sizeof path)
        library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
#else
    (void)path;
#endif
    return library;
}

const char *cuda_symbols(void *library, const struct cuda_symbol *symbols, size_t n, void *to)
{
    for (size_t i = 0; i < n; i++) {
        void *symbol = library ? dlsym(library, symbols[i].name) : NULL;
        if (!symbol)
            return symbols[i].name;
        memcpy((char *)to + symbols[i].at, &symbol, sizeof symbol);
    }
    return NULL;
}

static const struct cuda_symbol symbols[] = {
#define SYMBOL(field, name)                                                                        \
    {                                                                                              \
        name, offsetof(struct cuda_driver, field)                                                  \
    }
    SYMBOL(init, "cuInit"),
    SYMBOL(version, "cuDriverGetVersion"),
    SYMBOL(device_count, "cuDeviceGetCount"),
    SYMBOL(device_get, "cuDeviceGet"),
    SYMBOL(device_attribute, "cuDeviceGetAttribute"),
    SYMBOL(device_name, "cuDeviceGetName"),
    SYMBOL(module_load, "cuModuleLoadData"),
    SYMBOL(module_unload, "cuModuleUnload"),
    SYMBOL(module_function, "cuModuleGetFunction"),
    SYMBOL(launch, "cuLaunchKernel"),
    SYMBOL(launch_together, "cuLaunchCooperativeKernel"),
    SYMBOL(function_attribute, "cuFuncGetAttribute"),
    SYMBOL(function_set, "cuFuncSetAttribute"),
    SYMBOL(resident_blocks, "cuOccupancyMaxActiveBlocksPerMultiprocessor"),
    SYMBOL(context, "cuCtxGetCurrent"),
    SYMBOL(error_string, "cuGetErrorString"),
#undef SYMBOL
};

const struct cuda_driver *cuda_driver(struct mgpt_error *error)
{
    static struct cuda_driver driver;
    static int complete;
    const char *missing;
    void *library;

    if (complete)
        return &driver;
    library = cuda_library("libcuda.so.1");
    if (!library) {
        mgpt_fail(error, MGPT_UNSUPPORTED,
                  "libcuda.so.1 not found: no NVIDIA driver is installed here");
        return NULL;
    }
    missing = cuda_symbols(library, symbols, sizeof symbols / sizeof *symbols, &driver);
    if (missing) {
        mgpt_fail(error, MGPT_UNSUPPORTED, "libcuda.so.1 has no %s: the driver is too old",
                  missing);
        return NULL;
    }
    complete = 1;
    return &driver;
}

static enum mgpt_status checked(const struct cuda_driver *driver, CUresult code, const char *call,
                                struct mgpt_error *error)
{
    const char *text = NULL;

    if (code == CUDA_SUCCESS)
        return MGPT_OK;
    (void)driver->error_string(code, &text);
    return mgpt_fail(error, MGPT_UNSUPPORTED, "%s: %s (%d)", call, text ? text : "error", code);
}

/* Is there a device that this build has code for? Says what the best one is, if not. */
static enum mgpt_status look_for_device(const struct cuda_driver *driver, int count,
                                        struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;
    char name[64] = "", best_name[64] = "";
    int best = 0;

    for (int i = 0; i < count && status == MGPT_OK; i++) {
        CUdevice device = 0;
        int major = 0, minor = 0;
        status = checked(driver, driver->device_get(&device, i), "cuDeviceGet", error);
        if (status == MGPT_OK)
            status = checked(driver,
                             driver->device_attribute(
                                 &major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device),
                             "cuDeviceGetAttribute", error);
        if (status == MGPT_OK)
            status = checked(driver,
                             driver->device_attribute(
                                 &minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device),
                             "cuDeviceGetAttribute", error);
        if (status == MGPT_OK)
            status = checked(driver, driver->device_name(name, sizeof name, device),
                             "cuDeviceGetName", error);
        if (10 * major + minor > best) {
            best = 10 * major + minor;
            memcpy(best_name, name, sizeof name);
        }
    }
    if (status == MGPT_OK && best < CUDA_LEAST_CAPABILITY)
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "%s has compute capability %d.%d, expected %d.%d or more", best_name,
                         best / 10, best % 10, CUDA_LEAST_CAPABILITY / 10,
                         CUDA_LEAST_CAPABILITY % 10);
    return status;
}

enum mgpt_status cuda_probe(const struct mgpt_host *host, struct mgpt_error *error)
{
    const struct cuda_driver *driver = cuda_driver(error);
    int version = 0, count = 0;
    enum mgpt_status status;

    (void)host;
    if (!driver)
        return MGPT_UNSUPPORTED;
    status = checked(driver, driver->init(0), "cuInit", error);
    if (status == MGPT_OK)
        status = checked(driver, driver->version(&version), "cuDriverGetVersion", error);
    if (status == MGPT_OK && version / 1000 < CUDART_VERSION / 1000)
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "the driver is for CUDA %d.%d, this build needs one for %d.%d or later",
                         version / 1000, version % 1000 / 10, CUDART_VERSION / 1000,
                         CUDART_VERSION % 1000 / 10);
    if (status == MGPT_OK)
        status = checked(driver, driver->device_count(&count), "cuDeviceGetCount", error);
    if (status == MGPT_OK && count == 0)
        return mgpt_fail(error, MGPT_UNSUPPORTED, "there is a driver, but no CUDA device");
    return status == MGPT_OK ? look_for_device(driver, count, error) : status;
}
