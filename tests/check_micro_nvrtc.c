/* The program of step micro_cuda compiles for every architecture by NVRTC, which needs no GPU; and
 * at the default recipe no register is spilled. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include <nvrtc.h>

#include "driver.h"
#include "micro.h"
#include "program.h"
#include "testing.h"

/* Architectures, and the shared memory that a block can have there. */
static const struct {
    int architecture;
    uint64_t shared;
} devices[] = {{75, 65536}, {80, 166912}, {90, 232448}, {100, 232448}};

struct compiler {
    nvrtcResult (*create)(nvrtcProgram *program, const char *text, const char *name, int n,
                          const char *const *headers, const char *const *names);
    nvrtcResult (*compile)(nvrtcProgram program, int n, const char *const *options);
    nvrtcResult (*said_size)(nvrtcProgram program, size_t *size);
    nvrtcResult (*said)(nvrtcProgram program, char *text);
    nvrtcResult (*destroy)(nvrtcProgram *program);
};

static const struct cuda_symbol symbols[] = {
    {"nvrtcCreateProgram", offsetof(struct compiler, create)},
    {"nvrtcCompileProgram", offsetof(struct compiler, compile)},
    {"nvrtcGetProgramLogSize", offsetof(struct compiler, said_size)},
    {"nvrtcGetProgramLog", offsetof(struct compiler, said)},
    {"nvrtcDestroyProgram", offsetof(struct compiler, destroy)}};

/* False: NVRTC is not installed. */
static bool find_compiler(struct compiler *c)
{
    char soname[64];

    (void)snprintf(soname, sizeof soname, "libnvrtc.so.%d", CUDART_VERSION / 1000);
    return !cuda_symbols(cuda_library(soname), symbols, sizeof symbols / sizeof *symbols, c);
}

/* What the compiler says of the program's use of registers; malloc'd. */
static char *compiled(const char *text, int architecture)
{
    struct compiler c;
    nvrtcProgram program;
    char arch[40], *whole = malloc(strlen(cuda_prelude) + strlen(text) + 1);
    const char *options[] = {arch,           "--std=c++17",      "--ptxas-options=-v",
                             "--fmad=false", "--prec-div=false", "--prec-sqrt=false"};
    size_t size;

    ck_assert(find_compiler(&c));
    (void)sprintf(whole, "%s%s", cuda_prelude, text);
    (void)snprintf(arch, sizeof arch, "--gpu-architecture=sm_%d", architecture);
    ck_assert_int_eq(c.create(&program, whole, "micro_cuda", 0, NULL, NULL), NVRTC_SUCCESS);
    nvrtcResult code = c.compile(program, sizeof options / sizeof *options, options);
    ck_assert_int_eq(c.said_size(program, &size), NVRTC_SUCCESS);
    char *log = calloc(1, size + 1);
    ck_assert_int_eq(c.said(program, log), NVRTC_SUCCESS);
    ck_assert_msg(code == NVRTC_SUCCESS, "sm_%d: %s", architecture, log);
    (void)c.destroy(&program);
    free(whole);
    return log;
}

/* conf/microgpt.ini on given names */
static struct mgpt_model recipe(void)
{
    struct mgpt_model m = mgpt_check_model_names();

    m.heads = m.kv_heads = 4;
    m.embd = 16, m.mlp = 64, m.context = 8, m.vocab = 27;
    return m;
}

/* enum micro_format */
static const struct {
    const char *name;
    struct mgpt_precision_plan plan;
} modes[] = {{"fp32", {.master = MGPT_F32, .activation = MGPT_F32, .product = MGPT_F32}},
             {"tf32", {.master = MGPT_F32, .activation = MGPT_F32, .product = MGPT_F32, .tf32 = 1}},
             {"bf16", {.master = MGPT_F32, .activation = MGPT_BF16, .product = MGPT_BF16}},
             {"fp16",
              {.master = MGPT_F32,
               .activation = MGPT_F16,
               .product = MGPT_F16,
               .scale_interval = 2000,
               .scale_growth = 2,
               .scale_backoff = 0.5}}};

static char *compile(const struct mgpt_model *m, uint32_t rows, enum micro_format mode,
                     int architecture, uint64_t shared)
{
    const struct mgpt_optimizer_api *adamw = mgpt_check_module(MGPT_KIND_OPTIMIZER, "adamw")->api;
    struct mgpt_params params = {0};
    struct micro_plan plan;
    char *text = NULL, *log;

    ck_ok(mgpt_params_init(&params, m, MGPT_F32, true, error));
    struct mgpt_step_spec spec = {.size = sizeof spec,
                                  .rows = rows,
                                  .columns = m->context,
                                  .micro_batches = 1,
                                  .ranks = 1,
                                  .n_params = params.n,
                                  .n_state = adamw->rule->n_state,
                                  .clip = 1,
                                  .seed = UINT64_MAX,
                                  .model = m,
                                  .precision = &modes[mode].plan,
                                  .optimizer = adamw,
                                  .params = params.items};
    micro_plan_make(&spec, MICRO_THREADS, shared, &plan);
    ck_assert_uint_gt(plan.shared, 0);
    ck_assert_uint_le(plan.shared, shared);
    ck_ok(micro_text(&spec, &plan, &text, error));
    log = compiled(text, architecture);
    free(text);
    mgpt_params_finish(&params);
    return log;
}

/* Of these, the first 7 unless MGPT_MORE asks for all: each takes seconds. */
static const struct {
    enum micro_format mode;
    int device;
} pairs[] = {{MICRO_F32, 0}, {MICRO_F32, 1},  {MICRO_F32, 2},  {MICRO_F32, 3},  {MICRO_BF16, 3},
             {MICRO_F16, 2}, {MICRO_TF32, 1}, {MICRO_BF16, 0}, {MICRO_BF16, 1}, {MICRO_BF16, 2},
             {MICRO_F16, 0}, {MICRO_F16, 1},  {MICRO_F16, 3},  {MICRO_TF32, 2}, {MICRO_TF32, 3}};

START_TEST(the_default_recipe_spills_nothing)
{
    const int architecture = devices[pairs[_i].device].architecture, mode = pairs[_i].mode;
    struct mgpt_model m = recipe();
    char *log =
        compile(&m, 1, (enum micro_format)mode, architecture, devices[pairs[_i].device].shared);

    ck_assert_msg(strstr(log, " 0 bytes spill stores, 0 bytes spill loads"), "%s, sm_%d: %s",
                  modes[mode].name, architecture, log);
    const char *used = strstr(log, "Used ");
    ck_assert_ptr_nonnull(used);
    printf("%s, sm_%d: %.19s\n", modes[mode].name, architecture, used);
    free(log);
}
END_TEST

/* Batches, and everything that a model can have. */
START_TEST(other_models_compile)
{
    struct mgpt_model batch = recipe(), all = mgpt_check_model_toygpt();

    all.dropout = 0.1, all.embed_norm = 1, all.kv_heads = 1, all.bias |= MGPT_BIAS_QKV;
    batch.layers = 3;
    free(compile(&batch, 20, MICRO_F16, 80, 166912));
    free(compile(&all, 1, MICRO_BF16, 75, 65536));
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_loop_test(tests, the_default_recipe_spills_nothing, 0,
                        getenv("MGPT_MORE") ? (int)(sizeof pairs / sizeof *pairs) : 7);
    tcase_add_test(tests, other_models_compile);
}

int main(void)
{
    struct compiler c;

    if (!find_compiler(&c)) {
        printf("SKIP: nvcc is here, but NVRTC is not installed\n");
        return 77;
    }
    return test_main("check_micro_nvrtc", add_tests);
}
