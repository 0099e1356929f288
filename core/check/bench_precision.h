/* A precision plan with guards behind it, for checks. */
#ifndef MGPT_CHECK_BENCH_PRECISION_H
#define MGPT_CHECK_BENCH_PRECISION_H

#include <microgpt/precision.h>

#include "check/check.h"

#define PRECISION_BENCH_BIT(dtype) (1u << (dtype))

/* A plan, and what lies behind it. */
struct precision_bench_guarded {
    struct mgpt_precision_plan plan;
    unsigned char behind[16];
};

static inline enum mgpt_status precision_bench_plan(const struct mgpt_component *component,
                                                    const struct mgpt_config *config,
                                                    uint32_t formats, uint32_t flags,
                                                    struct precision_bench_guarded *out,
                                                    struct mgpt_error *error)
{
    const struct mgpt_precision_api *api = component->api;
    struct mgpt_caps caps = {
        .size = sizeof caps, .flags = flags, .formats = formats, .name = "a test device"};

    memset(out, 0x5a, sizeof *out);
    out->plan = (struct mgpt_precision_plan){.size = sizeof out->plan};
    return api->plan(mgpt_host(), config, &caps, &out->plan, error);
}

#endif
