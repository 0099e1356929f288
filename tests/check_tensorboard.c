/* Logger tensorboard: the records of its file, taken apart byte by byte. */
#include <config.h>

#include <glob.h>
#include <stdlib.h>

#include <microgpt/logger.h>

#include "scratch.h"
#include "testing.h"

/* ---- taking apart ---- */

/* CRC-32C by its definition: the remainder of a polynomial division, bit by bit, highest first, of
 * the reflected input; the plugin works on the reflected polynomial instead. */
static uint32_t reflected(uint32_t x, int bits)
{
    uint32_t y = 0;
    for (int i = 0; i < bits; i++)
        y |= (x >> i & 1) << (bits - 1 - i);
    return y;
}

static uint32_t crc(const unsigned char *data, size_t size)
{
    uint32_t rest = 0xffffffffu;
    for (size_t i = 0; i < size; i++) {
        rest ^= reflected(data[i], 8) << 24;
        for (int bit = 0; bit < 8; bit++)
            rest = rest & 0x80000000u ? rest << 1 ^ 0x1edc6f41u : rest << 1;
    }
    return ~reflected(rest, 32);
}

static uint32_t mask(uint32_t c)
{
    return ((c >> 15) | (c << 17)) + 0xa282ead8u;
}

static uint64_t little(const unsigned char *p, int bytes)
{
    uint64_t x = 0;
    for (int i = bytes; i-- > 0;)
        x = x << 8 | p[i];
    return x;
}

struct field {
    unsigned number, wire;
    uint64_t value; /* or the length of... */
    const unsigned char *data;
};

static uint64_t varint(const unsigned char **p, const unsigned char *end)
{
    uint64_t x = 0;
    for (int shift = 0;; shift += 7) {
        ck_assert(*p < end);
        ck_assert_int_lt(shift, 64);
        x |= (uint64_t)(**p & 0x7f) << shift;
        if (!(*(*p)++ & 0x80))
            return x;
    }
}

/* The next field of a message; false at its end. */
static bool next(const unsigned char **p, const unsigned char *end, struct field *f)
{
    if (*p == end)
        return false;
    uint64_t key = varint(p, end);
    *f = (struct field){(unsigned)(key >> 3), (unsigned)(key & 7), 0, NULL};
    if (f->wire == 0) {
        f->value = varint(p, end);
        return true;
    }
    ck_assert_uint_ne(f->wire, 3);
    ck_assert_uint_ne(f->wire, 4);
    f->value = f->wire == 1 ? 8 : f->wire == 5 ? 4 : varint(p, end);
    ck_assert_uint_le(f->value, (uint64_t)(end - *p));
    f->data = *p;
    *p += f->value;
    return true;
}

/* Field `number` of a message, which must be there once. */
static struct field get(struct field message, unsigned number)
{
    const unsigned char *p = message.data, *end = p + message.value;
    struct field f, found = {0};
    while (next(&p, end, &f))
        if (f.number == number) {
            ck_assert_uint_eq(found.number, 0);
            found = f;
        }
    ck_assert_msg(found.number == number, "no field %u", number);
    return found;
}

static bool is_text(struct field f, const char *text)
{
    return f.wire == 2 && f.value == strlen(text) && !memcmp(f.data, text, f.value);
}

/* Files that were read, which the events point into. */
static char *kept[4];
static size_t n_kept;

static void drop_files(void)
{
    while (n_kept)
        free(kept[--n_kept]);
}

/* The records of a file, whose CRCs must hold. */
static size_t records(const char *path, struct field *events, size_t most)
{
    size_t size, at = 0, n = 0;
    ck_assert_uint_lt(n_kept, sizeof kept / sizeof kept[0]);
    kept[n_kept] = get_bytes(path, &size);
    unsigned char *bytes = (unsigned char *)kept[n_kept++];
    while (at < size) {
        ck_assert_uint_ge(size - at, 16);
        uint64_t length = little(bytes + at, 8);
        ck_assert_uint_le(length, size - at - 16);
        ck_assert_uint_eq(little(bytes + at + 8, 4), mask(crc(bytes + at, 8)));
        ck_assert_uint_eq(little(bytes + at + 12 + length, 4),
                          mask(crc(bytes + at + 12, (size_t)length)));
        ck_assert_uint_lt(n, most);
        events[n++] = (struct field){0, 2, length, bytes + at + 12};
        at += 16 + (size_t)length;
    }
    return n;
}

/* ---- what was logged ---- */

static struct mgpt_event make_event(enum mgpt_event_type type, uint64_t step)
{
    return (struct mgpt_event){.size = sizeof(struct mgpt_event),
                               .type = type,
                               .step = step,
                               .index = 2,
                               .loss = 2.5,
                               .grad_norm = 0.5,
                               .lr = 0.125,
                               .tokens_per_s = 1000,
                               .val_loss = 3.5,
                               .train_loss = NAN,
                               .text = "émile\n"};
}

static void write_log(uint64_t first_step, const struct mgpt_event *events, size_t n)
{
    const struct mgpt_logger_api *api = mgpt_check_module(MGPT_KIND_LOGGER, "tensorboard")->api;
    struct mgpt_run_info run = {.size = sizeof run, .dir = scratch, .first_step = first_step};
    struct mgpt_logger *logger;
    ck_ok(api->open(mgpt_host(), NULL, &run, &logger, error));
    for (size_t i = 0; i < n; i++)
        ck_ok(api->event(logger, &events[i], error));
    ck_ok(api->flush(logger, error));
    api->close(logger);
}

