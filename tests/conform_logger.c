/* Kind logger: every module keeps the contract, and ours write what they should. */
#include <config.h>

#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "check/bench_logger.h"
#include "conform.h"
#include "scratch.h"

/* ---- jsonl ---- */

static struct logger_bench open_jsonl(uint64_t first_step)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_LOGGER, "jsonl");
    struct mgpt_run_info run = logger_bench_run_info(scratch, first_step);

    return logger_bench_opened(component, mgpt_check_settings(component, NULL), &run);
}

/* Line i of metrics.jsonl as an object, or NULL past the end. The caller lets go of it. */
static json_t *line_of(int i)
{
    size_t size;
    char *text = get_bytes(in_scratch("metrics.jsonl"), &size), *at = text;
    json_error_t error;
    json_t *object = NULL;

    while (i-- > 0 && at)
        at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL;
    if (at && *at) {
        object = json_loadb(at, strcspn(at, "\n"), JSON_REJECT_DUPLICATES, &error);
        ck_assert_msg(object != NULL, "%s", error.text);
    }
    free(text);
    return object;
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    ck_assert_msg(json_is_number(value), "no number %s", key);
    return json_number_value(value);
}

START_TEST(jsonl_keeps_nine_digits)
{
    static const double losses[] = {3.31848502,
                                    0,
                                    -1.5,
                                    1e-7,
                                    123456.789,
                                    99999999.5,
                                    1e8,
                                    2.5e22,
                                    (float)(1 / 3.0),
                                    0.000100000001,
                                    9.99999999999};
    int n = sizeof losses / sizeof losses[0];
    struct logger_bench b = open_jsonl(0);

    for (int i = 0; i < n; i++) {
        struct mgpt_event event = logger_bench_step_event((uint64_t)i + 1);
        event.loss = losses[i];
        logger_bench_put_event(&b, event);
    }
    b.api->close(b.it);
    for (int i = 0; i < n; i++) {
        json_t *object = line_of(i);
        ck_assert_double_eq(number(object, "step"), i + 1);
        ck_assert_double_eq_tol(number(object, "loss"), losses[i], fabs(losses[i]) * 6e-9 + 1e-300);
        ck_assert_double_eq_tol(number(object, "grad_norm"), 0.9172, 1e-9);
        ck_assert_double_eq_tol(number(object, "lr"), 1e-2, 1e-11);
        ck_assert_double_eq_tol(number(object, "tokens_per_s"), 98123.4, 1e-3);
        json_decref(object);
    }
    ck_assert_ptr_null(line_of(n));
}
END_TEST

START_TEST(jsonl_writes_null_for_what_is_not_finite)
{
    struct logger_bench b = open_jsonl(0);
    struct mgpt_event event = logger_bench_step_event(1);

    event.loss = NAN;
    event.grad_norm = -INFINITY;
    event.skipped = 1;
    logger_bench_put_event(&b, event);
    logger_bench_put_event(&b, logger_bench_other_event(MGPT_EVENT_VALIDATION, 1, NULL));
    logger_bench_flush(&b);
    json_t *step = line_of(0), *validation = line_of(1); /* there before close */
    ck_assert(json_is_null(json_object_get(step, "loss")));
    ck_assert(json_is_null(json_object_get(step, "grad_norm")));
    ck_assert(json_is_true(json_object_get(step, "skipped")));
    ck_assert_double_eq_tol(number(validation, "val_loss"), 2.80429, 1e-8);
    ck_assert_double_eq(number(validation, "step"), 1);
    json_decref(step);
    json_decref(validation);
    b.api->close(b.it);
}
END_TEST

/* Ten steps, a validation after the fifth; then `tail`, as a killed run may leave it. */
static void leave_run(const char *tail, size_t size)
{
    struct logger_bench b = open_jsonl(0);

    for (uint64_t step = 1; step <= 10; step++) {
        logger_bench_put_event(&b, logger_bench_step_event(step));
        if (step == 5)
            logger_bench_put_event(&b, logger_bench_other_event(MGPT_EVENT_VALIDATION, step, NULL));
    }
    b.api->close(b.it);
    FILE *file = fopen(in_scratch("metrics.jsonl"), "a");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(tail, 1, size, file), size);
    fclose(file);
}

static int count_lines(void)
{
    int n = 0;

    for (json_t *object; (object = line_of(n)); n++)
        json_decref(object);
    return n;
}

