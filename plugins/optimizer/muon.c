/* Optimizer muon: momentum, orthogonalised by Newton-Schulz, for the hidden matrices; AdamW for
 * everything else (embeddings, the head, gains and biases). Jordan et al. 2024, "Muon: An optimizer
 * for hidden layers in neural networks". For a matrix of r rows and c columns:
 *
 *   m = mu m + (1 - mu) g
 *   u = (1 - mu) g + mu m          with Nesterov's momentum; else u = m
 *   O = NewtonSchulz(u)            nearly U V^T, where u = U S V^T
 *   p = p - lr (scale O + decay p)
 *
 * Momentum as a mean (not as the sum mu m + g): O is the same, since (1 - mu) times a matrix has
 * its
 * U and V, and m keeps the size of a gradient whatever mu is.
 *
 * NewtonSchulz: X = u / |u| (Frobenius), then, `ns_steps` times,
 *
 *   X = a X + (b A + c A A) X      A = X X^T
 *   X = a X + X (b A + c A A)      A = X^T X, when r > c: A is the smaller of the two
 *
 * so each singular value s becomes a s + b s^3 + c s^5; with the coefficients of Jordan et al.
 * these rise fast and end about 1, between 0.7 and 1.2.
 *
 * scale: `match_rms_adamw` is 0.2 sqrt(max(r, c)), with which the update is as large as AdamW's, so
 * that lr and weight decay can stay what they were for it (Liu et al. 2025, "Muon is Scalable for
 * LLM Training", section 2.2); `original` is sqrt(max(1, r / c)), which wants an lr of about 0.02.
 *
 * q, k and v lie in one parameter, one under the other; each is a matrix of its own here. */
#include <stdlib.h>
#include <string.h>

#include <microgpt/step.h>

#include "adamw.h"

/* Each is a rule over whole arrays: p of the first is u, and o of the second is scale O. */
/* clang-format off */
MGPT_RULE(muon_blend, (m), (keep, add, of_g, of_m),
    m = keep * m + add * g;
    p = of_g * g + of_m * m;)
MGPT_RULE(muon_apply, (o), (lr, decay),
    p -= lr * (o + decay * p);)
/* clang-format on */

/* The scalars: AdamW's, those of muon_apply, those of muon_blend. */
#define H_APPLY ADAMW_SCALARS
#define H_BLEND (H_APPLY + 2)
_Static_assert(H_BLEND + 4 <= MGPT_MAX_SCALARS, "more scalars than there is room for");

static const double NS_A = 3.4445, NS_B = -4.7750, NS_C = 2.0315;

struct mgpt_optimizer {
    struct adamw adamw;
    double adamw_lr; /* times lr */
    double momentum, eps;
    int nesterov, original;
    int64_t ns_steps;
};

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_optimizer **optimizer, struct mgpt_error *error)
{
    struct mgpt_optimizer *o;

    if (host->abi_minor < 1) /* it would leave every parameter to AdamW, silently */
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "optimizer muon needs a microgpt of ABI 1.1 or newer, this is 1.%u",
                         (unsigned)host->abi_minor);
    o = malloc(sizeof *o);
    if (!o)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for optimizer muon");
    o->momentum = host->get_float(config, "momentum");
    o->nesterov = host->get_int(config, "nesterov") != 0;
    o->ns_steps = host->get_int(config, "ns_steps");
    o->eps = host->get_float(config, "eps");
    o->original = strcmp(host->get_text(config, "adjust_lr"), "original") == 0;
    o->adamw_lr = host->get_float(config, "adamw_lr_ratio");
    o->adamw.beta1 = host->get_float(config, "adamw_beta1");
    o->adamw.beta2 = host->get_float(config, "adamw_beta2");
    o->adamw.eps = host->get_float(config, "adamw_eps");
    *optimizer = o;
    return MGPT_OK;
}

static void destroy(struct mgpt_optimizer *optimizer)
{
    free(optimizer);
}

