/* Copies of weights in 16 bits that backend cuda keeps, around graphs and in them: each launch of a
 * graph sees the weights as they are then, and so does what follows it. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "copies.h"

static void begin(const struct lab *lab)
{
    ck_ok(native(lab)->capture_begin(lab->d.device, error));
}

static struct mgpt_cuda_graph *end(const struct lab *lab)
{
    struct mgpt_cuda_graph *graph = NULL;

    ck_ok(native(lab)->capture_end(lab->d.device, &graph, error));
    return graph;
}

static void launch(const struct lab *lab, struct mgpt_cuda_graph *graph)
{
    ck_ok(native(lab)->graph_launch(lab->d.device, graph, error));
}

static void free_graph(const struct lab *lab, struct mgpt_cuda_graph *graph)
{
    native(lab)->graph_free(lab->d.device, graph);
}

/* Products in a graph, of weights that were written before each of its launches. */
START_TEST(a_graph_sees_what_was_written_before_it)
{
    const struct writer *writer = &kept_writers[_i];
    struct lab lab = copies_open(NULL, NULL);

    copies_remember(&lab);
    begin(&lab);
    copies_enqueue(&lab);
    struct mgpt_cuda_graph *graph = end(&lab);
    for (int i = 0; i < 2; i++) {
        writer->write(&lab);
        launch(&lab, graph);
        copies_assert_results(&lab, writer->name);
        struct told before = copies_told(&lab);
        launch(&lab, graph); /* nothing was written meanwhile */
        copies_assert_results(&lab, writer->name);
        ck_assert_uint_eq(copies_told(&lab).casts, before.casts);
    }
    free_graph(&lab, graph);
    kept_close(&lab);
}
END_TEST

/* Products after a graph that wrote the weight; and its own. */
START_TEST(what_a_graph_wrote_is_seen)
{
    const struct writer *writer = &kept_writers[_i];
    struct lab lab = copies_open(NULL, NULL);

    if (strcmp(writer->name, "upload of a part") == 0) { /* not in a graph */
        kept_close(&lab);
        return;
    }
    copies_remember(&lab);
    writer->write(&lab); /* so that nothing is left to allocate */
    for (int with_products = 0; with_products < 2; with_products++) {
        copies_remember(&lab);
        begin(&lab);
        writer->write(&lab);
        if (with_products)
            copies_enqueue(&lab);
        struct mgpt_cuda_graph *graph = end(&lab);
        copies_assert_fresh(&lab, "captured only");
        for (int i = 0; i < 2; i++) {
            copies_write_by("upload of a part", &lab);
            launch(&lab, graph);
            if (with_products)
                copies_assert_results(&lab, "within the graph");
            copies_assert_fresh(&lab, "after the graph");
        }
        free_graph(&lab, graph);
    }
    kept_close(&lab);
}
END_TEST

/* As micro-batches and the end of a step are: each launch casts once, after the update. */
START_TEST(a_step_of_graphs_casts_once)
{
    struct lab lab = copies_open(NULL, NULL);
    const struct emu_counters *counters = lab.d.api->query(lab.d.device, EMU_COUNTERS);
    const double rate = 0.125;
    struct mgpt_buffer *rates = kept_buffer_of(&lab, sizeof rate, &rate);
    struct mgpt_tensor scalars = tensor(rates, 0, 1, 2, 0, 0, 0);

    copies_update(&lab, NULL); /* compiles the rule */
    copies_remember(&lab);
    ck_ok(lab.d.api->sync(lab.d.device, error));
    begin(&lab);
    copies_enqueue(&lab);
    struct mgpt_cuda_graph *pass = end(&lab);
    begin(&lab);
    copies_enqueue(&lab);
    copies_update(&lab, native(&lab)->address(lab.d.device, &scalars));
    struct mgpt_cuda_graph *last = end(&lab);
    for (int step = 0; step < 3; step++) {
        unsigned long casts = counters->casts, kernels = counters->kernels;
        launch(&lab, pass);
        launch(&lab, pass);
        launch(&lab, last);
        ck_ok(lab.d.api->sync(lab.d.device, error));
        ck_assert_uint_eq(counters->casts, casts + 1);
        ck_assert_uint_eq(counters->kernels, kernels);
        copies_assert_fresh(&lab, "a step");
        launch(&lab, pass);
        copies_assert_results(&lab, "a pass after a step");
    }
    free_graph(&lab, pass);
    free_graph(&lab, last);
    lab.d.api->buffer_free(lab.d.device, rates);
    kept_close(&lab);
}
END_TEST

