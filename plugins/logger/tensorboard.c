/* Logger tensorboard: DIR/events.out.tfevents.*, which TensorBoard shows: the scalars train/loss,
 * train/grad_norm, train/lr, train/tokens_per_s, valid/loss and so on, and samples as text.
 *
 * A file of records: u64 length, u32 masked CRC-32C of the length, data, u32 masked CRC-32C of the
 * data, little-endian. The data is a protobuf message Event, of which this much is written:
 *
 *   Event   { 1: double wall_time; 2: varint step; 3: string file_version; 5: Summary }
 *   Summary { 1: Value { 1: string tag; 2: float simple_value; 8: Tensor; 9: Metadata } }
 *   Tensor  { 1: varint dtype = 7, string; 2: Shape {}; 8: bytes }
 *   Metadata { 1: PluginData { 1: string "text" } }
 *
 * A run that is resumed starts a new file, whose events take the place of later ones of the old: a
 * first event of each file but the first is a SessionLog START (Event field 7 { 1: varint 1 }) at
 * the step that is next, which tells TensorBoard to forget what it knew from there on. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <microgpt/logger.h>
#include <microgpt/utf8.h>

#define NAME "events.out.tfevents."
#define HEAD 64 /* more than the numbers and tags around any text take */

struct mgpt_logger {
    FILE *file; /* NULL: the run keeps nothing */
    char path[];
};

static enum mgpt_status failed(const struct mgpt_logger *l, struct mgpt_error *error)
{
    return mgpt_fail(error, MGPT_IO, "%s: %s", l->path, strerror(errno));
}

/* ---- protobuf: growing bytes ---- */

struct bytes {
    unsigned char *data;
    size_t size, capacity;
};

/* Each message is written once its parts are known, so room is made for all of it beforehand. */
static bool reserve(struct bytes *b, size_t more)
{
    if (b->capacity - b->size >= more)
        return true;
    size_t wanted = 2 * (b->size + more);
    unsigned char *data = realloc(b->data, wanted);
    if (!data)
        return false;
    b->data = data;
    b->capacity = wanted;
    return true;
}