static void scalars(const struct mgpt_optimizer *o, const struct mgpt_tick *tick, double *h)
{
    adamw_scalars(&o->adamw, tick, h);
    h[0] *= o->adamw_lr;
    h[H_APPLY] = tick->lr;
    h[H_APPLY + 1] = tick->weight_decay;
    h[H_BLEND] = o->momentum;
    h[H_BLEND + 1] = 1 - o->momentum;
    h[H_BLEND + 2] = o->nesterov ? 1 - o->momentum : 0;
    h[H_BLEND + 3] = o->nesterov ? o->momentum : 1;
}

/* ---- one matrix ---- */

/* A matrix of a parameter, and what its update is made in. */
struct matrix {
    const struct mgpt_optimizer *o;
    const struct mgpt_whole *whole;
    int64_t rows, columns;
    struct mgpt_tensor p, g, m;    /* (r c) */
    struct mgpt_tensor x, y, a, b; /* (r,c) twice; (s,s) twice, s the smaller of r and c */
};

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Bytes of a rows x columns piece of scratch. */
static uint64_t piece(int64_t rows, int64_t columns, uint32_t dtype)
{
    return ((uint64_t)rows * (uint64_t)columns * mgpt_dtype_size(dtype) + 63) / 64 * 64;
}

/* The next piece of scratch, from *used on. */
static struct mgpt_tensor next_piece(const struct mgpt_whole *whole, uint64_t *used, int64_t rows,
                                     int64_t columns)
{
    uint32_t dtype = whole->param->p.dtype;
    struct mgpt_tensor t = {.buffer = whole->scratch.buffer,
                            .offset = whole->scratch.offset + *used,
                            .dtype = dtype,
                            .rank = 2,
                            .shape = {rows, columns}};

    *used += piece(rows, columns, dtype);
    return t;
}

/* n elements of a tensor from element `from` on, as one row. */
static struct mgpt_tensor row_of(struct mgpt_tensor t, int64_t from, int64_t n)
{
    t.offset += (uint64_t)from * mgpt_dtype_size(t.dtype);
    t.rank = 1;
    t.shape[0] = n;
    return t;
}

static struct mgpt_tensor as_row(const struct mgpt_tensor *t)
{
    return row_of(*t, 0, mgpt_tensor_count(t));
}

static enum mgpt_status op(const struct matrix *m, struct mgpt_op op, struct mgpt_error *error)
{
    op.size = sizeof op;
    return m->whole->op(m->whole->recorder, &op, error);
}

/* target = rule(target, g, state), with the scalars from h[first] on. */
static enum mgpt_status rule(const struct matrix *m, const struct mgpt_rule *rule, int first,
                             struct mgpt_tensor target, struct mgpt_tensor state,
                             struct mgpt_error *error)
{
    struct mgpt_update update = {.size = sizeof update,
                                 .n_state = rule->n_state,
                                 .n_scalars = rule->n_scalars,
                                 .rule = rule,
                                 .scalars = m->whole->scalars + first,
                                 .p = target,
                                 .g = m->g,
                                 .state = {state},
                                 .step_state = m->whole->step_state};

    return m->whole->rule(m->whole->recorder, &update, error);
}

/* y = scale x + value z; z of rank 0: nothing is added */
static enum mgpt_status axpby(const struct matrix *m, double scale, struct mgpt_tensor x,
                              double value, struct mgpt_tensor z, struct mgpt_tensor y,
                              struct mgpt_error *error)
{
    return op(m,
              (struct mgpt_op){
                  .code = MGPT_OP_AXPBY, .scale = scale, .value = value, .in = {x, z}, .out = {y}},
              error);
}

/* y = x w^T */
static enum mgpt_status product(const struct matrix *m, struct mgpt_tensor x, struct mgpt_tensor w,
                                struct mgpt_tensor y, struct mgpt_error *error)
{
    return op(m, (struct mgpt_op){.code = MGPT_OP_LINEAR, .in = {x, w}, .out = {y}}, error);
}

/* x = u / sqrt(|u|^2 + eps^2): a root mean square of 1, then all of it over the root of how many
 * there are. A gradient of zeros gives zeros. */
