/* microgpt watch: the curves of runs as a page, kept up to date while one of them goes on. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"
#include "base/stop.h"
#include "cli/browse.h"
#include "cli/cli.h"
#include "run/watch.h"

#define REFRESH 2 /* seconds between two pages of a run that goes on */

static enum mgpt_status write_page(const struct mgpt_cli *cli, const char *path, unsigned refresh,
                                   bool *live, struct mgpt_error *error)
{
    struct mgpt_string page = {0};
    enum mgpt_status status =
        mgpt_watch_page(cli->operands, cli->n_operands, refresh, &page, live, error);

    if (status == MGPT_OK)
        status = mgpt_file_replace(path, page.data, page.size, error);
    mgpt_string_finish(&page);
    return status;
}

/* Until no run goes on, or the user has seen enough. The last page says that all are at rest. */
static enum mgpt_status follow(const struct mgpt_cli *cli, const char *path,
                               struct mgpt_error *error)
{
    bool live = true;
    struct mgpt_error why;
    enum mgpt_status status = write_page(cli, path, REFRESH, &live, &why);

    if (status != MGPT_OK)
        return mgpt_fail(error, status,
                         status == MGPT_IO ? "%s; --export FILE puts the page elsewhere" : "%s",
                         why.text);
    mgpt_log(MGPT_LOG_INFO, "the page, to open in a browser: %s%s", path,
             live ? "; following the run, Ctrl-C ends" : "");
    mgpt_browse(path, false);
    mgpt_stop_install();
    while (status == MGPT_OK && live && !mgpt_stop_requested()) {
        nanosleep(&(struct timespec){.tv_sec = REFRESH}, NULL);
        status = write_page(cli, path, REFRESH, &live, error);
    }
    return status;
}

enum mgpt_status mgpt_cmd_watch(struct mgpt_cli *cli, struct mgpt_error *error)
{
    const char *export = mgpt_cli_value(cli, "export");
    enum mgpt_status status;
    bool live;

    if (cli->n_operands == 0)
        return mgpt_fail(error, MGPT_USAGE, "watch: expected the folder of a run, or several");
    if (export) {
        status = write_page(cli, export, 0, &live, error);
        if (status == MGPT_OK)
            mgpt_log(MGPT_LOG_INFO, "wrote %s", export);
        return status;
    }
    char *path = mgpt_path_join(cli->operands[0], "watch.html");
    char *whole = path ? mgpt_path_absolute(path) : NULL;
    status = whole ? follow(cli, whole, error) : mgpt_fail(error, MGPT_NOMEM, "out of memory");
    free(whole);
    free(path);
    return status;
}
