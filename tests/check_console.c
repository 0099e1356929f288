/* Logger console: the live line of a terminal, its curve and the time that it says is left. */
#include <config.h>

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>

#include <microgpt/logger.h>

#include "conform.h"
#include "scratch.h"

#define TOTAL 500

static const struct mgpt_logger_api *api;
static struct mgpt_logger *console;

/* The console with a live line of so many columns, as a terminal with TERM=xterm and UTF-8 has it;
 * what it prints goes to a file. */
static void open_console(const char *live, const char *columns, uint64_t first_step)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_LOGGER, "console");
    struct mgpt_config *config = mgpt_check_settings(component, "live", live, NULL);
    struct mgpt_run_info run = {.size = sizeof run,
                                .first_step = first_step,
                                .total_steps = TOTAL,
                                .documents = 3,
                                .summary = "backend ref"};
    int file = open(in_scratch("printed"), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    ck_assert_int_ge(file, 0);
    fflush(stdout);
    ck_assert_int_eq(dup2(file, STDOUT_FILENO), STDOUT_FILENO);
    close(file);
    setenv("COLUMNS", columns, 1);
    api = component->api;
    ck_ok(api->open(mgpt_host(), config, &run, &console, error));
    mgpt_config_destroy(config);
}

static void open_live(const char *columns, uint64_t first_step)
{
    open_console("on", columns, first_step);
}

/* What was printed (malloc). */
static char *printed(void)
{
    size_t size;

    ck_ok(api->flush(console, error));
    return get_bytes(in_scratch("printed"), &size);
}

static void put(struct mgpt_event event)
{
    event.size = sizeof event;
    ck_ok(api->event(console, &event, error));
}

static void step(uint64_t number, double loss, double seconds)
{
    put((struct mgpt_event){.type = MGPT_EVENT_STEP,
                            .step = number,
                            .loss = loss,
                            .grad_norm = 0.9,
                            .lr = 1e-2,
                            .tokens_per_s = 98123.4,
                            .seconds = seconds});
}

static void validation(uint64_t number, double best, double seconds)
{
    put((struct mgpt_event){.type = MGPT_EVENT_VALIDATION,
                            .step = number,
                            .val_loss = best + 0.25,
                            .best_loss = best,
                            .train_loss = NAN,
                            .seconds = seconds});
}

/* The line as it stands at last: without what moves the cursor or changes the color (malloc). */
static char *picture(void)
{
    char *text = printed(), *from = strrchr(text, '\r'), *to = text;

    ck_assert_ptr_nonnull(from);
    for (from++; *from; from++) {
        if (*from == '\033')
            from += strcspn(from, "mK");
        else
            *to++ = *from;
    }
    *to = 0;
    return text;
}

