/* What the functions of step micro_cuda are to the compiler. These files are not compiled when
 * microgpt is built: text.c joins them, with the optimizer's rule and the model's shape as
 * constants after this one, and the compiler of the device gets the whole when a run starts. In
 * this order: device, format, memory, warp, dropout, activation, norm, attention, forward,
 * backward, gradients, update, one, many. MGPT_SHARED and MGPT_GRID_SYNC:
 * microgpt/cuda_native.h. */
#define DEVICE static __device__ __forceinline__
