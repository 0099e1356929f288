/* Programs compiled at run time by NVRTC, which needs neither a driver nor a device. */
#include <nvrtc.h>

#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "program.h"

/* The barrier of a grid: every block adds to one word, all that they add is the highest bit, so the
 * word's highest bit changes when the last block comes, and the rest of it is as before. */
const char *const cuda_prelude =
    "#define MGPT_SHARED(type, name) \\\n"
    "    extern __shared__ __align__(16) unsigned char mgpt_shared_[]; \\\n"
    "    type *name = reinterpret_cast<type *>(mgpt_shared_)\n"
    "#define MGPT_GRID_SYNC() mgpt_grid_sync_()\n"
    "static __device__ unsigned mgpt_arrived_;\n"
    "static __device__ __forceinline__ void mgpt_grid_sync_()\n"
    "{\n"
    "    __syncthreads();\n"
    "    if (threadIdx.x + threadIdx.y + threadIdx.z == 0) {\n"
    "        const bool first = blockIdx.x + blockIdx.y + blockIdx.z == 0;\n"
    "        const unsigned blocks = gridDim.x * gridDim.y * gridDim.z;\n"
    "        __threadfence();\n"
    "        const unsigned before =\n"
    "            atomicAdd(&mgpt_arrived_, first ? 0x80000000u - (blocks - 1) : 1u);\n"
    "        while (!((before ^ *(volatile unsigned *)&mgpt_arrived_) & 0x80000000u))\n"
    "            ;\n"
    "        __threadfence();\n"
    "    }\n"
    "    __syncthreads();\n"
    "}\n";

/* The functions of NVRTC that are used here. */
struct compiler {
    nvrtcResult (*version)(int *major, int *minor);
    nvrtcResult (*create)(nvrtcProgram *program, const char *text, const char *name, int n,
                          const char *const *headers, const char *const *names);
    nvrtcResult (*destroy)(nvrtcProgram *program);
    nvrtcResult (*compile)(nvrtcProgram program, int n, const char *const *options);
    nvrtcResult (*said_size)(nvrtcProgram program, size_t *size);
    nvrtcResult (*said)(nvrtcProgram program, char *text);
    nvrtcResult (*cubin_size)(nvrtcProgram program, size_t *size);
    nvrtcResult (*cubin)(nvrtcProgram program, char *data);
    nvrtcResult (*ptx_size)(nvrtcProgram program, size_t *size);
    nvrtcResult (*ptx)(nvrtcProgram program, char *data);
    nvrtcResult (*count_archs)(int *n);
    nvrtcResult (*archs)(int *capabilities); /* in rising order */
    const char *(*text)(nvrtcResult code);
};

static const struct cuda_symbol symbols[] = {
#define SYMBOL(field, name)                                                                        \
    {                                                                                              \
        name, offsetof(struct compiler, field)                                                     \
    }
    SYMBOL(version, "nvrtcVersion"),
    SYMBOL(create, "nvrtcCreateProgram"),
    SYMBOL(destroy, "nvrtcDestroyProgram"),
    SYMBOL(compile, "nvrtcCompileProgram"),
    SYMBOL(said_size, "nvrtcGetProgramLogSize"),
    SYMBOL(said, "nvrtcGetProgramLog"),
    SYMBOL(cubin_size, "nvrtcGetCUBINSize"),
    SYMBOL(cubin, "nvrtcGetCUBIN"),
    SYMBOL(ptx_size, "nvrtcGetPTXSize"),
    SYMBOL(ptx, "nvrtcGetPTX"),
    SYMBOL(count_archs, "nvrtcGetNumSupportedArchs"),
    SYMBOL(archs, "nvrtcGetSupportedArchs"),
    SYMBOL(text, "nvrtcGetErrorString"),
#undef SYMBOL
};

/* NVRTC looks for this one itself, by its soname, and in no folder of its own: where that would not
 * find it, it is there already. */
static void open_builtins(const struct compiler *c)
{
    char soname[64];
    int major = 0, minor = 0;

    if (c->version(&major, &minor) != NVRTC_SUCCESS)
        return;
    (void)snprintf(soname, sizeof soname, "libnvrtc-builtins.so.%d.%d", major, minor);
    (void)cuda_library(soname);
}

/* NULL: not installed. */
static const struct compiler *compiler(void)
{
    static struct compiler found;
    static int complete;
    char soname[64];
    void *library;

    if (complete)
        return &found;
    (void)snprintf(soname, sizeof soname, "libnvrtc.so.%d", CUDART_VERSION / 1000);
    library = cuda_library(soname);
    if (cuda_symbols(library, symbols, sizeof symbols / sizeof *symbols, &found))
        return NULL;
    open_builtins(&found);
    complete = 1;
    return &found;
}

