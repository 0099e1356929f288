/* Step my-name: forward and backward of a small GPT as plain loops on host memory, a sequence at a
 * time. It covers these two stages; microgpt does the rest (clipping, the optimizer's update).
 *
 * It bids on what it has a program for and on nothing else: rms norms without gain, relu2, no
 * biases, no dropout, the head tied to the embedding, all in F32. T positions, C embd, M mlp,
 * H heads of D = C/H, V vocab; every matrix w is (outputs, inputs), row after row. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <microgpt/step.h>

#define MOST_LAYERS 8

/* What a layer has: weights, their gradients, and what backward needs of a sequence. */
struct layer {
    const float *qkv, *proj, *fc, *out;
    float *d_qkv, *d_proj, *d_fc, *d_out;
    float *a, *ra;    /* norm before attention (T,C), and 1 / root mean square (T) */
    float *q;         /* queries, keys, values, side by side (T,3C) */
    float *p;         /* attention (H,T,T) */
    float *y;         /* what attention gives (T,C) */
    float *b, *rb;    /* norm before the mlp */
    float *pre, *act; /* (T,M), before and after relu2 */
};

struct mgpt_step {
    struct mgpt_step_spec spec;
    int C, M, H, V;
    const float *wte, *wpe;
    float *g, *d_wte, *d_wpe;
    struct mgpt_step_state *state;
    struct layer layers[MOST_LAYERS];
    float *e, *re;            /* the embedding's norm */
    float *x, *f, *rf;        /* residual stream; what the head reads */
    float *logits;            /* (T,V), then their gradient */
    float *dx, *dn, *dq, *dm; /* (T,C), (T,C), (T,3C), (T,M) */
    float *memory;            /* all of these */
};

/* ---- the pieces ---- */

/* y = x w^T, added to what is there:   x(n,k), w(m,k), y(n,m) */
static void multiply(float *y, const float *x, const float *w, int n, int k, int m)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++) {
            float sum = 0;
            for (int l = 0; l < k; l++)
                sum += x[i * k + l] * w[j * k + l];
            y[i * m + j] += sum;
        }
}

/* dx = dy w; dw += dy^T x */
static void multiply_back(float *dx, float *dw, const float *dy, const float *x, const float *w,
                          int n, int k, int m)
{
    memset(dx, 0, sizeof(float) * (size_t)n * (size_t)k);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++)
            for (int l = 0; l < k; l++) {
                dx[i * k + l] += dy[i * m + j] * w[j * k + l];
                dw[j * k + l] += dy[i * m + j] * x[i * k + l];
            }
}

/* y = r x, r = 1 / sqrt(mean(x^2) + eps) */
static void norm(float *y, float *r, const float *x, int n, int c, double eps)
{
    for (int i = 0; i < n; i++, x += c, y += c) {
        double sum = 0;
        for (int j = 0; j < c; j++)
            sum += (double)x[j] * x[j];
        r[i] = (float)(1 / sqrt(sum / c + eps));
        for (int j = 0; j < c; j++)
            y[j] = r[i] * x[j];
    }
}

/* dx = r (dy - y mean(dy y)), added to dx where `add` */
static void norm_back(float *dx, const float *dy, const float *y, const float *r, int n, int c,
                      int add)
{
    for (int i = 0; i < n; i++, dx += c, dy += c, y += c) {
        float mean = 0;
        for (int j = 0; j < c; j++)
            mean += dy[j] * y[j] / (float)c;
        for (int j = 0; j < c; j++)
            dx[j] = (add ? dx[j] : 0) + r[i] * (dy[j] - y[j] * mean);
    }
}

/* softmax of v[0..n), in place; returns log(sum(exp(v))) */
static double softmax(float *v, int n)
{
    float top = v[0];
    double sum = 0;

    for (int i = 1; i < n; i++)
        top = v[i] > top ? v[i] : top;
    for (int i = 0; i < n; i++)
        sum += v[i] = expf(v[i] - top);
    for (int i = 0; i < n; i++)
        v[i] = (float)(v[i] / sum);
    return top + log(sum);
}

