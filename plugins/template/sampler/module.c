/* Sampler my-name: locally typical sampling (Meister et al. 2022): of the top_k likeliest ids draws
 * from those whose surprise -log p is nearest to the entropy, as few as have the share `mass`. */
#include <math.h>
#include <stdlib.h>

#include <microgpt/sampler.h>

struct candidate {
    double p, key; /* probability; what they are sorted by */
    uint32_t id;
};

struct mgpt_sampler {
    double temperature, mass;
    uint32_t top_k;               /* 0: all */
    struct candidate *candidates; /* as many as ids */
};

static void destroy(struct mgpt_sampler *s)
{
    if (s)
        free(s->candidates);
    free(s);
}

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               uint32_t vocab, struct mgpt_sampler **sampler,
                               struct mgpt_error *error)
{
    struct mgpt_sampler *s = (struct mgpt_sampler *)calloc(1, sizeof *s);

    if (s)
        s->candidates = (struct candidate *)calloc(vocab, sizeof *s->candidates);
    if (!s || !s->candidates) {
        destroy(s);
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for sampler my-name");
    }
    s->temperature = host->get_float(config, "temperature");
    s->mass = host->get_float(config, "mass");
    s->top_k = (uint32_t)host->get_int(config, "top_k");
    *sampler = s;
    return MGPT_OK;
}

/* Lowest key first; ties go to the lower id. */
static int order(const void *left, const void *right)
{
    const struct candidate *a = (const struct candidate *)left;
    const struct candidate *b = (const struct candidate *)right;

    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* exp(logits / temperature) of the likeliest, up to a factor; how many these are. */
static uint32_t choose(struct mgpt_sampler *s, const double *logits, uint32_t n)
{
    struct candidate *c = s->candidates;
    double top = logits[0];

    for (uint32_t i = 1; i < n; i++)
        top = fmax(top, logits[i]);
    for (uint32_t i = 0; i < n; i++) {
        c[i].id = i;
        c[i].key = -logits[i];
        c[i].p = exp((logits[i] - top) / s->temperature);
    }
    qsort(c, n, sizeof *c, order);
    return s->top_k && s->top_k < n ? s->top_k : n;
}

/* Makes probabilities of them, and sorts them by how far they are from what is typical. */
static void measure(struct candidate *c, uint32_t n)
{
    double sum = 0, entropy = 0;

    for (uint32_t i = 0; i < n; i++)
        sum += c[i].p;
    for (uint32_t i = 0; i < n; i++) {
        c[i].p /= sum;
        entropy -= c[i].p > 0 ? c[i].p * log(c[i].p) : 0;
    }
    for (uint32_t i = 0; i < n; i++)
        c[i].key = c[i].p > 0 ? fabs(-log(c[i].p) - entropy) : INFINITY;
    qsort(c, n, sizeof *c, order);
}

/* One number of the stream for each id that is chosen. */
static int32_t next(struct mgpt_sampler *s, double *logits, uint32_t n,
                    const struct mgpt_stream *stream)
{
    uint32_t some = choose(s, logits, n), few = 0, i = 0;
    struct candidate *c = s->candidates;
    double kept = 0;

    measure(c, some);
    while (few < some && (few == 0 || kept < s->mass))
        kept += c[few++].p;
    double draw = stream->uniform(stream->context) * kept;
    while (i + 1 < few && draw >= c[i].p)
        draw -= c[i++].p;
    return (int32_t)c[i].id;
}

/* key, default, help, unit, least, most (both 0: no limit), choices, type, 0 */
static const struct mgpt_option options[] = {
    {"temperature", "0.8", "below 1 safer, above 1 wilder", NULL, 1e-3, 100, NULL,
     MGPT_OPTION_FLOAT, 0},
    {"mass", "0.95", "share of probability to draw from", NULL, 1e-6, 1, NULL, MGPT_OPTION_FLOAT,
     0},
    {"top_k", "0", "draw from so many of the likeliest; 0: from all", NULL, 0, 1e9, NULL,
     MGPT_OPTION_INT, 0},
};

static const struct mgpt_sampler_api api = {
    .size = sizeof api, .create = create, .destroy = destroy, .next = next};

static const struct mgpt_component component = {
    .size = sizeof component,
    .n_options = sizeof options / sizeof options[0],
    .option_size = sizeof options[0],
    .kind = MGPT_KIND_SAMPLER,
    .name = "my-name",
    .summary = "draws from what is typical",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.example.my-name", "0.1.0", "LicenseRef-none-yet", "YOUR NAME", NULL,
                   &component)
