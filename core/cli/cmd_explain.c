/* microgpt explain: the page that shows the algorithm in Python, C and CUDA side by side. */
#include <config.h>

#include <stdlib.h>

#include "base/file.h"
#include "cli/browse.h"
#include "cli/cli.h"

#define PAGE "microgpt.html"

enum mgpt_status mgpt_cmd_explain(struct mgpt_cli *cli, struct mgpt_error *error)
{
    char *path =
        mgpt_path_installed("doc/" PAGE, "../share/doc/" PACKAGE "/" PAGE, MGPT_HTMLDIR "/" PAGE);
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
