/* Status codes and error text: how every function that can fail says so.
 *
 * A function returns an enum mgpt_status and fills a struct mgpt_error that the caller owns:
 * nothing to free, no abort, no exit, no C++ exception may cross. `error` may be NULL where only
 * the code is wanted. On MGPT_OK the error is left untouched. */
#ifndef MICROGPT_STATUS_H
#define MICROGPT_STATUS_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Append only. The exit code of the program is in brackets where a status reaches main. */
enum mgpt_status {
    MGPT_OK = 0,
    MGPT_UNSUPPORTED = -1, /* "not here": the caller may fall back [4] */
    MGPT_INVALID = -2,     /* the caller broke the contract: a bug, not bad input [1] */
    MGPT_NOMEM = -3,       /* out of memory, host or device [1] */
    MGPT_DEVICE = -4,      /* the device failed; sticky [4] */
    MGPT_IO = -5,          /* a write failed: disk full, no permission [1] */
    MGPT_CANCELED = -6,    /* stopped by a signal [130] */
    MGPT_INTERNAL = -7,    /* an invariant does not hold [1] */
    MGPT_USAGE = -8,       /* command line or prompt [2] */
    MGPT_CONFIG = -9,      /* microgpt.ini or --set [3] */
    MGPT_PLUGIN = -10,     /* a module is missing or refused [4] */
    MGPT_DATA = -11,       /* an input file or checkpoint is unreadable or invalid [5] */
    MGPT_NONFINITE = -12   /* training met NaN or Inf too often [1] */
};

/* Frozen. `text` is one line of UTF-8 without a final newline, always terminated. */
struct mgpt_error {
    int32_t status; /* enum mgpt_status */
    char text[1020];
};

#if defined __GNUC__
#define MGPT_PRINTF(string, first) __attribute__((__format__(__printf__, string, first)))
#else
#define MGPT_PRINTF(string, first)
#endif

/* Writes status and text into *error (when not NULL) and returns status: `return mgpt_fail(...)`.
 * [any] */
static inline enum mgpt_status mgpt_fail(struct mgpt_error *error, enum mgpt_status status,
                                         const char *format, ...) MGPT_PRINTF(3, 4);
static inline enum mgpt_status mgpt_fail(struct mgpt_error *error, enum mgpt_status status,
                                         const char *format, ...)
{
    if (error) {
        va_list args;
        va_start(args, format);
        error->status = status;
        (void)vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
    }
    return status;
}

#ifdef __cplusplus
}
#endif
#endif