/* p = softmax(q k^T / sqrt(D)) over positions up to one's own; y = p v */
static void attend(const struct mgpt_step *s, const struct layer *l, int T)
{
    const int C = s->C, D = C / s->H;

    memset(l->y, 0, sizeof(float) * (size_t)(T * C));
    for (int h = 0; h < s->H; h++)
        for (int t = 0; t < T; t++) {
            const float *q = l->q + t * 3 * C + h * D;
            float *p = l->p + (h * T + t) * T;
            for (int u = 0; u <= t; u++) {
                const float *k = l->q + u * 3 * C + C + h * D;
                p[u] = 0;
                for (int d = 0; d < D; d++)
                    p[u] += q[d] * k[d] / sqrtf((float)D);
            }
            (void)softmax(p, t + 1);
            for (int u = 0; u <= t; u++)
                for (int d = 0; d < D; d++)
                    l->y[t * C + h * D + d] += p[u] * l->q[u * 3 * C + 2 * C + h * D + d];
        }
}

/* dq (T,3C), from dy (T,C): ds = p (dp - sum(p dp)), dp = dy v^T */
static void attend_back(const struct mgpt_step *s, const struct layer *l, const float *dy,
                        float *dq, int T)
{
    const int C = s->C, D = C / s->H;
    const float scale = 1 / sqrtf((float)D);

    memset(dq, 0, sizeof(float) * (size_t)(T * 3 * C));
    for (int h = 0; h < s->H; h++)
        for (int t = 0; t < T; t++) {
            const float *p = l->p + (h * T + t) * T, *dyt = dy + t * C + h * D;
            float dot = 0; /* sum(p dp) = dy y */
            for (int d = 0; d < D; d++)
                dot += dyt[d] * l->y[t * C + h * D + d];
            for (int u = 0; u <= t; u++) {
                const float *at = l->q + u * 3 * C + h * D; /* key behind C, value behind 2C */
                float *d_at = dq + u * 3 * C + h * D, dp = 0;
                for (int d = 0; d < D; d++) {
                    dp += dyt[d] * at[2 * C + d];
                    d_at[2 * C + d] += p[u] * dyt[d];
                }
                float ds = p[u] * (dp - dot) * scale;
                for (int d = 0; d < D; d++) {
                    dq[t * 3 * C + h * D + d] += ds * at[C + d];
                    d_at[C + d] += ds * l->q[t * 3 * C + h * D + d];
                }
            }
        }
}

/* ---- one sequence ---- */

static void forward(struct mgpt_step *s, const int32_t *ids, int T)
{
    const struct mgpt_model *m = s->spec.model;
    const int C = s->C, M = s->M;

    for (int i = 0; i < T * C; i++)
        s->x[i] = s->wte[ids[i / C] * C + i % C] + s->wpe[i];
    if (m->embed_norm) {
        norm(s->e, s->re, s->x, T, C, m->norm_eps);
        memcpy(s->x, s->e, sizeof(float) * (size_t)(T * C));
    }
    for (struct layer *l = s->layers; l < s->layers + m->layers; l++) {
        norm(l->a, l->ra, s->x, T, C, m->norm_eps);
        memset(l->q, 0, sizeof(float) * (size_t)(T * 3 * C));
        multiply(l->q, l->a, l->qkv, T, C, 3 * C);
        attend(s, l, T);
        multiply(s->x, l->y, l->proj, T, C, C);
        norm(l->b, l->rb, s->x, T, C, m->norm_eps);
        memset(l->pre, 0, sizeof(float) * (size_t)(T * M));
        multiply(l->pre, l->b, l->fc, T, C, M);
        for (int i = 0; i < T * M; i++)
            l->act[i] = l->pre[i] > 0 ? l->pre[i] * l->pre[i] : 0;
        multiply(s->x, l->act, l->out, T, M, C);
    }
    if (m->final_norm)
        norm(s->f, s->rf, s->x, T, C, m->norm_eps);
    else
        memcpy(s->f, s->x, sizeof(float) * (size_t)(T * C));
    memset(s->logits, 0, sizeof(float) * (size_t)(T * s->V));
    multiply(s->logits, s->f, s->wte, T, C, s->V);
}

/* The sum of the losses of a sequence; logits become their gradient. */
static double cross_entropy(struct mgpt_step *s, const int32_t *targets, int T)
{
    const float scale = (float)(s->state->inv_targets * s->state->loss_scale);
    double loss = 0;

    for (int t = 0; t < T; t++) {
        float *v = s->logits + t * s->V, of_target = targets[t] < 0 ? 0 : v[targets[t]];
        double total = softmax(v, s->V);
        if (targets[t] >= 0) {
            loss += total - of_target;
            v[targets[t]] -= 1;
        }
        for (int i = 0; i < s->V; i++)
            v[i] *= targets[t] < 0 ? 0 : scale;
    }
    return loss;
}

