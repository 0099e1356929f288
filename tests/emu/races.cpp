/* Races in shared memory, whatever the order of turns: built with gcc's -fsanitize=thread, kernels
 * call these functions before each access. Its runtime is not linked. Two threads may touch a byte
 * between the same two barriers only when both read, or when they are of one warp and it has come
 * together in between (__syncwarp; shuffles order no memory). */
#include "fibres.h"

#include <vector>

#define UNSEEN __attribute__((no_sanitize("thread")))
#define HOOK extern "C" __attribute__((visibility("hidden"))) UNSEEN

namespace
{

/* Who touched a byte in an epoch, the time between two barriers; and how often the warps of these
 * had come together by then. */
struct byte {
    unsigned long epoch;
    int writer, reader; /* index of a thread, nobody, several of a warp, or many */
    int readers;        /* the warp of several */
    unsigned long wrote, read;
};

const int nobody = -1, several = -2, many = -3;
std::vector<byte> bytes;

UNSEEN bool before(unsigned warp, unsigned long syncs)
{
    return warp == emu_now->warp && syncs < emu_now->syncs;
}

UNSEEN bool clashes_with_writer(const byte &b)
{
    return b.writer != nobody && b.writer != (int)emu_now->index &&
           !before((unsigned)b.writer / 32, b.wrote);
}

UNSEEN bool clashes_with_reader(const byte &b)
{
    return b.reader != nobody && b.reader != (int)emu_now->index &&
           (b.reader == many || !before((unsigned)b.readers, b.read));
}

UNSEEN void add_reader(byte *b)
{
    int me = (int)emu_now->index, warp = (int)emu_now->warp;

    if (!clashes_with_reader(*b)) { /* those before are done */
        b->reader = me;
        b->readers = warp;
    } else {
        b->reader = b->reader == many || b->readers != warp ? many : several;
    }
    b->read = emu_now->syncs;
}

} // namespace

UNSEEN void emu_touch(const void *address, size_t size, bool write)
{
    size_t at = (size_t)((const unsigned char *)address - emu_shared);

    if (at >= emu_shared_bytes) /* below it wraps */
        return;
    size_t first = emu_resident * emu_shared_bytes; /* bytes of other blocks that run now */
    if (bytes.size() < first + emu_shared_bytes)
        bytes.resize(first + emu_shared_bytes);
    for (size_t i = at; i < at + size && i < emu_shared_bytes; i++) {
        byte &b = bytes[first + i];
        if (b.epoch != emu_epoch)
            b = {emu_epoch, nobody, nobody, 0, 0, 0};
        bool after_write = clashes_with_writer(b);
        if (after_write || (write && clashes_with_reader(b))) {
            emu_fault("race: thread %u %s byte %zu of shared memory, which thread %d %s since the "
                      "last barrier",
                      emu_now->index, write ? "writes" : "reads", i,
                      after_write ? b.writer : b.reader, after_write ? "wrote" : "read");
            return;
        }
        if (!write) {
            add_reader(&b);
            continue;
        }
        b.writer = (int)emu_now->index;
        b.wrote = emu_now->syncs;
        b.reader = nobody;
    }
}

#define HOOKS(size)                                                                                \
    HOOK void __tsan_read##size(void *at)                                                          \
    {                                                                                              \
        emu_touch(at, size, false);                                                                \
    }                                                                                              \
    HOOK void __tsan_write##size(void *at)                                                         \
    {                                                                                              \
        emu_touch(at, size, true);                                                                 \
    }                                                                                              \
    HOOK void __tsan_unaligned_read##size(void *at)                                                \
    {                                                                                              \
        emu_touch(at, size, false);                                                                \
    }                                                                                              \
    HOOK void __tsan_unaligned_write##size(void *at)                                               \
    {                                                                                              \
        emu_touch(at, size, true);                                                                 \
    }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
#undef HOOKS

HOOK void __tsan_read_range(void *at, size_t size)
{
    emu_touch(at, size, false);
}

HOOK void __tsan_write_range(void *at, size_t size)
{
    emu_touch(at, size, true);
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
