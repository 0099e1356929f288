/* How much memory this process can still have. */
#ifndef MGPT_BASE_MEMORY_H
#define MGPT_BASE_MEMORY_H

#include <stdint.h>

/* Bytes: what the system says is available, or what the limits of its control groups leave,
 * whichever is less; 0 when neither is known. [any] */
uint64_t mgpt_memory_available(void);

/* The same, with the root of the file system given: for tests. [any] */
uint64_t mgpt_memory_available_at(const char *root);

#endif