static void add_raw(struct bytes *b, const void *data, size_t size)
{
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

static void add_varint(struct bytes *b, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        b->data[b->size++] = (unsigned char)(value | 0x80);
    b->data[b->size++] = (unsigned char)value;
}

enum wire { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };

static void add_key(struct bytes *b, unsigned field, enum wire wire)
{
    add_varint(b, field << 3 | (unsigned)wire);
}

/* Host and file are both little-endian, as the plugins' builds are. */
static void add_double(struct bytes *b, unsigned field, double value)
{
    add_key(b, field, FIXED64);
    add_raw(b, &value, sizeof value);
}

static void add_text(struct bytes *b, unsigned field, const void *text, size_t size)
{
    add_key(b, field, LENGTH);
    add_varint(b, size);
    add_raw(b, text, size);
}

static void add_number(struct bytes *b, unsigned field, uint64_t value)
{
    add_key(b, field, VARINT);
    add_varint(b, value);
}

/* ---- records ---- */

/* CRC-32C (Castagnoli), reflected polynomial 0x82f63b78. */
static uint32_t crc32c(const void *data, size_t size)
{
    const unsigned char *p = data;
    uint32_t crc = ~0u;

    for (size_t i = 0; i < size; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

/* So that a CRC of data that holds CRCs is no fixed point. */
static uint32_t masked(uint32_t crc)
{
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static enum mgpt_status write_record(struct mgpt_logger *l, const struct bytes *b,
                                     struct mgpt_error *error)
{
    uint64_t size = b->size;
    uint32_t head = masked(crc32c(&size, sizeof size)), tail = masked(crc32c(b->data, b->size));

    if (fwrite(&size, sizeof size, 1, l->file) != 1 ||
        fwrite(&head, sizeof head, 1, l->file) != 1 || fwrite(b->data, b->size, 1, l->file) != 1 ||
        fwrite(&tail, sizeof tail, 1, l->file) != 1)
        return failed(l, error);
    return MGPT_OK;
}

static double wall_time(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* An event that holds `body` in field `field`; takes body. */
static enum mgpt_status write_event(struct mgpt_logger *l, uint64_t step, unsigned field,
                                    struct bytes *body, struct mgpt_error *error)
{
    struct bytes event = {0};
    enum mgpt_status status = MGPT_NOMEM;

    if (reserve(&event, HEAD + body->size)) {
        add_double(&event, 1, wall_time());
        if (step)
            add_number(&event, 2, step);
        add_text(&event, field, body->data, body->size);
        status = write_record(l, &event, error);
    } else {
        mgpt_fail(error, MGPT_NOMEM, "out of memory for logger tensorboard");
    }
    free(event.data);
    free(body->data);
    return status;
}

/* ---- values ---- */

/* Adds Value { tag, simple_value } to a summary. What is not finite is shown as such. */
static bool add_scalar(struct bytes *summary, const char *tag, double value)
{
    float narrow = (float)value;
    size_t size = strlen(tag);

    if (!reserve(summary, HEAD + size))
        return false;
    add_key(summary, 1, LENGTH);
    add_varint(summary, 1 + 1 + size + 1 + sizeof narrow); /* tags are short: one byte of length */
    add_text(summary, 1, tag, size);
    add_key(summary, 2, FIXED32);
    add_raw(summary, &narrow, sizeof narrow);
    return true;
}

/* Adds UTF-8, with U+FFFD, of three bytes, for a byte that is not. */
static void add_clean(struct bytes *b, const char *text, size_t size)
{
    for (size_t at = 0, n; at < size; at += n) {
        uint32_t c = 0xfffd;
        char character[4];
        n = mgpt_utf8_read(text + at, size - at, &c);
        n += !n;
        add_raw(b, character, mgpt_utf8_write(c, character));
    }
}

/* Value { tag, tensor of one string, metadata of plugin "text" }. */
static bool add_sample(struct bytes *summary, const char *tag, const struct mgpt_event *e)
{
    static const char metadata[] = {0x0a, 6, 0x0a, 4, 't', 'e', 'x', 't'};
    struct bytes clean = {0}, tensor = {0}, value = {0};
    size_t most = 3 * mgpt_event_text_size(e);
    bool ok = reserve(&clean, HEAD + most) && reserve(&tensor, HEAD + most) &&
              reserve(&value, 2 * HEAD + most + strlen(tag)) &&
              reserve(summary, 3 * HEAD + most + strlen(tag));

    if (ok) {
        add_clean(&clean, e->text, mgpt_event_text_size(e));
        add_number(&tensor, 1, 7);
        add_text(&tensor, 2, "", 0); /* of no dimension */
        add_text(&tensor, 8, clean.data, clean.size);
        add_text(&value, 1, tag, strlen(tag));
        add_text(&value, 8, tensor.data, tensor.size);
        add_text(&value, 9, metadata, sizeof metadata);
        add_text(summary, 1, value.data, value.size);
    }
    free(clean.data);
    free(tensor.data);
    free(value.data);
    return ok;
}

static bool add_step(struct bytes *summary, const struct mgpt_event *e)
{
    return add_scalar(summary, "train/loss", e->loss) &&
           add_scalar(summary, "train/grad_norm", e->grad_norm) &&
           add_scalar(summary, "train/lr", e->lr) &&
           add_scalar(summary, "train/tokens_per_s", e->tokens_per_s);
}

static bool add_validation(struct bytes *summary, const struct mgpt_event *e)
{
    bool trained = MGPT_HAS(e, train_loss) && !isnan(e->train_loss);

    return add_scalar(summary, "valid/loss", e->val_loss) &&
           (!trained || add_scalar(summary, "valid/train_loss", e->train_loss));
}

/* Each sample of a step has a tag of its own, or the last would hide the others. */
static bool add_text_of(struct bytes *summary, const struct mgpt_event *e)
{
    char tag[HEAD / 2];

    (void)snprintf(tag, sizeof tag, "sample/%llu", (unsigned long long)e->index);
    return add_sample(summary, tag, e);
}

static enum mgpt_status event(struct mgpt_logger *l, const struct mgpt_event *e,
                              struct mgpt_error *error)
{
    struct bytes summary = {0};
    bool ok = true;

    if (!l->file)
        return MGPT_OK;
    if (e->type == MGPT_EVENT_STEP)
        ok = add_step(&summary, e);
    else if (e->type == MGPT_EVENT_VALIDATION)
        ok = add_validation(&summary, e);
    else if (e->type == MGPT_EVENT_SAMPLE && e->text)
        ok = add_text_of(&summary, e);
    else
        return MGPT_OK;
    if (ok)
        return write_event(l, e->step, 5, &summary, error);
    free(summary.data);
    return mgpt_fail(error, MGPT_NOMEM, "out of memory for logger tensorboard");
}

/* ---- the file ---- */

static enum mgpt_status write_start(struct mgpt_logger *l, uint64_t first_step,
                                    struct mgpt_error *error)
{
    static const char version[] = "brain.Event:2";
    struct bytes text = {0}, session = {0};

    if (!reserve(&text, HEAD) || !reserve(&session, HEAD)) {
        free(text.data);
        free(session.data);
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for logger tensorboard");
    }
    add_raw(&text, version, sizeof version - 1);
    enum mgpt_status status = write_event(l, 0, 3, &text, error);
    if (status != MGPT_OK || !first_step) {
        free(session.data);
        return status;
    }
    add_number(&session, 1, 1);
    return write_event(l, first_step + 1, 7, &session, error);
}

static void close_file(struct mgpt_logger *l)
{
    if (l && l->file)
        fclose(l->file);
    free(l);
}

/* The time in the name of a new file: files are read in the order of their names, so it is after
 * that of every other, though a run may be resumed within a second or when a clock was set back. */
static long long next_time(const char *dir)
{
    long long latest = (long long)time(NULL) - 1;
    const struct dirent *entry;
    DIR *folder = opendir(dir);

    while (folder && (entry = readdir(folder))) {
        long long then = 0;
        if (sscanf(entry->d_name, NAME "%10lld.", &then) == 1 && then > latest)
            latest = then;
    }
    if (folder)
        closedir(folder);
    return latest + 1;
}

static int create_file(struct mgpt_logger *l, const char *dir, size_t room)
{
    char host[64] = "host";

    (void)gethostname(host, sizeof host - 1);
    host[strcspn(host, "/")] = '\0';
    (void)snprintf(l->path, room, "%s/" NAME "%010lld.%s.%ld.0", dir, next_time(dir), host,
                   (long)getpid());
    return open(l->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
}

static enum mgpt_status open_file(const struct mgpt_host *host, const struct mgpt_config *config,
                                  const struct mgpt_run_info *run, struct mgpt_logger **logger,
                                  struct mgpt_error *error)
{
    size_t room = (run->dir ? strlen(run->dir) : 0) + 192;
    struct mgpt_logger *l = calloc(1, sizeof *l + room);
    enum mgpt_status status = MGPT_OK;

    (void)host, (void)config;
    if (!l)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for logger tensorboard");
    if (run->dir) {
        int file = create_file(l, run->dir, room);
        l->file = file < 0 ? NULL : fdopen(file, "w");
        status = l->file ? write_start(l, run->first_step, error) : failed(l, error);
        if (!l->file && file >= 0)
            close(file);
    }
    if (status != MGPT_OK) {
        close_file(l);
        return status;
    }
    *logger = l;
    return MGPT_OK;
}

static enum mgpt_status flush(struct mgpt_logger *l, struct mgpt_error *error)
{
    if (l->file && (fflush(l->file) != 0 || fsync(fileno(l->file)) != 0))
        return failed(l, error);
    return MGPT_OK;
}

static const struct mgpt_logger_api api = {
    .size = sizeof api,
    .open = open_file,
    .close = close_file,
    .event = event,
    .flush = flush,
};

static const struct mgpt_component component = {
    .size = sizeof component,
    MGPT_NO_OPTIONS,
    .kind = MGPT_KIND_LOGGER,
    .name = "tensorboard",
    .summary = "events.out.tfevents.* in the run's folder, for TensorBoard",
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.logger.tensorboard", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
