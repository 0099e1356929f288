/* A libcuda.so.1 for tests of the probe: FAKE_CUDA says what is wrong with the machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKE __attribute__((visibility("default")))

static int is(const char *what)
{
    const char *fake = getenv("FAKE_CUDA");

    return fake && strcmp(fake, what) == 0;
}

FAKE int cuInit(unsigned flags);
FAKE int cuInit(unsigned flags)
{
    return flags ? 1 : is("broken") ? 999 : 0;
}

FAKE int cuDriverGetVersion(int *version);
FAKE int cuDriverGetVersion(int *version)
{
    *version = is("old") ? 11040 : 99000;
    return 0;
}

FAKE int cuDeviceGetCount(int *count);
FAKE int cuDeviceGetCount(int *count)
{
    *count = is("empty") ? 0 : 2;
    return 0;
}

FAKE int cuDeviceGet(int *device, int index);
FAKE int cuDeviceGet(int *device, int index)
{
    *device = index;
    return 0;
}

/* 75 and 76 ask for the compute capability, which is 5.2 and 7.0. */
FAKE int cuDeviceGetAttribute(int *value, int attribute, int device);
FAKE int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    *value = attribute == 75 ? (device ? 7 : 5) : (device ? 0 : 2);
    return 0;
}

FAKE int cuDeviceGetName(char *name, int size, int device);
FAKE int cuDeviceGetName(char *name, int size, int device)
{
    (void)snprintf(name, (size_t)size, "Fake %d", device);
    return 0;
}

FAKE int cuGetErrorString(int code, const char **text);
FAKE int cuGetErrorString(int code, const char **text)
{
    *text = code == 999 ? "unknown error" : "another error";
    return 0;
}

/* Named by the table, called by nobody here. */
#define UNUSED(name)                                                                               \
    FAKE int name(void);                                                                           \
    int name(void)                                                                                 \
    {                                                                                              \
        return 1;                                                                                  \
    }
UNUSED(cuModuleLoadData)
UNUSED(cuModuleUnload)
UNUSED(cuModuleGetFunction)
UNUSED(cuLaunchKernel)
UNUSED(cuLaunchCooperativeKernel)
UNUSED(cuFuncGetAttribute)
UNUSED(cuFuncSetAttribute)
UNUSED(cuOccupancyMaxActiveBlocksPerMultiprocessor)
UNUSED(cuCtxGetCurrent)
