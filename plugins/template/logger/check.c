/* The file of logger my-name: what is in it, and what a resumed run leaves of it. */
#define _POSIX_C_SOURCE 200809L
#include <unistd.h>

#include <microgpt/logger.h>

#include "host.h"

static const struct mgpt_logger_api *api;
static char folder[] = "/tmp/my-name-XXXXXX";

static struct mgpt_logger *open_at(uint64_t first_step)
{
    struct mgpt_error error;
    struct mgpt_run_info run;
    struct mgpt_logger *l = NULL;

    memset(&run, 0, sizeof run);
    run.size = sizeof run;
    run.dir = folder;
    run.first_step = first_step;
    run.total_steps = 100;
    CHECK_STATUS(api->open(&host, NULL, &run, &l, &error), MGPT_OK, error);
    return l;
}

static void tell(struct mgpt_logger *l, uint64_t first, uint64_t last)
{
    struct mgpt_error error;
    struct mgpt_event e;

    memset(&e, 0, sizeof e);
    e.size = sizeof e;
    for (e.step = first; e.step <= last; e.step++) {
        e.type = MGPT_EVENT_STEP;
        e.loss = 1 / (double)e.step;
        CHECK_STATUS(api->event(l, &e, &error), MGPT_OK, error);
        e.type = MGPT_EVENT_NOTE; /* what it does not know, it ignores */
        e.text = "a note";
        CHECK_STATUS(api->event(l, &e, &error), MGPT_OK, error);
    }
    CHECK_STATUS(api->flush(l, &error), MGPT_OK, error);
    api->close(l);
}

/* The file has its head and the lines of steps 1 to `last`. */
static void holds(uint64_t last)
{
    char path[64], line[256];
    uint64_t step = 0;

    snprintf(path, sizeof path, "%s/my-name.csv", folder);
    FILE *file = fopen(path, "r");
    CHECK(file && fgets(line, sizeof line, file) && strncmp(line, "step,loss", 9) == 0);
    while (fgets(line, sizeof line, file)) {
        step++;
        CHECK_EQUAL(strtoull(line, NULL, 10), step);
        CHECK_NEAR(strtod(strchr(line, ',') + 1, NULL), 1 / (double)step, 1e-6);
    }
    CHECK_EQUAL(step, last);
    fclose(file);
}

int main(int argc, char **argv)
{
    char path[64];

    load(argc > 1 ? argv[1] : NULL, MGPT_KIND_LOGGER);
    api = (const struct mgpt_logger_api *)component->api;
    CHECK(mkdtemp(folder));
    tell(open_at(0), 1, 9);
    holds(9);
    tell(open_at(4), 5, 6); /* killed after step 9, resumed from the checkpoint of step 4 */
    holds(6);
    tell(open_at(0), 1, 2); /* another run in the same folder */
    holds(2);
    api->close(NULL);
    snprintf(path, sizeof path, "%s/my-name.csv", folder);
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
    puts("check: logger my-name is sound");
    return 0;
}
