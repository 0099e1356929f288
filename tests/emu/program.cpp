/* Programs compiled at run time: the text that NVRTC would be given, word for word, compiled by the
 * C++ compiler and run a fibre a thread. */
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fibres.h"
#include "program.h"

/* What a text may use (microgpt/cuda_native.h), by way of a table that the library is handed. */
const char *const cuda_prelude = R"(
#include <cmath>
#include <cstddef>
#include <cstring>
#include <utility>
struct dim3 { unsigned x, y, z; };
struct alignas(16) float4 { float x, y, z, w; };
struct emu_thread_ { dim3 thread, block; unsigned index, warp, lane; };
struct emu_host_ {
    emu_thread_ **now;
    dim3 *block_dim, *grid_dim;
    unsigned char **shared;
    void (*barrier)(const char *file, int line);
    int (*barrier_or)(int value, const char *file, int line);
    void (*grid_barrier)(const char *file, int line);
    unsigned long (*exchange)(unsigned mask, unsigned long value, unsigned from, const char *file,
                              int line);
    unsigned (*ballot)(unsigned mask, int value, const char *file, int line);
    void (*sync_warp)(const char *file, int line);
    void (*touch)(const void *address, unsigned long size, bool write);
};
static const emu_host_ *emu_;
template <class T>
static inline T emu_shuffle_(unsigned mask, T value, unsigned from, const char *file, int line)
{
    static_assert(sizeof value <= 8, "a shuffle moves 8 bytes at most");
    unsigned long bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = emu_->exchange(mask, bits, from, file, line);
    memcpy(&value, &bits, sizeof value);
    return value;
}
#define threadIdx ((*emu_->now)->thread)
#define blockIdx ((*emu_->now)->block)
#define blockDim (*emu_->block_dim)
#define gridDim (*emu_->grid_dim)
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __syncthreads() emu_->barrier(__FILE__, __LINE__)
#define __syncthreads_or(value) emu_->barrier_or(value, __FILE__, __LINE__)
#define __syncwarp() emu_->sync_warp(__FILE__, __LINE__)
#define __ballot_sync(mask, value) emu_->ballot(mask, value, __FILE__, __LINE__)
#define EMU_LANE_ ((*emu_->now)->lane)
#define __shfl_sync(mask, value, from) \
    emu_shuffle_(mask, value, (unsigned)(from) % 32, __FILE__, __LINE__)
#define __shfl_xor_sync(mask, value, other) \
    emu_shuffle_(mask, value, EMU_LANE_ ^ (unsigned)(other), __FILE__, __LINE__)
#define __shfl_down_sync(mask, value, by) \
    emu_shuffle_(mask, value, EMU_LANE_ + (by) < 32 ? EMU_LANE_ + (by) : EMU_LANE_, __FILE__,     \
                 __LINE__)
#define MGPT_SHARED(type, name) type *name = reinterpret_cast<type *>(*emu_->shared)
#define MGPT_GRID_SYNC() emu_->grid_barrier(__FILE__, __LINE__)
static inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
static inline float rsqrtf(float x) { return 1 / sqrtf(x); }
#define __expf(x) expf(x)
#define __logf(x) logf(x)
static inline float __fdividef(float x, float y) { return x / y; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
using std::isfinite;
using std::isnan;
)";

namespace
{

/* What -fsanitize=thread compiles in. */
const char hooks[] = R"(
#if defined __SANITIZE_THREAD__
#define EMU_HOOK_ extern "C" __attribute__((visibility("hidden"), no_sanitize("thread"))) void
#define EMU_TOUCH_(at, size, write) (emu_ ? emu_->touch(at, size, write) : (void)0)
#define EMU_HOOKS_(size) \
    EMU_HOOK_ __tsan_read##size(void *at) { EMU_TOUCH_(at, size, false); } \
    EMU_HOOK_ __tsan_write##size(void *at) { EMU_TOUCH_(at, size, true); } \
    EMU_HOOK_ __tsan_unaligned_read##size(void *at) { EMU_TOUCH_(at, size, false); } \
    EMU_HOOK_ __tsan_unaligned_write##size(void *at) { EMU_TOUCH_(at, size, true); }
EMU_HOOKS_(1)
EMU_HOOKS_(2)
EMU_HOOKS_(4)
EMU_HOOKS_(8)
EMU_HOOKS_(16)
EMU_HOOK_ __tsan_read_range(void *at, unsigned long size) { EMU_TOUCH_(at, size, false); }
EMU_HOOK_ __tsan_write_range(void *at, unsigned long size) { EMU_TOUCH_(at, size, true); }
EMU_HOOK_ __tsan_init() {}
EMU_HOOK_ __tsan_func_entry(void *) {}
EMU_HOOK_ __tsan_func_exit() {}
#endif
)";

/* Calls a kernel with arguments that nobody here knows the types of, and says how large
 * they are. */
