/* What works on this machine and what does not: findings, the machine, the files. */
#include <config.h>

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "run/data.h"
#include "run/doctor.h"

#define LITTLE_MEMORY ((uint64_t)256 << 20)

/* ---- findings ---- */

static struct mgpt_finding *add(struct mgpt_findings *f, enum mgpt_finding_level level,
                                const char *topic, const char *format, va_list args)
{
    struct mgpt_finding *items = realloc(f->items, (f->n + 1) * sizeof *items);

    if (!items) {
        f->failed = true;
        return NULL;
    }
    f->items = items;
    items[f->n] = (struct mgpt_finding){.level = level, .topic = topic};
    (void)vsnprintf(items[f->n].text, sizeof items->text, format, args);
    return &items[f->n++];
}

void mgpt_findings_ok(struct mgpt_findings *f, const char *topic, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)add(f, MGPT_FINDING_OK, topic, format, args);
    va_end(args);
}

void mgpt_findings_note(struct mgpt_findings *f, const char *topic, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)add(f, MGPT_FINDING_NOTE, topic, format, args);
    va_end(args);
}

void mgpt_findings_problem(struct mgpt_findings *f, enum mgpt_status status, const char *topic,
                           const char *fix, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    struct mgpt_finding *item = add(f, MGPT_FINDING_PROBLEM, topic, format, args);
    va_end(args);
    if (!item)
        return;
    item->status = status;
    (void)snprintf(item->fix, sizeof item->fix, "%s", fix);
}

enum mgpt_status mgpt_findings_status(const struct mgpt_findings *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->items[i].level == MGPT_FINDING_PROBLEM)
            return f->items[i].status;
    return MGPT_OK;
}

void mgpt_findings_finish(struct mgpt_findings *f)
{
    free(f->items);
    *f = (struct mgpt_findings){0};
}

/* ---- the machine ---- */

/* "AMD EPYC 9754", as the system calls it. */
static void processor_name(char *name, size_t size)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");

    (void)snprintf(name, size, "processor");
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        colon += 1 + strspn(colon + 1, " ");
        (void)snprintf(name, size, "%.*s", (int)strcspn(colon, "\n"), colon);
        break;
    }
    if (file)
        fclose(file);
}

/* What the kernels of backend cpu are compiled for; see [backend.cpu] simd. */
static const char *instruction_sets(void)
{
#if defined __x86_64__ && defined __GNUC__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512bf16"))
        return "AVX2, AVX-512 and AVX512_BF16";
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"))
        return "AVX2 and AVX-512, not AVX512_BF16 (precision bf16 runs on ref alone)";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return "AVX2, not AVX-512";
    return "neither AVX2 nor AVX-512: backend cpu works, and slowly";
#else
    return "no instruction set that backend cpu has kernels for: it works, and slowly";
#endif
}

/* A set of the fixed size holds 1024: where there are more the system refuses it, and says only how
 * many it has. */
static int cores(void)
{
    cpu_set_t set;
    long all =
        sched_getaffinity(0, sizeof set, &set) ? sysconf(_SC_NPROCESSORS_ONLN) : CPU_COUNT(&set);

    return all > 1 ? (int)all : 1;
}

void mgpt_doctor_machine(struct mgpt_findings *f)
{
    char name[128];
    uint64_t memory = mgpt_memory_available();
    int n = cores();

    processor_name(name, sizeof name);
    mgpt_findings_ok(f, "processor", "%s; %s", name, instruction_sets());
    mgpt_findings_ok(f, "threads", "%d core%s for this process", n, n == 1 ? "" : "s");
    if (memory && memory < LITTLE_MEMORY)
        mgpt_findings_problem(
            f, MGPT_NOMEM, "memory", "end other programs, or raise the limit of this control group",
            "%.0f MB are available, which only the smallest models fit into", (double)memory / 1e6);
    else if (memory)
        mgpt_findings_ok(f, "memory", "%.1f GB are available", (double)memory / 1e9);
    else
        mgpt_findings_note(f, "memory", "the system does not say how much is available");
}

/* ---- files ---- */

static void check_data(struct mgpt_findings *f, struct mgpt_conf *conf, const char *config_path)
{
    const char *given = mgpt_conf_text(conf, "dataset", "path");
    struct mgpt_error error;
    char *path = NULL;

    if (strncmp(given, "fetch:", 6) == 0) {
        mgpt_findings_ok(f, "data", "%s, which is downloaded when it is not there", given);
        return;
    }
    enum mgpt_status status = mgpt_data_path(conf, config_path, &path, &error);
    if (status == MGPT_DATA && strncmp(given, "builtin:", 8) == 0)
        mgpt_findings_problem(f, status, "data",
                              "install it (make install), or name the INI of the sources, which it "
                              "lies beside: -c SOURCES/conf/microgpt.ini; or name a text of yours: "
                              "--set dataset.path=FILE",
                              "%s is neither in %s/data nor in data beside the INI", given,
                              MGPT_DATADIR);
    else if (status != MGPT_OK)
        mgpt_findings_problem(f, status, "data", "correct [dataset] path", "%s", error.text);
    else if (access(path, R_OK))
        mgpt_findings_problem(f, MGPT_DATA, "data",
                              "name a text that is there: --set dataset.path=FILE", "%s: %s", path,
                              strerror(errno));
    else
        mgpt_findings_ok(f, "data", "%s", path);
    free(path);
}

/* The nearest folder above that is there must take a new one. */
static void check_run(struct mgpt_findings *f, const struct mgpt_conf *conf)
{
    char *dir = mgpt_path_absolute(mgpt_conf_text(conf, "run", "dir"));
    char *place = dir ? strdup(dir) : NULL;

    while (place && !mgpt_path_exists(place) && strcmp(place, "/") != 0) {
        char *above = mgpt_path_folder(place);
        free(place);
        place = above;
    }
    if (place && access(place, W_OK | X_OK))
        mgpt_findings_problem(f, MGPT_IO, "run", "name a folder of yours: --set run.dir=DIR",
                              "%s cannot be written: %s: %s", dir, place, strerror(errno));
    else if (place)
        mgpt_findings_ok(f, "run", "%s", dir);
    free(place);
    free(dir);
}

void mgpt_doctor_files(struct mgpt_findings *f, struct mgpt_conf *conf, const char *config_path)
{
    check_data(f, conf, config_path);
    check_run(f, conf);
}
