/* SHA-256 of memory and files, as hex (nettle). */
#ifndef MGPT_BASE_SHA256_H
#define MGPT_BASE_SHA256_H

#include <stddef.h>

#include <microgpt/status.h>

#define MGPT_SHA256_HEX 65 /* 64 digits and the 0 */

void mgpt_sha256(const void *data, size_t size, char hex[MGPT_SHA256_HEX]);
/* MGPT_DATA when the file cannot be read. */
enum mgpt_status mgpt_sha256_file(const char *path, char hex[MGPT_SHA256_HEX],
                                  struct mgpt_error *error);

#endif