const char after[] = R"(
template <class... P, std::size_t... I>
static void emu_apply_(void (*kernel)(P...), void *const *args, std::index_sequence<I...>)
{
    kernel(*static_cast<P *>(args[I])...);
    (void)args;
}
template <class... P> static void emu_call_(void (*kernel)(P...), void *const *args)
{
    emu_apply_(kernel, args, std::index_sequence_for<P...>{});
}
template <class... P> static const std::size_t *emu_sizes_(void (*)(P...))
{
    static const std::size_t sizes[] = {sizeof(P)..., 0};
    return sizes;
}
#define EMU_EXPORT_ extern "C" __attribute__((visibility("default")))
EMU_EXPORT_ void emu_start_(const emu_host_ *host) { emu_ = host; }
)";
const char after_each[] = R"(
EMU_EXPORT_ void emu_call_%1$s(void *const *args) { emu_call_(%1$s, args); }
EMU_EXPORT_ const std::size_t *emu_sizes_%1$s() { return emu_sizes_(%1$s); }
)";

#if defined __SANITIZE_THREAD__
#define EMU_TOUCH emu_touch
#else
#define EMU_TOUCH nullptr
#endif

struct host {
    emu_thread **now;
    dim3 *block_dim, *grid_dim;
    unsigned char **shared;
    decltype(&emu_barrier) barrier;
    decltype(&emu_barrier_or) barrier_or;
    decltype(&emu_grid_barrier) grid_barrier;
    decltype(&emu_exchange) exchange;
    decltype(&emu_ballot) ballot;
    decltype(&emu_sync_warp) sync_warp;
    decltype(&emu_touch) touch;
} const host = {&emu_now,    &emu_block_dim, &emu_grid_dim,    &emu_shared,
                emu_barrier, emu_barrier_or, emu_grid_barrier, emu_exchange,
                emu_ballot,  emu_sync_warp,  EMU_TOUCH};

/* The program is checked as the kernels are. */
#if defined __SANITIZE_ADDRESS__
#define EMU_CHECKS " -fsanitize=address"
#define EMU_LINK " -fsanitize=address"
#elif defined __SANITIZE_THREAD__
#define EMU_CHECKS " -fsanitize=thread"
#define EMU_LINK ""
#else
#define EMU_CHECKS ""
#define EMU_LINK ""
#endif

/* Neither a contraction nor what the process was started with. */
const char command[] =
    "{ env -u LD_PRELOAD " EMU_CXX
    " -std=c++17 -O1 -fPIC -ffp-contract=off -fvisibility=hidden" EMU_CHECKS
    " -c -x c++ -o '%1$s/rule.o' '%1$s/rule.cpp' && env -u LD_PRELOAD " EMU_CXX EMU_LINK
    " -shared -o '%1$s/rule.so' '%1$s/rule.o'; } >'%1$s/said' 2>&1";

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

struct kernel {
    std::string name;
    void (*call)(void *const *args);
    const size_t *sizes; /* of the arguments; 0: no more */
};

/* The file stays open as long as the library: its name, /proc/self/fd/N, must not come again, or
 * dlopen would hand out the old one. */
struct mgpt_cuda_program {
    void *library;
    int file, device;
    std::vector<kernel> kernels;
};

void cuda_compile_key(int capability, char *key, size_t size)
{
    snprintf(key, size, "emulation, %s, sm_%d, -ffp-contract=off" EMU_CHECKS, __VERSION__,
             capability);
}

static std::string whole_text(const struct mgpt_cuda_source *source)
{
    std::string text = cuda_prelude + std::string("#line 1 \"") + source->name + "\"\n" +
                       source->text + hooks + after;
    char line[1024];

    for (const char *const *k = source->kernels; *k; k++) {
        snprintf(line, sizeof line, after_each, *k);
        text += line;
    }
    return text;
}

