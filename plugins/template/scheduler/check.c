/* The rates of scheduler my-name, against its formula. */
#include <microgpt/scheduler.h>

#include "host.h"

static const struct mgpt_scheduler_api *api;

static struct mgpt_scheduler *make(void)
{
    struct mgpt_error error;
    struct mgpt_scheduler *s = NULL;

    CHECK_STATUS(api->create(&host, NULL, &s, &error), MGPT_OK, error);
    return s;
}

static void follows_the_formula(void)
{
    set("warmup", "10");
    set("floor", "0.1");
    set("power", "2");
    struct mgpt_scheduler *s = make();
    CHECK_NEAR(api->lr(s, 0, 110, 1), 0.1, 1e-12);
    CHECK_NEAR(api->lr(s, 9, 110, 1), 1, 1e-12);
    CHECK_NEAR(api->lr(s, 10, 110, 1), 1, 1e-12);
    CHECK_NEAR(api->lr(s, 60, 110, 1), 0.1 + 0.9 * 0.25, 1e-12);
    CHECK_NEAR(api->lr(s, 109, 110, 1), 0.1 + 0.9 * 1e-4, 1e-12);
    api->destroy(s);
}

/* What every scheduler must do: rates are finite and 0 or more, whatever the run. */
static void stays_in_range(void)
{
    set("floor", "5");
    set("power", "0.5");
    struct mgpt_scheduler *s = make();
    for (uint64_t total = 1; total < 40; total++)
        for (uint64_t step = 0; step < total; step++) {
            double rate = api->lr(s, step, total, 1e-3);
            CHECK(isfinite(rate) && rate >= 0 && rate <= 1e-3 * (1 + 1e-12));
        }
    api->destroy(s);
    api->destroy(NULL);
}

int main(int argc, char **argv)
{
    load(argc > 1 ? argv[1] : NULL, MGPT_KIND_SCHEDULER);
    api = (const struct mgpt_scheduler_api *)component->api;
    follows_the_formula();
    stays_in_range();
    puts("check: scheduler my-name is sound");
    return 0;
}
