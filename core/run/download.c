/* A download by libcurl, or the advice to do it by hand. */
#include <config.h>

#include "run/fetch.h"

#ifdef HAVE_LIBCURL

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/log.h"
#include "base/stop.h"

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
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "microgpt/" PACKAGE_VERSION);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 30L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 10L); /* bytes a second... */
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 60L);  /* ...for so long is a dead line */
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, l);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, poll_stop);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)l->at);
}

/* A server that knows no ranges sends all of it again. */
static CURLcode perform(CURL *curl, struct load *l)
{
    CURLcode code = curl_easy_perform(curl);

    if (code != CURLE_RANGE_ERROR || !l->at)
        return code;
    l->at = 0;
    if (ftruncate(l->fd, 0)) {
        l->failed = errno;
        return CURLE_WRITE_ERROR;
    }
    curl_easy_setopt(curl, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)0);
    return curl_easy_perform(curl);
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
                     url, *why ? why : curl_easy_strerror(code));
}

enum mgpt_status mgpt_download(const char *url, int fd, uint64_t from, uint64_t size,
                               struct mgpt_error *error)
{
    struct load l = {.fd = fd, .at = from, .size = size};
    char why[CURL_ERROR_SIZE] = "";
    CURL *curl = curl_easy_init();

    if (!curl)
        return mgpt_fail(error, MGPT_NOMEM, "libcurl does not start");
    mgpt_log(MGPT_LOG_INFO, "fetching %s (%" PRIu64 " bytes%s)", url, size - from,
             from ? " to go" : "");
    set_options(curl, url, &l, why);
    CURLcode code = perform(curl, &l);
    curl_easy_cleanup(curl);
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