enum mgpt_status cuda_compile(const struct mgpt_cuda_source *source, int, char **image,
                              size_t *size, struct mgpt_error *error)
{
    const char *tmp = getenv("TMPDIR");
    std::string folder = std::string(tmp && *tmp ? tmp : "/tmp") + "/emu-rule-XXXXXX", data, said;
    char line[4096];

    if (!mkdtemp(&folder[0]))
        return mgpt_fail(error, MGPT_IO, "cannot make a folder %s", folder.c_str());
    snprintf(line, sizeof line, command, folder.c_str());
    if (write_file(folder + "/rule.cpp", whole_text(source)) && system(line) == 0)
        data = read_file(folder + "/rule.so");
    said = read_file(folder + "/said");
    for (const char *name : {"/rule.cpp", "/rule.o", "/rule.so", "/said", ""})
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

template <class F> static bool find(void *library, const std::string &name, F *to)
{
    void *symbol = library ? dlsym(library, name.c_str()) : nullptr;

    memcpy(to, &symbol, sizeof symbol);
    return symbol != nullptr;
}

static enum mgpt_status load(struct mgpt_cuda_program *program, const char *const *kernels,
                             struct mgpt_error *error)
{
    char path[64];
    void (*start)(const struct host *);

    snprintf(path, sizeof path, "/proc/self/fd/%d", program->file);
    program->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    for (; *kernels; kernels++) {
        kernel k = {*kernels, nullptr, nullptr};
        const size_t *(*sizes)();
        if (!find(program->library, std::string("emu_call_") + *kernels, &k.call) ||
            !find(program->library, std::string("emu_sizes_") + *kernels, &sizes))
            return mgpt_fail(error, MGPT_DEVICE, "a program does not load: %s", dlerror());
        k.sizes = sizes();
        program->kernels.push_back(k);
    }
    if (!find(program->library, "emu_start_", &start))
        return mgpt_fail(error, MGPT_DEVICE, "a program does not load: %s", dlerror());
    start(&host);
    return MGPT_OK;
}

enum mgpt_status cuda_program_load(const char *image, size_t size, const char *const *kernels,
                                   struct mgpt_cuda_program **out, struct mgpt_error *error)
{
    struct mgpt_cuda_program *program =
        new mgpt_cuda_program{nullptr, memfd_create("rule.so", MFD_CLOEXEC), emu_device(), {}};
    enum mgpt_status status;

    if (program->file < 0 || write(program->file, image, size) != (ssize_t)size)
        status = mgpt_fail(error, MGPT_IO, "no place for a program of %zu bytes", size);
    else
        status = load(program, kernels, error);
    if (status == MGPT_OK)
        *out = program;
    else
        cuda_program_unload(program);
    return status;
}

void cuda_program_unload(struct mgpt_cuda_program *program)
{
    if (!program)
        return;
    if (program->device != emu_device())
        emu_fault("a program of device %d is unloaded from device %d", program->device,
                  emu_device());
    if (program->library)
        dlclose(program->library);
    if (program->file >= 0)
        close(program->file);
    delete program;
}

enum mgpt_status cuda_program_facts(const struct mgpt_cuda_program *, uint32_t,
                                    struct mgpt_cuda_facts *facts, struct mgpt_error *)
{
    facts->threads = 1024;
    return MGPT_OK;
}

/* As far as shared memory and threads go. */
enum mgpt_status cuda_program_resident(const struct mgpt_cuda_program *, uint32_t,
                                       const struct mgpt_cuda_launch *launch, uint32_t *blocks,
                                       struct mgpt_error *error)
{
    uint32_t threads = launch->block[0] * launch->block[1] * launch->block[2];
    int shared = 0;
    enum mgpt_status status = CUDA_CHECK(
        cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0), error);

    if (status != MGPT_OK)
        return status;
    *blocks = threads <= 1024 ? 1024 / threads : 0;
    if (launch->shared && *blocks > (uint32_t)shared / launch->shared)
        *blocks = (uint32_t)shared / launch->shared;
    return MGPT_OK;
}

enum mgpt_status cuda_program_launch(const struct mgpt_cuda_program *program, uint32_t index,
                                     const struct mgpt_cuda_launch *launch, cudaStream_t stream,
                                     void *const *args, struct mgpt_error *error)
{
    const kernel &k = program->kernels[index];
    dim3 grid(launch->grid[0], launch->grid[1], launch->grid[2]);
    dim3 block(launch->block[0], launch->block[1], launch->block[2]);
    bool together = launch->flags & MGPT_CUDA_COOPERATIVE;
    std::vector<std::vector<char>> values; /* as they are now, not when the turn comes */
    uint32_t most = 0;
    int processors = 0;
    enum mgpt_status status = MGPT_OK;

    if (launch->shared > 48u << 10)
        status = CUDA_CHECK(cudaFuncSetAttribute((const void *)k.call,
                                                 cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                 (int)launch->shared),
                            error);
    if (status == MGPT_OK)
        status = cuda_program_resident(program, index, launch, &most, error);
    if (status == MGPT_OK)
        status = CUDA_CHECK(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 0),
                            error);
    if (status == MGPT_OK && together &&
        (uint64_t)grid.x * grid.y * grid.z > (uint64_t)most * (unsigned)processors)
        return cuda_checked(cudaErrorCooperativeLaunchTooLarge, k.name.c_str(), error);
    if (status != MGPT_OK)
        return status;
    for (size_t i = 0; k.sizes[i]; i++)
        values.emplace_back((const char *)args[i], (const char *)args[i] + k.sizes[i]);
    auto body = [call = k.call, values] {
        void *at[64];
        for (size_t i = 0; i < values.size(); i++)
            at[i] = const_cast<char *>(values[i].data());
        call(at);
    };
    unsigned long before = emu_counters.kernels;
    emu_enqueue(k.name.c_str(), (const void *)k.call, grid, block, launch->shared, stream, body,
                together);
    emu_counters.programs += emu_counters.kernels - before;
    return CUDA_CHECK(cudaGetLastError(), error);
}

void *cuda_context(void)
{
    static char contexts[EMU_DEVICES]; /* there is none: anything but NULL */

    return &contexts[emu_device()];
}
