/* A checkpoint's manifest, in a folder that is not there: a sound one is refused for its first
 * file.
 */
#include <config.h>

#include <string.h>

#include "fuzz.h"
#include "run/manifest.h"

#define FOLDER "/nonexistent/folder"

int fuzz_manifest(const uint8_t *data, size_t size)
{
    struct mgpt_error error;
    uint64_t step = 0;
    enum mgpt_status status =
        mgpt_manifest_parse(FOLDER, (const char *)data, size, true, &step, &error);
    FUZZ_MUST(status == MGPT_DATA && !strncmp(error.text, FOLDER "/", sizeof FOLDER));
    return strstr(error.text, "No such file") != NULL;
}

FUZZ_ENTRY(manifest)
