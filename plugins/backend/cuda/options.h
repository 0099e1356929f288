/* The options of the backend. */
#ifndef MGPT_CUDA_OPTIONS_H
#define MGPT_CUDA_OPTIONS_H

#include <microgpt/plugin.h>

#define CUDA_PRODUCTS "auto", "own", NULL

#define CUDA_KEEP                                                                                  \
    "copies of weights in 16 bits, kept while nothing writes them; no result depends on it"

#define CUDA_OPTIONS(products_choices, products_type)                                              \
    {"device",        "0", "which of several GPUs, as CUDA counts them", NULL, 0, 1023, NULL,      \
     MGPT_OPTION_INT, 0},                                                                          \
        {"keep", "true", CUDA_KEEP, NULL, 0, 0, NULL, MGPT_OPTION_BOOL, 0},                        \
    {                                                                                              \
        "products", "auto",                                                                        \
            "large products of matrices: auto is cuBLASLt where it is installed, own is the "      \
            "kernels of this plugin",                                                              \
            NULL, 0, 0, products_choices, products_type, 0                                         \
    }

#endif
