/* What the cuda backend does on the host: programs from rules, their cache, gathering of
 * updates. */
#include <config.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "counters.h"
#include "scratch.h"
#include "testing.h"
#include "update.h"

static void cache_setup(void)
{
    scratch_setup();
    ck_assert_int_eq(setenv("XDG_CACHE_HOME", in_scratch("cache"), 1), 0);
}

/* ---- the text ---- */

static void nothing_f32(size_t n, float *p, const float *g, float *const *s, const double *h,
                        double c)
{
    (void)n, (void)p, (void)g, (void)s, (void)h, (void)c;
}

static struct mgpt_rule rule_of(const char *state, uint32_t n_state, const char *scalars,
                                uint32_t n_scalars, const char *body)
{
    return (struct mgpt_rule){.size = sizeof(struct mgpt_rule),
                              .n_state = n_state,
                              .n_scalars = n_scalars,
                              .name = "mine",
                              .state = state,
                              .scalars = scalars,
                              .body = body,
                              .f32 = nothing_f32};
}

START_TEST(the_text_of_a_rule_names_its_state_and_scalars)
{
    struct mgpt_rule rule = rule_of("(m, v_1)", 2, "( lr )", 1, "m += g; p -= lr * m;");
    char *text = cuda_rule_text(&rule);

    ck_assert_ptr_nonnull(text);
    ck_assert_ptr_nonnull(strstr(text, "real m = a_.s[0][i_];"));
    ck_assert_ptr_nonnull(strstr(text, "real v_1 = a_.s[1][i_];"));
    ck_assert_ptr_nonnull(strstr(text, "const real lr = (real)h_[0];"));
    ck_assert_ptr_nonnull(strstr(text, "{ m += g; p -= lr * m; }"));
    ck_assert_ptr_nonnull(strstr(text, "a_.s[1][i_] = v_1;"));
    ck_assert_ptr_null(strstr(text, "#include"));
    free(text);
}
END_TEST

START_TEST(a_rule_whose_names_do_not_add_up_has_no_text)
{
    static const struct {
        const char *state;
        uint32_t n;
    } bad[] = {{"(m, v)", 1}, {"(m", 1}, {"()", 1}, {"(a, b, c, d, e)", 5}, {"(m; v)", 3}};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct mgpt_rule rule = rule_of(bad[i].state, bad[i].n, "()", 0, ";");
        char *text = cuda_rule_text(&rule);
        ck_assert_msg(!text, "%s with %u arrays has a text", bad[i].state, bad[i].n);
    }
}
END_TEST

/* ---- the cache ---- */

#define KEY "compiler 1, sm_80\ntext"

static char *cached_file(void)
{
    static char path[1024];
    FILE *list;
    char command[1100];

    (void)snprintf(command, sizeof command, "ls -d %s/microgpt/cuda/*", in_scratch("cache"));
    list = popen(command, "r");
    ck_assert_ptr_nonnull(list);
    ck_assert_ptr_nonnull(fgets(path, sizeof path, list));
    path[strcspn(path, "\n")] = '\0';
    ck_assert_ptr_null(fgets(command, sizeof command, list)); /* no other file is left there */
    ck_assert_int_eq(pclose(list), 0);
    return path;
}

START_TEST(the_cache_gives_back_what_it_was_given_for_the_same_key_alone)
{
    const char image[] = "image\0with zeros";
    size_t size = 0;
    char *back;

    ck_assert_ptr_null(cuda_cache_read(KEY, &size));
    cuda_cache_write(KEY, image, sizeof image);
    back = cuda_cache_read(KEY, &size);
    ck_assert_ptr_nonnull(back);
    ck_assert_uint_eq(size, sizeof image);
    ck_assert_mem_eq(back, image, sizeof image);
    free(back);
    ck_assert_ptr_null(cuda_cache_read(KEY " ", &size));
    ck_assert_ptr_null(cuda_cache_read("compiler 2, sm_80\ntext", &size));
    cuda_cache_write(KEY, "another", 7);
    back = cuda_cache_read(KEY, &size);
    ck_assert_uint_eq(size, 7);
    ck_assert_mem_eq(back, "another", 7);
    free(back);
}
END_TEST

