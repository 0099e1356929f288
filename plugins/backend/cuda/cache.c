/* Compiled programs on disk: $XDG_CACHE_HOME/microgpt/cuda/HASH.
 *
 * A file is "MGPTCUDA", the sizes of key and image, a checksum of both, the key, the image. The
 * whole key is compared, so a hash that two keys share does no harm. Files are written under a name
 * of their own and renamed: whoever reads meets a whole one or none. One that is damaged, or that
 * others may write, counts as none and is replaced. */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "program.h"

#define MAGIC "MGPTCUDA"
#define PATH 1024
#define LARGEST ((uint64_t)64 << 20)
#define STALE 3600 /* seconds after which a file under a temporary name is nobody's any more */

struct head {
    char magic[8];
    uint64_t key_size, image_size, checksum;
};

/* FNV-1a, 64 bits (Fowler, Noll, Vo) */
static uint64_t hash(uint64_t h, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        h = (h ^ (unsigned char)data[i]) * 0x100000001b3u;
    return h;
}

#define HASH_START 0xcbf29ce484222325u

static uint64_t checksum(const char *key, size_t key_size, const char *image, size_t size)
{
    return hash(hash(HASH_START ^ key_size, key, key_size), image, size);
}

/* The folder for our files; 0: there is no place for one. */
static int folder(char path[PATH])
{
    const char *base = secure_getenv("XDG_CACHE_HOME"), *home = secure_getenv("HOME");
    int n;

    if (base && base[0] == '/')
        n = snprintf(path, PATH, "%s/microgpt/cuda", base);
    else if (home && home[0] == '/')
        n = snprintf(path, PATH, "%s/.cache/microgpt/cuda", home);
    else
        return 0;
    return n > 0 && n < PATH - 64;
}

static void path_of(const char *key, char path[PATH])
{
    size_t n = strlen(path);

    (void)snprintf(path + n, PATH - n, "/%016llx",
                   (unsigned long long)hash(HASH_START, key, strlen(key)));
}

static int make_folders(const char *path)
{
    char part[PATH];

    for (const char *p = path + 1;; p++)
        if (*p == '/' || !*p) {
            memcpy(part, path, (size_t)(p - path));
            part[p - path] = '\0';
            (void)mkdir(part, 0700); /* there already, or open says what is wrong */
            if (!*p)
                return access(path, W_OK) == 0;
        }
}

static int read_all(int file, void *data, size_t size)
{
    char *to = data;

    while (size) {
        ssize_t n = read(file, to, size);
        if (n <= 0)
            return 0;
        to += n;
        size -= (size_t)n;
    }
    return 1;
}

static int write_all(int file, const void *data, size_t size)
{
    const char *from = data;

    while (size) {
        ssize_t n = write(file, from, size);
        if (n <= 0)
            return 0;
        from += n;
        size -= (size_t)n;
    }
    return 1;
}

/* Nobody else may have written it: it is code. */
static int is_ours(int file, const struct head *head)
{
    struct stat s;

    return fstat(file, &s) == 0 && S_ISREG(s.st_mode) && s.st_uid == geteuid() &&
           !(s.st_mode & (S_IWGRP | S_IWOTH)) &&
           (uint64_t)s.st_size == sizeof *head + head->key_size + head->image_size;
}

char *cuda_cache_read(const char *key, size_t *size)
{
    char path[PATH], *kept = NULL, *image = NULL;
    size_t key_size = strlen(key);
    struct head head;
    int file;

    if (!folder(path))
        return NULL;
    path_of(key, path);
    file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0)
        return NULL;
    if (read_all(file, &head, sizeof head) && memcmp(head.magic, MAGIC, 8) == 0 &&
        head.key_size == key_size && head.image_size <= LARGEST && is_ours(file, &head)) {
        kept = malloc(key_size + 1);
        image = malloc((size_t)head.image_size + 1);
    }
    if (!kept || !image || !read_all(file, kept, key_size) ||
        !read_all(file, image, (size_t)head.image_size) || memcmp(kept, key, key_size) != 0 ||
        checksum(key, key_size, image, (size_t)head.image_size) != head.checksum) {
        free(image);
        image = NULL;
    } else {
        *size = (size_t)head.image_size;
        (void)futimens(file, NULL); /* used now; if that fails it is only removed earlier */
    }
    free(kept);
    (void)close(file);
    return image;
}

/* ---- the limit ---- */

struct entry {
    char name[24]; /* 16 digits, or those with ".XXXXXX" */
    uint64_t bytes;
    struct timespec used;
};

static int is_entry(const char *name)
{
    size_t digits = strspn(name, "0123456789abcdef");

    return digits == 16 && (!name[16] || (name[16] == '.' && strlen(name) == 23));
}

/* Used longest ago first. */
static int by_use(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->used.tv_sec != y->used.tv_sec)
        return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    if (x->used.tv_nsec != y->used.tv_nsec)
        return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* All files of ours, malloc'd. A file that somebody is writing is not counted; one that was left
 * half-written long ago is removed. */
static struct entry *list(DIR *dir, size_t *n, uint64_t *total)
{
    struct entry *entries = NULL;
    const struct dirent *d;
    size_t room = 0;

    while ((d = readdir(dir)) != NULL) {
        struct stat st;
        if (!is_entry(d->d_name) || fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(st.st_mode))
            continue;
        if (d->d_name[16]) {
            if (time(NULL) - st.st_mtime > STALE)
                (void)unlinkat(dirfd(dir), d->d_name, 0);
            continue;
        }
        if (*n == room) {
            void *more = realloc(entries, (room = 2 * room + 64) * sizeof *entries);
            if (!more)
                break;
            entries = more;
        }
        memcpy(entries[*n].name, d->d_name, 17);
        entries[*n].bytes = (uint64_t)st.st_size;
        entries[(*n)++].used = st.st_mtim;
        *total += (uint64_t)st.st_size;
    }
    return entries;
}

void cuda_cache_prune(uint64_t limit)
{
    char path[PATH];
    DIR *dir = folder(path) ? opendir(path) : NULL;
    struct entry *entries;
    uint64_t total = 0;
    size_t n = 0;

    if (!dir)
        return;
    entries = list(dir, &n, &total);
    if (entries)
        qsort(entries, n, sizeof *entries, by_use);
    for (size_t i = 0; i < n && total > limit; i++) {
        (void)unlinkat(dirfd(dir), entries[i].name, 0); /* gone already is as good */
        total -= entries[i].bytes;
    }
    free(entries);
    (void)closedir(dir);
}

void cuda_cache_write(const char *key, const char *image, size_t size)
{
    char path[PATH], own[PATH + 16];
    size_t key_size = strlen(key);
    struct head head = {MAGIC, key_size, size, checksum(key, key_size, image, size)};
    int file, whole;

    if (!folder(path) || !make_folders(path))
        return;
    path_of(key, path);
    (void)snprintf(own, sizeof own, "%s.XXXXXX", path);
    file = mkostemp(own, O_CLOEXEC);
    if (file < 0)
        return;
    whole = write_all(file, &head, sizeof head) && write_all(file, key, key_size) &&
            write_all(file, image, size);
    if (close(file) != 0 || !whole || rename(own, path) != 0)
        (void)unlink(own);
    cuda_cache_prune(CUDA_CACHE_LIMIT);
}
