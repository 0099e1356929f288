/* The CUDA runtime, as far as the cuda backend uses it, on the processor: for tests without a GPU.
 *
 * Stands in for the toolkit's header of the same name. Device memory is host memory that nobody but
 * kernels and copies may touch; it starts as NaN. Work put on a stream is done when somebody waits
 * for the stream, so that whoever forgets to wait reads old values. An error that a kernel made is
 * sticky, as on a device. */
#ifndef EMU_CUDA_RUNTIME_API_H
#define EMU_CUDA_RUNTIME_API_H

#include <stddef.h>

#include "counters.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cudaError {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorInvalidDevice = 101,
    cudaErrorInvalidResourceHandle = 400,
    cudaErrorIllegalAddress = 700,
    cudaErrorLaunchFailure = 719,
    cudaErrorCooperativeLaunchTooLarge = 720,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorStreamCaptureInvalidated = 901
} cudaError_t;

enum cudaMemcpyKind {
    cudaMemcpyHostToDevice = 1,
    cudaMemcpyDeviceToHost = 2,
    cudaMemcpyDefault = 4 /* device and page-locked memory, either way */
};
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
enum { cudaStreamNonBlocking = 1 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum cudaDeviceAttr {
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76,
    cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
};

struct cudaDeviceProp {
    char name[256];
};

typedef struct emu_stream *cudaStream_t;
typedef struct emu_graph *cudaGraph_t, *cudaGraphExec_t;

cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device);
cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device);
cudaError_t cudaMemGetInfo(size_t *unused, size_t *total);
cudaError_t cudaMalloc(void **data, size_t bytes);
cudaError_t cudaFree(void *data);
cudaError_t cudaMallocHost(void **data, size_t bytes);
cudaError_t cudaFreeHost(void *data);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
/* While a stream captures, what is put on it is taken down and not done. New and freed memory,
 * waiting and copies from or to memory that is not page-locked fail then, and spoil the capture. */
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph,
                                 unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute attribute, int value);
cudaError_t cudaGetLastError(void);
const char *cudaGetErrorString(cudaError_t code);

/* ---- of the emulation alone ---- */

enum emu_order { EMU_FORWARD, EMU_BACKWARD, EMU_RANDOM };

/* In which order threads of a block, and blocks, take their turns. */
void emu_set_order(enum emu_order order, unsigned seed);
/* What the kernel that failed did wrong; "" when none did. */
const char *emu_fault_text(void);
/* Forgets the fault: a device would have to be opened again. */
void emu_forget_fault(void);
/* There are so many, alike; every thread of the host has a current one, 0 at first. Kernels go to
 * streams of the current device alone. */
#define EMU_DEVICES 2
int emu_device(void);
/* What sort of device it is, 80 (8.0) at first: that decides how much shared memory a block can
 * have. */
void emu_set_capability(int capability);
int emu_capability(void);
/* Bytes that each has. */
void emu_set_memory(size_t bytes);
extern struct emu_counters emu_counters;

#ifdef __cplusplus
}
#endif
#endif
