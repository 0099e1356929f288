/* Extension "nvidia.cuda-native/1": the device for modules that run programs of their own. */
#include "native.h"

#include <stdlib.h>
#include <string.h>

#include "program.h"
#include "update.h"

static void *address(struct mgpt_device *device, const struct mgpt_tensor *t)
{
    (void)device;
    if (!t->rank)
        return NULL;
    cuda_keep_shown(t->buffer);
    return t->buffer->data + t->offset;
}

/* What precedes all work: this thread's device, and the updates that were gathered. */
static enum mgpt_status ready(struct mgpt_device *device, struct mgpt_error *error)
{
    enum mgpt_status status = cuda_enter(device, error);

    return status == MGPT_OK ? cuda_flush(device, error) : status;
}

/* ---- programs ---- */

static enum mgpt_status program_new(struct mgpt_device *device,
                                    const struct mgpt_cuda_source *source,
                                    struct mgpt_cuda_program **program, struct mgpt_error *error)
{
    enum mgpt_status status = ready(device, error);

    if (status == MGPT_OK && device->capturing)
        return mgpt_fail(error, MGPT_INVALID, "program %s is made while capturing", source->name);
    return status == MGPT_OK ? cuda_program_new(device, source, program, error) : status;
}

static void program_free(struct mgpt_device *device, struct mgpt_cuda_program *program)
{
    (void)cuda_enter(device, NULL);
    cuda_program_unload(program);
}

static enum mgpt_status facts_of(struct mgpt_device *device,
                                 const struct mgpt_cuda_program *program, uint32_t kernel,
                                 struct mgpt_cuda_facts *facts, struct mgpt_error *error)
{
    struct mgpt_cuda_facts ours = {.size = facts->size};
    enum mgpt_status status = ready(device, error);

    if (status == MGPT_OK)
        status = cuda_program_facts(program, kernel, &ours, error);
    if (status == MGPT_OK)
        memcpy(facts, &ours, facts->size < sizeof ours ? facts->size : sizeof ours);
    return status;
}

static enum mgpt_status resident(struct mgpt_device *device,
                                 const struct mgpt_cuda_program *program, uint32_t kernel,
                                 const struct mgpt_cuda_launch *launch, uint32_t *blocks,
                                 struct mgpt_error *error)
{
    enum mgpt_status status = ready(device, error);

    *blocks = 0;
    if (status != MGPT_OK || launch->shared > device->native.shared_most)
        return status;
    return cuda_program_resident(program, kernel, launch, blocks, error);
}

static enum mgpt_status launch_kernel(struct mgpt_device *device,
                                      const struct mgpt_cuda_program *program, uint32_t kernel,
                                      const struct mgpt_cuda_launch *launch, void *const *args,
                                      struct mgpt_error *error)
{
    enum mgpt_status status = ready(device, error);

    if (status == MGPT_OK && launch->shared > device->native.shared_most)
        return mgpt_fail(error, MGPT_INVALID,
                         "a launch with %u bytes of shared memory, the most is %u", launch->shared,
                         device->native.shared_most);
    return status == MGPT_OK
               ? cuda_program_launch(program, kernel, launch, device->stream, args, error)
               : status;
}

/* ---- copies ---- */

static enum mgpt_status pinned_new(struct mgpt_device *device, uint64_t bytes, void **data,
                                   struct mgpt_error *error)
{
    enum mgpt_status status = ready(device, error);

    return status == MGPT_OK ? CUDA_CHECK(cudaMallocHost(data, (size_t)bytes), error) : status;
}

static void pinned_free(struct mgpt_device *device, void *data)
{
    if (!data)
        return;
    (void)cuda_enter(device, NULL);
    (void)cudaStreamSynchronize(device->stream);
    (void)cudaFreeHost(data);
}

static enum mgpt_status copy(struct mgpt_device *device, void *to, const void *from, uint64_t bytes,
                             struct mgpt_error *error)
{
    enum mgpt_status status = ready(device, error);

    return status == MGPT_OK ? CUDA_CHECK(cudaMemcpyAsync(to, from, (size_t)bytes,
                                                          cudaMemcpyDefault, device->stream),
                                          error)
                             : status;
}

/* ---- graphs ---- */

struct mgpt_cuda_graph {
    cudaGraphExec_t exec;
    struct cuda_marks marks;
};

static enum mgpt_status capture_begin(struct mgpt_device *device, struct mgpt_error *error)
{
    enum mgpt_status status = ready(device, error);