void cuda_compile_key(int capability, char *key, size_t size)
{
    const struct compiler *c = compiler();
    const struct cuda_driver *driver = cuda_driver(NULL);
    int major = 0, minor = 0, version = 0;

    if (c)
        (void)c->version(&major, &minor);
    if (driver)
        (void)driver->version(&version);
    (void)snprintf(key, size, "nvrtc %d.%d, driver %d, sm_%d", major, minor, version, capability);
}

/* The start of what the compiler said. */
static enum mgpt_status say_log(const struct compiler *c, nvrtcProgram program, nvrtcResult code,
                                struct mgpt_error *error)
{
    size_t size = 0;
    char *log = NULL;

    if (c->said_size(program, &size) == NVRTC_SUCCESS && size > 1)
        log = calloc(1, size + 1);
    if (log && c->said(program, log) != NVRTC_SUCCESS)
        log[0] = '\0';
    for (char *p = log; p && *p; p++)
        if (*p == '\n')
            *p = ' '; /* an error is one line */
    mgpt_fail(error, MGPT_UNSUPPORTED, "NVRTC: %s: %.600s", c->text(code), log ? log : "");
    free(log);
    return MGPT_UNSUPPORTED;
}

/* What a program is compiled for: `virtual`, then for one that the driver translates further. */
struct target {
    int capability, virtual;
};

#define MAX_ARCHS 128

/* The device, or where it is newer than this compiler the newest that comes before it. */
static struct target target_of(const struct compiler *c, int capability)
{
    struct target target = {capability, 0};
    int archs[MAX_ARCHS], n = 0, best = 0;

    if (c->count_archs(&n) != NVRTC_SUCCESS || n > MAX_ARCHS || c->archs(archs) != NVRTC_SUCCESS)
        return target;
    for (int i = 0; i < n; i++)
        if (archs[i] <= capability && archs[i] > best)
            best = archs[i];
    if (best && best != capability)
        target = (struct target){best, 1};
    return target;
}

static enum mgpt_status take_image(const struct compiler *c, nvrtcProgram program, int virtual,
                                   char **image, size_t *size, struct mgpt_error *error)
{
    nvrtcResult code = (virtual ? c->ptx_size : c->cubin_size)(program, size);

    if (code != NVRTC_SUCCESS)
        return mgpt_fail(error, MGPT_UNSUPPORTED, "the size of what NVRTC made: %s", c->text(code));
    *image = malloc(*size);
    if (!*image)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for a program of %zu bytes", *size);
    code = (virtual ? c->ptx : c->cubin)(program, *image);
    if (code == NVRTC_SUCCESS)
        return MGPT_OK;
    free(*image);
    *image = NULL;
    return mgpt_fail(error, MGPT_UNSUPPORTED, "what NVRTC made: %s", c->text(code));
}

#define MAX_OPTIONS 16

static enum mgpt_status compile(const struct compiler *c, const char *text,
                                const struct mgpt_cuda_source *source, int capability, char **image,
                                size_t *size, struct mgpt_error *error)
{
    const char *options[MAX_OPTIONS] = {NULL, "--std=c++17"};
    struct target target = target_of(c, capability);
    nvrtcProgram program = NULL;
    nvrtcResult code;
    char arch[64];
    enum mgpt_status status;
    int n = 2;

    (void)snprintf(arch, sizeof arch, "--gpu-architecture=%s_%d", target.virtual ? "compute" : "sm",
                   target.capability);
    options[0] = arch;
    for (const char *const *o = source->options; o && *o; o++) {
        if (n == MAX_OPTIONS)
            return mgpt_fail(error, MGPT_INVALID, "program %s has too many options", source->name);
        options[n++] = *o;
    }
    code = c->create(&program, text, source->name, 0, NULL, NULL);
    if (code != NVRTC_SUCCESS)
        return mgpt_fail(error, MGPT_UNSUPPORTED, "nvrtcCreateProgram: %s", c->text(code));
    code = c->compile(program, n, options);
    status = code == NVRTC_SUCCESS ? take_image(c, program, target.virtual, image, size, error)
                                   : say_log(c, program, code, error);
    (void)c->destroy(&program);
    return status;
}

enum mgpt_status cuda_compile(const struct mgpt_cuda_source *source, int capability, char **image,
                              size_t *size, struct mgpt_error *error)
{
    const struct compiler *c = compiler();
    size_t room = strlen(cuda_prelude) + strlen(source->text) + strlen(source->name) + 32;
    char *text;
    enum mgpt_status status;

    if (!c)
        return mgpt_fail(error, MGPT_UNSUPPORTED, "NVRTC (libnvrtc.so.%d) is not installed",
                         CUDART_VERSION / 1000);
    text = malloc(room);
    if (!text)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for program %s", source->name);
    (void)snprintf(text, room, "%s#line 1 \"%s\"\n%s", cuda_prelude, source->name, source->text);
    status = compile(c, text, source, capability, image, size, error);
    free(text);
    return status;
}
