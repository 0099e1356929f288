/* Backend "cuda": NVIDIA GPUs. */
#include "ops.h"
#include "options.h"

static const char *const products[] = {CUDA_PRODUCTS};
static const struct mgpt_option options[] = {CUDA_OPTIONS(products, MGPT_OPTION_ENUM)};

static const struct mgpt_component component = {
    sizeof(struct mgpt_component),
    MGPT_OPTIONS(options),
    0,
    MGPT_KIND_BACKEND,
    "cuda",
    "NVIDIA GPUs: F32, F16, and from Ampere on BF16 and TF32",
    options,
    cuda_probe,
    &cuda_api};

MGPT_PLUGIN_DEFINE("org.microgpt.backend.cuda", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