    if (status == MGPT_OK)
        status = CUDA_CHECK(
            cudaStreamBeginCapture(device->stream, cudaStreamCaptureModeThreadLocal), error);
    device->capturing = status == MGPT_OK;
    cuda_keep_capture(device);
    return status;
}

static enum mgpt_status instantiate(struct mgpt_device *device, cudaGraph_t taken,
                                    struct mgpt_cuda_graph **out, struct mgpt_error *error)
{
    struct mgpt_cuda_graph *graph = calloc(1, sizeof *graph);
    enum mgpt_status status;

    if (!graph)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for a graph");
    status = cuda_keep_marks(device, &graph->marks, error);
    if (status == MGPT_OK)
        status = CUDA_CHECK(cudaGraphInstantiate(&graph->exec, taken, 0), error);
    if (status == MGPT_OK) {
        device->captured = 1;
        *out = graph;
    } else {
        free(graph->marks.each);
        free(graph);
    }
    return status;
}

static enum mgpt_status capture_end(struct mgpt_device *device, struct mgpt_cuda_graph **graph,
                                    struct mgpt_error *error)
{
    enum mgpt_status status = graph ? ready(device, error) : cuda_enter(device, error);
    cudaGraph_t taken = NULL;
    cudaError_t code;

    if (!device->capturing)
        return mgpt_fail(error, MGPT_INVALID, "the end of a capture that was not begun");
    if (!graph)
        cuda_forget(device);
    else if (status == MGPT_OK)
        status = cuda_keep_captured(device, error);
    device->capturing = 0;
    code = cudaStreamEndCapture(device->stream, &taken);
    if (graph && status == MGPT_OK)
        status = cuda_checked(code, "cudaStreamEndCapture", error);
    if (graph && status == MGPT_OK)
        status = instantiate(device, taken, graph, error);
    if (taken)
        (void)cudaGraphDestroy(taken);
    (void)cudaGetLastError();
    return status;
}

static enum mgpt_status graph_launch(struct mgpt_device *device, struct mgpt_cuda_graph *graph,
                                     struct mgpt_error *error)
{
    const struct cuda_marks unknown = {0}; /* what did not run leaves no copy for sure */
    enum mgpt_status status = ready(device, error);

    if (status == MGPT_OK)
        status = cuda_keep_before(device, &graph->marks, error);
    if (status == MGPT_OK)
        status = CUDA_CHECK(cudaGraphLaunch(graph->exec, device->stream), error);
    cuda_keep_after(device, status == MGPT_OK ? &graph->marks : &unknown);
    return status;
}

static void graph_free(struct mgpt_device *device, struct mgpt_cuda_graph *graph)
{
    (void)cuda_enter(device, NULL);
    if (!graph)
        return;
    (void)cudaGraphExecDestroy(graph->exec);
    free(graph->marks.each);
    free(graph);
}

/* ---- the table ---- */

static const struct mgpt_cuda_native functions = {
    .size = sizeof functions,
    .address = address,
    .program_new = program_new,
    .program_free = program_free,
    .facts = facts_of,
    .resident = resident,
    .launch = launch_kernel,
    .pinned_new = pinned_new,
    .pinned_free = pinned_free,
    .copy = copy,
    .capture_begin = capture_begin,
    .capture_end = capture_end,
    .graph_launch = graph_launch,
    .graph_free = graph_free,
    .rule_ready = cuda_rule_ready,
    .update = cuda_update_from,
};

enum mgpt_status cuda_native_open(struct mgpt_device *device, struct mgpt_error *error)
{
    int shared = 0;
    enum mgpt_status status = CUDA_CHECK(
        cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device->index),
        error);

    device->native = functions;
    device->native.capability = (uint32_t)device->capability;
    device->native.multiprocessors = (uint32_t)device->multiprocessors;
    device->native.shared_most = (uint32_t)shared;
    device->native.context = cuda_context();
    device->native.stream = device->stream;
    return status;
}

/* For tests, "microgpt.cuda-kept/1": three uint64_t, bytes of copies now, casts of a copy or a part
 * of it so far, and products that took one. */
const void *cuda_query(struct mgpt_device *device, const char *id)
{
    if (strcmp(id, "microgpt.cuda-kept/1") == 0)
        return &device->copied;
    return strcmp(id, MGPT_CUDA_NATIVE) == 0 ? &device->native : NULL;
}
