/* What do plugins cost? The same model is trained in one process by modules that the loader found
 * and by the same objects linked into this program, by turns; once more linked, to see what the
 * machine adds. linked.sh links it. Arguments: settings, as --set takes them. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "run/rig.h"

/* The entries of the objects, by the names that linked.sh gave them. */
#define LINKED(M) M(backend_cpu) M(optimizer_adamw) M(precision_fp32) M(step_fused_cpu)
#define DECLARE(name) const struct mgpt_plugin *linked_##name(void);
LINKED(DECLARE)

enum { LINKED_ONE, LOADED, LINKED_TWO, N_RIGS };
#define MAX_ROUNDS 1000
#define BLOCK_SECONDS 0.1

struct side {
    struct mgpt_registry *registry;
    struct mgpt_conf *conf;
    struct mgpt_rig rig;
};

static void need(enum mgpt_status status, const struct mgpt_error *error)
{
    if (status == MGPT_OK)
        return;
    (void)fprintf(stderr, "linked: %s\n", error->text);
    exit(EXIT_FAILURE);
}

static void add(struct mgpt_registry *registry, const struct mgpt_plugin *plugin)
{
    struct mgpt_error error;

    for (size_t i = 0; plugin->components[i]; i++)
        need(mgpt_registry_add_builtin(registry, plugin->components[i], &error), &error);
}

static void open_side(struct side *side, bool linked, int n, char **settings)
{
    static const char *const spares[] = {"scheduler", "sampler",   "logger",
                                         "dataset",   "tokenizer", NULL};
    struct mgpt_error error;

    need(mgpt_registry_create(&side->registry, &error), &error);
    need(mgpt_builtin_register(side->registry, &error), &error);
#define ADD(name) add(side->registry, linked_##name());
    if (linked) {
        LINKED(ADD)
    }
    need(mgpt_conf_create(&side->conf, &error), &error);
    mgpt_conf_spare(side->conf, spares);
    for (int i = 0; i < n; i++)
        need(mgpt_conf_set(side->conf, settings[i], settings[i], &error), &error);
    need(mgpt_conf_check(side->conf, side->registry, &error), &error);
    need(mgpt_rig_open(&side->rig, side->conf, side->registry, 65, &error), &error);
    need(mgpt_rig_start(&side->rig, true, &error), &error);
    mgpt_rig_fill(&side->rig, side->rig.spec.rows, side->rig.spec.columns);
}

/* Of the processor, all threads: what else runs on the machine shows less than in the time of
 * day. */
static double busy(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds a step, over n. */
static double time_steps(struct side *side, uint32_t n)
{
    struct mgpt_step_result results[MGPT_STEP_RING];
    struct mgpt_error error;
    double seconds, begun = busy();

    for (uint32_t done = 0; done < n;) {
        uint32_t some = n - done < MGPT_STEP_RING ? n - done : MGPT_STEP_RING;
        need(mgpt_rig_run(&side->rig, some, 1e-3, results, &seconds, &error), &error);
        done += some;
    }
    return (busy() - begun) / n;
}

/* Steps that take about BLOCK_SECONDS. */
static uint32_t steps_of(struct side *side)
{
    double seconds = time_steps(side, 1);

    for (int i = 0; i < 3; i++)
        seconds = time_steps(side, 2);
    double n = BLOCK_SECONDS / seconds;
    return n < 1 ? 1 : (uint32_t)n;
}

static void print_ratios(const char *what, double *ratio, int n)
{
    qsort(ratio, (size_t)n, sizeof *ratio, mgpt_compare_doubles);
    printf("%s: %+.2f %% (median of %d pairs; quartiles %+.2f, %+.2f)\n", what,
           100 * (ratio[n / 2] - 1), n, 100 * (ratio[n / 4] - 1), 100 * (ratio[3 * n / 4] - 1));
}

int main(int argc, char **argv)
{
    static struct side sides[N_RIGS];
    static double loaded[MAX_ROUNDS], again[MAX_ROUNDS];
    const char *text = getenv("ROUNDS");
    int rounds = text ? atoi(text) : 100;

    if (rounds < 4 || rounds > MAX_ROUNDS) {
        (void)fprintf(stderr, "linked: ROUNDS=%s: expected 4 to %d\n", text, MAX_ROUNDS);
        return 2;
    }
    for (int i = 0; i < N_RIGS; i++)
        open_side(&sides[i], i != LOADED, argc - 1, argv + 1);
    double least[N_RIGS];
    uint32_t n = steps_of(&sides[0]);
    for (int i = 1; i < N_RIGS; i++)
        (void)steps_of(&sides[i]);
    for (int round = 0; round < rounds; round++) {
        double seconds[N_RIGS];
        for (int i = 0; i < N_RIGS; i++) { /* each is first as often */
            int side = (i + round) % N_RIGS;
            seconds[side] = time_steps(&sides[side], n);
        }
        loaded[round] = seconds[LOADED] / seconds[LINKED_ONE];
        again[round] = seconds[LINKED_TWO] / seconds[LINKED_ONE];
        for (int i = 0; i < N_RIGS; i++)
            least[i] = round && least[i] < seconds[i] ? least[i] : seconds[i];
    }
    printf("step %s, %u steps a turn, %.3g ms a step\n", sides[LOADED].rig.stepper.name,
           (unsigned)n, 1e3 * least[LINKED_ONE]);
    print_ratios("plugins against linked", loaded, rounds);
    print_ratios("linked against linked ", again, rounds);
    printf("of the fastest turns  : %+.2f %%, %+.2f %%\n",
           100 * (least[LOADED] / least[LINKED_ONE] - 1),
           100 * (least[LINKED_TWO] / least[LINKED_ONE] - 1));
    for (int i = 0; i < N_RIGS; i++) {
        mgpt_rig_close(&sides[i].rig);
        mgpt_conf_destroy(sides[i].conf);
        mgpt_registry_destroy(sides[i].registry);
    }
    return EXIT_SUCCESS;
}
