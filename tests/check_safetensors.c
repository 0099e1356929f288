/* Safetensors: what is written reads back, to the byte of the format; what lies is refused, in
 * bounded time and memory, with path, offset and reason. */
#include <config.h>

#include "run/safetensors.h"

#include <sys/resource.h>
#include <time.h>

#include "scratch.h"

static struct mgpt_error error;

/* Three tensors as any other writer of the format stores them: widest first, then by name. */
static const char golden_header[] =
    "{\"__metadata__\":{\"format\":\"pt\"},"
    "\"d\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
    "\"b\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[8,16]},"
    "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[16,19]}}";

/* A file of this header, which is not padded, and this much data of bytes 1, 2, 3... */
static char *make_file(const char *header, size_t data, size_t *size)
{
    size_t n = strlen(header);
    char *file = malloc(8 + n + data);
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < 8; i++)
        file[i] = (char)((uint64_t)n >> (8 * i));
    memcpy(file + 8, header, n);
    for (size_t i = 0; i < data; i++)
        file[8 + n + i] = (char)(i + 1);
    *size = 8 + n + data;
    return file;
}

static enum mgpt_status try_bytes(const void *bytes, size_t size)
{
    struct mgpt_safetensors *file = NULL;
    put_bytes(in_scratch("file"), bytes, size);
    error.text[0] = '\0';
    enum mgpt_status status = mgpt_safetensors_open(in_scratch("file"), &file, &error);
    mgpt_safetensors_close(file);
    return status;
}

static void refused(const char *header, size_t data, const char *offset, const char *reason)
{
    size_t size;
    char *bytes = make_file(header, data, &size);
    ck_assert_msg(try_bytes(bytes, size) == MGPT_DATA, "was not refused: %.60s", header);
    ck_assert_has(error.text, in_scratch("file"));
    ck_assert_has(error.text, offset);
    ck_assert_has(error.text, reason);
    ck_assert_ptr_null(strchr(error.text, '\n'));
    free(bytes);
}

static void accepted(const char *header, size_t data)
{
    size_t size;
    char *bytes = make_file(header, data, &size);
    ck_assert_msg(try_bytes(bytes, size) == MGPT_OK, "%s", error.text);
    free(bytes);
}

START_TEST(writes_the_format_to_the_byte)
{
    uint8_t a[] = {17, 18, 19}, b[] = {9, 10, 11, 12, 13, 14, 15, 16},
            d[] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct mgpt_blob blobs[] = {
        {"a", MGPT_U8, 1, {3}, a}, {"b", MGPT_F32, 2, {2, 1}, b}, {"d", MGPT_I64, 0, {0}, d}};
    size_t size, expected_size, n = strlen(golden_header);
    uint64_t told;
    char hex[MGPT_SHA256_HEX], again[MGPT_SHA256_HEX], padded[sizeof golden_header + 8];
    snprintf(padded, sizeof padded, "%s%*s", golden_header, (int)(-n & 7), "");
    ck_assert_uint_eq(strlen(padded) % 8, 0);
    char *expected = make_file(padded, 19, &expected_size);
    ck_assert_int_eq(mgpt_safetensors_write_hashed(in_scratch("w"), blobs, 3, &told, hex, &error),
                     MGPT_OK);
    char *bytes = get_bytes(in_scratch("w"), &size);
    ck_assert_uint_eq(size, expected_size);
    ck_assert_mem_eq(bytes, expected, size);
    ck_assert_uint_eq(told, size);
    mgpt_sha256(bytes, size, again);
    ck_assert_str_eq(hex, again);
    free(bytes);
    free(expected);
}
END_TEST

