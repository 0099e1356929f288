/* The look at a shared object before dlopen: whose it is, and whether it is whole. */
#include <config.h>

#include "plugin/elf.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The header of the program that runs, which the linker makes visible: what a plugin must be like.
 */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

struct file {
    const char *path;
    int fd;
    uint64_t size;
};

/* The whole of [offset, offset + size), which is known to lie within the file. */
static enum mgpt_status read_at(const struct file *file, void *data, size_t size, uint64_t offset,
                                struct mgpt_error *error)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(file->fd, (char *)data + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return mgpt_fail(error, MGPT_PLUGIN, "%s: cannot read at offset %llu: %s", file->path,
                             (unsigned long long)(offset + done),
                             n ? strerror(errno) : "the file ends");
        done += (size_t)n;
    }
    return MGPT_OK;
}

static bool within(const struct file *file, uint64_t offset, uint64_t size)
{
    return offset <= file->size && size <= file->size - offset;
}

static const char *type_name(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR: return "a directory";
    case S_IFIFO: return "a FIFO";
    case S_IFSOCK: return "a socket";
    case S_IFCHR:
    case S_IFBLK: return "a device";
    default: return "no regular file";
    }
}

/* Whose the file is, judged on the open descriptor. */
static enum mgpt_status check_owner(struct file *file, struct mgpt_error *error)
{
    struct stat st;
    if (fstat(file->fd, &st) != 0)
        return mgpt_fail(error, MGPT_PLUGIN, "%s: %s", file->path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return mgpt_fail(error, MGPT_PLUGIN, "%s: found %s, expected a regular file", file->path,
                         type_name(st.st_mode));
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return mgpt_fail(error, MGPT_PLUGIN, "%s: owned by user %lu, expected root or user %lu",
                         file->path, (unsigned long)st.st_uid, (unsigned long)geteuid());
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return mgpt_fail(error, MGPT_PLUGIN,
                         "%s: mode %04o lets others write it, expected only its owner: chmod go-w",
                         file->path, (unsigned)(st.st_mode & 07777));
    file->size = (uint64_t)st.st_size;
    return MGPT_OK;
}

/* "x86-64", or "machine 92". */
static const char *machine_name(unsigned machine, char buffer[static 24])
{
    static const struct {
        unsigned machine;
        const char *name;
    } names[] = {{EM_386, "i386"},      {EM_ARM, "arm"},         {EM_X86_64, "x86-64"},
                 {EM_AARCH64, "arm64"}, {EM_PPC64, "powerpc64"}, {EM_RISCV, "risc-v"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].machine == machine)
            return names[i].name;
    (void)snprintf(buffer, 24, "machine %u", machine);
    return buffer;
}

/* A shared object for this machine? */
static enum mgpt_status check_header(const struct file *file, const ElfW(Ehdr) * e,
                                     struct mgpt_error *error)
{
    const unsigned char *id = e->e_ident, *own = __ehdr_start.e_ident;
    char found[24], expected[24];
    if (memcmp(id, ELFMAG, SELFMAG) != 0)
        return mgpt_fail(error, MGPT_PLUGIN,
                         "%s: no shared object: it starts with bytes %02x %02x %02x %02x, expected "
                         "7f 45 4c 46 (ELF)",
                         file->path, id[0], id[1], id[2], id[3]);
    if (id[EI_CLASS] != own[EI_CLASS])
        return mgpt_fail(error, MGPT_PLUGIN, "%s: found a %s object, expected a %s one", file->path,
                         id[EI_CLASS] == ELFCLASS64   ? "64-bit"
                         : id[EI_CLASS] == ELFCLASS32 ? "32-bit"
                                                      : "nameless",
                         own[EI_CLASS] == ELFCLASS64 ? "64-bit" : "32-bit");
    if (id[EI_DATA] != own[EI_DATA])
        return mgpt_fail(error, MGPT_PLUGIN, "%s: found byte order %u, expected %u", file->path,
                         id[EI_DATA], own[EI_DATA]);
    if (e->e_machine != __ehdr_start.e_machine)
        return mgpt_fail(error, MGPT_PLUGIN, "%s: built for %s, expected %s", file->path,
                         machine_name(e->e_machine, found),
                         machine_name(__ehdr_start.e_machine, expected));
    if (id[EI_VERSION] != EV_CURRENT || e->e_version != EV_CURRENT)
        return mgpt_fail(error, MGPT_PLUGIN, "%s: found ELF version %u, expected %u", file->path,
                         (unsigned)e->e_version, (unsigned)EV_CURRENT);
    if (e->e_type != ET_DYN)
        return mgpt_fail(error, MGPT_PLUGIN, "%s: found ELF type %u, expected %u (shared object)",
                         file->path, e->e_type, ET_DYN);
    return MGPT_OK;
}

/* Program headers, what they promise, and the section headers, which come last in most files. */
static enum mgpt_status check_extent(const struct file *file, const ElfW(Ehdr) * e,
                                     struct mgpt_error *error)
{
    unsigned loads = 0;
    if (e->e_phentsize != sizeof(ElfW(Phdr)) || e->e_phnum == 0 || e->e_phnum == PN_XNUM)
        return mgpt_fail(error, MGPT_PLUGIN,
                         "%s: found %u program headers of %u bytes, expected 1 to %u of %zu bytes",
                         file->path, e->e_phnum, e->e_phentsize, PN_XNUM - 1, sizeof(ElfW(Phdr)));
    if (!within(file, e->e_phoff, (uint64_t)e->e_phnum * sizeof(ElfW(Phdr))))
        return mgpt_fail(error, MGPT_PLUGIN,
                         "%s: truncated: %u program headers at offset %llu, in a file of %llu "
                         "bytes",
                         file->path, e->e_phnum, (unsigned long long)e->e_phoff,
                         (unsigned long long)file->size);
    for (unsigned i = 0; i < e->e_phnum; i++) {
        ElfW(Phdr) p;
        enum mgpt_status status = read_at(file, &p, sizeof p, e->e_phoff + i * sizeof p, error);
        if (status != MGPT_OK)
            return status;
        loads += p.p_type == PT_LOAD;
        if (!within(file, p.p_offset, p.p_filesz) ||
            (p.p_type == PT_LOAD && p.p_filesz > p.p_memsz))
            return mgpt_fail(error, MGPT_PLUGIN,
                             "%s: truncated: segment %u holds %llu bytes at offset %llu, the file "
                             "has %llu bytes",
                             file->path, i, (unsigned long long)p.p_filesz,
                             (unsigned long long)p.p_offset, (unsigned long long)file->size);
    }
    if (loads == 0)
        return mgpt_fail(error, MGPT_PLUGIN, "%s: found no segment to load, expected 1 or more",
                         file->path);
    if (e->e_shoff && !within(file, e->e_shoff, (uint64_t)e->e_shnum * e->e_shentsize))
        return mgpt_fail(
            error, MGPT_PLUGIN,
            "%s: truncated: %u section headers at offset %llu, in a file of %llu bytes", file->path,
            e->e_shnum, (unsigned long long)e->e_shoff, (unsigned long long)file->size);
    return MGPT_OK;
}

enum mgpt_status mgpt_elf_check(const char *path, struct mgpt_error *error)
{
    enum mgpt_status status;
    ElfW(Ehdr) header;
    /* O_NONBLOCK: opening a FIFO must not wait for somebody to write to it. */
    struct file file = {path, open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), 0};
    if (file.fd < 0)
        return mgpt_fail(error, MGPT_PLUGIN, "%s: cannot open: %s", path, strerror(errno));
    status = check_owner(&file, error);
    if (status != MGPT_OK)
        goto out;
    if (file.size < sizeof header) {
        status = mgpt_fail(error, MGPT_PLUGIN,
                           "%s: found %llu bytes, expected a shared object, whose header alone has "
                           "%zu bytes",
                           path, (unsigned long long)file.size, sizeof header);
        goto out;
    }
    status = read_at(&file, &header, sizeof header, 0, error);
    if (status == MGPT_OK)
        status = check_header(&file, &header, error);
    if (status == MGPT_OK)
        status = check_extent(&file, &header, error);
out:
    close(file.fd);
    return status;
}
