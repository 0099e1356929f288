/* The kernels of step graph_cuda: what the feed brings goes where it belongs, what a step did goes
 * into the ring. */
#include "graph.h"

static const char text[] =
    "typedef unsigned long long u64;\n"
    "struct part { unsigned *to; unsigned from, bytes; };\n"
    "struct parts { part each[4]; };\n"
    "extern \"C\" __global__ void feed(const char *base, const parts all, int n)\n"
    "{\n"
    "    const unsigned first = blockIdx.x * blockDim.x + threadIdx.x;\n"
    "    for (int k = 0; k < n; k++) {\n"
    "        const unsigned *from = (const unsigned *)(base + all.each[k].from);\n"
    "        for (unsigned i = first; i < all.each[k].bytes / 4; i += gridDim.x * blockDim.x)\n"
    "            all.each[k].to[i] = from[i];\n"
    "    }\n"
    "}\n"
    /* ring: how many there were, then places from byte 64 on */
    "extern \"C\" __global__ void keep(const u64 *state, u64 *ring, int words, int places)\n"
    "{\n"
    "    const u64 count = ring[0];\n"
    "    __syncthreads();\n"
    "    if ((int)threadIdx.x < words)\n"
    "        ring[8 + count % places * words + threadIdx.x] = state[threadIdx.x];\n"
    "    if (threadIdx.x == 0)\n"
    "        ring[0] = count + 1;\n"
    "}\n";

struct mgpt_cuda_source graph_source(void)
{
    static const char *const kernels[] = {"feed", "keep", NULL};

    return (struct mgpt_cuda_source){.size = sizeof(struct mgpt_cuda_source),
                                     .name = "graph_cuda",
                                     .text = text,
                                     .kernels = kernels};
}

enum mgpt_status graph_program_open(struct mgpt_step *s, struct mgpt_error *error)
{
    struct mgpt_cuda_source source = graph_source();

    return s->cuda->program_new(s->device, &source, &s->program, error);
}

enum mgpt_status graph_enqueue_parts(struct mgpt_step *s, struct mgpt_error *error)
{
    struct mgpt_cuda_launch launch = {{1, 1, 1}, {128, 1, 1}, 0, 0};
    const char *base = s->cuda->address(s->device, &s->feed);
    int n = (int)s->n_parts;
    uint32_t most = 0;
    void *args[] = {&base, s->parts, &n};

    s->n_parts = 0;
    for (int k = 0; k < n; k++)
        most = s->parts[k].bytes > most ? s->parts[k].bytes : most;
    launch.grid[0] = (most / 4 + 127) / 128;
    if (launch.grid[0] > 1024)
        launch.grid[0] = 1024;
    return n ? s->cuda->launch(s->device, s->program, KERNEL_FEED, &launch, args, error) : MGPT_OK;
}

enum mgpt_status graph_enqueue_keep(struct mgpt_step *s, struct mgpt_error *error)
{
    struct mgpt_cuda_launch launch = {{1, 1, 1}, {32, 1, 1}, 0, 0};
    const void *state = s->cuda->address(s->device, &s->spec.step_state);
    void *ring = s->cuda->address(s->device, &s->ring);
    int words = sizeof(struct mgpt_step_state) / 8, places = MGPT_STEP_RING;
    void *args[] = {&state, &ring, &words, &places};

    return s->cuda->launch(s->device, s->program, KERNEL_KEEP, &launch, args, error);
}
