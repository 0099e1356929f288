/* Every rule that ships, and some that do not, become a program for each architecture: by NVRTC,
 * which needs no GPU. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "native_text.h"
#include "plugin/registry.h"
#include "testing.h"
#include "update.h"

static const int architectures[] = {75, 80, 90, 100};

#define N_ARCHITECTURES (int)(sizeof architectures / sizeof *architectures)

static void compile(const struct mgpt_rule *rule, int architecture)
{
    char *text = cuda_rule_text(rule), *image = NULL;
    size_t size = 0;
    struct mgpt_cuda_source source = cuda_rule_source(text);

    ck_assert_msg(text, "rule %s has no text", rule->name);
    ck_ok(cuda_compile(&source, architecture, &image, &size, error));
    ck_assert_uint_gt(size, 500);
    ck_assert_mem_eq(image, "\177ELF", 4);
    printf("rule %s, sm_%d: %zu bytes\n", rule->name, architecture, size);
    free(image);
    free(text);
}

START_TEST(every_rule_compiles_for_every_architecture)
{
    struct mgpt_registry *registry = test_registry();
    int rules = 0;

    mgpt_registry_scan(registry, "optimizer");
    for (size_t i = 0; i < mgpt_registry_count(registry, "optimizer"); i++) {
        const struct mgpt_optimizer_api *api =
            mgpt_registry_at(registry, "optimizer", i).component->api;
        if (api->rule) {
            compile(api->rule, architectures[_i]);
            rules++;
        }
    }
    ck_assert_int_ge(rules, 3);
    mgpt_registry_destroy(registry);
}
END_TEST

/* All functions that a rule may use, and every kind of list. */
MGPT_RULE(many, (a, b, c, d),
          (s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15),
          const real w[2] = {s0, s1};
          if (g > 0) a = fmin(fabs(g), w[0]); else a = fmax(-g, w[1]);
          b = sqrt(b * s2 + (real)1e-8); c = copysign(c, g) + s3 * s4 * s5 * s6; d += s7 * s8;
          p -= s9 * (a + b) + s10 * (c > 0 ? d : s11) + s12 * s13 + s14 * s15;)
MGPT_RULE(none, (), (), p = p - g;)

START_TEST(rules_may_use_all_that_is_allowed)
{
    compile(&many, architectures[_i]);
    compile(&none, architectures[_i]);
}
END_TEST

struct mgpt_cuda_source graph_source(void); /* of plugins/step/graph_cuda */

/* Those of step graph_cuda; and what is promised to authors of programs: shared memory, shuffles,
 * the barrier of a grid. */
START_TEST(a_program_of_a_module_compiles)
{
    struct mgpt_cuda_source sources[] = {graph_source(), NATIVE_SOURCE};
    char *image = NULL;
    size_t size = 0;

    for (int k = 0; k < 2; k++) {
        ck_ok(cuda_compile(&sources[k], architectures[_i], &image, &size, error));
        ck_assert_mem_eq(image, "\177ELF", 4);
        free(image);
    }
}
END_TEST

START_TEST(a_device_newer_than_the_compiler_gets_ptx)
{
    struct mgpt_cuda_source source = NATIVE_SOURCE;
    char *image = NULL;
    size_t size = 0;

    ck_ok(cuda_compile(&source, 999, &image, &size, error));
    ck_assert_uint_eq(strlen(image), size - 1);
    ck_assert_ptr_nonnull(strstr(image, ".target sm_1"));
    ck_assert_ptr_nonnull(strstr(image, ".entry"));
    free(image);
}
END_TEST

START_TEST(what_nvrtc_says_of_a_mistake_is_kept)
{
    struct mgpt_cuda_source source = cuda_rule_source("int x = y;");
    struct mgpt_error error = {0};
    char *image = NULL;
    size_t size;

    ck_assert_int_eq(cuda_compile(&source, 80, &image, &size, &error), MGPT_UNSUPPORTED);
    ck_assert_msg(strstr(error.text, "\"y\" is undefined"), "%s", error.text);
    ck_assert_ptr_null(strchr(error.text, '\n'));
    ck_assert_int_eq(cuda_compile(&source, 12, &image, &size, &error), MGPT_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(error.text, "architecture"));
}
END_TEST

START_TEST(the_key_names_compiler_and_architecture)
{
    char a[256], b[256];

    cuda_compile_key(80, a, sizeof a);
    cuda_compile_key(90, b, sizeof b);
    ck_assert_ptr_nonnull(strstr(a, "nvrtc 1"));
    ck_assert_ptr_nonnull(strstr(a, "sm_80"));
    ck_assert_str_ne(a, b);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_loop_test(tests, every_rule_compiles_for_every_architecture, 0, N_ARCHITECTURES);
    tcase_add_loop_test(tests, rules_may_use_all_that_is_allowed, 0, N_ARCHITECTURES);
    tcase_add_loop_test(tests, a_program_of_a_module_compiles, 0, N_ARCHITECTURES);
    tcase_add_test(tests, a_device_newer_than_the_compiler_gets_ptx);
    tcase_add_test(tests, what_nvrtc_says_of_a_mistake_is_kept);
    tcase_add_test(tests, the_key_names_compiler_and_architecture);
}

/* With an argument: does the compiler work at all? */
int main(int argc, char **argv)
{
    struct mgpt_cuda_source source = cuda_rule_source("");
    struct mgpt_error error;
    char *image = NULL;
    size_t size;
    enum mgpt_status status = cuda_compile(&source, 80, &image, &size, &error);

    if (status != MGPT_OK && strstr(error.text, "not installed")) {
        printf("SKIP: nvcc is here, but %s\n", error.text);
        return 77;
    }
    free(image);
    if (argc > 1) {
        printf("%s: %s\n", argv[1], status == MGPT_OK ? "it compiles" : error.text);
        return status != MGPT_OK;
    }
    return test_main("check_nvrtc", add_tests);
}