START_TEST(every_format_reads_back)
{
    static const uint32_t dtypes[] = {MGPT_F32, MGPT_F64, MGPT_F16, MGPT_BF16,
                                      MGPT_I32, MGPT_U8,  MGPT_U32, MGPT_I64};
    struct mgpt_safetensors *file;
    struct mgpt_blob blobs[24];
    char names[24][16], data[24][17 * 3 * 8], back[17 * 3 * 8 + 1];
    for (size_t i = 0; i < 24; i++) {
        snprintf(names[i], sizeof names[i], "t\"\\\xc3\xa9%zu", i);
        memset(data[i], (int)i + 1, sizeof data[i]);
        /* ranks 0 and 2, and a size of zero */
        blobs[i] = (struct mgpt_blob){names[i], dtypes[i % 8], i < 8 ? 0 : 2, {17, 3}, data[i]};
        if (i >= 16)
            blobs[i].shape[1] = 0;
    }
    ck_assert_int_eq(mgpt_safetensors_write(in_scratch("w"), blobs, 24, &error), MGPT_OK);
    ck_assert_int_eq(mgpt_safetensors_open(in_scratch("w"), &file, &error), MGPT_OK);
    ck_assert_uint_eq(mgpt_safetensors_count(file), 24);
    for (size_t i = 1; i < 24; i++)
        ck_assert_int_lt(strcmp(mgpt_safetensors_name(file, i - 1), mgpt_safetensors_name(file, i)),
                         0);
    for (size_t i = 0; i < 24; i++) {
        size_t n = mgpt_dtype_size(dtypes[i % 8]) * (i < 8 ? 1 : i < 16 ? 51 : 0);
        memset(back, 99, sizeof back);
        blobs[i].data = back;
        ck_assert_int_eq(mgpt_safetensors_read(file, &blobs[i], &error), MGPT_OK);
        ck_assert_mem_eq(back, data[i], n);
        ck_assert_int_eq(back[n], 99); /* no byte further */
    }
    mgpt_safetensors_close(file);
}
END_TEST

START_TEST(refuses_to_write_what_the_format_cannot_hold)
{
    char data[8] = {0};
    struct mgpt_blob two[] = {{"a", MGPT_U8, 1, {8}, data}, {"a", MGPT_U8, 1, {8}, data}};
    struct mgpt_blob odd[] = {{"__metadata__", MGPT_U8, 1, {8}, data},
                              {"\xff", MGPT_U8, 1, {8}, data},
                              {"a", 99, 1, {8}, data},
                              {"a", MGPT_U8, 5, {8}, data},
                              {"a", MGPT_U8, 1, {-1}, data},
                              {"a", MGPT_F32, 2, {INT64_MAX, 3}, data}};
    ck_assert_int_eq(mgpt_safetensors_write(in_scratch("w"), two, 2, &error), MGPT_INVALID);
    for (size_t i = 0; i < 6; i++)
        ck_assert_int_eq(mgpt_safetensors_write(in_scratch("w"), &odd[i], 1, &error), MGPT_INVALID);
    ck_assert_int_eq(mgpt_safetensors_write(in_scratch("no/w"), two, 1, &error), MGPT_IO);
    ck_assert_has(error.text, "No such file or directory");
    ck_assert_int_eq(access(in_scratch("w"), F_OK), -1);
}
END_TEST

START_TEST(says_what_was_expected_and_what_was_found)
{
    struct mgpt_safetensors *file;
    size_t size;
    float data[2];
    char *bytes = make_file(golden_header, 19, &size);
    put_bytes(in_scratch("g"), bytes, size);
    free(bytes);
    ck_assert_int_eq(mgpt_safetensors_open(in_scratch("g"), &file, &error), MGPT_OK);
    struct mgpt_blob blob = {"b", MGPT_F32, 2, {1, 2}, data};
    ck_assert_int_eq(mgpt_safetensors_read(file, &blob, &error), MGPT_DATA);
    ck_assert_has(error.text, in_scratch("g"));
    ck_assert_has(error.text, "\"b\" is F32 [2, 1], expected F32 [1, 2]");
    blob = (struct mgpt_blob){"b", MGPT_BF16, 2, {2, 1}, data};
    ck_assert_int_eq(mgpt_safetensors_read(file, &blob, &error), MGPT_DATA);
    ck_assert_has(error.text, "\"b\" is F32 [2, 1], expected BF16 [2, 1]");
    blob.name = "none";
    ck_assert_int_eq(mgpt_safetensors_read(file, &blob, &error), MGPT_DATA);
    ck_assert_has(error.text, "there is no tensor \"none\"");
    mgpt_safetensors_close(file);
}
END_TEST

#define T(name, dtype, shape, offsets)                                                             \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

START_TEST(accepts_all_that_the_format_allows)
{
    accepted("{}", 0);
    accepted("{}                 ", 0);
    accepted("{ \"__metadata__\" : { \"a\" : \"b\" } }", 0);
    accepted("{" T("z", "F32", "[0,5]", "[0,0]") "," T("y", "F32", "[2]", "[0,8]") "}", 8);
    accepted("{" T("late", "U8", "[1]", "[1,2]") "," T("early", "U8", "[1]", "[0,1]") "}", 2);
    accepted("{" T("\\u00e9\\n", "U8", "[1]", "[0,1]") "}", 1);
    accepted("{" T("f4", "F4", "[2,3]", "[0,3]") "," T("b", "BOOL", "[1]", "[3,4]") "}", 4);
}
END_TEST