static size_t count_columns(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void ck_picture(const char *expected)
{
    char *line = picture();

    ck_assert_str_eq(line, expected);
    free(line);
}

/* ---- */

START_TEST(redraws_one_line_and_takes_it_away)
{
    struct mgpt_event sample = {.type = MGPT_EVENT_SAMPLE, .index = 1, .text = "a\033[2Jb"};
    int redraws = 0;

    open_live("120", 0);
    for (uint64_t i = 1; i <= 100; i++) /* a second, at 10 ms a step */
        step(i, 3.3 / (double)i, 0.01 * (double)i);
    validation(100, 2.80429, 1);
    put(sample);
    char *text = printed();
    for (const char *at = text; (at = strstr(at, "\r[")); at++)
        redraws++;
    ck_assert_msg(redraws >= 5 && redraws <= 11, "%d redraws in a second", redraws);
    ck_assert_has(text, "\r\033[Kval loss: 3.0543\n"); /* the live line is gone first */
    ck_assert_has(text, "sample  1: a\\x1b[2Jb\n");
    ck_assert_has(text, "\033[32m");
    free(text);
    api->close(console);
}
END_TEST

START_TEST(says_steps_loss_best_pace_and_time_left)
{
    open_live("120", 0);
    for (uint64_t i = 1; i <= 8; i++)
        step(i, 9 - (double)i, (double)i);
    validation(8, 1.5, 8);
    step(9, 8, 9.0);
    ck_picture("[--------------------] step 9/500 | loss 8.0000 | best val 1.5000 | 98k tok/s | "
               "ETA 0:08:11 █▇▆▅▄▃▂▁█");
    api->close(console);
}
END_TEST

/* Of what does not fit the bar goes first, the step and its loss stay; nothing is wider than the
 * terminal less a column. */
START_TEST(leaves_out_what_does_not_fit)
{
    static const struct {
        const char *columns, *has, *lacks;
    } cases[] = {
        {"200", "[#-------------------] step", "|  "},
        {"96", "[----------] step", "-----------"},
        {"80", "98k tok/s | ETA", "["},
        {"68", "best val", "tok/s"},
        {"55", "ETA", "\xe2\x96"},
        {"48", "ETA", "best"},
        {"30", "loss 2.0000", "ETA"},
        {"12", "step 40/500", "|"},
        {"1", "", "step"},
    };
    const char *columns = cases[_i].columns;

    open_live(columns, 0);
    for (uint64_t i = 1; i <= 39; i++)
        step(i, 2, 0.2 * (double)i);
    validation(39, 2.5, 7.8);
    step(40, 2, 8);
    char *line = picture();
    ck_assert_has(line, cases[_i].has);
    ck_assert_msg(!strstr(line, cases[_i].lacks), "%s columns: %s", columns, line);
    ck_assert_uint_lt(count_columns(line), (size_t)atoi(columns));
    free(line);
    api->close(console);
}
END_TEST

/* 128 steps are 32 points of 4 steps; of a loss that falls evenly the last is the lowest. */
START_TEST(draws_a_long_run_with_points_of_many_steps)
{
    open_live("130", 0);
    for (uint64_t i = 1; i <= 129; i++)
        step(i, 1000 - (double)i, (double)i);
    char *line = picture();
    const char *curve = strrchr(line, ' ') + 1;
    ck_assert_uint_eq(count_columns(curve), 32);
    ck_assert_int_eq(strncmp(curve, "████▇▇▇▇▆", 27), 0);
    ck_assert_str_eq(curve + 3 * 27, "▂▁▁▁▁");
    free(line);
    api->close(console);
}
END_TEST

START_TEST(draws_in_ascii_where_the_locale_has_no_utf8)
{
    static const struct {
        const char *all, *type, *lang, *term, *curve;
    } cases[] = {
        {"C", "en_US.UTF-8", "en_US.UTF-8", "xterm", " _:#"},
        {"", "POSIX", "en_US.UTF-8", "xterm", " _:#"},
        {"", "", "", "xterm", " _:#"},
        {"de_DE.ISO-8859-1", "", "", "xterm", " _:#"},
        {"C.UTF-8", "", "", "dumb", " _:#"},
        {"C.utf8", "C", "C", "xterm", " ▁▄█"},
        {"", "", "zh_CN.UTF-8", "xterm", " ▁▄█"},
    };
    const char *curve = cases[_i].curve;

    setenv("LC_ALL", cases[_i].all, 1);
    setenv("LC_CTYPE", cases[_i].type, 1);
    setenv("LANG", cases[_i].lang, 1);
    setenv("TERM", cases[_i].term, 1);
    open_live("120", 0);
    step(1, 1, 1);
    step(2, 1.45, 2);
    step(3, 2, 3);
    char *line = picture();
    ck_assert_msg(strlen(line) > strlen(curve) &&
                      strcmp(line + strlen(line) - strlen(curve), curve) == 0,
                  "%s: expected%s", line, curve);
    free(line);
    api->close(console);
}
END_TEST

START_TEST(leaves_losses_that_are_not_finite_out_of_the_curve)
{
    open_live("120", 0);
    step(1, 1, 1);
    step(2, NAN, 2);
    step(3, INFINITY, 3);
    step(4, 2, 4);
    char *line = picture();
    ck_assert_has(line, "ETA 0:08:16 ▁█");
    free(line);
    api->close(console);
}
END_TEST

START_TEST(has_no_color_where_none_is_wanted)
{
    setenv(_i ? "TERM" : "NO_COLOR", _i ? "dumb" : "1", 1);
    open_live("120", 0);
    step(1, 3, 0.1);
    char *text = printed();
    ck_assert_has(text, "step 1/500");
    ck_assert_ptr_null(strstr(text, "\033[3"));
    ck_assert_ptr_null(strstr(text, "\033[0m"));
    free(text);
    api->close(console);
}
END_TEST

/* ---- the time left ---- */

static void ck_left(const char *eta)
{
    char *line = picture();

    ck_assert_has(line, eta);
    free(line);
}

START_TEST(spreads_a_validation_over_the_steps_before_it)
{
    open_live("120", 0);
    for (uint64_t i = 1; i <= 100; i++)
        step(i, 3, (double)i);
    ck_left("ETA 0:06:40"); /* 400 steps of 1 s */
    validation(100, 2.5, 100);
    for (uint64_t i = 101; i <= 120; i++)
        step(i, 3, 50 + (double)i); /* it took 50 s */
    ck_left("ETA 0:09:30");         /* 380 of 1 s and 0.5 s of validations */
    for (uint64_t i = 121; i <= 199; i++)
        step(i, 3, 50 + (double)i);
    ck_left("ETA 0:07:32"); /* 301 of the same */
    api->close(console);
}
END_TEST

START_TEST(forgets_a_slow_beginning)
{
    open_live("120", 0);
    step(1, 3, 60); /* what is compiled when first needed */
    for (uint64_t i = 2; i <= 301; i++)
        step(i, 3, 60 + (double)i);
    ck_left("ETA 0:03:19");
    api->close(console);
}
END_TEST

START_TEST(knows_blocks_of_steps_by_their_time)
{
    open_live("120", 100);
    for (uint64_t i = 101; i <= 300; i++)
        step(i, 3, 5 * (double)((i - 101) / 10 + 1)); /* ten in 5 s */
    step(301, 3, 105);
    ck_left("ETA 0:01:40"); /* 199 of 0.5 s */
    api->close(console);
}
END_TEST

START_TEST(takes_a_validation_before_the_first_step_for_no_step)
{
    open_live("120", 0);
    validation(0, 3, 0);
    step(1, 3, 100);
    char *line = picture();
    ck_assert_ptr_null(strstr(line, "ETA"));
    free(line);
    step(2, 3, 101);
    step(3, 3, 102);
    ck_left("ETA 0:08:17");
    api->close(console);
}
END_TEST

static void set_environment(void)
{
    setenv("LC_ALL", "C.UTF-8", 1);
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
}

/* Of what was printed, what a reader has by now: steps of `train | tee`. */
static int read_steps(void)
{
    size_t size;
    char *text = get_bytes(in_scratch("printed"), &size);
    int n = 0;

    for (const char *at = text; (at = strstr(at, "step ")); at++)
        n++;
    free(text);
    return n;
}

START_TEST(slow_steps_reach_a_reader_and_fast_ones_wait_in_the_buffer)
{
    open_console("off", "80", 0);
    for (uint64_t i = 1; i <= 9; i++)
        step(i, 3, 0.1 * (double)i);
    ck_assert_int_eq(read_steps(), 0);
    step(10, 3, 1.1);
    ck_assert_int_eq(read_steps(), 10);
    step(11, 3, 1.9);
    ck_assert_int_eq(read_steps(), 10);
    step(12, 3, 4);
    step(13, 3, 7);
    ck_assert_int_eq(read_steps(), 13);
    api->close(console);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_checked_fixture(tests, scratch_setup, scratch_teardown);
    tcase_add_checked_fixture(tests, set_environment, NULL);
    tcase_add_test(tests, slow_steps_reach_a_reader_and_fast_ones_wait_in_the_buffer);
    tcase_add_test(tests, redraws_one_line_and_takes_it_away);
    tcase_add_test(tests, says_steps_loss_best_pace_and_time_left);
    tcase_add_loop_test(tests, leaves_out_what_does_not_fit, 0, 9);
    tcase_add_test(tests, draws_a_long_run_with_points_of_many_steps);
    tcase_add_loop_test(tests, draws_in_ascii_where_the_locale_has_no_utf8, 0, 7);
    tcase_add_test(tests, leaves_losses_that_are_not_finite_out_of_the_curve);
    tcase_add_loop_test(tests, has_no_color_where_none_is_wanted, 0, 2);
    tcase_add_test(tests, spreads_a_validation_over_the_steps_before_it);
    tcase_add_test(tests, forgets_a_slow_beginning);
    tcase_add_test(tests, knows_blocks_of_steps_by_their_time);
    tcase_add_test(tests, takes_a_validation_before_the_first_step_for_no_step);
}

int main(void)
{
    return test_main("check_console", add_tests);
}