START_TEST(a_damaged_file_counts_as_none)
{
    size_t size, whole;
    char *path, *data;

    cuda_cache_write(KEY, "the image", 9);
    path = cached_file();
    data = get_bytes(path, &whole);
    for (size_t i = 0; i < whole; i++) {
        data[i] ^= 0x10;
        put_bytes(path, data, whole);
        ck_assert_msg(!cuda_cache_read(KEY, &size), "byte %zu is damaged", i);
        data[i] ^= 0x10;
    }
    for (size_t n = 0; n < whole; n++) {
        put_bytes(path, data, n);
        ck_assert_msg(!cuda_cache_read(KEY, &size), "cut to %zu bytes", n);
    }
    put_bytes(path, data, whole);
    ck_assert_int_eq(chmod(path, 0666), 0);
    ck_assert_ptr_null(cuda_cache_read(KEY, &size)); /* others may have written it */
    ck_assert_int_eq(chmod(path, 0600), 0);
    free(data);
    data = cuda_cache_read(KEY, &size);
    ck_assert_ptr_nonnull(data);
    free(data);
}
END_TEST

START_TEST(no_place_for_a_cache_is_no_error)
{
    size_t size;

    ck_assert_int_eq(setenv("XDG_CACHE_HOME", "/dev/null", 1), 0);
    cuda_cache_write(KEY, "x", 1);
    ck_assert_ptr_null(cuda_cache_read(KEY, &size));
    ck_assert_int_eq(setenv("XDG_CACHE_HOME", "relative", 1), 0);
    ck_assert_int_eq(unsetenv("HOME"), 0);
    cuda_cache_write(KEY, "x", 1);
    ck_assert_ptr_null(cuda_cache_read(KEY, &size));
    ck_assert_int_ne(access("relative", F_OK), 0);
}
END_TEST

/* Writers and readers at once: who reads gets one of the images, whole. */
static int fight(int me)
{
    static char image[100000];

    for (int i = 0; i < 100; i++) {
        size_t size = 0;
        memset(image, 'a' + me, sizeof image);
        cuda_cache_write(KEY, image, sizeof image - (size_t)me);
        char *back = cuda_cache_read(KEY, &size);
        if (!back || size > sizeof image || size < sizeof image - 4)
            return 1;
        for (size_t k = 0; k < size; k++)
            if (back[k] != back[0] || back[0] != 'a' + (int)(sizeof image - size))
                return 2;
        free(back);
    }
    return 0;
}

START_TEST(runs_at_the_same_time_do_not_spoil_the_cache)
{
    pid_t children[4];

    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0)
            _exit(fight(i));
    }
    for (int i = 0; i < 4; i++) {
        int status = -1;
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_int_eq(status, 0);
    }
    (void)cached_file();
}
END_TEST

#define IMAGE 1000
#define FILE_BYTES (32 + 9 + IMAGE) /* of a program below: head, key, image */

static void write_program(int i)
{
    static const char image[IMAGE];
    char key[16];

    (void)snprintf(key, sizeof key, "program %d", i);
    cuda_cache_write(key, image, sizeof image);
    (void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); /* so that times differ */
}

static bool has_program(int i)
{
    size_t size = 0;
    char key[16], *image;

    (void)snprintf(key, sizeof key, "program %d", i);
    image = cuda_cache_read(key, &size);
    ck_assert(!image || size == IMAGE);
    free(image);
    return image != NULL;
}

START_TEST(what_was_not_used_for_longest_goes_first)
{
    for (int i = 0; i < 8; i++)
        write_program(i);
    ck_assert(has_program(1)); /* and so it is used last */
    cuda_cache_prune(8 * FILE_BYTES);
    cuda_cache_prune(4 * FILE_BYTES + 10);
    for (int i = 0; i < 8; i++)
        ck_assert_msg(has_program(i) == (i == 1 || i > 4), "program %d", i);
    cuda_cache_prune(0);
    ck_assert(!has_program(7));
}
END_TEST

/* A file that is being written has a name of its own, for as long as that takes. */
START_TEST(files_that_nobody_finished_go_and_strangers_stay)
{
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    const char *const names[] = {"0123456789abcdef.AbC123", "0123456789abcdef.XyZ123", "notes"};
    char path[1024];

    write_program(0);
    for (int i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/microgpt/cuda/%s", in_scratch("cache"), names[i]);
        put_bytes(path, "x", 1);
        if (i != 1)
            ck_assert_int_eq(utimensat(AT_FDCWD, path, old, 0), 0);
    }
    cuda_cache_prune(0);
    for (int i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/microgpt/cuda/%s", in_scratch("cache"), names[i]);
        ck_assert_msg((access(path, F_OK) == 0) == (i > 0), "%s", path);
    }
}
END_TEST

/* Others prune while one reads and writes: a program is there, whole, or it is not. */
static int prune_and_write(int me)
{
    static char image[20000];
    char key[32];

    (void)snprintf(key, sizeof key, "mine %d", me);
    memset(image, 'a' + me, sizeof image);
    for (int i = 0; i < 100; i++) {
        size_t size = 0;
        cuda_cache_write(key, image, sizeof image);
        cuda_cache_prune((uint64_t)(i % 3) * sizeof image);
        char *back = cuda_cache_read(key, &size);
        int whole = !back || (size == sizeof image && memcmp(back, image, size) == 0);
        free(back);
        if (!whole)
            return 1;
    }
    return 0;
}

