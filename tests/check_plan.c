/* The plan of a run: its figures are those computed by hand, and what cannot fit is refused. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "run/composed.h"
#include "run/plan.h"
#include "run/time_left.h"
#include "scratch.h"
#include "testing.h"

/* A device that is asked for nothing but what it could do. */
struct planned {
    struct mgpt_machine machine;
    struct mgpt_config *config;
    struct mgpt_model model;
    struct mgpt_params params;
    struct mgpt_precision_plan precision;
    struct mgpt_caps caps;
    struct mgpt_step_spec spec;
};

static void planned_open(struct planned *p, struct mgpt_model model, uint32_t rows)
{
    const struct mgpt_component *ref = mgpt_check_module(MGPT_KIND_BACKEND, "ref");

    memset(p, 0, sizeof *p);
    p->config = mgpt_check_settings(ref, NULL);
    ck_ok(mgpt_machine_open(&p->machine, ref->api, p->config, MGPT_FALLBACK_SILENT, error));
    p->model = model;
    ck_ok(mgpt_params_init(&p->params, &p->model, MGPT_F32, true, error));
    p->precision = (struct mgpt_precision_plan){.size = sizeof p->precision,
                                                .master = MGPT_F32,
                                                .activation = MGPT_F32,
                                                .product = MGPT_F32};
    p->caps = (struct mgpt_caps){.size = sizeof p->caps, .memory_free = 1000000000, .name = "toy"};
    p->spec = (struct mgpt_step_spec){.size = sizeof p->spec,
                                      .rows = rows,
                                      .columns = model.context,
                                      .micro_batches = 1,
                                      .ranks = 1,
                                      .n_params = p->params.n,
                                      .n_state = 2,
                                      .backend = p->machine.api,
                                      .device = p->machine.device,
                                      .caps = &p->caps,
                                      .model = &p->model,
                                      .precision = &p->precision,
                                      .params = p->params.items};
}

static void planned_close(struct planned *p)
{
    mgpt_params_finish(&p->params);
    mgpt_machine_close(&p->machine);
    mgpt_config_destroy(p->config);
}

static struct mgpt_model names(void)
{
    struct mgpt_model m = mgpt_check_model_names();

    m.layers = 1, m.heads = m.kv_heads = 4, m.embd = 16, m.mlp = 64, m.context = 8, m.vocab = 27;
    return m;
}

static struct mgpt_model toygpt(void)
{
    struct mgpt_model m = mgpt_check_model_toygpt();

    m.layers = 8, m.heads = m.kv_heads = 8, m.embd = 128, m.mlp = 512, m.context = 128;
    m.vocab = 65;
    return m;
}

/* Weights 768 + 256 + 2 x 1024 + 27 x 16 = 3504; pairs 1 x 16 x 9 = 144; 8 tokens, 6 for each. */
START_TEST(figures_of_the_names_recipe)
{
    struct planned p;
    struct mgpt_plan plan;

    planned_open(&p, names(), 1);
    ck_ok(mgpt_plan_make(&plan, &p.spec, true, error));
    ck_assert_uint_eq(plan.parameters, 3632);
    ck_assert_uint_eq(plan.params, 4 * 3632);
    ck_assert_uint_eq(plan.gradients, 4 * 3632);
    ck_assert_uint_eq(plan.state, 8 * 3632);
    ck_assert_uint_eq(plan.tokens, 8);
    ck_assert_double_eq(plan.flops, 8 * 6 * (3504 + 144));
    ck_assert_uint_eq(plan.batches, 64 * 2 * 8 * 4);
    ck_assert_uint_eq(plan.available, 1000000000);
    planned_close(&p);
}
END_TEST

/* 12 x 128^2 weights a layer, 8 layers, and a head of 65 x 128; positions past: 129 / 2 x 2. */
START_TEST(figures_of_toygpt)
{
    struct planned p;
    struct mgpt_plan plan;

    planned_open(&p, toygpt(), 32);
    ck_ok(mgpt_plan_make(&plan, &p.spec, true, error));
    ck_assert_uint_eq(plan.parameters, 1616449);
    ck_assert_double_eq_tol(plan.flops, 42.1e9, 0.02e9);
    ck_assert_double_eq(plan.flops, 4096.0 * 6 * (8 * 12 * 128 * 128 + 65 * 128 + 8 * 128 * 129));
    /* The least that must be kept of a layer: 8 rows of C and 2 of F a token. */
    ck_assert_uint_gt(plan.activations, 4096ull * 4 * 8 * (8 * 128 + 2 * 512));
    ck_assert_uint_lt(plan.validation, plan.activations / 4);
    ck_assert_uint_eq(plan.total, plan.params + plan.gradients + plan.state + plan.activations +
                                      plan.validation + plan.batches);
    ck_ok(mgpt_plan_check(&plan, &p.spec, error));
    planned_close(&p);
}
END_TEST