START_TEST(what_only_others_have_opens_but_is_not_read)
{
    struct mgpt_safetensors *file;
    size_t size;
    char data[8];
    char *bytes = make_file(
        "{" T("b", "BOOL", "[1]", "[0,1]") "," T("r", "U8", "[1,1,1,1,2]", "[1,3]") "}", 3, &size);
    put_bytes(in_scratch("o"), bytes, size);
    free(bytes);
    ck_assert_int_eq(mgpt_safetensors_open(in_scratch("o"), &file, &error), MGPT_OK);
    struct mgpt_blob blob = {"b", MGPT_U8, 1, {1}, data};
    ck_assert_int_eq(mgpt_safetensors_read(file, &blob, &error), MGPT_DATA);
    ck_assert_has(error.text, "\"b\" is BOOL [1], expected U8 [1]");
    blob = (struct mgpt_blob){"r", MGPT_U8, 4, {1, 1, 1, 2}, data};
    ck_assert_int_eq(mgpt_safetensors_read(file, &blob, &error), MGPT_DATA);
    ck_assert_has(error.text, "\"r\" is U8 [1, 1, 1, 1, ...], expected U8 [1, 1, 1, 2]");
    mgpt_safetensors_close(file);
}
END_TEST

START_TEST(refuses_headers_that_are_not_of_the_format)
{
    refused(" {}", 0, "offset 8", "does not begin with '{'");
    refused("[1]", 0, "offset 8", "does not begin with '{'");
    refused("{} x", 0, "offset", "not JSON");
    refused("{}{}", 0, "offset", "not JSON");
    refused("{\"a\":1}", 0, "offset 9", "is not described by an object");
    refused("{\"a\\nb\":{}}", 0, "offset 8", "\"a?b\" is not described by dtype");
    refused("{\"a\":{\"b\":{}}}", 0, "offset 18", "'{' does not belong here");
    refused("{\"__metadata__\":{\"a\":1}}", 0, "offset 9", "something else than strings");
    refused("{\"__metadata__\":1}", 0, "offset 9", "is not an object");
    refused("{" T("a", "U9", "[1]", "[0,1]") "}", 1, "offset 9", "no \"dtype\" that is known");
    refused("{" T("a", "U8", "1", "[0,1]") "}", 1, "offset 9", "no list \"shape\"");
    refused("{" T("a", "U8", "[1.0]", "[0,1]") "}", 1, "offset 9", "not a whole number");
    refused("{" T("a", "U8", "[-1]", "[0,1]") "}", 1, "offset 9", "not a whole number");
    refused("{" T("a", "U8", "[1]", "[0,1,1]") "}", 1, "offset 9", "data_offsets");
    refused("{" T("a", "U8", "[1]", "[\"0\",1]") "}", 1, "offset 9", "data_offsets");
    refused("{" T("a", "U8", "[1]", "[1,0]") "}", 1, "offset 9", "data_offsets");
    refused("{" T("a", "F4", "[1]", "[0,1]") "}", 1, "offset 9", "whole bytes");
    refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1,
            "offset 9", "dtype, shape and data_offsets alone");
    refused("{\"\xff\":1}", 0, "offset", "not JSON");
    refused("{\"a\\u0000b\":1}", 0, "offset", "not JSON");
}
END_TEST

START_TEST(refuses_lies_about_sizes)
{
    refused("{" T("a", "U8", "[2]", "[0,1]") "}", 1, "offset 9", "disagree with its dtype");
    refused("{" T("a", "U8", "[2]", "[0,2]") "}", 1, "offset", "takes bytes 0 to 2 of the data");
    refused("{" T("a", "U8", "[1]", "[0,1]") "}", 2, "offset", "the last tensor ends here");
    refused("{}", 1, "offset 10", "the last tensor ends here");
    refused("{" T("a", "U8", "[1]", "[1,2]") "}", 2, "offset", "a hole before \"a\"");
    refused("{" T("a", "U8", "[2]", "[0,2]") "," T("b", "U8", "[2]", "[1,3]") "}", 3, "offset",
            "an overlap before \"b\"");
    refused("{" T("a", "U8", "[1]", "[0,1]") "," T("b", "U8", "[1]", "[0,1]") "}", 1, "offset",
            "an overlap before");
    refused("{" T("a", "U8", "[4611686018427387904,4]", "[0,0]") "}", 0, "offset 9", "overflows");
    refused("{" T("a", "F64", "[4611686018427387904]", "[0,0]") "}", 0, "offset 9", "overflows");
    refused("{" T("a", "U8", "[99999999999999999999]", "[0,0]") "}", 0, "offset", "not JSON");
    refused("{" T("a", "U8", "[1000000000000000000]", "[0,1000000000000000000]") "}", 1, "offset",
            "takes bytes");
}
END_TEST