static enum mgpt_status normalise(const struct matrix *m, struct mgpt_error *error)
{
    double n = (double)mgpt_tensor_count(&m->x);
    enum mgpt_status status = op(m,
                                 (struct mgpt_op){.code = MGPT_OP_NORM,
                                                  .norm = MGPT_NORM_RMS,
                                                  .eps = m->o->eps * m->o->eps / n,
                                                  .in = {as_row(&m->y)},
                                                  .out = {as_row(&m->x)}},
                                 error);

    if (status != MGPT_OK)
        return status;
    return axpby(m, 1 / sqrt(n), m->x, 0, (struct mgpt_tensor){0}, m->x, error);
}

/* a = x x^T, or x^T x as the gradient of a weight, which is added to what is there */
static enum mgpt_status gram(const struct matrix *m, struct mgpt_error *error)
{
    enum mgpt_status status;

    if (m->rows <= m->columns)
        return product(m, m->x, m->x, m->a, error);
    status = op(m, (struct mgpt_op){.code = MGPT_OP_FILL, .out = {m->a}}, error);
    if (status != MGPT_OK)
        return status;
    return op(m,
              (struct mgpt_op){
                  .code = MGPT_OP_LINEAR_BACKWARD, .in = {m->x, m->b, m->x}, .out = {[1] = m->a}},
              error);
}

/* y = b x as the gradient of an input, or x b, where b, being symmetric, is its own transpose */
static enum mgpt_status times(const struct matrix *m, struct mgpt_error *error)
{
    if (m->rows > m->columns)
        return product(m, m->x, m->b, m->y, error);
    return op(
        m,
        (struct mgpt_op){.code = MGPT_OP_LINEAR_BACKWARD, .in = {m->x, m->x, m->b}, .out = {m->y}},
        error);
}

/* One step of Newton-Schulz, the result times `scale`; it is in x again. */
static enum mgpt_status iterate(struct matrix *m, double scale, struct mgpt_error *error)
{
    struct mgpt_tensor x = m->x;
    enum mgpt_status status = gram(m, error);

    if (status == MGPT_OK)
        status = product(m, m->a, m->a, m->b, error); /* A A: A is symmetric */
    if (status == MGPT_OK)
        status = axpby(m, NS_B, m->a, NS_C, m->b, m->b, error);
    if (status == MGPT_OK)
        status = times(m, error);
    if (status == MGPT_OK)
        status = axpby(m, scale * NS_A, m->x, scale, m->y, m->y, error);
    m->x = m->y;
    m->y = x;
    return status;
}

static double scale_of(const struct matrix *m)
{
    double r = (double)m->rows, c = (double)m->columns;

    return m->o->original ? sqrt(fmax(1, r / c)) : 0.2 * sqrt(fmax(r, c));
}

static enum mgpt_status record_matrix(struct matrix *m, struct mgpt_error *error)
{
    enum mgpt_status status = rule(m, &muon_blend, H_BLEND, as_row(&m->y), m->m, error);

    if (status == MGPT_OK)
        status = normalise(m, error);
    for (int64_t i = 0; i < m->o->ns_steps && status == MGPT_OK; i++)
        status = iterate(m, i + 1 < m->o->ns_steps ? 1 : scale_of(m), error);
    if (status == MGPT_OK)
        status = rule(m, &muon_apply, H_APPLY, m->p, as_row(&m->x), error);
    return status;
}

/* ---- parameters ---- */

static int takes(const struct mgpt_optimizer *o, const struct mgpt_param *param,
                 const struct mgpt_place *place, struct mgpt_needs *needs)
{
    int64_t columns = param->p.shape[1];

    (void)o;
    if (place->role != MGPT_ROLE_HIDDEN)
        return 0;
    needs->state = 1; /* m, but no v */
    for (uint32_t i = 0; i < place->n_parts; i++) {
        int64_t rows = place->rows[i], s = smaller(rows, columns);
        uint64_t bytes = 2 * piece(rows, columns, param->p.dtype) + 2 * piece(s, s, param->p.dtype);
        needs->scratch = bytes > needs->scratch ? bytes : needs->scratch;
    }
    return 1;
}

