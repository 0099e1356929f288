/* What datasets of text share: reading a whole file, and where in it a byte is. */
#ifndef DATASET_FILE_H
#define DATASET_FILE_H

#include <microgpt/plugin.h>

/* A file in memory. */
struct dataset_file {
    char *path, *bytes;     /* malloc */
    uint64_t size, skipped; /* without the byte order mark, which is skipped */
};

/* Reads all of a regular file of text, of at most 4 GiB. `expected` says what it should be, for the
 * message:
 * "a text file". MGPT_DATA, MGPT_NOMEM. Finish it either way. */
enum mgpt_status dataset_file_read(struct dataset_file *f, const char *path, const char *expected,
                                   struct mgpt_error *error);
void dataset_file_finish(struct dataset_file *f);

/* MGPT_DATA: the byte at `at` is not UTF-8; with its line and offset. */
enum mgpt_status dataset_utf8_refuse(const struct dataset_file *f, const char *at,
                                     struct mgpt_error *error);

/* The line, from 1, that holds the byte at `at`. */
uint64_t dataset_file_line(const struct dataset_file *f, const char *at);

#endif
