/* Extension "nvidia.cuda-native/1" of a backend: the CUDA device behind it, for step modules that
 * run programs of their own on it and link no library of CUDA.
 *
 *     const struct mgpt_cuda_native *cuda = backend->query(device, MGPT_CUDA_NATIVE);
 *
 * NULL: the backend has no such device. (A backend without `query` has none either.) The struct is
 * the backend's and lives as long as the device. Everything goes to one stream, in the order of the
 * calls, the backend's ops included; functions return before it is done, and the backend's `sync`
 * waits for it and tells of errors that came up meanwhile. Addresses are of the device's memory
 * unless said otherwise; sizes are bytes. */
#ifndef MICROGPT_CUDA_NATIVE_H
#define MICROGPT_CUDA_NATIVE_H

#include <microgpt/backend.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MGPT_CUDA_NATIVE "nvidia.cuda-native/1" /* to ask `query` of the backend for */

struct mgpt_cuda_program; /* compiled and loaded; the backend's own */
struct mgpt_cuda_graph;   /* captured work; the backend's own */

/* The source of a program: CUDA C++ that includes nothing. Kernels are `extern "C" __global__ void`
 * and their arguments scalars, pointers and plain structs. Grows at the tail.
 *
 * So that a test can run the same text on the processor, it keeps to: threadIdx, blockIdx,
 * blockDim, gridDim; __syncthreads, __syncthreads_or, __syncwarp; __shfl_sync, __shfl_xor_sync,
 * __shfl_down_sync and __ballot_sync with all 32 lanes; __popc; __launch_bounds__, __restrict__,
 * __forceinline__, __device__ functions and variables; float4 and make_float4; C's mathematics
 * (sqrtf, expf, fmaf ...), rsqrtf, __expf, __logf, __fdividef; and two macros that are there
 * already:
 *   MGPT_SHARED(type, name)   type *name: the dynamic shared memory of the block, aligned to 16;
 *                             `__shared__` itself is not for use
 *   MGPT_GRID_SYNC()          a barrier of all threads of a cooperative launch; what was written
 *                             before it, to global memory too, is read after it
 * On the processor __CUDA_ARCH__ is not defined: PTX goes behind it, and the same in C++ beside it.
 * Contents of shared memory are undefined at the start, whatever the launch before left there. */
struct mgpt_cuda_source {
    uint32_t size, reserved;
    const char *name;           /* for messages and line numbers, "micro"; not part of the key */
    const char *text;           /* live for the call, as all strings here */
    const char *const *kernels; /* names, NULL-terminated; 0 is the first */
    const char *const *options; /* of NVRTC, "--fmad=false", NULL-terminated, or NULL; the
                                   architecture is the backend's to add */
};

/* What the compiler made of a kernel. The caller sets `size`. Grows at the tail. */
struct mgpt_cuda_facts {
    uint32_t size;
    uint32_t registers; /* of a thread; 0: not known, nor are the others */
    uint32_t spilled;   /* bytes of a thread in local memory: arrays and what found no register */
    uint32_t threads;   /* of a block, at most */
};

/* A set. */
enum mgpt_cuda_launch_flags {
    MGPT_CUDA_COOPERATIVE = 1 /* all blocks run at once: MGPT_GRID_SYNC may be used */
};

/* Frozen. */
struct mgpt_cuda_launch {
    uint32_t grid[3];  /* blocks, 1 or more in each direction */
    uint32_t block[3]; /* threads, 1 or more in each direction */
    uint32_t shared;   /* bytes of dynamic shared memory of a block, <= shared_most */
    uint32_t flags;    /* enum mgpt_cuda_launch_flags */
};

/* Grows at the tail. Every function takes the device that was asked. Errors: MGPT_INVALID, the
 * caller broke this contract; MGPT_UNSUPPORTED, not here, with the cause; MGPT_NOMEM; MGPT_DEVICE,
 * the device failed, and it is of no more use. */
struct mgpt_cuda_native {
    uint32_t size;
    uint32_t capability;      /* 90 is 9.0 */
    uint32_t multiprocessors; /* of the device */
    uint32_t shared_most;     /* bytes of shared memory that a block can have */
    void *context;            /* CUcontext, for libraries of CUDA that a module opens itself */
    void *stream;             /* CUstream: all work of the device goes there, in order */
    /* Where the data of a tensor is; NULL for "no tensor". Whoever knows may write there at any
     * time: the backend keeps nothing any more that was made from the buffer. [any] */
    void *(*address)(struct mgpt_device *device, const struct mgpt_tensor *tensor);

