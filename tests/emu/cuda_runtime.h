/* CUDA's C++ on the processor: a fibre plays each thread of a block.
 *
 * Stands in for the toolkit's header of the same name where .cu sources are compiled as C++. A
 * fibre runs until it waits for others, at a barrier or an exchange within its warp. Caught:
 * threads that wait at different barriers, or for ever; writes past shared memory, past buffers;
 * shared memory and buffers that are read before they are written (they are NaN); and, in that
 * results change with the order of turns, races. */
#ifndef EMU_CUDA_RUNTIME_H
#define EMU_CUDA_RUNTIME_H

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <vector>

#include "cuda_runtime_api.h"

using std::isfinite;

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_)
    {
    }
};

struct alignas(8) float2 {
    float x, y;
};

struct alignas(16) float4 {
    float x, y, z, w;
};

struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w)
{
    return {x, y, z, w};
}

static inline float2 make_float2(float x, float y)
{
    return {x, y};
}

static inline float4 make_float4(float x, float y, float z, float w)
{
    return {x, y, z, w};
}

/* ---- the thread whose turn it is ---- */

/* 16 bytes on their way. */
struct emu_copy {
    void *shared;
    const void *global;
};

struct emu_thread {
    dim3 thread, block;
    unsigned index, warp, lane;
    unsigned long syncs; /* how often its warp came together to order memory */
    std::vector<emu_copy> copies;
    std::vector<size_t> groups; /* of copies: the end of each */
};

extern emu_thread *emu_now;
extern dim3 emu_block_dim, emu_grid_dim;
extern unsigned char *emu_shared;

#define threadIdx (emu_now->thread)
#define blockIdx (emu_now->block)
#define blockDim emu_block_dim
#define gridDim emu_grid_dim

/* ---- waiting for others ---- */

void emu_barrier(const char *file, int line);
int emu_barrier_or(int value, const char *file, int line);
/* Every lane of `mask` brings 8 bytes; each gets those of lane `from` of its warp. */
uint64_t emu_exchange(unsigned mask, uint64_t value, unsigned from, const char *file, int line);
/* Every lane of a warp shows `bytes`; all[lane] is where they lie until the next but one call. */
void emu_gather(const void *mine, size_t bytes, const void *all[], const char *file, int line);
unsigned emu_ballot(unsigned mask, int value, const char *file, int line);
void emu_sync_warp(const char *file, int line);
/* Of all threads of a cooperative launch. */
void emu_grid_barrier(const char *file, int line);

#define __syncthreads() emu_barrier(__FILE__, __LINE__)
#define __syncthreads_or(value) emu_barrier_or(value, __FILE__, __LINE__)
#define __syncwarp() emu_sync_warp(__FILE__, __LINE__)
#define __ballot_sync(mask, value) emu_ballot(mask, value, __FILE__, __LINE__)
#define __shfl_xor_sync(mask, value, other)                                                        \
    emu_shuffle(mask, value, emu_now->lane ^ (unsigned)(other), __FILE__, __LINE__)

template <class T>
static inline T emu_shuffle(unsigned mask, T value, unsigned from, const char *file, int line)
{
    static_assert(sizeof value <= sizeof(uint64_t), "a shuffle moves 8 bytes at most");
    uint64_t bits = 0;

    memcpy(&bits, &value, sizeof value);
    bits = emu_exchange(mask, bits, from, file, line);
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline int __popc(unsigned bits)
{
    return __builtin_popcount(bits);
}

/* ---- launching ---- */

#define CUDA_SHARED(type, name) type *name = reinterpret_cast<type *>(emu_shared)

/* `together`: a cooperative launch, all blocks at once. */
void emu_enqueue(const char *kernel, const void *address, dim3 grid, dim3 block, size_t shared,
                 cudaStream_t stream, std::function<void()> body, bool together = false);

/* Arguments are taken as they are at the launch, not when its turn comes. */
template <class... P, class... A>
static inline void emu_launch(const char *name, void (*kernel)(P...), dim3 grid, dim3 block,
                              size_t shared, cudaStream_t stream, A... args)
{
    std::tuple<P...> values(static_cast<P>(args)...);

    emu_enqueue(name, reinterpret_cast<const void *>(kernel), grid, block, shared, stream,
                [=] { std::apply(kernel, values); });
}

#define CUDA_LAUNCH(kernel, grid, block, shared, stream, ...)                                      \
    emu_launch(#kernel, kernel, grid, block, shared, stream, __VA_ARGS__)

#endif
