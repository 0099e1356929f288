/* Races in shared memory, whatever the order of turns: built with gcc's -fsanitize=thread, kernels
 * call these functions before each access. Its runtime is not linked. Two threads may touch a byte
 * between the same two barriers only when both read. (Shuffles order no memory.) */
#include "fibres.h"

#include <vector>

#define HOOK extern "C" __attribute__((visibility("hidden"), no_sanitize("thread")))

namespace
{

/* Who touched a byte in an epoch, the time between two barriers. */
struct byte {
    unsigned long epoch;
    int writer, reader; /* index of a thread, nobody, or several */
};

const int nobody = -1, several = -2;
std::vector<byte> bytes;

bool other(int who, int me)
{
    return who != nobody && who != me;
}

__attribute__((no_sanitize("thread"))) void touch(const void *address, size_t size, bool write)
{
    size_t at = (size_t)((const unsigned char *)address - emu_shared);

    if (at >= emu_shared_bytes) /* below it wraps */
        return;
    size_t before = emu_resident * emu_shared_bytes; /* bytes of other blocks that run now */
    if (bytes.size() < before + emu_shared_bytes)
        bytes.resize(before + emu_shared_bytes);
    for (size_t i = at; i < at + size && i < emu_shared_bytes; i++) {
        byte &b = bytes[before + i];
        int me = (int)emu_now->index;
        if (b.epoch != emu_epoch)
            b = {emu_epoch, nobody, nobody};
        if (other(b.writer, me) || (write && other(b.reader, me))) {
            emu_fault("race: thread %d %s byte %zu of shared memory, which thread %d %s since the "
                      "last barrier",
                      me, write ? "writes" : "reads", i, other(b.writer, me) ? b.writer : b.reader,
                      other(b.writer, me) ? "wrote" : "read");
            return;
        }
        if (write)
            b.writer = me;
        else
            b.reader = b.reader == nobody || b.reader == me ? me : several;
    }
}

} // namespace

#define HOOKS(size)                                                                                \
    HOOK void __tsan_read##size(void *at)                                                          \
    {                                                                                              \
        touch(at, size, false);                                                                    \
    }                                                                                              \
    HOOK void __tsan_write##size(void *at)                                                         \
    {                                                                                              \
        touch(at, size, true);                                                                     \
    }                                                                                              \
    HOOK void __tsan_unaligned_read##size(void *at)                                                \
    {                                                                                              \
        touch(at, size, false);                                                                    \
    }                                                                                              \
    HOOK void __tsan_unaligned_write##size(void *at)                                               \
    {                                                                                              \
        touch(at, size, true);                                                                     \
    }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
#undef HOOKS

HOOK void __tsan_read_range(void *at, size_t size)
{
    touch(at, size, false);
}

HOOK void __tsan_write_range(void *at, size_t size)
{
    touch(at, size, true);
}

/* Called as well, and of no use here. */
HOOK void __tsan_init()
{
}

HOOK void __tsan_func_entry(void *)
{
}

HOOK void __tsan_func_exit()
{
}

HOOK void __tsan_vptr_update(void **, void *)
{
}
