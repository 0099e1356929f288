/* Folders, symbolic links and paths. */
#include <config.h>

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int open_dir(const char *path, int flags)
{
    int fd;
    do
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
    while (fd < 0 && errno == EINTR);
    return fd;
}

enum mgpt_status mgpt_dir_sync(const char *path, struct mgpt_error *error)
{
    int rc, fd = open_dir(path, 0);
    if (fd < 0)
        return mgpt_file_fail(error, MGPT_IO, path, "open");
    do
        rc = fsync(fd);
    while (rc && errno == EINTR);
    enum mgpt_status status = MGPT_OK;
    /* EINVAL: a file system that orders its folders by itself and offers no fsync for them. */
    if (rc && errno != EINVAL)
        status = mgpt_file_fail(error, MGPT_IO, path, "sync");
    close(fd);
    return status;
}

/* flock, tried for two seconds: who holds it may just have been killed. 0, or errno. */
static int lock_soon(int fd)
{
    const struct timespec pause = {.tv_nsec = 50000000};
    for (int tries = 40; flock(fd, LOCK_EX | LOCK_NB); tries--) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || !tries)
            return errno;
        nanosleep(&pause, NULL);
    }
    return 0;
}

enum mgpt_status mgpt_dir_lock(const char *path, int *lock, enum mgpt_status busy,
                               const char *words, struct mgpt_error *error)
{
    int fd = open_dir(path, 0);
    if (fd < 0)
        return mgpt_file_fail(error, MGPT_IO, path, "open");
    int why = lock_soon(fd);
    if (!why) {
        *lock = fd;
        return MGPT_OK;
    }
    close(fd);
    if (why == ENOLCK || why == EOPNOTSUPP)
        return MGPT_OK;
    if (why == EWOULDBLOCK)
        return mgpt_fail(error, busy, "%s: %s", path, words);
    errno = why;
    return mgpt_file_fail(error, MGPT_IO, path, "lock");
}

/* A shared lock is what asks: several may ask at once, and who wants the folder tries again. */
bool mgpt_dir_locked(const char *path)
{
    int fd = open_dir(path, 0);
    if (fd < 0)
        return false;
    bool locked = flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
    close(fd);
    return locked;
}

static bool is_dir(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* One level; the parent's new entry is made durable. */
static enum mgpt_status make_one(const char *path, struct mgpt_error *error)
{
    if (mkdir(path, 0777)) {
        int cause = errno;
        if (is_dir(path))
            return MGPT_OK;
        errno = cause == EEXIST ? ENOTDIR : cause;
        return mgpt_file_fail(error, MGPT_IO, path, "make the folder");
    }
    char *parent = mgpt_path_folder(path);
    if (!parent)
        return mgpt_fail(error, MGPT_NOMEM, "%s: no memory to make the folder", path);
    enum mgpt_status status = mgpt_dir_sync(parent, error);
    free(parent);
    return status;
}

enum mgpt_status mgpt_dir_make(const char *path, struct mgpt_error *error)
{
    if (is_dir(path))
        return MGPT_OK;
    char *copy = strdup(path);
    if (!copy)
        return mgpt_fail(error, MGPT_NOMEM, "%s: no memory to make the folder", path);
    enum mgpt_status status = MGPT_OK;
    for (char *p = copy; *p && !status; p++) {
        if (*p != '/' || p == copy || p[-1] == '/')
            continue;
        *p = '\0';
        status = make_one(copy, error);
        *p = '/';
    }
    if (!status)
        status = make_one(copy, error);
    free(copy);
    return status;
}

/* Empties the folder `fd`, which it closes; folders in it down to `levels`. 0, or -1 with errno. */
static int empty_dir(int fd, int levels)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return -1;
    }
    int cause = 0;
    while (!cause) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry) {
            cause = errno;
            break;
        }
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..") || !unlinkat(fd, name, 0))
            continue;
        cause = errno;
        if (cause != EISDIR || levels == 0)
            continue;
        int child = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (child < 0 || empty_dir(child, levels - 1) || unlinkat(fd, name, AT_REMOVEDIR))
            cause = errno;
        else
            cause = 0;
    }
    closedir(dir);
    errno = cause;
    return cause ? -1 : 0;
}

enum mgpt_status mgpt_dir_remove(const char *path, struct mgpt_error *error)
{
    int fd = open_dir(path, O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return MGPT_OK;
    if (fd < 0 || empty_dir(fd, 1) || rmdir(path))
        return mgpt_file_fail(error, MGPT_IO, path, "remove the folder");
    return MGPT_OK;
}

enum mgpt_status mgpt_link_replace(const char *path, const char *target, struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;
    char *temporary = mgpt_path_temporary(path);
    if (!temporary)
        return mgpt_fail(error, MGPT_NOMEM, "%s: no memory to make the link", path);
    /* A killed process of the same number may have left one. */
    if ((unlink(temporary) && errno != ENOENT) || symlink(target, temporary)) {
        status = mgpt_file_fail(error, MGPT_IO, path, "make the link");
        goto out;
    }
    if (rename(temporary, path)) {
        status = mgpt_file_fail(error, MGPT_IO, path, "replace the link");
        unlink(temporary);
    }
out:
    free(temporary);
    return status;
}

bool mgpt_path_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

char *mgpt_path_join(const char *a, const char *b)
{
    char *path;
    size_t n = strlen(a);
    const char *slash = n && a[n - 1] != '/' ? "/" : "";
    return asprintf(&path, "%s%s%s", a, slash, b) < 0 ? NULL : path;
}

char *mgpt_path_absolute(const char *path)
{
    if (path[0] == '/')
        return strdup(path);
    char *here = getcwd(NULL, 0);
    if (!here)
        return NULL;
    char *absolute = mgpt_path_join(here, path);
    free(here);
    return absolute;
}

char *mgpt_path_folder(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--; /* "a/b/" lies in "a" as "a/b" does */
    while (n > 0 && path[n - 1] != '/')
        n--;
    if (n == 0)
        return strdup(".");
    while (n > 1 && path[n - 1] == '/')
        n--;
    return strndup(path, n);
}

char *mgpt_path_temporary(const char *path)
{
    char *temporary;
    return asprintf(&temporary, "%s.tmp-%ld", path, (long)getpid()) < 0 ? NULL : temporary;
}

char *mgpt_path_xdg(const char *variable, const char *below_home, const char *rest)
{
    const char *xdg = getenv(variable), *home = getenv("HOME");
    if (xdg && *xdg == '/')
        return mgpt_path_join(xdg, rest);
    char *folder = home && *home == '/' ? mgpt_path_join(home, below_home) : NULL;
    char *path = folder ? mgpt_path_join(folder, rest) : NULL;
    free(folder);
    return path;
}

/* FOLDER/NAME when it is there, else NULL. */
static char *find_in(const char *folder, const char *name)
{
    char *path = mgpt_path_join(folder, name);
    if (path && mgpt_path_exists(path))
        return path;
    free(path);
    return NULL;
}

char *mgpt_path_installed(const char *beside, const char *moved, const char *installed)
{
    char program[4096];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = '\0';
    char *folder = n > 0 ? mgpt_path_folder(program) : NULL;
    char *path = folder ? find_in(folder, beside) : NULL;
    if (folder && !path)
        path = find_in(folder, moved);
    free(folder);
    return path ? path : strdup(installed);
}
