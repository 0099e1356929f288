/* Backend "cuda_emu", for tests: backend cuda on the processor, with a few options more. */
#include <string.h>

#include "ops.h"
#include "options.h"

static enum mgpt_status emu_open(const struct mgpt_host *host, const struct mgpt_config *config,
                                 struct mgpt_device **device, struct mgpt_error *error)
{
    const char *order = host->get_text(config, "order");

    emu_set_order(strcmp(order, "forward") == 0    ? EMU_FORWARD
                  : strcmp(order, "backward") == 0 ? EMU_BACKWARD
                                                   : EMU_RANDOM,
                  (unsigned)host->get_int(config, "seed"));
    emu_set_capability((int)host->get_int(config, "capability"));
    emu_set_memory((size_t)host->get_int(config, "memory") << 20);
    enum mgpt_status status = cuda_api.open(host, config, device, error);
    if (status == MGPT_OK)
        (*device)->tensor_large = 1 << 16; /* small enough for tests to come there */
    return status;
}

static const void *emu_query(struct mgpt_device *device, const char *id)
{
    return strcmp(id, EMU_COUNTERS) == 0 ? &emu_counters : cuda_api.query(device, id);
}

/* There is always a device. */
enum mgpt_status cuda_probe(const struct mgpt_host *host, struct mgpt_error *error)
{
    (void)host;
    (void)error;
    return MGPT_OK;
}

/* conform_backend runs all ops with each choice; a build that checks
 * every access, and is slow, does once. */
#if defined EMU_SLOW
#define ORDER_TYPE MGPT_OPTION_TEXT
#else
#define ORDER_TYPE MGPT_OPTION_ENUM
#endif

static const char *const products[] = {CUDA_PRODUCTS};
static const char *const orders[] = {"forward", "backward", "random", NULL};
static const struct mgpt_option options[] = {
    CUDA_OPTIONS(products, ORDER_TYPE),
    {"order", "random", "in which order threads take their turns", NULL, 0, 0, orders, ORDER_TYPE,
     0},
    {"seed", "1", "of order = random", NULL, 0, 1 << 30, NULL, MGPT_OPTION_INT, 0},
    {"capability", "80", "compute capability of the device, 80 is 8.0", NULL, CUDA_LEAST_CAPABILITY,
     120, NULL, MGPT_OPTION_INT, 0},
    {"memory", "4096", "of the device", "MiB", 64, 4096, NULL, MGPT_OPTION_INT, 0}};

static struct mgpt_backend_api api; /* cuda_api with another way to open it */

static const struct mgpt_component component = {sizeof(struct mgpt_component),
                                                MGPT_OPTIONS(options),
                                                0,
                                                MGPT_KIND_BACKEND,
                                                "cuda_emu",
                                                "backend cuda on the processor, for tests",
                                                options,
                                                NULL,
                                                &api};

__attribute__((constructor)) static void fill_api(void)
{
    api = cuda_api;
    api.open = emu_open;
    api.query = emu_query;
}

MGPT_PLUGIN_DEFINE("org.microgpt.tests.cuda_emu", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
