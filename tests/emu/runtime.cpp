/* The runtime's functions: memory with guards, streams that do their work when somebody waits. */
#include "fibres.h"

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <vector>

#if defined __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, bytes) ((void)(data), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(data, bytes) ((void)(data), (void)(bytes))
#endif

struct emu_graph {
    std::vector<std::function<void()>> work;
};

struct emu_stream {
    int device;
    std::deque<std::function<void()>> work;
    emu_graph *capture; /* what is being taken down, or NULL */
};

namespace
{

const unsigned char guard_byte = 0xc5;
cudaError_t last_error;
int capability = 80;                       /* 8.0 */
size_t memory = (size_t)4 << 30;           /* bytes of a device */
thread_local int current;                  /* device of this thread */
std::map<unsigned char *, size_t> buffers; /* device memory in use */
std::map<unsigned char *, int> homes;      /* the device that each is on */
std::map<unsigned char *, size_t> pinned;  /* page-locked memory in use */
std::map<const void *, int> shared_limits; /* of kernels that asked for more */
bool spoilt;                               /* the capture that goes on */

const size_t shared_usual = 48 << 10; /* of a launch, unless the kernel asked for more */

size_t shared_most()
{
    bool small = capability == 86 || capability == 89 || capability >= 120;

    return (size_t)(capability < 80 ? 64 : small ? 99 : capability < 90 ? 163 : 227) << 10;
}

cudaError_t fail(cudaError_t code)
{
    return last_error = code;
}

/* Does the range lie in one of those pieces? */
bool lies_in(const std::map<unsigned char *, size_t> &pieces, const void *data, size_t bytes)
{
    auto after = pieces.upper_bound((unsigned char *)data);

    if (after == pieces.begin())
        return false;
    --after;
    return (const unsigned char *)data + bytes <= after->first + after->second;
}

bool on_device(const void *data, size_t bytes)
{
    return lies_in(buffers, data, bytes);
}

void drain(cudaStream_t stream)
{
    while (!stream->work.empty()) {
        std::function<void()> next = std::move(stream->work.front());
        stream->work.pop_front();
        if (!emu_faulted())
            next();
    }
}

std::map<cudaStream_t, int> streams;

void drain_all()
{
    for (auto &s : streams)
        drain(s.first);
}

/* Spoils the capture that goes on, if one does. */
bool illegal_now()
{
    for (auto &s : streams)
        if (s.first->capture)
            return spoilt = true;
    return false;
}

/* On the stream, or into what is taken down; `counter` counts only the former. */
void put(cudaStream_t stream, unsigned long *counter, std::function<void()> work)
{
    if (stream->capture) {
        emu_counters.captured++;
        stream->capture->work.push_back(std::move(work));
    } else {
        ++*counter;
        stream->work.push_back(std::move(work));
    }
}

} // namespace

struct emu_counters emu_counters;

void emu_set_capability(int which)
{
    capability = which;
}

void emu_set_memory(size_t bytes)
{
    memory = bytes;
}

int emu_capability(void)
{
    return capability;
}

/* ---- guarded memory ---- */

unsigned char *emu_guarded_new(size_t bytes)
{
    unsigned char *all = (unsigned char *)aligned_alloc(
        EMU_GUARD, (bytes + 2 * EMU_GUARD + EMU_GUARD - 1) / EMU_GUARD * EMU_GUARD);

    if (!all)
        return nullptr;
    memset(all, guard_byte, EMU_GUARD);
    memset(all + EMU_GUARD + bytes, guard_byte, EMU_GUARD);
    ASAN_POISON_MEMORY_REGION(all, EMU_GUARD);
    ASAN_POISON_MEMORY_REGION(all + EMU_GUARD + bytes, EMU_GUARD);
    emu_guarded_poison(all + EMU_GUARD, bytes);
    return all + EMU_GUARD;
}

void emu_guarded_poison(unsigned char *data, size_t bytes)
{
    memset(data, 0xff, bytes); /* a NaN, in every float format */
}

