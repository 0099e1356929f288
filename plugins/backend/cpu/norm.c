/* Normalisation of each row, with an optional sum before it. core/ref/norm.c has the formulas. */
#include <math.h>

#include "mixed.h"

#define ROWS 16    /* a task */
#define COLUMNS 64 /* of dgain and dbias, a task: each adds the rows in their order */

struct job {
    const float *x, *gain, *bias; /* (N,C), (C) or NULL */
    struct cpu_mixed residual, y; /* (N,C) or empty, (N,C) */
    float *stats, *s;
    int64_t N, C;
    float eps;
    int layer; /* with a mean */
};

CPU_INLINE float row_sum(const float *x, int64_t n)
{
    float sum = 0;

#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

CPU_INLINE float row_squares(const float *x, int64_t n, float mean)
{
    float sum = 0;

#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return sum;
}

/* y = (s - mean) rstd [* gain] [+ bias] */
CPU_INLINE void scale_row(const struct job *j, const float *s, float mean, float rstd, float *y)
{
    const float *gain = j->gain, *bias = j->bias;

    if (gain && bias) {
#pragma omp simd
        for (int64_t c = 0; c < j->C; c++)
            y[c] = (s[c] - mean) * rstd * gain[c] + bias[c];
    } else if (gain) {
#pragma omp simd
        for (int64_t c = 0; c < j->C; c++)
            y[c] = (s[c] - mean) * rstd * gain[c];
    } else {
#pragma omp simd
        for (int64_t c = 0; c < j->C; c++)
            y[c] = (s[c] - mean) * rstd;
        for (int64_t c = 0; bias && c < j->C; c++)
            y[c] += bias[c];
    }
}

/* x + residual, where there is one; it lies in s, else in the row of y. */
CPU_INLINE const float *row_input(const struct job *j, int64_t n, float *y, float *copy)
{
    const float *x = j->x + n * j->C, *residual = NULL;
    float *s = j->s ? j->s + n * j->C : y;

    if (j->residual.f32 || j->residual.bf16)
        residual = cpu_row(&j->residual, n * j->C, j->C, copy);

    if (!residual && (!j->s || s == x))
        return x;
    if (residual) {
#pragma omp simd
        for (int64_t c = 0; c < j->C; c++)
            s[c] = x[c] + residual[c];
    } else {
#pragma omp simd
        for (int64_t c = 0; c < j->C; c++)
            s[c] = x[c];
    }
    return s;
}

static void task(const void *data, int64_t index, float *scratch)
{
    const struct job *j = data;
    int64_t to = cpu_min((index + 1) * ROWS, j->N), C = j->C;

    for (int64_t n = index * ROWS; n < to; n++) {
        float *y = cpu_row_out(&j->y, n * C, scratch);
        const float *s = row_input(j, n, y, scratch + C);
        float mean = j->layer ? row_sum(s, C) / (float)C : 0.0f;
        float rstd = 1.0f / sqrtf(row_squares(s, C, mean) / (float)C + j->eps);
        scale_row(j, s, mean, rstd, y);
        cpu_row_done(&j->y, n * C, C, y);
        if (j->stats) {
            j->stats[2 * n] = mean;
            j->stats[2 * n + 1] = rstd;
        }
    }
}

enum mgpt_status cpu_norm(struct mgpt_device *device, const struct mgpt_op *op,
                          struct mgpt_error *error)
{
    struct job job = {.x = cpu_f32(&op->in[0]),
                      .residual = cpu_mixed(&op->in[1]),
                      .gain = cpu_f32(&op->in[2]),
                      .bias = cpu_f32(&op->in[3]),
                      .y = cpu_mixed(&op->out[0]),
                      .stats = cpu_f32(&op->out[1]),
                      .s = cpu_f32(&op->out[2]),
                      .N = mgpt_tensor_rows(&op->in[0]),
                      .C = mgpt_tensor_columns(&op->in[0]),
                      .eps = (float)op->eps,
                      .layer = op->norm == MGPT_NORM_LAYER};

    enum mgpt_status status =
        cpu_scratch(device, 2 * (size_t)job.C * sizeof(float), error); /* a row of y, of residual */

    if (status == MGPT_OK)
        cpu_run(device, task, &job, cpu_pieces(job.N, ROWS), 6.0 * (double)job.N * (double)job.C);
    return status;
}

/* ---- backward ---- */

struct backward {
    const float *s, *stats, *gain;
    struct cpu_mixed dy;
    float *ds, *dgain, *dbias;
    int64_t N, C;
    int layer, accumulate;
};

/* h = dy [* gain]; the means of h and of h xhat */
CPU_INLINE void row_means(const struct backward *j, const float *s, const float *dy, float mean,
                          float rstd, float *mean_h, float *mean_hx)
{
    const float *gain = j->gain;
    float h = 0, hx = 0;

    if (gain) {
#pragma omp simd reduction(+ : h, hx)
        for (int64_t c = 0; c < j->C; c++) {
            h += dy[c] * gain[c];
            hx += dy[c] * gain[c] * ((s[c] - mean) * rstd);
        }
    } else {
#pragma omp simd reduction(+ : h, hx)
        for (int64_t c = 0; c < j->C; c++) {
            h += dy[c];
            hx += dy[c] * ((s[c] - mean) * rstd);
        }
    }
    *mean_h = j->layer ? h / (float)j->C : 0.0f;
    *mean_hx = hx / (float)j->C;
}

#define EACH_COLUMN(statement)                                                                     \
    _Pragma("omp simd") for (int64_t c = 0; c < j->C; c++)                                         \
    {                                                                                              \
        float xhat = (s[c] - mean) * rstd;                                                         \
        statement;                                                                                 \
    }

CPU_INLINE void row_backward(const struct backward *j, int64_t n, float *copy)
{
    const float *s = j->s + n * j->C, *dy = cpu_row(&j->dy, n * j->C, j->C, copy), *gain = j->gain;
    float mean = j->stats[2 * n], rstd = j->stats[2 * n + 1], mean_h, mean_hx;
    float *ds = j->ds + n * j->C;

    row_means(j, s, dy, mean, rstd, &mean_h, &mean_hx);
    if (gain && j->accumulate)
        EACH_COLUMN(ds[c] += (dy[c] * gain[c] - mean_h - xhat * mean_hx) * rstd)
    else if (gain)
        EACH_COLUMN(ds[c] = (dy[c] * gain[c] - mean_h - xhat * mean_hx) * rstd)
    else if (j->accumulate)
        EACH_COLUMN(ds[c] += (dy[c] - mean_h - xhat * mean_hx) * rstd)
    else
        EACH_COLUMN(ds[c] = (dy[c] - mean_h - xhat * mean_hx) * rstd)
}
#undef EACH_COLUMN

static void backward_task(const void *data, int64_t index, float *scratch)
{
    const struct backward *j = data;
    int64_t to = cpu_min((index + 1) * ROWS, j->N);

    for (int64_t n = index * ROWS; n < to; n++)
        row_backward(j, n, scratch);
}

/* dgain += sum over rows of dy xhat; dbias += sum over rows of dy */
static void parameter_task(const void *data, int64_t index, float *scratch)
{
    const struct backward *j = data;
    int64_t from = index * COLUMNS, columns = cpu_min(COLUMNS, j->C - from);
    float *restrict dgain = j->dgain ? j->dgain + from : NULL;
    float *restrict dbias = j->dbias ? j->dbias + from : NULL;

    for (int64_t n = 0; n < j->N; n++) {
        const float *s = j->s + n * j->C + from;
        const float *dy = cpu_row(&j->dy, n * j->C + from, columns, scratch);
        float mean = j->stats[2 * n], rstd = j->stats[2 * n + 1];
        for (int64_t c = 0; j->dgain && c < columns; c++)
            dgain[c] += dy[c] * ((s[c] - mean) * rstd);
        for (int64_t c = 0; j->dbias && c < columns; c++)
            dbias[c] += dy[c];
    }
}

enum mgpt_status cpu_norm_backward(struct mgpt_device *device, const struct mgpt_op *op,
                                   struct mgpt_error *error)
{
    struct backward job = {.s = cpu_f32(&op->in[0]),
                           .stats = cpu_f32(&op->in[1]),
                           .dy = cpu_mixed(&op->in[2]),
                           .gain = cpu_f32(&op->in[3]),
                           .ds = cpu_f32(&op->out[0]),
                           .dgain = cpu_f32(&op->out[1]),
                           .dbias = cpu_f32(&op->out[2]),
                           .N = mgpt_tensor_rows(&op->in[0]),
                           .C = mgpt_tensor_columns(&op->in[0]),
                           .layer = op->norm == MGPT_NORM_LAYER,
                           .accumulate = op->flags & MGPT_OP_ACCUMULATE};
    double work = 10.0 * (double)job.N * (double)job.C;

    enum mgpt_status status = cpu_scratch(device, (size_t)job.C * sizeof(float), error);

    if (status != MGPT_OK)
        return status;
    cpu_run(device, backward_task, &job, cpu_pieces(job.N, ROWS), work);
    if (job.dgain || job.dbias)
        cpu_run(device, parameter_task, &job, cpu_pieces(job.C, COLUMNS), work);
    return MGPT_OK;
}
