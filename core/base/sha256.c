/* SHA-256 (FIPS 180-4) of memory and files, as hex. */
#include <config.h>

#include "base/sha256.h"

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <nettle/base16.h>
#include <nettle/sha2.h>

#include "base/file.h"

#define CHUNK ((size_t)1 << 18) /* stays in the second-level cache */

static void finish_hex(struct sha256_ctx *hash, char hex[MGPT_SHA256_HEX])
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(hash, sizeof digest, digest);
    base16_encode_update(hex, sizeof digest, digest);
    hex[MGPT_SHA256_HEX - 1] = '\0';
}

void mgpt_sha256(const void *data, size_t size, char hex[MGPT_SHA256_HEX])
{
    struct sha256_ctx hash;
    sha256_init(&hash);
    sha256_update(&hash, size, data);
    finish_hex(&hash, hex);
}

enum mgpt_status mgpt_sha256_file(const char *path, char hex[MGPT_SHA256_HEX],
                                  struct mgpt_error *error)
{
    struct sha256_ctx hash;
    uint64_t size;
    int fd;
    enum mgpt_status status = mgpt_file_open(path, &fd, &size, error);
    if (status)
        return status;
    size_t room = size < CHUNK ? (size_t)size : CHUNK;
    uint8_t *chunk = malloc(room ? room : 1);
    if (!chunk) {
        status = mgpt_fail(error, MGPT_NOMEM, "%s: no memory to read it", path);
        goto out;
    }
    sha256_init(&hash);
    for (uint64_t at = 0; at < size;) {
        size_t part = size - at < room ? (size_t)(size - at) : room;
        status = mgpt_file_pread(fd, path, chunk, part, at, error);
        if (status)
            goto out;
        sha256_update(&hash, part, chunk);
        at += part;
    }
    finish_hex(&hash, hex);
out:
    free(chunk);
    close(fd);
    return status;
}
