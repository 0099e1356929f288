/* How much memory this process can still have: /proc/meminfo and the control groups. */
#include <config.h>

#include "base/memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LONGEST 1024 /* of a path and of a line */

static FILE *open_below(const char *root, const char *path)
{
    char full[2 * LONGEST];
    int size = snprintf(full, sizeof full, "%s%s", root, path);

    return size > 0 && (size_t)size < sizeof full ? fopen(full, "re") : NULL;
}

/* "MemAvailable: 123 kB": what programs can take without swapping, caches counted as free. */
static uint64_t system_available(const char *root)
{
    FILE *file = open_below(root, "/proc/meminfo");
    char line[LONGEST];
    uint64_t kib = 0;

    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %" SCNu64 " kB", &kib) == 1)
            break;
    if (file)
        (void)fclose(file);
    return kib << 10;
}

/* The number in a file; false for "max" and where there is no such file. */
static bool number_in(const char *root, const char *folder, const char *name, uint64_t *value)
{
    char path[2 * LONGEST];
    int size = snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = size > 0 && (size_t)size < sizeof path ? open_below(root, path) : NULL;
    bool found = file && fscanf(file, "%" SCNu64, value) == 1;

    if (file)
        (void)fclose(file);
    return found;
}

/* The number after "KEY " in memory.stat. */
static uint64_t stat_of(const char *root, const char *folder, const char *key)
{
    char path[2 * LONGEST], line[LONGEST];
    uint64_t value = 0;
    size_t length = strlen(key);

    int size = snprintf(path, sizeof path, "%s/memory.stat", folder);
    FILE *file = size > 0 && (size_t)size < sizeof path ? open_below(root, path) : NULL;
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, length) == 0 && sscanf(line + length, " %" SCNu64, &value) == 1)
            break;
    if (file)
        (void)fclose(file);
    return value;
}

/* What one group leaves: its limit, less what it uses, file caches apart, which it gives up when
 * short. */
static uint64_t group_leaves(const char *root, const char *folder, bool unified)
{
    uint64_t limit, used;
    const char *limit_name = unified ? "memory.max" : "memory.limit_in_bytes";
    const char *used_name = unified ? "memory.current" : "memory.usage_in_bytes";

    if (!number_in(root, folder, limit_name, &limit) || !number_in(root, folder, used_name, &used))
        return UINT64_MAX;
    uint64_t caches = stat_of(root, folder, unified ? "inactive_file" : "total_inactive_file");
    used -= caches < used ? caches : used;
    return limit > used ? limit - used : 0;
}

/* The least that a group and those around it leave. `path`: the group, "/a/b"; it is cut. In a
 * container the group's own name often leads nowhere, and its limits stand at the top. */
static uint64_t groups_leave(const char *root, const char *top, char *path, bool unified)
{
    uint64_t least = UINT64_MAX;

    for (;;) {
        char folder[2 * LONGEST];
        int size = snprintf(folder, sizeof folder, "%s%s", top, path);
        uint64_t left = UINT64_MAX;
        if (size > 0 && (size_t)size < sizeof folder)
            left = group_leaves(root, folder, unified);
        least = left < least ? left : least;
        char *slash = strrchr(path, '/');
        if (!slash)
            return least;
        *slash = 0;
    }
}

/* cgroups(7): "0::/path" in version 2, "5:memory:/path" in version 1. */
static uint64_t limits_leave(const char *root)
{
    FILE *file = open_below(root, "/proc/self/cgroup");
    char line[LONGEST];
    uint64_t least = UINT64_MAX;

    while (file && fgets(line, sizeof line, file)) {
        char *first = strchr(line, ':'), *second = first ? strchr(first + 1, ':') : NULL;
        if (!second)
            continue;
        second[strcspn(second, "\n")] = 0;
        bool unified = second == first + 1;
        *second = 0;
        if (!unified && strcmp(first, ":memory") != 0)
            continue;
        uint64_t left = groups_leave(root, unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory",
                                     second + 1, unified);
        least = left < least ? left : least;
    }
    if (file)
        (void)fclose(file);
    return least;
}

uint64_t mgpt_memory_available_at(const char *root)
{
    uint64_t available = system_available(root), left = limits_leave(root);

    if (left == UINT64_MAX)
        return available;
    return available && available < left ? available : left;
}

uint64_t mgpt_memory_available(void)
{
    return mgpt_memory_available_at("");
}