static void backward(struct mgpt_step *s, const int32_t *ids, int T)
{
    const struct mgpt_model *m = s->spec.model;
    const int C = s->C, M = s->M;

    multiply_back(s->dx, s->d_wte, s->logits, s->f, s->wte, T, C, s->V);
    if (m->final_norm)
        norm_back(s->dx, s->dx, s->f, s->rf, T, C, 0);
    for (struct layer *l = s->layers + m->layers; l-- > s->layers;) {
        multiply_back(s->dm, l->d_out, s->dx, l->act, l->out, T, M, C);
        for (int i = 0; i < T * M; i++)
            s->dm[i] *= l->pre[i] > 0 ? 2 * l->pre[i] : 0;
        multiply_back(s->dn, l->d_fc, s->dm, l->b, l->fc, T, C, M);
        norm_back(s->dx, s->dn, l->b, l->rb, T, C, 1);
        multiply_back(s->dn, l->d_proj, s->dx, l->y, l->proj, T, C, C);
        attend_back(s, l, s->dn, s->dq, T);
        multiply_back(s->dn, l->d_qkv, s->dq, l->a, l->qkv, T, C, 3 * C);
        norm_back(s->dx, s->dn, l->a, l->ra, T, C, 1);
    }
    if (m->embed_norm)
        norm_back(s->dx, s->dx, s->e, s->re, T, C, 0);
    for (int i = 0; i < T * C; i++) {
        s->d_wte[ids[i / C] * C + i % C] += s->dx[i];
        s->d_wpe[i] += s->dx[i];
    }
}

/* ---- the module ---- */

/* What is missing for this program, or NULL. */
static const char *lacks(const struct mgpt_step_spec *spec)
{
    const struct mgpt_model *m = spec->model;
    const struct mgpt_precision_plan *p = spec->precision;

    if (!mgpt_rest_is_zero(spec, spec->size, sizeof *spec) ||
        !mgpt_rest_is_zero(m, m->size, sizeof *m) || !mgpt_rest_is_zero(p, p->size, sizeof *p))
        return "a run without settings that are newer than this module";
    if (!MGPT_HAS(spec->backend, map) || !spec->backend->map ||
        !(spec->caps->flags & MGPT_CAPS_HOST))
        return "a device with memory of the host";
    if (p->master != MGPT_F32 || p->activation != MGPT_F32 || p->product != MGPT_F32 || p->tf32)
        return "everything in F32";
    if (m->norm != MGPT_NORM_RMS || m->norm_gain || m->norm_bias || m->bias || m->dropout > 0)
        return "rms norms without gain, no biases, no dropout";
    if (m->activation != MGPT_ACT_RELU2 || !m->tied || m->kv_heads != m->heads)
        return "relu2, a tied head, and kv_heads = heads";
    if (m->layers > MOST_LAYERS || m->embd > 64 || m->context > 64)
        return "at most 8 layers, embd 64 and context 64";
    return NULL;
}

static void bid(const struct mgpt_step_spec *spec, struct mgpt_bid *bid)
{
    const char *missing = lacks(spec);

    bid->score = missing ? 0 : 2; /* the composed step of microgpt bids 1 */
    bid->covers = MGPT_COVERS_FB;
    snprintf(bid->reason, sizeof bid->reason, missing ? "it needs %s" : "plain loops",
             missing ? missing : "");
}

static float *address(const struct mgpt_step *s, const struct mgpt_tensor *t)
{
    char *base = (char *)s->spec.backend->map(s->spec.device, t->buffer);
    return (float *)(void *)(base + t->offset);
}

/* Parameter i, and its gradient. They come in the order of the model: wte, wpe, then four a
 * layer. */
static const float *weight(const struct mgpt_step *s, uint32_t i, float **gradient)
{
    *gradient = address(s, &s->spec.params[i].g);
    return address(s, &s->spec.params[i].p);
}

/* Hands out n floats at *at. With *at NULL they are only counted, in *total. */
static float *carve(float **at, size_t *total, size_t n)
{
    float *here = *at;

    *total += n;
    if (*at)
        *at += n;
    return here;
}