bool emu_guarded_intact(const unsigned char *data, size_t bytes)
{
    bool intact = true;

    ASAN_UNPOISON_MEMORY_REGION(data - EMU_GUARD, bytes + 2 * EMU_GUARD);
    for (size_t i = 0; i < EMU_GUARD; i++)
        intact &= data[i - EMU_GUARD] == guard_byte && data[bytes + i] == guard_byte;
    ASAN_POISON_MEMORY_REGION(data - EMU_GUARD, EMU_GUARD);
    ASAN_POISON_MEMORY_REGION(data + bytes, EMU_GUARD);
    return intact;
}

void emu_guarded_delete(unsigned char *data, size_t bytes)
{
    if (!data)
        return;
    ASAN_UNPOISON_MEMORY_REGION(data - EMU_GUARD, bytes + 2 * EMU_GUARD);
    free(data - EMU_GUARD);
}

/* ---- devices ---- */

cudaError_t cudaSetDevice(int device)
{
    if (device < 0 || device >= EMU_DEVICES)
        return fail(cudaErrorInvalidDevice);
    current = device;
    return cudaSuccess;
}

int emu_device(void)
{
    return current;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device)
{
    if (device < 0 || device >= EMU_DEVICES)
        return fail(cudaErrorInvalidDevice);
    snprintf(properties->name, sizeof properties->name, "emulated");
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device)
{
    if (device < 0 || device >= EMU_DEVICES)
        return fail(cudaErrorInvalidDevice);
    switch (attribute) {
    case cudaDevAttrMultiProcessorCount: *value = 4; break; /* so that all ways are taken */
    case cudaDevAttrComputeCapabilityMajor: *value = capability / 10; break;
    case cudaDevAttrComputeCapabilityMinor: *value = capability % 10; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = (int)shared_most(); break;
    }
    return cudaSuccess;
}

static size_t left(void)
{
    size_t unused = memory;

    for (const auto &b : buffers)
        if (homes[b.first] == current)
            unused -= b.second < unused ? b.second : unused;
    return unused;
}

cudaError_t cudaMemGetInfo(size_t *unused, size_t *total)
{
    *total = memory;
    *unused = left();
    return cudaSuccess;
}

/* ---- memory ---- */

cudaError_t cudaMalloc(void **data, size_t bytes)
{
    unsigned char *buffer;

    if (illegal_now())
        return fail(cudaErrorStreamCaptureUnsupported);
    buffer = bytes <= left() ? emu_guarded_new(bytes) : nullptr;
    if (!buffer)
        return fail(cudaErrorMemoryAllocation);
    buffers[buffer] = bytes;
    homes[buffer] = current;
    *data = buffer;
    return cudaSuccess;
}

/* Waits for the device, as the real one does. */
cudaError_t cudaFree(void *data)
{
    auto at = buffers.find((unsigned char *)data);

    if (!data)
        return cudaSuccess;
    if (illegal_now())
        return fail(cudaErrorStreamCaptureUnsupported);
    if (at == buffers.end())
        return fail(cudaErrorInvalidValue);
    drain_all();
    if (!emu_guarded_intact(at->first, at->second))
        emu_fault("a write outside of a buffer of %zu bytes", at->second);
    emu_guarded_delete(at->first, at->second);
    homes.erase(at->first);
    buffers.erase(at);
    return emu_faulted() ? fail(cudaErrorIllegalAddress) : cudaSuccess;
}

cudaError_t cudaMallocHost(void **data, size_t bytes)
{
    if (illegal_now())
        return fail(cudaErrorStreamCaptureUnsupported);
    *data = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!*data)
        return fail(cudaErrorMemoryAllocation);
    pinned[(unsigned char *)*data] = bytes;
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *data)
{
    if (!data)
        return cudaSuccess;
    if (illegal_now())
        return fail(cudaErrorStreamCaptureUnsupported);
    if (!pinned.erase((unsigned char *)data))
        return fail(cudaErrorInvalidValue);
    drain_all();
    free(data);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    bool to_device = on_device(to, bytes), from_device = on_device(from, bytes);
    bool locked =
        (to_device || lies_in(pinned, to, bytes)) && (from_device || lies_in(pinned, from, bytes));

    if ((kind == cudaMemcpyHostToDevice && !to_device) ||
        (kind == cudaMemcpyDeviceToHost && !from_device) ||
        (kind == cudaMemcpyDefault && (!locked || !(to_device || from_device))))
        return fail(cudaErrorInvalidValue);
    if (!locked && illegal_now())
        return fail(cudaErrorStreamCaptureUnsupported);
    put(stream, &emu_counters.copies, [=] { memmove(to, from, bytes); });
    return cudaSuccess;
}

