/* microgpt explain: the page that shows the algorithm in Python, C and CUDA side by side. */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/browse.h"
#include "cli/cli.h"

#define PAGE "microgpt.html"

/* In the build folder that the program runs from, else where it was installed. */
static char *page_path(void)
{
    struct mgpt_string beside = {0};
    char program[4096];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    const char *slash;

    program[n > 0 ? n : 0] = '\0';
    slash = strrchr(program, '/');
    if (slash)
        mgpt_string_format(&beside, "%.*s/doc/" PAGE, (int)(slash - program), program);
    if (beside.data && mgpt_path_exists(beside.data))
        return beside.data;
    mgpt_string_finish(&beside);
    return mgpt_path_absolute(MGPT_HTMLDIR "/" PAGE);
}

enum mgpt_status mgpt_cmd_explain(struct mgpt_cli *cli, struct mgpt_error *error)
{
    char *path = page_path();
    enum mgpt_status status = MGPT_OK;

    if (!path)
        status = mgpt_fail(error, MGPT_NOMEM, "out of memory");
    else if (!mgpt_path_exists(path))
        status = mgpt_fail(error, MGPT_DATA, "%s is not there: make install puts it there", path);
    else
        mgpt_browse(path, mgpt_cli_flag(cli, "print"));
    free(path);
    return status;
}