static size_t read_log(size_t index, size_t files, struct field *events, size_t most)
{
    glob_t found;
    ck_assert_int_eq(glob(in_scratch("events.out.tfevents.??????????.*"), 0, NULL, &found), 0);
    ck_assert_uint_eq(found.gl_pathc, files);
    size_t n = records(found.gl_pathv[index], events, most);
    globfree(&found);
    return n;
}

/* Value `tag` of an event's summary. */
static struct field value_of(struct field event, const char *tag)
{
    struct field summary = get(event, 5), f;
    const unsigned char *p = summary.data, *end = p + summary.value;
    while (next(&p, end, &f))
        if (f.number == 1 && is_text(get(f, 1), tag))
            return f;
    ck_abort_msg("no value %s", tag);
}

static float scalar(struct field event, const char *tag)
{
    struct field f = get(value_of(event, tag), 2);
    float x;
    ck_assert_uint_eq(f.wire, 5);
    memcpy(&x, f.data, sizeof x);
    return x;
}

START_TEST(the_checksum_is_castagnolis)
{
    ck_assert_uint_eq(crc((const unsigned char *)"123456789", 9), 0xe3069283u); /* RFC 3720 */
}
END_TEST

START_TEST(scalars_and_samples_are_in_the_records)
{
    struct mgpt_event log[] = {
        make_event(MGPT_EVENT_STEP, 1),
        make_event(MGPT_EVENT_STEP, 300),
        make_event(MGPT_EVENT_VALIDATION, 300),
        make_event(MGPT_EVENT_CHECKPOINT, 300), /* has no place there */
        make_event(MGPT_EVENT_SAMPLE, 300),
    };
    struct field events[8];
    double time;
    log[1].loss = NAN;
    log[2].train_loss = 3.25;
    write_log(0, log, 5);
    ck_assert_uint_eq(read_log(0, 1, events, 8), 5);
    ck_assert(is_text(get(events[0], 3), "brain.Event:2"));
    memcpy(&time, get(events[0], 1).data, sizeof time);
    ck_assert_double_gt(time, 1.7e9);
    ck_assert_uint_eq(get(events[1], 2).value, 1);
    ck_assert_float_eq(scalar(events[1], "train/loss"), 2.5f);
    ck_assert_float_eq(scalar(events[1], "train/grad_norm"), 0.5f);
    ck_assert_float_eq(scalar(events[1], "train/lr"), 0.125f);
    ck_assert_float_eq(scalar(events[1], "train/tokens_per_s"), 1000);
    ck_assert_uint_eq(get(events[2], 2).value, 300);
    ck_assert_float_nan(scalar(events[2], "train/loss"));
    ck_assert_float_eq(scalar(events[3], "valid/loss"), 3.5f);
    ck_assert_float_eq(scalar(events[3], "valid/train_loss"), 3.25f);
    struct field sample = value_of(events[4], "sample/2");
    ck_assert_uint_eq(get(events[4], 2).value, 300);
    ck_assert(is_text(get(get(sample, 8), 8), "émile\n"));
    ck_assert_uint_eq(get(get(sample, 8), 1).value, 7);
    ck_assert(is_text(get(get(get(sample, 9), 1), 1), "text"));
}
END_TEST

START_TEST(long_samples_have_long_lengths)
{
    struct mgpt_event log = make_event(MGPT_EVENT_SAMPLE, 7);
    static char text[100001];
    struct field events[4];
    memset(text, 'x', 100000);
    log.text = text;
    write_log(0, &log, 1);
    ck_assert_uint_eq(read_log(0, 1, events, 4), 2);
    ck_assert(is_text(get(get(value_of(events[1], "sample/2"), 8), 8), text));
}
END_TEST

/* Protobuf's text is UTF-8, and a tokenizer of bytes may sample anything. */
START_TEST(what_is_no_utf8_is_replaced)
{
    struct mgpt_event log = make_event(MGPT_EVENT_SAMPLE, 7);
    struct field events[4];
    log.text = "a\xff\xc3\xa9\xe2\x82";
    write_log(0, &log, 1);
    ck_assert_uint_eq(read_log(0, 1, events, 4), 2);
    ck_assert_uint_eq(get(events[1], 2).value, 7);
    ck_assert(is_text(get(get(value_of(events[1], "sample/2"), 8), 8),
                      "a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd"));
}
END_TEST

/* TensorBoard forgets, from that step on, what the first file said. */
START_TEST(a_resumed_run_starts_a_file_that_says_where)
{
    struct mgpt_event first = make_event(MGPT_EVENT_STEP, 200), again = first;
    struct field events[4];
    write_log(0, &first, 1);
    write_log(100, &again, 1);
    ck_assert_uint_eq(read_log(0, 2, events, 4), 2);
    ck_assert_uint_eq(read_log(1, 2, events, 4), 3); /* the name of the new one comes later */
    ck_assert_uint_eq(get(events[1], 2).value, 101);
    ck_assert_uint_eq(get(get(events[1], 7), 1).value, 1);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("tensorboard");
    tcase_add_checked_fixture(tests, NULL, drop_files);
    tcase_add_test(tests, the_checksum_is_castagnolis);
    tcase_add_test(tests, scalars_and_samples_are_in_the_records);
    tcase_add_test(tests, long_samples_have_long_lengths);
    tcase_add_test(tests, what_is_no_utf8_is_replaced);
    tcase_add_test(tests, a_resumed_run_starts_a_file_that_says_where);
    return run_cases("tensorboard", tests);
}
