/* A program as a step module would write one: NVRTC compiles it, and the emulation runs it. */
#ifndef NATIVE_TEXT_H
#define NATIVE_TEXT_H

/* sums: out[block] = scale * the sum of the block's part of x + add.first + add.second.
 * ring: out[b] = b + the sum of all in[], which every block wrote one of before. */
static const char native_text[] =
    "struct pair { int first; double second; };\n"
    "__device__ static float warp(float v)\n"
    "{\n"
    "    for (int o = 16; o; o /= 2)\n"
    "        v += __shfl_xor_sync(0xffffffffu, v, o);\n"
    "    return __shfl_sync(0xffffffffu, v, 0);\n"
    "}\n"
    "extern \"C\" __global__ void __launch_bounds__(128) sums(const float *x, int n, float scale,\n"
    "                                                      const pair add, float *out)\n"
    "{\n"
    "    MGPT_SHARED(float, part);\n"
    "    float v = 0;\n"
    "    for (int i = threadIdx.x; i < n; i += blockDim.x)\n"
    "        v += x[blockIdx.x * n + i];\n"
    "    v = warp(v);\n"
    "    if (threadIdx.x % 32 == 0)\n"
    "        part[threadIdx.x / 32] = v;\n"
    "    __syncthreads();\n"
    "    if (threadIdx.x == 0) {\n"
    "        float sum = 0;\n"
    "        for (unsigned w = 0; w < blockDim.x / 32; w++)\n"
    "            sum += part[w];\n"
    "        out[blockIdx.x] = fmaf(scale, sum, add.first + (float)add.second);\n"
    "    }\n"
    "}\n"
    "extern \"C\" __global__ void ring(float *in, float *out)\n"
    "{\n"
    "    float sum = 0;\n"
    "    if (threadIdx.x == 0)\n"
    "        in[blockIdx.x] = 1 + blockIdx.x;\n"
    "    MGPT_GRID_SYNC();\n"
    "    for (unsigned b = 0; b < gridDim.x; b++)\n"
    "        sum += in[b];\n"
    "    MGPT_GRID_SYNC();\n"
    "    if (threadIdx.x == 0)\n"
    "        out[blockIdx.x] = sum + blockIdx.x;\n"
    "}\n";
static const char *const native_kernels[] = {"sums", "ring", NULL};
static const char *const native_options[] = {"--fmad=false", NULL};

#define NATIVE_SOURCE                                                                              \
    {                                                                                              \
        sizeof(struct mgpt_cuda_source), 0, "native", native_text, native_kernels, native_options  \
    }

#endif