/* Weights that ops write, as optimizers of whole tensors do: rounded at the end of the graph. */
START_TEST(a_graph_that_took_a_copy_leaves_it_fresh)
{
    struct lab lab = copies_open(NULL, NULL);
    const struct emu_counters *counters = lab.d.api->query(lab.d.device, EMU_COUNTERS);

    copies_remember(&lab);
    copies_write_by("axpby", &lab);
    begin(&lab);
    copies_enqueue(&lab);
    copies_write_by("axpby", &lab);
    struct mgpt_cuda_graph *graph = end(&lab);
    copies_write_by("upload of a part", &lab);
    launch(&lab, graph);
    for (int i = 0; i < 3; i++) {
        ck_ok(lab.d.api->sync(lab.d.device, error));
        unsigned long casts = counters->casts, kernels = counters->kernels;
        launch(&lab, graph);
        ck_ok(lab.d.api->sync(lab.d.device, error));
        ck_assert_uint_eq(counters->casts, casts + 1);
        ck_assert_uint_eq(counters->kernels, kernels);
        copies_assert_fresh(&lab, "after the graph");
    }
    free_graph(&lab, graph);
    kept_close(&lab);
}
END_TEST

START_TEST(a_graph_that_is_older_than_the_copy_makes_it_stale)
{
    struct lab lab = copies_open(NULL, NULL);

    begin(&lab);
    copies_write_by("axpby", &lab);
    struct mgpt_cuda_graph *graph = end(&lab);
    for (int i = 0; i < 2; i++) {
        copies_write_by("upload of a part", &lab);
        copies_remember(&lab);
        launch(&lab, graph);
        copies_assert_fresh(&lab, "an older graph");
    }
    free_graph(&lab, graph);
    kept_close(&lab);
}
END_TEST

/* What is known of a copy within a graph ends with it. */
START_TEST(each_capture_begins_anew)
{
    struct lab lab = copies_open(NULL, NULL);

    copies_remember(&lab);
    begin(&lab);
    copies_write_by("axpby", &lab);
    copies_enqueue(&lab); /* rounds the weights itself */
    struct mgpt_cuda_graph *first = end(&lab);
    begin(&lab);
    copies_enqueue(&lab);
    struct mgpt_cuda_graph *second = end(&lab);
    copies_write_by("upload of a part", &lab);
    launch(&lab, second);
    copies_assert_results(&lab, "the second graph");
    free_graph(&lab, first);
    free_graph(&lab, second);
    kept_close(&lab);
}
END_TEST

/* The last piece of a step need not multiply. */
START_TEST(a_graph_of_updates_alone_leaves_the_copy_fresh)
{
    const double rate = 0.125;
    struct lab lab = copies_open(NULL, NULL);
    struct mgpt_buffer *rates = kept_buffer_of(&lab, sizeof rate, &rate);
    struct mgpt_tensor scalars = tensor(rates, 0, 1, 2, 0, 0, 0);

    copies_update(&lab, NULL); /* compiles the rule */
    copies_remember(&lab);
    uint64_t casts = copies_told(&lab).casts;
    begin(&lab);
    copies_update(&lab, native(&lab)->address(lab.d.device, &scalars));
    struct mgpt_cuda_graph *graph = end(&lab);
    ck_assert_uint_eq(copies_told(&lab).casts, casts + 1); /* captured */
    for (int i = 0; i < 2; i++) {
        launch(&lab, graph);
        copies_assert_fresh(&lab, "updates in a graph");
    }
    ck_assert_uint_eq(copies_told(&lab).casts, casts + 1);
    free_graph(&lab, graph);
    lab.d.api->buffer_free(lab.d.device, rates);
    kept_close(&lab);
}
END_TEST

START_TEST(what_was_captured_and_dropped_never_happened)
{
    struct lab lab = copies_open(NULL, NULL);

    copies_remember(&lab);
    uint64_t casts = copies_told(&lab).casts;
    begin(&lab);
    copies_write_by("axpby", &lab);
    copies_update(&lab, NULL); /* gathered, and not launched */
    ck_ok(native(&lab)->capture_end(lab.d.device, NULL, error));
    copies_remember(&lab);
    begin(&lab);
    copies_enqueue(&lab);
    free_graph(&lab, end(&lab));
    ck_assert_uint_eq(copies_told(&lab).casts, casts);
    copies_assert_fresh(&lab, "after a capture of writes");
    copies_write_by("upload of a part", &lab);
    begin(&lab);
    copies_write_by("axpby", &lab);
    copies_enqueue(&lab); /* casts, in the graph */
    ck_ok(native(&lab)->capture_end(lab.d.device, NULL, error));
    copies_assert_fresh(&lab, "after a capture of a cast");
    kept_close(&lab);
}
END_TEST

