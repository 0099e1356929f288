/* How long the products of a linear layer take, ours or those of a library: products.sh runs it.
 *
 *   products cpu|onednn|openblas THREADS RxKxN y|dx|dw      seconds of one product, the median
 *
 * x (R,K), w (N,K), y (R,N): y = x w^T, dx = dy w, dw += dy^T x. Libraries are asked for their
 * sgemm, which like ours gets both matrices as they lie; how many threads it uses its environment
 * says. */
#include <config.h>

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/machine.h"
#include "plugin/kinds.h"
#include "plugin/options.h"
#include "plugin/registry.h"

#define SAMPLES 15
#define SAMPLE_SECONDS 2e-3 /* at least: calls are repeated until then */
#define ABSENT 77

enum what { FORWARD, DX, DW, N_WHAT };
static const char *const names[N_WHAT] = {"y", "dx", "dw"};

struct shape {
    int64_t R, K, N;
};

/* Row-major c (m,n) = op(a) op(b) + beta c, as both libraries have it. */
typedef int dnnl_sgemm_fn(char transa, char transb, int64_t m, int64_t n, int64_t k, float alpha,
                          const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
                          float *c, int64_t ldc);
typedef void cblas_sgemm_fn(int order, int transa, int transb, int m, int n, int k, float alpha,
                            const float *a, int lda, const float *b, int ldb, float beta, float *c,
                            int ldc);

static struct contender {
    dnnl_sgemm_fn *dnnl;
    cblas_sgemm_fn *cblas;
    struct mgpt_machine machine; /* where both are NULL */
} contender;

/* Of one shape; on the machine and as host memory, which are the same for `cpu`. */
struct work {
    struct shape s;
    struct mgpt_tensor x, w, y;
    float *px, *pw, *py;
    struct mgpt_call calls[N_WHAT];
};

static void die(const char *what, const struct mgpt_error *error)
{
    (void)fprintf(stderr, "products: %s: %s\n", what, error->text);
    exit(1);
}

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- contenders ---- */

static void *function_of(const char *library, const char *name)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    void *function = handle ? dlsym(handle, name) : NULL;

    if (!function) {
        (void)fprintf(stderr, "products: %s\n", dlerror());
        exit(ABSENT);
    }
    return function;
}

static void open_cpu(const char *threads)
{
    struct mgpt_registry *registry;
    struct mgpt_module module;
    struct mgpt_config *config;
    struct mgpt_error error;

    if (mgpt_registry_create(&registry, &error) ||
        mgpt_registry_use(registry, MGPT_KIND_BACKEND, "cpu", &module, &error))
        die("backend cpu", &error);
    const struct mgpt_component *c = module.component;
    if (mgpt_config_create(&config, c->name, c->options, c->n_options, c->option_size, &error) ||
        mgpt_config_set(config, "threads", threads, "products", &error) ||
        mgpt_machine_open(&contender.machine, c->api, config, MGPT_FALLBACK_ERROR, &error))
        die("backend cpu", &error);
}

static void open_contender(const char *name, const char *threads)
{
    void *function;

    open_cpu(threads); /* libraries compute in its memory */
    if (strcmp(name, "onednn") == 0) {
        function = function_of("libdnnl.so.2", "dnnl_sgemm");
        memcpy(&contender.dnnl, &function, sizeof function);
    } else if (strcmp(name, "openblas") == 0) {
        function = function_of("libopenblas.so.0", "cblas_sgemm");
        memcpy(&contender.cblas, &function, sizeof function);
    } else if (strcmp(name, "cpu") != 0) {
        (void)fprintf(stderr, "products: %s: expected cpu, onednn or openblas\n", name);
        exit(2);
    }
}

/* ---- a product ---- */

static void gemm(int ta, int tb, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                 const float *b, int64_t ldb, float beta, float *c)
{
    if (contender.dnnl)
        (void)contender.dnnl(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, 1.0f, a, lda, b, ldb, beta, c,
                             n);
    else /* 101: row-major; 111, 112: as it lies, transposed */
        contender.cblas(101, 111 + ta, 111 + tb, (int)m, (int)n, (int)k, 1.0f, a, (int)lda, b,
                        (int)ldb, beta, c, (int)n);
}

static void product(struct work *work, enum what what)
{
    struct shape s = work->s;
    struct mgpt_error error;

    if (!contender.dnnl && !contender.cblas) {
        if (mgpt_machine_run(&contender.machine, &work->calls[what], &error))
            die(names[what], &error);
        return;
    }
    switch (what) {
    case FORWARD: gemm(0, 1, s.R, s.N, s.K, work->px, s.K, work->pw, s.K, 0, work->py); break;
    case DX: gemm(0, 0, s.R, s.K, s.N, work->py, s.N, work->pw, s.K, 0, work->px); break;
    default: gemm(1, 0, s.N, s.K, s.R, work->py, s.N, work->px, s.K, 1, work->pw); break;
    }
}

