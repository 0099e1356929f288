/* What follows a sum of products, element by element. */
#ifndef MGPT_CUDA_FINISH_CUH
#define MGPT_CUDA_FINISH_CUH

#include "activation.cuh"
#include "matmul.h"

static __device__ inline void finish_one(const struct cuda_product &p, int64_t i, int64_t j,
                                         float sum)
{
    int64_t at = i * p.J + j;

    if (p.bias.at)
        sum += get(p.bias, j);
    if (p.pre.at)
        put(p.pre, at, sum);
    sum = p.slope_of.at ? sum * activation_slope(p.activation, get(p.slope_of, at))
                        : activate(p.activation, sum);
    put(p.c, at, p.accumulate ? get(p.c, at) + sum : sum);
}

#endif
