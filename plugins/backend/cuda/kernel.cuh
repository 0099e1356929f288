/* What kernels share: launching, shared memory, sums over warps and blocks.
 *
 * The same sources are compiled for the processor, where a fibre plays each thread; so shared
 * memory is always dynamic and declared by CUDA_SHARED, and launches are written with CUDA_LAUNCH.
 * In both cases they come from <cuda_runtime.h> or from here. */
#ifndef MGPT_CUDA_KERNEL_CUH
#define MGPT_CUDA_KERNEL_CUH

#include <cuda_runtime.h>

#include "ops.h"

#ifdef __CUDACC__
#define CUDA_LAUNCH(kernel, grid, block, shared, stream, ...)                                      \
    kernel<<<(grid), (block), (shared), (stream)>>>(__VA_ARGS__)
#define CUDA_SHARED(type, name)                                                                    \
    extern __shared__ __align__(16) unsigned char cuda_shared_[];                                  \
    type *name = reinterpret_cast<type *>(cuda_shared_)
#endif

#define CUDA_WARP 32
#define CUDA_ALL 0xffffffffu

/* After every launch. */
static inline enum mgpt_status cuda_launched(const char *kernel, struct mgpt_error *error)
{
    return cuda_checked(cudaGetLastError(), kernel, error);
}

/* Blocks for n things, `each` a block. Kernels loop, so a cap is only a cap. */
static inline unsigned cuda_blocks(int64_t n, int64_t each)
{
    int64_t blocks = (n + each - 1) / each;

    return (unsigned)(blocks < 65535 ? blocks : 65535);
}

static inline int64_t cuda_pieces(int64_t n, int64_t each)
{
    return (n + each - 1) / each;
}

/* Index of this thread in the grid, and how many there are. */
static __device__ inline int64_t grid_index(void)
{
    return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}

static __device__ inline int64_t grid_size(void)
{
    return (int64_t)gridDim.x * blockDim.x;
}

/* Over the lanes of a warp; every lane gets the result. */
template <class T> static __device__ inline T warp_sum(T v)
{
    for (int o = CUDA_WARP / 2; o; o /= 2)
        v += __shfl_xor_sync(CUDA_ALL, v, o);
    return v;
}

static __device__ inline float warp_max(float v)
{
    for (int o = CUDA_WARP / 2; o; o /= 2)
        v = fmaxf(v, __shfl_xor_sync(CUDA_ALL, v, o));
    return v;
}

/* Over the threads of a block, a multiple of a warp; every thread gets the result. `shared` has a
 * place a warp. */
template <class T> static __device__ inline T block_sum(T v, T *shared)
{
    int warps = (int)blockDim.x / CUDA_WARP, warp = (int)threadIdx.x / CUDA_WARP;
    T sum = 0;

    v = warp_sum(v);
    if (warps == 1)
        return v;
    if (threadIdx.x % CUDA_WARP == 0)
        shared[warp] = v;
    __syncthreads();
    for (int i = 0; i < warps; i++)
        sum += shared[i];
    __syncthreads();
    return sum;
}

#endif