START_TEST(jsonl_cuts_back_to_the_step_it_resumes_from)
{
    static const struct {
        uint64_t first;
        int kept;
    } cases[] = {{5, 6}, {4, 4}, {1, 1}, {0, 0}, {10, 11}, {400, 11}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        leave_run("", 0);
        struct logger_bench b = open_jsonl(cases[i].first);
        ck_assert_int_eq(count_lines(), cases[i].kept);
        logger_bench_put_event(&b, logger_bench_step_event(cases[i].first + 1));
        b.api->close(b.it);
        ck_assert_int_eq(count_lines(), cases[i].kept + 1);
        json_t *last = line_of(cases[i].kept);
        ck_assert_double_eq(number(last, "step"), (double)cases[i].first + 1);
        json_decref(last);
    }
}
END_TEST

START_TEST(jsonl_drops_a_damaged_tail)
{
    static const struct {
        const char *tail;
        size_t size;
    } cases[] = {
#define TAIL(text) {text, sizeof text - 1}
        TAIL("{\"step\": 11, \"lo"),
        TAIL("{\"step\": 11, \"loss\": 1}"),
        TAIL("{\"step\": 1\0\0\0\0}\n"),
        TAIL("\0\0\0\0\0\0\0\0"),
        TAIL("\n"),
        TAIL("{\"step\": }\n"),
        TAIL("{\"step\": 99999999999999999999, \"loss\": 1}\n"),
#undef TAIL
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        leave_run(cases[i].tail, cases[i].size);
        struct logger_bench b = open_jsonl(12);
        ck_assert_int_eq(count_lines(), 11);
        logger_bench_put_event(&b, logger_bench_step_event(13));
        b.api->close(b.it);
        ck_assert_int_eq(count_lines(), 12);
    }
}
END_TEST

START_TEST(jsonl_starts_a_file_that_is_not_there)
{
    struct logger_bench b = open_jsonl(7);

    logger_bench_put_event(&b, logger_bench_step_event(8));
    b.api->close(b.it);
    ck_assert_int_eq(count_lines(), 1);
}
END_TEST

START_TEST(jsonl_says_why_it_cannot_write)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_LOGGER, "jsonl");
    const struct mgpt_logger_api *api = component->api;
    struct mgpt_run_info run = logger_bench_run_info(in_scratch("missing"), 0);
    struct rlimit limit = {4096, 4096};
    struct mgpt_error why = {0};
    struct mgpt_logger *it = NULL;

    check_refused(api->open(mgpt_host(), NULL, &run, &it, &why), MGPT_IO, why);
    ck_assert_has(why.text, "missing/metrics.jsonl: No such file or directory");
    ck_assert_ptr_null(it);

    struct logger_bench b = open_jsonl(0);
    enum mgpt_status status = MGPT_OK;
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (uint64_t step = 1; step <= 100 && status == MGPT_OK; step++) {
        struct mgpt_event event = logger_bench_step_event(step);
        status = b.api->event(b.it, &event, &why);
    }
    if (status == MGPT_OK)
        status = b.api->flush(b.it, &why);
    check_refused(status, MGPT_IO, why);
    ck_assert_has(why.text, "metrics.jsonl: File too large");
    b.api->close(b.it);
}
END_TEST

/* ---- console ---- */

static struct logger_bench open_console(const char *live, const char *every, uint64_t first_step)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_LOGGER, "console");
    struct mgpt_run_info run = logger_bench_run_info(NULL, first_step);

    logger_bench_print_to(in_scratch("printed"));
    return logger_bench_opened(
        component, mgpt_check_settings(component, "live", live, "every", every, NULL), &run);
}

/* What was printed (malloc). */
static char *printed(void)
{
    size_t size;

    return get_bytes(in_scratch("printed"), &size);
}

#define HEAD "num docs: 32033 (train 28829, val 3204)\nvocab size: 27\nnum params: 3632\n"

