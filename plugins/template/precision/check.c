/* The plans of precision my-name, for devices with other formats. */
#include <microgpt/precision.h>

#include "host.h"

#define BIT(format) (1u << (format))

static const struct mgpt_precision_api *api;
static struct mgpt_error error;

static enum mgpt_status ask(uint32_t formats, const char *wish, struct mgpt_precision_plan *plan)
{
    struct mgpt_caps caps;

    memset(&caps, 0, sizeof caps);
    memset(plan, 0, sizeof *plan);
    caps.size = sizeof caps;
    caps.formats = formats;
    strcpy(caps.name, "a device of the test");
    plan->size = sizeof *plan;
    set("activation", wish);
    enum mgpt_status status = api->plan(&host, NULL, &caps, plan, &error);
    CHECK(status == MGPT_OK || strstr(error.text, caps.name));
    return status;
}

int main(int argc, char **argv)
{
    struct mgpt_precision_plan plan;

    load(argc > 1 ? argv[1] : NULL, MGPT_KIND_PRECISION);
    api = (const struct mgpt_precision_api *)component->api;

    CHECK_STATUS(ask(BIT(MGPT_F32), "auto", &plan), MGPT_OK, error);
    CHECK_EQUAL(plan.master, MGPT_F32);
    CHECK_EQUAL(plan.activation, MGPT_F32);
    CHECK_EQUAL(plan.scale_interval, 0);
    CHECK_STATUS(ask(BIT(MGPT_F32) | BIT(MGPT_BF16), "auto", &plan), MGPT_OK, error);
    CHECK_EQUAL(plan.activation, MGPT_BF16);
    CHECK_EQUAL(plan.product, MGPT_BF16);
    CHECK_EQUAL(plan.scale_interval, 0);
    CHECK_STATUS(ask(BIT(MGPT_F32) | BIT(MGPT_F16), "f16", &plan), MGPT_OK, error);
    CHECK_EQUAL(plan.activation, MGPT_F16);
    CHECK(plan.scale_interval > 0 && plan.scale_initial > 1);
    CHECK_STATUS(ask(BIT(MGPT_F32), "bf16", &plan), MGPT_UNSUPPORTED, error);
    CHECK_STATUS(ask(BIT(MGPT_F64), "auto", &plan), MGPT_UNSUPPORTED, error);
    puts("check: precision my-name is sound");
    return 0;
}
