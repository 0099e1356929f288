/* Sampler my-name: locally typical sampling (Meister et al. 2022): draws from the ids whose surprise
 * -log p is nearest to the entropy, as few as together have the share `mass`. */
#include <math.h>
#include <stdlib.h>

#include <microgpt/sampler.h>

struct candidate {
    double p, distance; /* probability; of its surprise from the entropy */
    uint32_t id;
};

struct mgpt_sampler {
    double temperature, mass;
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
    *sampler = s;
    return MGPT_OK;
}

/* Nearest first; ties go to the lower id. */
static int order(const void *left, const void *right)
{
    const struct candidate *a = (const struct candidate *)left;
    const struct candidate *b = (const struct candidate *)right;

    if (a->distance != b->distance)
        return a->distance < b->distance ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* softmax(logits / temperature), and how far each id is from what is typical. */
static void measure(struct mgpt_sampler *s, const double *logits, uint32_t n)
{
    double top = logits[0], sum = 0, entropy = 0;

    for (uint32_t i = 1; i < n; i++)
        top = fmax(top, logits[i]);
    for (uint32_t i = 0; i < n; i++)
        sum += s->candidates[i].p = exp((logits[i] - top) / s->temperature);
    for (uint32_t i = 0; i < n; i++) {
        double p = s->candidates[i].p /= sum;
        entropy -= p > 0 ? p * log(p) : 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        double p = s->candidates[i].p;
        s->candidates[i].id = i;
        s->candidates[i].distance = p > 0 ? fabs(-log(p) - entropy) : INFINITY;
    }
}

/* One number of the stream for each id that is chosen. */
static int32_t next(struct mgpt_sampler *s, double *logits, uint32_t n,
                    const struct mgpt_stream *stream)
{
    double kept = 0, draw;
    uint32_t few = 0, i = 0;

    measure(s, logits, n);
    qsort(s->candidates, n, sizeof *s->candidates, order);
    while (few < n && (few == 0 || kept < s->mass))
        kept += s->candidates[few++].p;
    draw = stream->uniform(stream->context) * kept;
    while (i + 1 < few && draw >= s->candidates[i].p)
        draw -= s->candidates[i++].p;
    return (int32_t)s->candidates[i].id;
}

/* key, default, help, unit, least, most (both 0: no limit), choices, type, 0 */
static const struct mgpt_option options[] = {
    {"temperature", "0.8", "below 1 safer, above 1 wilder", NULL, 1e-3, 100, NULL,
     MGPT_OPTION_FLOAT, 0},
    {"mass", "0.95", "share of probability to draw from", NULL, 1e-6, 1, NULL, MGPT_OPTION_FLOAT,
     0},
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
