/* Texts to train on that are known by name: downloaded once, checked, kept. */
#ifndef MGPT_RUN_FETCH_H
#define MGPT_RUN_FETCH_H

#include <stdint.h>

#include <microgpt/status.h>

/* A text: where it lies in the world, and what it must be. */
struct mgpt_text_source {
    const char *name; /* "names" */
    const char *file; /* "names.txt": here, and on a mirror */
    const char *url, *sha256;
    uint64_t size;
};
extern const struct mgpt_text_source mgpt_text_sources[]; /* ends with a NULL name */

/* The file of a text (malloc), in $XDG_CACHE_HOME/microgpt or ~/.cache/microgpt: downloaded unless
 * it is there. It appears whole, when its size and SHA-256 are right, or not at all; what was
 * loaded before a failure is kept beside it and gone on from. `mirror` is a URL of a folder that
 * has such files; empty: MICROGPT_MIRROR or, without it, the text's own place. The proxies of the
 * environment (https_proxy, ...) are honoured.
 * MGPT_USAGE: no such text; MGPT_UNSUPPORTED: built without libcurl; MGPT_IO: the network or the
 * disk; MGPT_DATA: what came is not the text; MGPT_CANCELED. [main] */
enum mgpt_status mgpt_fetch(const char *name, const char *mirror, char **path,
                            struct mgpt_error *error);

/* One download, between fetch.c and whoever speaks HTTP: writes what of `url` lies behind `from`
 * into the file, which has that much and gets `size` bytes at most; all of it where a server cannot
 * do less. */
enum mgpt_status mgpt_download(const char *url, int fd, uint64_t from, uint64_t size,
                               struct mgpt_error *error);

#endif
