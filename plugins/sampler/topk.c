/* Sampler topk: draws from softmax(logits / temperature), cut down by three filters, in this order:
 *
 *   top_k  the k likeliest (Fan et al. 2018)
 *   top_p  of these, the fewest that hold the share p of their probability (Holtzman et al. 2020)
 *   min_p  of these, those at least p times as likely as the likeliest (Nguyen et al. 2024)
 *
 * The draw is random.choices of CPython over the candidates in descending order: one a call. */
#include <math.h>
#include <stdlib.h>

#include <microgpt/sampler.h>

#define COLDEST 1e-6 /* below it, logits / temperature may overflow: take the likeliest */

struct candidate {
    double logit, weight;
    int32_t id;
};

struct mgpt_sampler {
    double temperature, top_p, min_p;
    uint32_t top_k;
    struct candidate *best;  /* descending; room for vocab, behind the heap */
    struct candidate heap[]; /* vocab */
};

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               uint32_t vocab, struct mgpt_sampler **sampler,
                               struct mgpt_error *error)
{
    struct mgpt_sampler *s = malloc(sizeof *s + (size_t)2 * vocab * sizeof s->heap[0]);
    int64_t top_k = host->get_int(config, "top_k");

    if (!s)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for %u candidates", vocab);
    s->temperature = host->get_float(config, "temperature");
    s->top_p = host->get_float(config, "top_p");
    s->min_p = host->get_float(config, "min_p");
    s->top_k = top_k > 0 && top_k < vocab ? (uint32_t)top_k : vocab;
    s->best = s->heap + vocab;
    *sampler = s;
    return MGPT_OK;
}

static void destroy(struct mgpt_sampler *sampler)
{
    free(sampler);
}

/* ---- candidates in descending order: a heap, popped k times ---- */

/* Does a come before b? Ties go to the lower id. */
static int before(const struct candidate *a, const struct candidate *b)
{
    return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

/* heap[at] may have to go down, to where nothing below comes before it. */
static void sift(struct candidate *heap, uint32_t n, uint32_t at)
{
    struct candidate moving = heap[at];

    for (uint32_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && before(&heap[child + 1], &heap[child]))
            child++;
        if (before(&moving, &heap[child]))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moving;
}

/* best[0..k) = the first k of heap[0..n), in order. */
static void sort_first(struct candidate *heap, uint32_t n, struct candidate *best, uint32_t k)
{
    for (uint32_t at = n / 2; at-- > 0;)
        sift(heap, n, at);
    for (uint32_t i = 0; i < k; i++) {
        best[i] = heap[0];
        heap[0] = heap[--n];
        sift(heap, n, 0);
    }
}

/* ---- weights ---- */

/* --- idea: sampling --- */
/* Softmax over all ids. */
static void weigh(struct mgpt_sampler *s, const double *logits, uint32_t n)
{
    double most = -INFINITY, total = 0;

    for (uint32_t i = 0; i < n; i++)
        most = fmax(most, logits[i] / s->temperature);
    for (uint32_t i = 0; i < n; i++) {
        double weight = exp(logits[i] / s->temperature - most);
        s->heap[i] = (struct candidate){logits[i], weight, (int32_t)i};
        total += weight;
    }
    for (uint32_t i = 0; i < n; i++)
        s->heap[i].weight /= total;
}

/* --- end of idea --- */
/* How many of best[0..k) top_p and min_p leave: 1 or more. */
static uint32_t filter(const struct mgpt_sampler *s, const struct candidate *best, uint32_t k)
{
    double all = 0, sum = 0;
    uint32_t left = 0;

    for (uint32_t i = 0; i < k; i++)
        all += best[i].weight;
    while (left < k && (left == 0 || s->top_p >= 1 || sum < s->top_p * all))
        sum += best[left++].weight;
    while (left > 1 && best[left - 1].weight < s->min_p * best->weight)
        left--;
    return left;
}

/* --- idea: sampling --- */
/* random.choices: cumulative weights, bisect_right(random() * total) with hi = k - 1. */
static int32_t choose(const struct candidate *best, uint32_t k, double uniform)
{
    double total = 0, sum = 0;

    for (uint32_t i = 0; i < k; i++)
        total += best[i].weight;
    for (uint32_t i = 0; i + 1 < k; i++) {
        sum += best[i].weight;
        if (uniform * total < sum)
            return best[i].id;
    }
    return best[k - 1].id;
}

/* --- end of idea --- */
static int32_t greedy(const double *logits, uint32_t n)
{
    uint32_t best = 0;

    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}

/* --- idea: sampling --- */
static int32_t next(struct mgpt_sampler *s, double *logits, uint32_t n,
                    const struct mgpt_stream *stream)
{
    if (s->temperature < COLDEST)
        return greedy(logits, n);
    weigh(s, logits, n);
    sort_first(s->heap, n, s->best, s->top_k);
    return choose(s->best, filter(s, s->best, s->top_k), stream->uniform(stream->context));
}
/* --- end of idea --- */

static const struct mgpt_option options[] = {
    {.key = "temperature",
     .value = "0.6",
     .help = "divides the logits; 0: always the likeliest id",
     .min = 0,
     .max = INFINITY,
     .type = MGPT_OPTION_FLOAT},
    {.key = "top_k",
     .value = "5",
     .help = "ids to choose from; 0: all",
     .unit = "ids",
     .min = 0,
     .max = INFINITY,
     .type = MGPT_OPTION_INT},
    {.key = "top_p",
     .value = "1.0",
     .help = "share of the probability to choose from; 1: all",
     .min = 0,
     .max = 1,
     .type = MGPT_OPTION_FLOAT},
    {.key = "min_p",
     .value = "0.0",
     .help = "least probability of a choice, as a share of the likeliest's; 0: any",
     .min = 0,
     .max = 1,
     .type = MGPT_OPTION_FLOAT},
};

static const struct mgpt_sampler_api api = {
    .size = sizeof api,
    .create = create,
    .destroy = destroy,
    .next = next,
};

static const struct mgpt_component component = {
    .size = sizeof component,
    MGPT_OPTIONS(options),
    .kind = MGPT_KIND_SAMPLER,
    .name = "topk",
    .summary = "temperature, top-k, top-p and min-p",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.sampler.topk", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