START_TEST(console_prints_plain_lines)
{
    struct logger_bench b = open_console("auto", "1", 0);
    struct mgpt_event skipped = logger_bench_step_event(2),
                      both = logger_bench_other_event(MGPT_EVENT_VALIDATION, 2, NULL);

    skipped.loss = NAN;
    skipped.skipped = 1;
    logger_bench_put_event(&b, logger_bench_step_event(1));
    logger_bench_put_event(&b, skipped);
    logger_bench_put_event(&b, logger_bench_other_event(MGPT_EVENT_VALIDATION, 2, NULL));
    both.train_loss = 2.79115;
    logger_bench_put_event(&b, both);
    logger_bench_put_event(
        &b, logger_bench_other_event(MGPT_EVENT_CHECKPOINT, 2, "/run/checkpoints/step-2"));
    logger_bench_put_event(&b, logger_bench_other_event(MGPT_EVENT_SAMPLE, 2, "an\033na"));
    b.api->close(b.it);
    char *text = printed();
    ck_assert_str_eq(text, HEAD
                     "step    1/ 500 | loss 3.3185 | lr 1.00e-02 | grad norm 0.917 | 98k tok/s\n"
                     "step    2/ 500 | loss nan | skipped: NaN or Inf\n"
                     "val loss: 2.8043\n"
                     "val loss: 2.8043 | train loss: 2.7912\n"
                     "sample  1: an\033na\n");
    free(text);
}
END_TEST

START_TEST(console_prints_all_of_a_sample_raw_in_a_file_visible_on_a_terminal)
{
    static const char raw[] = HEAD "sample  1: a\0\033\xc3\xa9\xc2\x9b\xe9\xed\xa0\x80\n";
    static const char seen[] = HEAD "sample  1: a\\x00\\x1b\xc3\xa9\\x9b\\xe9\\xed\\xa0\\x80\n";
    struct logger_bench b = open_console(_i ? "on" : "off", "1", 0);
    struct mgpt_event e =
        logger_bench_other_event(MGPT_EVENT_SAMPLE, 2, raw + strlen(HEAD "sample  1: "));
    size_t size, n = (_i ? sizeof seen : sizeof raw) - 1;

    e.text_size = sizeof raw - 2 - strlen(HEAD "sample  1: ");
    logger_bench_put_event(&b, e);
    b.api->close(b.it);
    char *text = get_bytes(in_scratch("printed"), &size);
    ck_assert(size == n && memcmp(text, _i ? seen : raw, n) == 0);
    free(text);
}
END_TEST

START_TEST(console_prints_each_nth_the_first_and_the_last)
{
    struct logger_bench b = open_console("off", "100", 98);
    static const int expected[] = {99, 100, 200, 300, 400, 500};

    for (uint64_t step = 99; step <= 500; step++)
        logger_bench_put_event(&b, logger_bench_step_event(step));
    b.api->close(b.it);
    char *text = printed(), *at = text + strlen(HEAD);
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(atoi(at + 5), expected[i]);
        at = strchr(at, '\n') + 1;
    }
    ck_assert_int_eq(*at, '\0');
    free(text);
}
END_TEST

START_TEST(console_says_why_it_cannot_print)
{
    if (access("/dev/full", W_OK) != 0)
        return;
    struct logger_bench b = open_console("off", "1", 0);
    struct mgpt_event event = logger_bench_other_event(MGPT_EVENT_VALIDATION, 1, NULL);
    struct mgpt_error why = {0};

    logger_bench_print_to("/dev/full");
    check_refused(b.api->event(b.it, &event, &why), MGPT_IO, why);
    ck_assert_str_eq(why.text, "standard output: No space left on device");
    b.api->close(b.it);
}
END_TEST

static void add_tests(TCase *tests)
{
    add_contract(tests, "logger");
    tcase_add_test(tests, jsonl_keeps_nine_digits);
    tcase_add_test(tests, jsonl_writes_null_for_what_is_not_finite);
    tcase_add_test(tests, jsonl_cuts_back_to_the_step_it_resumes_from);
    tcase_add_test(tests, jsonl_drops_a_damaged_tail);
    tcase_add_test(tests, jsonl_starts_a_file_that_is_not_there);
    tcase_add_test(tests, jsonl_says_why_it_cannot_write);
    tcase_add_test(tests, console_prints_plain_lines);
    tcase_add_loop_test(tests, console_prints_all_of_a_sample_raw_in_a_file_visible_on_a_terminal,
                        0, 2);
    tcase_add_test(tests, console_prints_each_nth_the_first_and_the_last);
    tcase_add_test(tests, console_says_why_it_cannot_print);
}

int main(void)
{
    return test_main("conform_logger", add_tests);
}