START_TEST(refuses_duplicate_names)
{
    refused("{" T("a", "U8", "[1]", "[0,1]") "," T("a", "U8", "[1]", "[1,2]") "}", 2, "offset",
            "duplicate");
    refused("{" T("a", "U8", "[1]", "[0,1]") "," T("\\u0061", "U8", "[1]", "[1,2]") "}", 2,
            "offset", "duplicate");
    refused("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1,
            "offset", "duplicate");
}
END_TEST

START_TEST(refuses_lies_about_the_header)
{
    static const struct {
        uint64_t n;
        const char *reason;
    } lies[] = {{0, "length is 0"},
                {1, "length is 1"},
                {100000001, "length is 100000001, expected 2 to 42"},
                {UINT64_MAX, "18446744073709551615"},
                {1ull << 63, "9223372036854775808"},
                {43, "length is 43, expected 2 to 42"}};
    char bytes[50] = {0};
    bytes[8] = '{';
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        memcpy(bytes, &lies[i].n, 8);
        ck_assert_int_eq(try_bytes(bytes, sizeof bytes), MGPT_DATA);
        ck_assert_has(error.text, "offset 0");
        ck_assert_has(error.text, lies[i].reason);
    }
    ck_assert_int_eq(try_bytes(bytes, 0), MGPT_DATA);
    ck_assert_has(error.text, "offset 0");
    ck_assert_int_eq(try_bytes(bytes, 7), MGPT_DATA);
    ck_assert_has(error.text, "offset 7");
    /* The limit of the format holds also where the file is long enough for it. */
    uint64_t most = 100000001;
    FILE *file = fopen(in_scratch("sparse"), "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(&most, 1, 8, file), 8);
    ck_assert_int_eq(ftruncate(fileno(file), 200000000), 0);
    fclose(file);
    struct mgpt_safetensors *opened;
    ck_assert_int_eq(mgpt_safetensors_open(in_scratch("sparse"), &opened, &error), MGPT_DATA);
    ck_assert_has(error.text, "expected 2 to 100000000");
}
END_TEST

/* The corpus: every truncation and every flipped bit of small files, and random damage. Opening may
 * succeed where the header stays legal; then reading must stay within it. */
static void open_and_read(const char *bytes, size_t size, size_t *legal)
{
    struct mgpt_safetensors *file;
    put_bytes(in_scratch("file"), bytes, size);
    error.text[0] = '\0';
    if (mgpt_safetensors_open(in_scratch("file"), &file, &error)) {
        ck_assert_int_eq(error.status, MGPT_DATA);
        ck_assert_has(error.text, in_scratch("file"));
        ck_assert_has(error.text, "offset ");
        return;
    }
    ++*legal;
    char data[64];
    struct mgpt_blob blobs[] = {{"a", MGPT_U8, 1, {3}, data},
                                {"b", MGPT_F32, 2, {2, 1}, data},
                                {"d", MGPT_I64, 0, {0}, data}};
    for (size_t i = 0; i < 3; i++)
        (void)mgpt_safetensors_read(file, &blobs[i], &error);
    mgpt_safetensors_close(file);
}

START_TEST(refuses_every_truncation)
{
    size_t size, legal = 0;
    char *bytes = make_file(golden_header, 19, &size);
    for (size_t n = 0; n < size; n++)
        open_and_read(bytes, n, &legal);
    ck_assert_uint_eq(legal, 0);
    open_and_read(bytes, size, &legal);
    ck_assert_uint_eq(legal, 1);
    free(bytes);
}
END_TEST