/* Nothing is allocated while a graph is captured: it does without. */
START_TEST(a_graph_may_come_before_the_copy)
{
    struct lab lab = copies_open(NULL, NULL);

    copies_enqueue_at(&lab, MGPT_BF16, 4); /* takes no copy, but has all scratch made */
    begin(&lab);
    copies_enqueue(&lab);
    struct mgpt_cuda_graph *graph = end(&lab);
    ck_assert_uint_eq(copies_told(&lab).bytes, 0);
    for (int i = 0; i < 3; i++) {
        copies_write_by("upload of a part", &lab);
        launch(&lab, graph);
        copies_assert_results(&lab, "a graph without a copy");
        copies_remember(&lab);
    }
    free_graph(&lab, graph);
    kept_close(&lab);
}
END_TEST

/* What ran before may be captured, also when the copy that it took then is gone: all scratch that
 * the products need without one is there. */
START_TEST(a_graph_needs_no_copy_that_was_there_before)
{
    struct lab lab = copies_open(NULL, NULL);
    struct mgpt_tensor w = {.buffer = lab.w, .dtype = MGPT_F32, .rank = 1, .shape = {2 * WEIGHT}};

    copies_enqueue(&lab);
    ck_assert_uint_gt(copies_told(&lab).bytes, 0);
    ck_assert_ptr_nonnull(native(&lab)->address(lab.d.device, &w));
    begin(&lab);
    copies_enqueue(&lab);
    struct mgpt_cuda_graph *graph = end(&lab);
    copies_write_by("upload of a part", &lab);
    launch(&lab, graph);
    copies_assert_results(&lab, "a graph without its copy");
    free_graph(&lab, graph);
    kept_close(&lab);
}
END_TEST

/* A graph that knows the copy goes on with it, rounded anew before each launch. */
START_TEST(an_address_that_is_told_after_a_graph_was_made_is_heeded)
{
    struct lab lab = copies_open(NULL, NULL);
    struct mgpt_tensor w = matrix(lab.w, 0, M, K), other = matrix(lab.sources, 0, M, K);
    const struct mgpt_cuda_native *cuda = native(&lab);

    copies_remember(&lab);
    begin(&lab);
    copies_enqueue(&lab);
    struct mgpt_cuda_graph *graph = end(&lab);
    char *to = cuda->address(lab.d.device, &w), *from = cuda->address(lab.d.device, &other);
    for (size_t i = 0; i < 3; i++) {
        ck_ok(cuda->copy(lab.d.device, to + i * 4096, from, 4096, error));
        launch(&lab, graph);
        copies_assert_results(&lab, "the graph");
        ck_ok(cuda->copy(lab.d.device, to + i * 4096, from + 4096, 4096, error));
        copies_assert_fresh(&lab, "an op");
    }
    free_graph(&lab, graph);
    kept_close(&lab);
}
END_TEST

static void add_tests(TCase *tests)
{
    int writers = getenv("MGPT_FEW") ? 3 : n_kept_writers; /* where each access is checked */

    tcase_set_timeout(tests, 600);
    tcase_add_loop_test(tests, a_graph_sees_what_was_written_before_it, 0, writers);
    tcase_add_loop_test(tests, what_a_graph_wrote_is_seen, 0, writers);
    tcase_add_test(tests, a_step_of_graphs_casts_once);
    tcase_add_test(tests, a_graph_that_took_a_copy_leaves_it_fresh);
    tcase_add_test(tests, a_graph_that_is_older_than_the_copy_makes_it_stale);
    tcase_add_test(tests, each_capture_begins_anew);
    tcase_add_test(tests, a_graph_of_updates_alone_leaves_the_copy_fresh);
    tcase_add_test(tests, what_was_captured_and_dropped_never_happened);
    tcase_add_test(tests, a_graph_may_come_before_the_copy);
    tcase_add_test(tests, a_graph_needs_no_copy_that_was_there_before);
    tcase_add_test(tests, an_address_that_is_told_after_a_graph_was_made_is_heeded);
}

int main(void)
{
    if (!test_has_backend("cuda_emu")) {
        puts("SKIP: no C++ compiler was found, so there is no backend cuda_emu");
        return 77;
    }
    return test_main("check_copied_graphs", add_tests);
}