/* ---- shapes ---- */

static struct mgpt_tensor matrix(int64_t rows, int64_t columns, float **data)
{
    struct mgpt_tensor t;
    struct mgpt_error error;

    if (mgpt_machine_new(&contender.machine, MGPT_F32, rows * columns, &t, &error))
        die("memory", &error);
    t.rank = 2;
    t.shape[0] = rows;
    t.shape[1] = columns;
    *data = mgpt_machine_map(&contender.machine, &t);
    for (int64_t i = 0; i < rows * columns; i++)
        (*data)[i] = (float)(rand() % 2001 - 1000) * 1e-3f;
    return t;
}

static void open_work(struct work *work, struct shape s)
{
    struct mgpt_op op = {.size = sizeof op, .code = MGPT_OP_LINEAR};
    struct mgpt_error error;

    *work = (struct work){.s = s};
    work->x = matrix(s.R, s.K, &work->px);
    work->w = matrix(s.N, s.K, &work->pw);
    work->y = matrix(s.R, s.N, &work->py);
    for (int what = 0; what < N_WHAT; what++) {
        op.in[0] = work->x;
        op.in[1] = work->w;
        op.in[2] = what == FORWARD ? (struct mgpt_tensor){0} : work->y;
        op.out[0] = what == FORWARD ? work->y : what == DX ? work->x : (struct mgpt_tensor){0};
        op.out[1] = what == DW ? work->w : (struct mgpt_tensor){0};
        if (mgpt_machine_plan(&contender.machine, &op, &work->calls[what], &error))
            die(names[what], &error);
        op.code = MGPT_OP_LINEAR_BACKWARD;
    }
}

static void close_work(struct work *work)
{
    mgpt_machine_free(&contender.machine, &work->x);
    mgpt_machine_free(&contender.machine, &work->w);
    mgpt_machine_free(&contender.machine, &work->y);
}

/* The last element of a product, by its formula: is it the one that was asked for? */
static void check(struct work *work, enum what what)
{
    struct shape s = work->s;
    const float *x = work->px, *w = work->pw, *y = work->py;
    const float *got = what == FORWARD ? y + s.R * s.N - 1
                       : what == DX    ? x + s.R * s.K - 1
                                       : w + s.N * s.K - 1;
    double sum = what == DW ? *got : 0;

    for (int64_t l = 0; l < (what == FORWARD ? s.K : what == DX ? s.N : s.R); l++)
        sum += what == FORWARD ? (double)x[(s.R - 1) * s.K + l] * w[(s.N - 1) * s.K + l]
               : what == DX    ? (double)y[(s.R - 1) * s.N + l] * w[l * s.K + s.K - 1]
                               : (double)y[l * s.N + s.N - 1] * x[l * s.K + s.K - 1];
    product(work, what);
    if (fabs(sum - *got) < 1e-3 * (1 + fabs(sum)))
        return;
    (void)fprintf(stderr, "products: %s: %g, expected %g\n", names[what], *got, sum);
    exit(1);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Seconds of one product: the median of samples that are long enough for the clock. Values may grow
 * from call to call, which takes no longer. */
static double measure(struct work *work, enum what what)
{
    double samples[SAMPLES];

    for (int i = 0; i < SAMPLES; i++) {
        double begun = now(), taken;
        int calls = 0;
        do {
            product(work, what);
            calls++;
            taken = now() - begun;
        } while (taken < SAMPLE_SECONDS);
        samples[i] = taken / calls;
    }
    qsort(samples, SAMPLES, sizeof *samples, compare);
    return samples[SAMPLES / 2];
}

static int find_what(const char *name)
{
    int what = 0;

    while (what < N_WHAT && strcmp(name, names[what]) != 0)
        what++;
    return what;
}

int main(int argc, char **argv)
{
    struct work work;
    long long R, K, N;
    int what = argc == 5 ? find_what(argv[4]) : N_WHAT;

    if (what == N_WHAT || sscanf(argv[3], "%lldx%lldx%lld", &R, &K, &N) != 3 || R < 1 || K < 1 ||
        N < 1) {
        (void)fputs("usage: products cpu|onednn|openblas THREADS RxKxN y|dx|dw\n", stderr);
        return 2;
    }
    open_contender(argv[1], argv[2]);
    open_work(&work, (struct shape){R, K, N});
    check(&work, (enum what)what);
    printf("%.9g\n", measure(&work, (enum what)what));
    close_work(&work);
    mgpt_machine_close(&contender.machine);
    return 0;
}
