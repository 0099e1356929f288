/* A download by libcurl, or the advice to do it by hand. */
#include <config.h>

#include "run/fetch.h"

#ifdef HAVE_LIBCURL

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <curl/curl.h>
/* A macro of the same name where the header checks types. */
#undef curl_easy_setopt

#include "base/log.h"
#include "base/stop.h"

/* libcurl and the 30 libraries that it needs take 5 ms and 6 MB: loaded by who downloads, and not
 * at the start of every command. */
#define LIBRARY "libcurl.so.4"
#define FUNCTIONS(_)                                                                               \
    _(curl_easy_init)                                                                              \
    _(curl_easy_setopt) _(curl_easy_perform) _(curl_easy_strerror) _(curl_easy_cleanup)
#define POINTER(name) __typeof__(name) *name##_;
static struct {
    FUNCTIONS(POINTER)
} library;

/* It stays. */
static enum mgpt_status load_library(struct mgpt_error *error)
{
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    bool whole = handle;

    if (!handle)
        return mgpt_fail(error, MGPT_UNSUPPORTED, "%s (Debian package libcurl4)", dlerror());
#define FIND(name)                                                                                 \
    *(void **)&library.name##_ = dlsym(handle, #name);                                             \
    whole = whole && library.name##_;
    FUNCTIONS(FIND)
    return whole ? MGPT_OK : mgpt_fail(error, MGPT_UNSUPPORTED, "%s: %s", LIBRARY, dlerror());
}

struct load {
    int fd;
    uint64_t at, size; /* bytes that are there; bytes of the whole text */
    int failed;        /* errno of a write */
};

/* Refuses more than the text has, by taking less than was offered. */
static size_t take(char *data, size_t one, size_t n, void *user)
{
    struct load *l = user;
    size_t done = 0;

    if (one != 1 || n > l->size - l->at)
        return 0;
    while (done < n) {
        ssize_t written = pwrite(l->fd, data + done, n - done, (off_t)(l->at + done));
        if (written < 0 && errno != EINTR) {
            l->failed = errno;
            return 0;
        }
        done += written > 0 ? (size_t)written : 0;
    }
    l->at += n;
    return n;
}

static int poll_stop(void *user, curl_off_t total, curl_off_t now, curl_off_t up, curl_off_t sent)
{
    (void)user, (void)total, (void)now, (void)up, (void)sent;
    return mgpt_stop_requested();
}

static void set_options(CURL *curl, const char *url, struct load *l, char *why)
{
    library.curl_easy_setopt_(curl, CURLOPT_URL, url);
    library.curl_easy_setopt_(curl, CURLOPT_USERAGENT, "microgpt/" PACKAGE_VERSION);
    library.curl_easy_setopt_(curl, CURLOPT_ERRORBUFFER, why);
    library.curl_easy_setopt_(curl, CURLOPT_NOSIGNAL, 1L);
    library.curl_easy_setopt_(curl, CURLOPT_FAILONERROR, 1L);
    library.curl_easy_setopt_(curl, CURLOPT_FOLLOWLOCATION, 1L);
    library.curl_easy_setopt_(curl, CURLOPT_MAXREDIRS, 5L);
#if LIBCURL_VERSION_NUM >= 0x075500
    library.curl_easy_setopt_(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    library.curl_easy_setopt_(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
    library.curl_easy_setopt_(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    library.curl_easy_setopt_(curl, CURLOPT_REDIR_PROTOCOLS,
                              (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    library.curl_easy_setopt_(curl, CURLOPT_CONNECTTIMEOUT, 30L);
    library.curl_easy_setopt_(curl, CURLOPT_LOW_SPEED_LIMIT, 10L); /* bytes a second... */
    library.curl_easy_setopt_(curl, CURLOPT_LOW_SPEED_TIME,
                              60L); /* ...for so long is a dead line */
    library.curl_easy_setopt_(curl, CURLOPT_WRITEFUNCTION, take);
    library.curl_easy_setopt_(curl, CURLOPT_WRITEDATA, l);
    library.curl_easy_setopt_(curl, CURLOPT_XFERINFOFUNCTION, poll_stop);
    library.curl_easy_setopt_(curl, CURLOPT_NOPROGRESS, 0L);
    library.curl_easy_setopt_(curl, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)l->at);
}

/* A server that knows no ranges sends all of it again. */
static CURLcode perform(CURL *curl, struct load *l)
{
    CURLcode code = library.curl_easy_perform_(curl);

    if (code != CURLE_RANGE_ERROR || !l->at)
        return code;
    l->at = 0;
    if (ftruncate(l->fd, 0)) {
        l->failed = errno;
        return CURLE_WRITE_ERROR;
    }
    library.curl_easy_setopt_(curl, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)0);
    return library.curl_easy_perform_(curl);
}

static enum mgpt_status explain(CURLcode code, const struct load *l, const char *url,
                                const char *why, struct mgpt_error *error)
{
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return mgpt_fail(error, MGPT_CANCELED, "stopped; what was loaded is kept");
    if (l->failed)
        return mgpt_fail(error, MGPT_IO, "%s: cannot keep it: %s", url, strerror(l->failed));
    if (code == CURLE_WRITE_ERROR)
        return mgpt_fail(error, MGPT_DATA, "%s: what came is not the text: it is longer", url);
    return mgpt_fail(error, MGPT_IO,
                     "%s: %s. Another place: [fetch] mirror or MICROGPT_MIRROR; a proxy: "
                     "https_proxy",
                     url, *why ? why : library.curl_easy_strerror_(code));
}

enum mgpt_status mgpt_download(const char *url, int fd, uint64_t from, uint64_t size,
                               struct mgpt_error *error)
{
    struct load l = {.fd = fd, .at = from, .size = size};
    char why[CURL_ERROR_SIZE] = "";
    enum mgpt_status status = load_library(error);

    if (status != MGPT_OK)
        return status;
    CURL *curl = library.curl_easy_init_();
    if (!curl)
        return mgpt_fail(error, MGPT_NOMEM, "libcurl does not start");
    mgpt_log(MGPT_LOG_INFO, "fetching %s (%" PRIu64 " bytes%s)", url, size - from,
             from ? " to go" : "");
    set_options(curl, url, &l, why);
    CURLcode code = perform(curl, &l);
    library.curl_easy_cleanup_(curl);
    return code == CURLE_OK ? MGPT_OK : explain(code, &l, url, why, error);
}

#else

enum mgpt_status mgpt_download(const char *url, int fd, uint64_t from, uint64_t size,
                               struct mgpt_error *error)
{
    (void)fd, (void)from, (void)size;
    return mgpt_fail(error, MGPT_UNSUPPORTED,
                     "this microgpt was built without libcurl: install it (Debian package "
                     "libcurl4-openssl-dev), then configure and make again; or load %s by other "
                     "means, and name the file in [dataset] path",
                     url);
}

#endif