/* And a run that fits without them is not refused. */
START_TEST(copies_of_weights_are_counted)
{
    struct planned p;
    struct mgpt_plan plan;
    struct mgpt_error why;

    planned_open(&p, names(), 1);
    p.caps.copies = 1u << MGPT_BF16;
    ck_ok(mgpt_plan_make(&plan, &p.spec, true, error));
    ck_assert_uint_eq(plan.copies, 0);
    uint64_t others = plan.total - plan.activations - plan.validation;
    p.precision.activation = MGPT_BF16;
    ck_ok(mgpt_plan_make(&plan, &p.spec, true, error));
    ck_assert_uint_eq(plan.copies, 2 * 3632);
    ck_assert_uint_eq(plan.total, others + plan.copies + plan.activations + plan.validation);
    plan.available = plan.total - plan.copies;
    ck_ok(mgpt_plan_check(&plan, &p.spec, error));
    plan.available--;
    ck_assert_int_eq(mgpt_plan_check(&plan, &p.spec, &why), MGPT_CONFIG);
    ck_ok(mgpt_plan_make(&plan, &p.spec, false, error)); /* a module counts its own */
    ck_assert_uint_eq(plan.copies, 0);
    planned_close(&p);
}
END_TEST

START_TEST(activations_are_what_passes_allocate)
{
    struct planned p;
    struct mgpt_plan plan;
    struct mgpt_passes passes;

    planned_open(&p, names(), 3);
    ck_ok(mgpt_plan_make(&plan, &p.spec, true, error));
    struct mgpt_net net = {.machine = &p.machine,
                           .model = &p.model,
                           .params = p.params.items,
                           .n_params = p.params.n,
                           .precision = &p.precision};
    ck_ok(mgpt_passes_open(&passes, &net, MGPT_MODE_TRAIN, 3, 8, error));
    ck_assert_int_eq(mgpt_tensor_count(&passes.memory), (int64_t)plan.activations);
    mgpt_passes_close(&passes);
    uint64_t composed = plan.total;
    ck_ok(mgpt_plan_make(&plan, &p.spec, false, error));
    ck_assert_uint_eq(plan.activations, 0);
    ck_assert_uint_lt(plan.total, composed);
    planned_close(&p);
}
END_TEST

/* What is too large, and the words of its refusal. */
static const struct {
    uint32_t rows, columns, layers, embd, micro;
    const char *words;
} oversized[] = {
    {4096, 128, 8, 128, 1, "most is activations: shrink [train] batch = 4096 (to "},
    {32, 128, 8, 16384, 1, "shrink [model] embd = 16384"},
    {32, 128, 8, 128, 60000, "shrink [train] accumulate = 60000"},
    {65536, 1048576, 1024, 65536, 1, "most is activations"}, /* more bytes than 64 bits count */
};

START_TEST(refuses_what_cannot_fit)
{
    struct planned p;
    struct mgpt_plan plan;
    struct mgpt_error why;
    struct mgpt_model m = toygpt();

    m.layers = oversized[_i].layers;
    m.embd = oversized[_i].embd;
    m.context = oversized[_i].columns;
    planned_open(&p, m, oversized[_i].rows);
    p.spec.micro_batches = oversized[_i].micro;
    ck_ok(mgpt_plan_make(&plan, &p.spec, true, error));
    ck_assert_int_eq(mgpt_plan_check(&plan, &p.spec, &why), MGPT_CONFIG);
    ck_assert_msg(strstr(why.text, oversized[_i].words) != NULL, "%s", why.text);
    p.caps.memory_free = 0; /* not known: nothing to refuse */
    ck_ok(mgpt_plan_make(&plan, &p.spec, true, error));
    ck_assert_int_eq(mgpt_plan_check(&plan, &p.spec, &why), MGPT_OK);
    planned_close(&p);
}
END_TEST

/* The batch that the refusal suggests fits, and twice that does not. */
START_TEST(suggests_a_batch_that_fits)
{
    struct planned p;
    struct mgpt_plan plan;
    struct mgpt_error why;
    unsigned rows = 0;

    planned_open(&p, toygpt(), 4096);
    ck_ok(mgpt_plan_make(&plan, &p.spec, true, error));
    ck_assert_int_eq(mgpt_plan_check(&plan, &p.spec, &why), MGPT_CONFIG);
    ck_assert_int_eq(sscanf(strstr(why.text, "(to "), "(to %u", &rows), 1);
    for (int i = 0; i < 2; i++) {
        p.spec.rows = rows << i;
        ck_ok(mgpt_plan_make(&plan, &p.spec, true, error));
        ck_assert_int_eq(mgpt_plan_check(&plan, &p.spec, &why), i ? MGPT_CONFIG : MGPT_OK);
    }
    planned_close(&p);
}
END_TEST

/* ---- memory ---- */

static void put(const char *path, const char *text)
{
    put_bytes(in_scratch("%s", path), text, strlen(text));
}