START_TEST(every_flipped_header_bit_is_refused_or_legal)
{
    size_t size, legal = 0, header = 8 + strlen(golden_header);
    char *bytes = make_file(golden_header, 19, &size);
    for (size_t bit = 0; bit < 8 * header; bit++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        open_and_read(bytes, size, &legal);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    /* Names, "format" and "pt" may change, and I64 may become U64; nothing else may. */
    ck_assert_uint_gt(legal, 0);
    ck_assert_uint_lt(legal, 8 * 32);
    free(bytes);
}
END_TEST

static uint32_t draw(uint32_t *state) /* xorshift32 (Marsaglia 2003) */
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

START_TEST(refuses_ten_thousand_damaged_files)
{
    static const char tokens[] = "{}[]\":,0129-eE.\\u ntfa\xff\x01";
    uint32_t state = 20240607;
    size_t size, legal = 0, header = strlen(golden_header);
    char *whole = make_file(golden_header, 19, &size), *bytes = malloc(size);
    for (int i = 0; i < 10000; i++) {
        memcpy(bytes, whole, size);
        for (uint32_t n = 1 + draw(&state) % 4; n > 0; n--) {
            size_t at = 8 + draw(&state) % header;
            if (draw(&state) % 4 == 0) /* a piece moves over another */
                memmove(bytes + at, bytes + 8 + draw(&state) % header / 2, (header + 8 - at) / 3);
            else
                bytes[at] = tokens[draw(&state) % (sizeof tokens - 1)];
        }
        open_and_read(bytes, size, &legal);
    }
    ck_assert_uint_lt(legal, 2000);
    free(bytes);
    free(whole);
}
END_TEST

#ifdef __SANITIZE_ADDRESS__
#define SOON 5.0 /* every allocation costs more */
#else
#define SOON 1.0
#endif

/* Of the processor: what others run on the machine does not count. */
static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Repeats `unit` to a header of about ten megabytes. */
static char *repeat(const char *start, const char *unit, const char *end)
{
    size_t n = strlen(unit), times = 10000000 / n;
    char *header = malloc(strlen(start) + n * times + strlen(end) + 1), *p = header;
    ck_assert_ptr_nonnull(header);
    p = stpcpy(p, start);
    for (size_t i = 0; i < times; i++)
        p = stpcpy(p, unit);
    strcpy(p, end);
    return header;
}

START_TEST(refuses_bombs_at_once_and_in_bounded_memory)
{
    struct rusage usage;
    static const char *const bombs[][3] = {
        {"{\"a\":", "[", ""},        {"{\"a\":", "{\"a\":", ""},
        {"{\"a\":[", "[],", "[]]}"}, {"{\"a\":{\"shape\":[", "1,", "1]}}"},
        {"{\"a\":\"", "\\\"", ""},   {"{", "\"a\":{},", "\"a\":{}}"},
    };
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
        char *header = repeat(bombs[i][0], bombs[i][1], bombs[i][2]);
        double start = seconds();
        refused(header, 0, "offset ", "");
        ck_assert_double_lt(seconds() - start, SOON);
        free(header);
    }
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &usage), 0);
    ck_assert_int_lt(usage.ru_maxrss, 256 * 1024); /* KiB; a parsed tree would take 400 MB */
}
END_TEST

START_TEST(opens_100000_tensors_in_under_a_second)
{
    enum { N = 100000 };
    struct mgpt_safetensors *file;
    struct mgpt_blob *blobs = calloc(N, sizeof *blobs);
    char(*names)[32] = malloc(N * sizeof *names);
    uint8_t byte = 7, back = 0;
    for (size_t i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "h.%zu.weight", i * 7919 % N);
        blobs[i] = (struct mgpt_blob){names[i], MGPT_U8, 1, {1}, &byte};
    }
    ck_assert_int_eq(mgpt_safetensors_write(in_scratch("w"), blobs, N, &error), MGPT_OK);
    double start = seconds();
    ck_assert_int_eq(mgpt_safetensors_open(in_scratch("w"), &file, &error), MGPT_OK);
    for (size_t i = 0; i < 1000; i++) {
        blobs[i].data = &back;
        ck_assert_int_eq(mgpt_safetensors_read(file, &blobs[i], &error), MGPT_OK);
        ck_assert_uint_eq(back, 7);
    }
    ck_assert_double_lt(seconds() - start, SOON);
    ck_assert_uint_eq(mgpt_safetensors_count(file), N);
    mgpt_safetensors_close(file);
    free(names);
    free(blobs);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("safetensors");
    tcase_add_test(tests, writes_the_format_to_the_byte);
    tcase_add_test(tests, every_format_reads_back);
    tcase_add_test(tests, refuses_to_write_what_the_format_cannot_hold);
    tcase_add_test(tests, says_what_was_expected_and_what_was_found);
    tcase_add_test(tests, accepts_all_that_the_format_allows);
    tcase_add_test(tests, what_only_others_have_opens_but_is_not_read);
    tcase_add_test(tests, refuses_headers_that_are_not_of_the_format);
    tcase_add_test(tests, refuses_lies_about_sizes);
    tcase_add_test(tests, refuses_duplicate_names);
    tcase_add_test(tests, refuses_lies_about_the_header);
    tcase_add_test(tests, refuses_every_truncation);
    tcase_add_test(tests, every_flipped_header_bit_is_refused_or_legal);
    tcase_add_test(tests, refuses_ten_thousand_damaged_files);
    tcase_add_test(tests, refuses_bombs_at_once_and_in_bounded_memory);
    tcase_add_test(tests, opens_100000_tensors_in_under_a_second);
    return run_cases("safetensors", tests);
}
