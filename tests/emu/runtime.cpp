/* The runtime's functions: memory with guards, streams that do their work when somebody waits. */
#include "fibres.h"

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>

#if defined __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, bytes) ((void)(data), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(data, bytes) ((void)(data), (void)(bytes))
#endif

struct emu_stream {
    std::deque<std::function<void()>> work;
};

namespace
{

const unsigned char guard_byte = 0xc5;
cudaError_t last_error;
std::map<unsigned char *, size_t> buffers; /* device memory in use */
std::map<const void *, int> shared_limits; /* of kernels that asked for more */

/* Of a launch: 48 KB unless the kernel asked; sm_75 has the least that can be asked for. */
const size_t shared_usual = 48 << 10, shared_most = 64 << 10;

cudaError_t fail(cudaError_t code)
{
    return last_error = code;
}

/* Does the range lie in device memory? */
bool on_device(const void *data, size_t bytes)
{
    auto after = buffers.upper_bound((unsigned char *)data);

    if (after == buffers.begin())
        return false;
    --after;
    return (const unsigned char *)data + bytes <= after->first + after->second;
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

} // namespace

unsigned long emu_launches;

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
    return device == 0 ? cudaSuccess : fail(cudaErrorInvalidDevice);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device)
{
    if (device != 0)
        return fail(cudaErrorInvalidDevice);
    snprintf(properties->name, sizeof properties->name, "emulated");
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device)
{
    if (device != 0)
        return fail(cudaErrorInvalidDevice);
    switch (attribute) {
    case cudaDevAttrMultiProcessorCount: *value = 4; break; /* so that all ways are taken */
    case cudaDevAttrComputeCapabilityMajor: *value = 7; break;
    case cudaDevAttrComputeCapabilityMinor: *value = 5; break;
    }
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *unused, size_t *total)
{
    *total = (size_t)4 << 30;
    *unused = *total;
    for (const auto &b : buffers)
        *unused -= b.second < *unused ? b.second : *unused;
    return cudaSuccess;
}

/* ---- memory ---- */

cudaError_t cudaMalloc(void **data, size_t bytes)
{
    unsigned char *buffer = bytes <= ((size_t)4 << 30) ? emu_guarded_new(bytes) : nullptr;

    if (!buffer)
        return fail(cudaErrorMemoryAllocation);
    buffers[buffer] = bytes;
    *data = buffer;
    return cudaSuccess;
}

/* Waits for the device, as the real one does. */
cudaError_t cudaFree(void *data)
{
    auto at = buffers.find((unsigned char *)data);

    if (!data)
        return cudaSuccess;
    if (at == buffers.end())
        return fail(cudaErrorInvalidValue);
    drain_all();
    if (!emu_guarded_intact(at->first, at->second))
        emu_fault("a write outside of a buffer of %zu bytes", at->second);
    emu_guarded_delete(at->first, at->second);
    buffers.erase(at);
    return emu_faulted() ? fail(cudaErrorIllegalAddress) : cudaSuccess;
}

cudaError_t cudaMallocHost(void **data, size_t bytes)
{
    *data = malloc(bytes);
    return *data ? cudaSuccess : fail(cudaErrorMemoryAllocation);
}

cudaError_t cudaFreeHost(void *data)
{
    drain_all();
    free(data);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    const void *device = kind == cudaMemcpyHostToDevice ? to : from;

    if (!on_device(device, bytes))
        return fail(cudaErrorInvalidValue);
    stream->work.push_back([=] { memcpy(to, from, bytes); });
    return cudaSuccess;
}

/* ---- streams and launches ---- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    if (flags != cudaStreamNonBlocking)
        return fail(cudaErrorInvalidValue);
    *stream = new emu_stream;
    streams[*stream] = 1;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
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

cudaError_t cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute attribute, int value)
{
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || (size_t)value > shared_most)
        return fail(cudaErrorInvalidValue);
    shared_limits[kernel] = value;
    return cudaSuccess;
}

void emu_enqueue(const char *kernel, const void *address, dim3 grid, dim3 block, size_t shared,
                 cudaStream_t stream, std::function<void()> body)
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
    stream->work.push_back([=] { emu_run(kernel, grid, block, shared, body); });
}

void emu_defer(cudaStream_t stream, std::function<void()> work)
{
    stream->work.push_back(std::move(work));
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
    default: return emu_fault_text();
    }
}