    /* --- programs --- */
    /* Compiles and loads, or takes what was compiled before from the cache on disk, whose key is
     * text, options, compiler, driver and architecture. MGPT_UNSUPPORTED: there is no compiler, or
     * what it says of the text. Never while capturing. [main] */
    enum mgpt_status (*program_new)(struct mgpt_device *device,
                                    const struct mgpt_cuda_source *source,
                                    struct mgpt_cuda_program **program, struct mgpt_error *error);
    /* Not before its launches are done (`sync`). NULL is fine. [main] */
    void (*program_free)(struct mgpt_device *device, struct mgpt_cuda_program *program);
    /* [any] */
    enum mgpt_status (*facts)(struct mgpt_device *device, const struct mgpt_cuda_program *program,
                              uint32_t kernel, struct mgpt_cuda_facts *facts,
                              struct mgpt_error *error);
    /* Blocks of that shape that one multiprocessor holds at once; the grid of a cooperative launch
     * has at most `multiprocessors` times as many. 0: such a block does not fit at all. [any] */
    enum mgpt_status (*resident)(struct mgpt_device *device,
                                 const struct mgpt_cuda_program *program, uint32_t kernel,
                                 const struct mgpt_cuda_launch *launch, uint32_t *blocks,
                                 struct mgpt_error *error);
    /* args[i] points to the value of argument i, on the host; copied before this returns. [step] */
    enum mgpt_status (*launch)(struct mgpt_device *device, const struct mgpt_cuda_program *program,
                               uint32_t kernel, const struct mgpt_cuda_launch *launch,
                               void *const *args, struct mgpt_error *error);

    /* --- copies --- */
    /* Page-locked host memory, aligned to 64, contents undefined. [main] */
    enum mgpt_status (*pinned_new)(struct mgpt_device *device, uint64_t bytes, void **data,
                                   struct mgpt_error *error);
    /* Waits for copies from and to it. NULL is fine. [main] */
    void (*pinned_free)(struct mgpt_device *device, void *data);
    /* Between device memory and device or page-locked memory, either way. The host's side must stay
     * as it is until the copy is done: the backend's `sync` says when. [step] */
    enum mgpt_status (*copy)(struct mgpt_device *device, void *to, const void *from, uint64_t bytes,
                             struct mgpt_error *error);

    /* --- graphs --- */
    /* From begin to end nothing runs: launches, copies, ops and updates are taken down. New and
     * freed memory, `upload`, `download`, `sync` and anything else that waits are errors meanwhile;
     * ops that ran before, with the same shapes, need none of that. [step] */
    enum mgpt_status (*capture_begin)(struct mgpt_device *device, struct mgpt_error *error);
    /* `graph` NULL: forget what was taken down, and whatever went wrong in it. [step] */
    enum mgpt_status (*capture_end)(struct mgpt_device *device, struct mgpt_cuda_graph **graph,
                                    struct mgpt_error *error);
    /* Does it all again, from the same addresses; host memory is read anew. [step] */
    enum mgpt_status (*graph_launch)(struct mgpt_device *device, struct mgpt_cuda_graph *graph,
                                     struct mgpt_error *error);
    /* Not before its launches are done. NULL is fine. [main] */
    void (*graph_free)(struct mgpt_device *device, struct mgpt_cuda_graph *graph);

    /* --- the optimizer's rule --- */
    /* MGPT_OK when `update` of the backend would run the rule on the device: compiles it, if it was
     * not yet. [main] */
    enum mgpt_status (*rule_ready)(struct mgpt_device *device, const struct mgpt_rule *rule,
                                   struct mgpt_error *error);
    /* As `update` of the backend, but the rule's scalars are n_scalars doubles in device memory,
     * read when it runs; `scalars` of the struct is not looked at. [step] */
    enum mgpt_status (*update)(struct mgpt_device *device, const struct mgpt_update *update,
                               const double *scalars, struct mgpt_error *error);
};

#ifdef __cplusplus
}
#endif
#endif
