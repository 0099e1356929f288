/* Saves checkpoints, or judges what is there: run_crash.sh kills it at every system call.
 *   save_once save RUN_DIR STEP...   each as the best too, keeping one; exit 1 when one fails
 *   save_once check RUN_DIR          prints the step that `latest` loads, or "none"; exit 5 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "small_snapshot.h"

static int complain(const struct mgpt_error *error, int code)
{
    fprintf(stderr, "save_once: %s\n", error->text);
    return code;
}

static int save(const char *run_dir, char **steps)
{
    static struct small small;
    struct mgpt_error error;
    char line[64];
    for (; *steps; steps++) {
        uint64_t step = strtoull(*steps, NULL, 10);
        if (mgpt_checkpoint_save(run_dir, small_init(&small, step), true, 1, &error))
            return complain(&error, 1);
        int n = snprintf(line, sizeof line, "saved %s\n", *steps);
        if (write(STDOUT_FILENO, line, (size_t)n) != n) /* unbuffered: a kill must not eat it */
            return 1;
    }
    return 0;
}

static int check(const char *run_dir)
{
    static struct small small;
    struct mgpt_error error;
    char *path;
    if (mgpt_checkpoint_find(run_dir, "latest", &path, &error))
        return complain(&error, 5);
    if (!path) {
        puts("none");
        return 0;
    }
    small_init(&small, 0);
    int code = 0;
    if (mgpt_checkpoint_load(path, &small.snapshot, &error))
        code = complain(&error, 5);
    else if (!small_is(&small, small.snapshot.step))
        code = 5;
    else
        printf("%llu\n", (unsigned long long)small.snapshot.step);
    free(path);
    return code;
}

int main(int argc, char **argv)
{
    if (argc > 3 && !strcmp(argv[1], "save"))
        return save(argv[2], argv + 3);
    if (argc == 3 && !strcmp(argv[1], "check"))
        return check(argv[2]);
    fprintf(stderr, "usage: save_once save RUN_DIR STEP... | check RUN_DIR\n");
    return 2;
}