START_TEST(memory_is_the_least_of_the_system_and_its_groups)
{
    const char *here = scratch;

    ck_assert_uint_eq(mgpt_memory_available_at(here), 0);
    static const char *const folders[] = {"proc",
                                          "proc/self",
                                          "sys",
                                          "sys/fs",
                                          "sys/fs/cgroup",
                                          "sys/fs/cgroup/a",
                                          "sys/fs/cgroup/a/b"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        ck_assert_int_eq(mkdir(in_scratch("%s", folders[i]), 0755), 0);
    put("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    4000 kB\n");
    ck_assert_uint_eq(mgpt_memory_available_at(here), 4000 << 10);
    put("proc/self/cgroup", "1:cpu:/\n0::/a/b\n");
    put("sys/fs/cgroup/a/b/memory.max", "max\n");
    put("sys/fs/cgroup/a/b/memory.current", "100\n");
    ck_assert_uint_eq(mgpt_memory_available_at(here), 4000 << 10);
    put("sys/fs/cgroup/a/memory.max", "5000\n");
    put("sys/fs/cgroup/a/memory.current", "2000\n");
    put("sys/fs/cgroup/a/memory.stat", "anon 1500\ninactive_file 500\n");
    ck_assert_uint_eq(mgpt_memory_available_at(here), 3500);
    put("sys/fs/cgroup/a/memory.current", "9000\n");
    ck_assert_uint_eq(mgpt_memory_available_at(here), 0);
}
END_TEST

START_TEST(amounts_read_well)
{
    struct mgpt_string s = {0};

    mgpt_add_duration(&s, 9.36e-5);
    mgpt_string_format(&s, ", ");
    mgpt_add_duration(&s, 119);
    mgpt_string_format(&s, ", ");
    mgpt_add_duration(&s, 7000);
    mgpt_string_format(&s, ", ");
    mgpt_add_duration(&s, 1e6);
    mgpt_string_format(&s, ", ");
    mgpt_add_amount(&s, 42.1e9, "FLOP");
    mgpt_string_format(&s, ", ");
    mgpt_add_amount(&s, 12, "B");
    ck_assert_str_eq(s.data, "under a second, 119 s, 117 min, 11.6 days, 42.1 GFLOP, 12 B");
    mgpt_string_finish(&s);
}
END_TEST

/* ---- what is left of a run ---- */

START_TEST(validations_left_are_the_moments_that_come)
{
    for (uint64_t every = 0; every < 8; every++)
        for (uint64_t total = 1; total < 20; total++) {
            struct mgpt_validation v = {.every = every, .total = total, .before = _i};
            uint64_t left = 0;
            for (uint64_t step = total + 1; step-- > 0;) {
                ck_assert_uint_eq(mgpt_validation_left(&v, step), left);
                left += mgpt_validation_due(&v, &(struct mgpt_progress){.step = step});
            }
        }
}
END_TEST

/* A validation of 10 s before the first of 100 steps, 0.5 s each: after 4 steps 96 are left, and
 * validations at 25, 50, 75 and 99. */
START_TEST(time_left_counts_steps_and_validations_apart)
{
    struct mgpt_validation v = {.every = 25, .total = 100, .before = true};
    struct mgpt_spent spent = {.steps = 4, .stepping = 2, .validating = 10};
    struct mgpt_string text = {0};

    ck_assert_double_eq(mgpt_time_left(&spent, &v, 4), 96 * 0.5 + 4 * 10);
    mgpt_time_left_say(&spent, &v, 4, &text);
    ck_assert_str_eq(
        text.data, "96 steps and 4 validations to go take about 88 s, at the pace of the first 4");
    mgpt_string_finish(&text);
    v.every = 0;
    ck_assert_double_eq(mgpt_time_left(&spent, &v, 4), 96 * 0.5);
    v = (struct mgpt_validation){.every = 50, .total = 100};
    spent.validating = 0;
    mgpt_time_left_say(&spent, &v, 4, &text);
    ck_assert_str_eq(text.data, "96 steps to go take about 48 s, at the pace of the first 4; 2 "
                                "validations come on top");
    mgpt_string_finish(&text);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_loop_test(tests, validations_left_are_the_moments_that_come, 0, 2);
    tcase_add_test(tests, time_left_counts_steps_and_validations_apart);
    tcase_add_checked_fixture(tests, scratch_setup, scratch_teardown);
    tcase_add_test(tests, figures_of_the_names_recipe);
    tcase_add_test(tests, figures_of_toygpt);
    tcase_add_test(tests, copies_of_weights_are_counted);
    tcase_add_test(tests, activations_are_what_passes_allocate);
    tcase_add_loop_test(tests, refuses_what_cannot_fit, 0,
                        (int)(sizeof oversized / sizeof *oversized));
    tcase_add_test(tests, suggests_a_batch_that_fits);
    tcase_add_test(tests, memory_is_the_least_of_the_system_and_its_groups);
    tcase_add_test(tests, amounts_read_well);
}

int main(void)
{
    return test_main("plan", add_tests);
}
