/* Programs compiled at run time: the text that NVRTC would be given, word for word, compiled by the
 * C++ compiler and run thread by thread (no program of a rule has barriers). */
#include <cstdio>
#include <cstdlib>
#include <string>

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fibres.h"
#include "update.h"

namespace
{

const char before[] = R"(
#include <math.h>
struct emu_index_ { unsigned x; };
static emu_index_ threadIdx, blockIdx, blockDim, gridDim;
#define __global__
)";

const char after[] = R"(
template <class A> static void emu_call_(void (*kernel)(A), const void *args)
{
    kernel(*static_cast<const A *>(args));
}
extern "C" __attribute__((visibility("default")))
void emu_run_(unsigned blocks, unsigned threads, const void *args)
{
    gridDim.x = blocks;
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
        for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++)
            emu_call_(mgpt_update, args);
}
)";

/* Neither a contraction nor what the process was started with. */
const char command[] = "env -u LD_PRELOAD " EMU_CXX
                       " -std=c++17 -O1 -fPIC -shared -ffp-contract=off -fvisibility=hidden"
                       " -x c++ -o '%s/rule.so' '%s/rule.cpp' >'%s/said' 2>&1";

bool write_file(const std::string &path, const std::string &text)
{
    FILE *file = fopen(path.c_str(), "w");
    bool written = file && fwrite(text.data(), 1, text.size(), file) == text.size();

    return file && fclose(file) == 0 && written;
}

std::string read_file(const std::string &path)
{
    std::string text;
    char part[4096];
    FILE *file = fopen(path.c_str(), "r");

    if (!file)
        return text;
    for (size_t n; (n = fread(part, 1, sizeof part, file)) > 0;)
        text.append(part, n);
    fclose(file);
    return text;
}

} // namespace

struct cuda_program {
    void *library;
    void (*run)(unsigned blocks, unsigned threads, const void *args);
};

void cuda_compile_key(int capability, char *key, size_t size)
{
    snprintf(key, size, "emulation, %s, sm_%d, -ffp-contract=off", __VERSION__, capability);
}

enum mgpt_status cuda_compile(const char *text, int, char **image, size_t *size,
                              struct mgpt_error *error)
{
    const char *tmp = getenv("TMPDIR");
    std::string folder = std::string(tmp && *tmp ? tmp : "/tmp") + "/emu-rule-XXXXXX", data, said;
    char line[4096];

    if (!mkdtemp(&folder[0]))
        return mgpt_fail(error, MGPT_IO, "cannot make a folder %s", folder.c_str());
    snprintf(line, sizeof line, command, folder.c_str(), folder.c_str(), folder.c_str());
    if (write_file(folder + "/rule.cpp", std::string(before) + text + after) && system(line) == 0)
        data = read_file(folder + "/rule.so");
    said = read_file(folder + "/said");
    for (const char *name : {"/rule.cpp", "/rule.so", "/said", ""})
        (void)remove((folder + name).c_str());
    if (data.empty())
        return mgpt_fail(error, MGPT_UNSUPPORTED, "%s: %.600s", EMU_CXX, said.c_str());
    *size = data.size();
    *image = (char *)malloc(*size);
    if (!*image)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for a program");
    memcpy(*image, data.data(), *size);
    return MGPT_OK;
}

enum mgpt_status cuda_program_load(const char *image, size_t size, struct cuda_program **program,
                                   struct mgpt_error *error)
{
    char path[64];
    int file = memfd_create("rule.so", MFD_CLOEXEC);
    void *library = nullptr, *run = nullptr;

    if (file >= 0 && write(file, image, size) == (ssize_t)size) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
        library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    if (library)
        run = dlsym(library, "emu_run_");
    if (file >= 0)
        close(file);
    if (!run)
        return mgpt_fail(error, MGPT_DEVICE, "a program does not load: %s", dlerror());
    *program = new cuda_program{library, nullptr};
    memcpy(&(*program)->run, &run, sizeof run);
    return MGPT_OK;
}

void cuda_program_unload(struct cuda_program *program)
{
    if (program)
        dlclose(program->library);
    delete program;
}

enum mgpt_status cuda_program_launch(const struct cuda_program *program, cudaStream_t stream,
                                     unsigned blocks, const struct cuda_rule_args *args,
                                     struct mgpt_error *)
{
    struct cuda_rule_args copy = *args;
    auto run = program->run;

    emu_launches++;
    emu_defer(stream, [=] { run(blocks, CUDA_RULE_THREADS, &copy); });
    return MGPT_OK;
}