START_TEST(runs_may_prune_at_the_same_time)
{
    pid_t children[4];

    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0)
            _exit(prune_and_write(i));
    }
    for (int i = 0; i < 4; i++) {
        int status = -1;
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_int_eq(status, 0);
    }
}
END_TEST

/* ---- gathering, on the emulation ---- */

struct device {
    const struct mgpt_backend_api *api;
    struct mgpt_device *device;
    struct mgpt_config *config;
    struct mgpt_buffer *buffer, *other;
    const struct emu_counters *counters;
};

#define N 1000 /* elements of p, g, s each; in this order in one buffer, then the step state */

static void open_device(struct device *d)
{
    const struct mgpt_component *c = mgpt_check_module(MGPT_KIND_BACKEND, "cuda_emu");
    struct mgpt_step_state state = {.grad_scale = 1, .loss_scale = 1};
    static float values[3 * N];

    for (int i = 0; i < 3 * N; i++)
        values[i] = (float)(i % N);
    d->api = c->api;
    d->config = mgpt_check_settings(c, NULL);
    ck_ok(d->api->open(mgpt_host(), d->config, &d->device, error));
    d->counters = d->api->query(d->device, EMU_COUNTERS);
    for (int i = 0; i < 2; i++) {
        struct mgpt_buffer **b = i ? &d->other : &d->buffer;
        ck_ok(d->api->buffer_new(d->device, sizeof values + sizeof state, b, error));
        ck_ok(d->api->upload(d->device, *b, 0, values, sizeof values, error));
        ck_ok(d->api->upload(d->device, *b, sizeof values, &state, sizeof state, error));
    }
}

static void close_device(struct device *d)
{
    d->api->buffer_free(d->device, d->buffer);
    d->api->buffer_free(d->device, d->other);
    d->api->close(d->device);
    mgpt_config_destroy(d->config);
}

/* Elements from..to - 1, with the g that lies `shift` elements further than it would. */
static enum mgpt_status update(const struct device *d, const struct mgpt_rule *rule, double lr,
                               int from, int to, struct mgpt_buffer *g, struct mgpt_error *error)
{
    struct mgpt_tensor t = {
        .buffer = d->buffer, .dtype = MGPT_F32, .rank = 1, .shape = {to - from}};
    struct mgpt_update u = {.size = sizeof u,
                            .n_state = 1,
                            .n_scalars = 1,
                            .rule = rule,
                            .scalars = &lr,
                            .p = t,
                            .g = t,
                            .state = {t}};

    u.p.offset = (uint64_t)from * 4;
    u.g.offset = (uint64_t)(N + from) * 4;
    u.g.buffer = g;
    u.state[0].offset = (uint64_t)(2 * N + from) * 4;
    u.step_state = (struct mgpt_tensor){.buffer = d->buffer,
                                        .offset = 3 * N * 4,
                                        .dtype = MGPT_U8,
                                        .rank = 1,
                                        .shape = {sizeof(struct mgpt_step_state)}};
    return d->api->update(d->device, &u, error);
}

START_TEST(updates_of_a_step_are_one_launch)
{
    struct mgpt_rule rule = rule_of("(s)", 1, "(lr)", 1, "s += g; p -= lr * s;");
    struct device d;
    float p[N];

    open_device(&d);
    unsigned long before = d.counters->programs;
    ck_ok(update(&d, &rule, 0.5, 100, 300, d.buffer, error));
    ck_ok(update(&d, &rule, 0.25, 300, 301, d.buffer, error));
    ck_ok(update(&d, &rule, 0.5, 0, 100, d.buffer, error));
    ck_ok(update(&d, &rule, 0.25, 400, N, d.buffer, error));
    ck_assert_uint_eq(d.counters->programs, before);
    ck_ok(d.api->download(d.device, d.buffer, 0, p, sizeof p, error));
    ck_assert_uint_eq(d.counters->programs, before + 1);
    for (int i = 0; i < N; i++) { /* s and g are i: s becomes 2 i */
        float lr = i < 300 ? 0.5f : i == 300 || i >= 400 ? 0.25f : 0;
        ck_assert_float_eq(p[i], (float)i - lr * 2 * (float)i);
    }
    ck_ok(d.api->sync(d.device, error));
    ck_assert_uint_eq(d.counters->programs, before + 1);
    close_device(&d);
}
END_TEST