/* All that a sequence of `columns` positions needs, in one piece of memory, or its size. */
static size_t lay_out(struct mgpt_step *s, float *at)
{
    const size_t T = s->spec.columns, C = (size_t)s->C, M = (size_t)s->M;
    size_t total = 0;

    for (struct layer *l = s->layers; l < s->layers + s->spec.model->layers; l++) {
        l->a = carve(&at, &total, T * C);
        l->ra = carve(&at, &total, T);
        l->q = carve(&at, &total, T * 3 * C);
        l->p = carve(&at, &total, (size_t)s->H * T * T);
        l->y = carve(&at, &total, T * C);
        l->b = carve(&at, &total, T * C);
        l->rb = carve(&at, &total, T);
        l->pre = carve(&at, &total, T * M);
        l->act = carve(&at, &total, T * M);
    }
    s->e = carve(&at, &total, T * C);
    s->re = carve(&at, &total, T);
    s->x = carve(&at, &total, T * C);
    s->f = carve(&at, &total, T * C);
    s->rf = carve(&at, &total, T);
    s->logits = carve(&at, &total, T * (size_t)s->V);
    s->dx = carve(&at, &total, T * C);
    s->dn = carve(&at, &total, T * C);
    s->dq = carve(&at, &total, T * 3 * C);
    s->dm = carve(&at, &total, T * M);
    return total;
}

static void close_step(struct mgpt_step *s)
{
    if (s)
        free(s->memory);
    free(s);
}

static enum mgpt_status open_step(const struct mgpt_host *host, const struct mgpt_config *config,
                                  const struct mgpt_step_spec *spec, struct mgpt_step **step,
                                  struct mgpt_error *error)
{
    struct mgpt_step *s = (struct mgpt_step *)calloc(1, sizeof *s);
    const struct mgpt_model *m = spec->model;

    (void)host, (void)config;
    if (!s)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for step my-name");
    s->spec = *spec;
    s->C = (int)m->embd, s->M = (int)m->mlp, s->H = (int)m->heads, s->V = (int)m->vocab;
    s->memory = (float *)calloc(lay_out(s, NULL), sizeof(float));
    if (!s->memory) {
        close_step(s);
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for step my-name");
    }
    lay_out(s, s->memory);
    s->g = address(s, &spec->g);
    s->state = (struct mgpt_step_state *)(void *)address(s, &spec->step_state);
    s->wte = weight(s, 0, &s->d_wte);
    s->wpe = weight(s, 1, &s->d_wpe);
    for (uint32_t i = 0; i < m->layers; i++) {
        struct layer *l = &s->layers[i];
        l->qkv = weight(s, 2 + 4 * i, &l->d_qkv);
        l->proj = weight(s, 3 + 4 * i, &l->d_proj);
        l->fc = weight(s, 4 + 4 * i, &l->d_fc);
        l->out = weight(s, 5 + 4 * i, &l->d_out);
    }
    *step = s;
    return MGPT_OK;
}

/* n is 1: it covers less than everything. A step begins with the first three fields of its state
 * and with gradients of 0; these are summed over the micro-batches. */
static enum mgpt_status run(struct mgpt_step *s, const struct mgpt_step_input *inputs, uint32_t n,
                            struct mgpt_error *error)
{
    double loss = 0;

    (void)n, (void)error;
    s->state->step = inputs->step;
    s->state->inv_targets = 1 / (double)inputs->targets;
    memset(s->g, 0, sizeof(float) * (size_t)mgpt_tensor_count(&s->spec.g));
    for (uint32_t micro = 0; micro < s->spec.micro_batches; micro++) {
        const struct mgpt_batch *b = &inputs->batches[micro];
        for (uint32_t row = 0; row < b->rows; row++) {
            const int32_t *ids = b->ids + (size_t)row * b->columns;
            forward(s, ids, (int)b->columns);
            loss += cross_entropy(s, b->targets + (size_t)row * b->columns, (int)b->columns);
            backward(s, ids, (int)b->columns);
        }
    }
    s->state->loss = loss * s->state->inv_targets;
    return MGPT_OK;
}

/* `run` is done when it returns; microgpt reads the result, for the rest of the step is its own. */
static enum mgpt_status fence(struct mgpt_step *s, struct mgpt_step_result *results, uint32_t *n,
                              struct mgpt_error *error)
{
    (void)results;
    *n = 0;
    return s->spec.backend->sync(s->spec.device, error);
}

/* It keeps no copies of parameters. */
static enum mgpt_status adopt(struct mgpt_step *s, struct mgpt_error *error)
{
    (void)s, (void)error;
    return MGPT_OK;
}

static const struct mgpt_step_api api = {
    .size = sizeof api,
    .bid = bid,
    .open = open_step,
    .close = close_step,
    .run = run,
    .fence = fence,
    .adopt = adopt,
};

static const struct mgpt_component component = {
    .size = sizeof component,
    .n_options = 0,
    .option_size = sizeof(struct mgpt_option),
    .kind = MGPT_KIND_STEP,
    .name = "my-name",
    .summary = "forward and backward of small models, in plain loops",
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.example.my-name", "0.1.0", "LicenseRef-none-yet", "YOUR NAME", NULL,
                   &component)
