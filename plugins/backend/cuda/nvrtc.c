/* Programs compiled at run time by NVRTC, which needs neither a driver nor a device. */
#include <nvrtc.h>

#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "update.h"

/* No fused multiply-adds: then the rule gives the bits that its C function gives. */
#define OPTIONS "--fmad=false --std=c++17"

/* The functions of NVRTC that are used here. */
struct compiler {
    nvrtcResult (*version)(int *major, int *minor);
    nvrtcResult (*create)(nvrtcProgram *program, const char *text, const char *name, int n,
                          const char *const *headers, const char *const *names);
    nvrtcResult (*destroy)(nvrtcProgram *program);
    nvrtcResult (*compile)(nvrtcProgram program, int n, const char *const *options);
    nvrtcResult (*said_size)(nvrtcProgram program, size_t *size);
    nvrtcResult (*said)(nvrtcProgram program, char *text);
    nvrtcResult (*image_size)(nvrtcProgram program, size_t *size);
    nvrtcResult (*image)(nvrtcProgram program, char *data);
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
    SYMBOL(image_size, "nvrtcGetCUBINSize"),
    SYMBOL(image, "nvrtcGetCUBIN"),
    SYMBOL(text, "nvrtcGetErrorString"),
#undef SYMBOL
};

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
    (void)snprintf(key, size, "nvrtc %d.%d, driver %d, sm_%d, " OPTIONS, major, minor, version,
                   capability);
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

static enum mgpt_status take_image(const struct compiler *c, nvrtcProgram program, char **image,
                                   size_t *size, struct mgpt_error *error)
{
    nvrtcResult code = c->image_size(program, size);

    if (code != NVRTC_SUCCESS)
        return mgpt_fail(error, MGPT_UNSUPPORTED, "nvrtcGetCUBINSize: %s", c->text(code));
    *image = malloc(*size);
    if (!*image)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for a program of %zu bytes", *size);
    code = c->image(program, *image);
    if (code == NVRTC_SUCCESS)
        return MGPT_OK;
    free(*image);
    *image = NULL;
    return mgpt_fail(error, MGPT_UNSUPPORTED, "nvrtcGetCUBIN: %s", c->text(code));
}

enum mgpt_status cuda_compile(const char *text, int capability, char **image, size_t *size,
                              struct mgpt_error *error)
{
    const struct compiler *c = compiler();
    const char *options[] = {NULL, "--fmad=false", "--std=c++17"};
    nvrtcProgram program = NULL;
    nvrtcResult code;
    char arch[32];
    enum mgpt_status status;

    if (!c)
        return mgpt_fail(error, MGPT_UNSUPPORTED, "NVRTC (libnvrtc.so.%d) is not installed",
                         CUDART_VERSION / 1000);
    (void)snprintf(arch, sizeof arch, "--gpu-architecture=sm_%d", capability);
    options[0] = arch;
    code = c->create(&program, text, "rule.cu", 0, NULL, NULL);
    if (code != NVRTC_SUCCESS)
        return mgpt_fail(error, MGPT_UNSUPPORTED, "nvrtcCreateProgram: %s", c->text(code));
    code = c->compile(program, (int)(sizeof options / sizeof *options), options);
    status = code == NVRTC_SUCCESS ? take_image(c, program, image, size, error)
                                   : say_log(c, program, code, error);
    (void)c->destroy(&program);
    return status;
}