START_TEST(what_lies_elsewhere_or_is_too_much_is_another_launch)
{
    struct mgpt_rule rule = rule_of("(s)", 1, "(lr)", 1, "s += g; p -= lr * s;");
    struct device d;

    open_device(&d);
    unsigned long before = d.counters->programs;
    ck_ok(update(&d, &rule, 0.5, 0, 10, d.buffer, error));
    ck_ok(update(&d, &rule, 0.5, 10, 20, d.other, error));
    ck_ok(d.api->sync(d.device, error));
    ck_assert_uint_eq(d.counters->programs, before + 2);
    for (int i = 0; i < CUDA_RULE_SETS + 1; i++)
        ck_ok(update(&d, &rule, i, i, i + 1, d.buffer, error));
    ck_ok(d.api->sync(d.device, error));
    ck_assert_uint_eq(d.counters->programs, before + 4);
    for (int i = 0; i < CUDA_RULE_SEGMENTS + 1; i++)
        ck_ok(update(&d, &rule, 1, i, i + 1, d.buffer, error));
    ck_ok(d.api->sync(d.device, error));
    ck_assert_uint_eq(d.counters->programs, before + 6);
    close_device(&d);
}
END_TEST

START_TEST(a_rule_that_does_not_compile_is_unsupported)
{
    struct mgpt_rule rule = rule_of("(s)", 1, "(lr)", 1, "p -= no_such_function(lr);");
    struct device d;
    struct mgpt_error error;

    open_device(&d);
    ck_assert_int_eq(update(&d, &rule, 1, 0, 10, d.buffer, &error), MGPT_UNSUPPORTED);
    ck_assert_int_eq(update(&d, &rule, 1, 0, 10, d.buffer, &error), MGPT_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(error.text, "rule mine"));
    close_device(&d);
}
END_TEST

/* ---- what cuBLASLt is asked for, on the emulation ---- */

static struct mgpt_tensor matrix(struct mgpt_buffer *buffer, uint32_t dtype, int64_t rows,
                                 int64_t columns)
{
    return (struct mgpt_tensor){
        .buffer = buffer, .dtype = dtype, .rank = 2, .shape = {rows, columns}};
}

/* 37 is no multiple of 8: rows of a copy begin at multiples of 16 bytes all the same. dy is copied
 * once for both products, w once. */
START_TEST(gradients_of_rows_of_any_length_are_the_librarys)
{
    struct mgpt_op op = {.size = sizeof op, .code = MGPT_OP_LINEAR_BACKWARD};
    struct device d;

    open_device(&d);
    op.in[0] = matrix(d.buffer, MGPT_BF16, 64, 32);
    op.in[1] = matrix(d.buffer, MGPT_F32, 37, 32);
    op.in[2] = matrix(d.buffer, MGPT_F32, 64, 37);
    op.out[0] = matrix(d.other, MGPT_BF16, 64, 32);
    op.out[1] = matrix(d.other, MGPT_F32, 37, 32);
    op.out[1].offset = 64 * 32 * 2;
    unsigned long products = d.counters->products, kernels = d.counters->kernels;
    ck_ok(d.api->ops[op.code](d.device, &op, error));
    ck_assert_uint_eq(d.counters->products, products + 2);
    ck_assert_uint_eq(d.counters->kernels, kernels + 2);
    close_device(&d);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_checked_fixture(tests, cache_setup, scratch_teardown);
    tcase_add_test(tests, the_text_of_a_rule_names_its_state_and_scalars);
    tcase_add_test(tests, a_rule_whose_names_do_not_add_up_has_no_text);
    tcase_add_test(tests, the_cache_gives_back_what_it_was_given_for_the_same_key_alone);
    tcase_add_test(tests, a_damaged_file_counts_as_none);
    tcase_add_test(tests, no_place_for_a_cache_is_no_error);
    tcase_add_test(tests, runs_at_the_same_time_do_not_spoil_the_cache);
    tcase_add_test(tests, what_was_not_used_for_longest_goes_first);
    tcase_add_test(tests, files_that_nobody_finished_go_and_strangers_stay);
    tcase_add_test(tests, runs_may_prune_at_the_same_time);
    if (!test_has_backend("cuda_emu"))
        return;
    tcase_add_test(tests, updates_of_a_step_are_one_launch);
    tcase_add_test(tests, what_lies_elsewhere_or_is_too_much_is_another_launch);
    tcase_add_test(tests, a_rule_that_does_not_compile_is_unsupported);
    tcase_add_test(tests, gradients_of_rows_of_any_length_are_the_librarys);
}

int main(void)
{
    int status = test_main("check_cuda", add_tests);

    if (status || test_has_backend("cuda_emu"))
        return status;
    puts("SKIP: no C++ compiler was found, so there is no backend cuda_emu");
    return 77;
}