/* ---- streams ---- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    if (flags != cudaStreamNonBlocking)
        return fail(cudaErrorInvalidValue);
    *stream = new emu_stream{};
    (*stream)->device = current;
    streams[*stream] = 1;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    if (illegal_now())
        return fail(cudaErrorStreamCaptureUnsupported);
    emu_counters.waits++;
    drain(stream);
    return emu_faulted() ? fail(cudaErrorLaunchFailure) : cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    drain(stream);
    streams.erase(stream);
    delete stream;
    return cudaSuccess;
}

/* ---- graphs ---- */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    if (mode != cudaStreamCaptureModeThreadLocal || stream->capture)
        return fail(cudaErrorInvalidValue);
    stream->capture = new emu_graph;
    spoilt = false;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    *graph = nullptr;
    if (!stream->capture)
        return fail(cudaErrorInvalidValue);
    if (spoilt)
        delete stream->capture;
    else
        *graph = stream->capture;
    stream->capture = nullptr;
    return *graph ? cudaSuccess : fail(cudaErrorStreamCaptureInvalidated);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags)
{
    if (flags || illegal_now())
        return fail(cudaErrorInvalidValue);
    *exec = new emu_graph(*graph);
    return cudaSuccess;
}

/* A copy of it: on a device, too, it may be destroyed while it runs. */
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    if (illegal_now())
        return fail(cudaErrorStreamCaptureUnsupported);
    put(stream, &emu_counters.graphs, [work = exec->work] {
        for (size_t i = 0; i < work.size() && !emu_faulted(); i++)
            work[i]();
    });
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    delete exec;
    return cudaSuccess;
}

/* ---- launches ---- */

cudaError_t cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute attribute, int value)
{
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || (size_t)value > shared_most())
        return fail(cudaErrorInvalidValue);
    shared_limits[kernel] = value;
    return cudaSuccess;
}

void emu_enqueue(const char *kernel, const void *address, dim3 grid, dim3 block, size_t shared,
                 cudaStream_t stream, std::function<void()> body, bool together)
{
    size_t threads = (size_t)block.x * block.y * block.z, limit = shared_usual;
    auto asked = shared_limits.find(address);

    if (asked != shared_limits.end() && (size_t)asked->second > limit)
        limit = (size_t)asked->second;
    if (threads < 1 || threads > 1024 || !grid.x || !grid.y || !grid.z || grid.y > 65535 ||
        grid.z > 65535 || shared > limit) {
        fail(cudaErrorInvalidConfiguration);
        return;
    }
    if (stream->device != current) {
        fail(cudaErrorInvalidResourceHandle);
        return;
    }
    put(stream, &emu_counters.kernels, [=] {
        emu_counters.casts += strcmp(kernel, "cast") == 0;
        emu_run(kernel, grid, block, shared, body, together);
    });
}

void emu_defer(cudaStream_t stream, std::function<void()> work)
{
    put(stream, &emu_counters.products, std::move(work));
}

/* ---- errors ---- */

cudaError_t cudaGetLastError(void)
{
    cudaError_t code = emu_faulted() ? cudaErrorLaunchFailure : last_error;

    last_error = cudaSuccess;
    return code;
}

const char *cudaGetErrorString(cudaError_t code)
{
    switch (code) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorInvalidResourceHandle: return "invalid resource handle";
    case cudaErrorCooperativeLaunchTooLarge: return "too many blocks in cooperative launch";
    case cudaErrorStreamCaptureUnsupported:
        return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated:
        return "operation failed due to a previous error during capture";
    default: return emu_fault_text();
    }
}