static enum mgpt_status record(const struct mgpt_optimizer *o, const struct mgpt_whole *whole,
                               struct mgpt_error *error)
{
    const struct mgpt_param *param = whole->param;
    int64_t columns = param->p.shape[1], from = 0;
    enum mgpt_status status = MGPT_OK;

    for (uint32_t i = 0; i < whole->place->n_parts && status == MGPT_OK; i++) {
        int64_t rows = whole->place->rows[i], n = rows * columns, s = smaller(rows, columns);
        struct matrix m = {.o = o, .whole = whole, .rows = rows, .columns = columns};
        uint64_t used = 0;
        m.p = row_of(param->p, from, n);
        m.g = row_of(param->g, from, n);
        m.m = row_of(param->state[0], from, n);
        m.x = next_piece(whole, &used, rows, columns);
        m.y = next_piece(whole, &used, rows, columns);
        m.a = next_piece(whole, &used, s, s);
        m.b = next_piece(whole, &used, s, s);
        status = record_matrix(&m, error);
        from += n;
    }
    return status;
}

/* ---- the module ---- */

static const char *const adjustments[] = {"match_rms_adamw", "original", NULL};

static const struct mgpt_option options[] = {
    {.key = "momentum",
     .value = "0.95",
     .help = "share of the old mean of the gradient that a step keeps, for hidden matrices",
     .min = 0,
     .max = 0.9999999,
     .type = MGPT_OPTION_FLOAT},
    {.key = "nesterov",
     .value = "true",
     .help = "look ahead along the momentum",
     .type = MGPT_OPTION_BOOL},
    {.key = "ns_steps",
     .value = "5",
     .help = "steps of Newton-Schulz that orthogonalise an update",
     .min = 1,
     .max = 50,
     .type = MGPT_OPTION_INT},
    {.key = "eps",
     .value = "1e-7",
     .help = "least norm of a gradient of a matrix that counts: below it the update fades",
     .min = 1e-15,
     .max = 1,
     .type = MGPT_OPTION_FLOAT},
    {.key = "adjust_lr",
     .value = "match_rms_adamw",
     .help = "size of an update of r rows and c columns: 0.2 sqrt(max(r, c)) lr, as large as "
             "AdamW's, or sqrt(max(1, r/c)) lr",
     .choices = adjustments,
     .type = MGPT_OPTION_ENUM},
    {.key = "adamw_lr_ratio",
     .value = "1.0",
     .help = "learning rate of all that is no hidden matrix, as a multiple of lr",
     .min = 0,
     .max = 1e6,
     .type = MGPT_OPTION_FLOAT},
    {.key = "adamw_beta1",
     .value = "0.9",
     .help = "AdamW's share of the old mean of the gradient that a step keeps",
     .min = 0,
     .max = 0.9999999,
     .type = MGPT_OPTION_FLOAT},
    {.key = "adamw_beta2",
     .value = "0.95",
     .help = "AdamW's share of the old mean of the squared gradient that a step keeps",
     .min = 0,
     .max = 0.9999999,
     .type = MGPT_OPTION_FLOAT},
    {.key = "adamw_eps",
     .value = "1e-8",
     .help = "added to AdamW's divisor, so that it is never 0",
     .min = 1e-30,
     .max = 1,
     .type = MGPT_OPTION_FLOAT},
};

static const struct mgpt_optimizer_api api = {
    .size = sizeof api,
    .rule = &adamw,
    .create = create,
    .destroy = destroy,
    .scalars = scalars,
    .takes = takes,
    .record = record,
};

static const struct mgpt_component component = {
    .size = sizeof component,
    MGPT_OPTIONS(options),
    .kind = MGPT_KIND_OPTIMIZER,
    .name = "muon",
    .summary = "orthogonalised momentum for hidden matrices, AdamW for the rest",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.optimizer.muon", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
