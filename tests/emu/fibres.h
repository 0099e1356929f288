/* Inside the emulation: running one launch, and saying what went wrong. */
#ifndef EMU_FIBRES_H
#define EMU_FIBRES_H

#include "cuda_runtime.h"

/* All blocks of a grid, one after the other or `together`, each thread as a fibre. */
void emu_run(const char *kernel, dim3 grid, dim3 block, size_t shared,
             const std::function<void()> &body, bool together);

/* Of the block that runs: bytes of shared memory (0: none runs), its index among those that run
 * together, and a number that is another one after each of its barriers. */
extern size_t emu_shared_bytes;
extern unsigned emu_resident;
extern unsigned long emu_epoch;

/* Work for a stream other than a launch. */
void emu_defer(cudaStream_t stream, std::function<void()> work);

/* Keeps the first fault; printf-like. */
void emu_fault(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool emu_faulted();

/* The thread whose turn it is reads or writes. (races.cpp, where that is built) */
void emu_touch(const void *address, size_t size, bool write);

/* Memory between two guards, full of NaN. */
#define EMU_GUARD ((size_t)256)
unsigned char *emu_guarded_new(size_t bytes);
void emu_guarded_poison(unsigned char *data, size_t bytes);
/* False when a guard was written to. */
bool emu_guarded_intact(const unsigned char *data, size_t bytes);
void emu_guarded_delete(unsigned char *data, size_t bytes);

#endif
