/* Causal attention of a tile, forward and backward; core/ref/attention.c has the formulas.
 * Part of micro.c: lanes are queries t, one vector a key s. */
#ifndef MGPT_FUSED_ATTENTION_H
#define MGPT_FUSED_ATTENTION_H

#include "lanes.h"
#include "micro.h"

#define KEYS 8 /* at a time; spans are multiples of it */

/* One head. Row d of q is at q + d * S, and so on. */
struct head {
    const float *q, *k, *v;
    float *prob; /* (T',S): row s, lane t */
    int D, S, span;
    float scale; /* 1 / sqrt(D) */
};

INLINE struct head head_of(const struct micro_layer *l, int h, int T, int S, int C, int D)
{
    return (struct head){.q = l->mix + h * D * S,
                         .k = l->mix + (C + h * D) * S,
                         .v = l->mix + (2 * C + h * D) * S,
                         .prob = l->prob + h * T * S,
                         .D = D,
                         .S = S,
                         .span = T,
                         .scale = 1 / sqrtf((float)D)};
}

/* sum over d of a[d] at key s .. s + KEYS - 1 times b[d] at the lanes of the vector */
INLINE void dots(const struct head *h, const float *a, const float *b, int s, int lane, vec *sum)
{
    UNROLL for (int i = 0; i < KEYS; i++) sum[i] = (vec){0};
    for (int d = 0; d < h->D; d++) {
        vec bd = load(b + d * h->S + lane);
        UNROLL for (int i = 0; i < KEYS; i++) sum[i] =
            fma_(at_position(a + d * h->S, s + i, lane, h->span), bd, sum[i]);
    }
}

/* y[d] = sum over s of p[s] a[d] at key s */
INLINE void weighted(const struct head *h, const float *p, const float *a, int lane, float *y)
{
    for (int d = 0; d < h->D; d++) {
        vec sum = {0};
        for (int s = 0; s < h->span; s += KEYS)
            UNROLL for (int i = 0; i < KEYS; i++) sum =
                fma_(load(p + (s + i) * h->S + lane),
                     at_position(a + d * h->S, s + i, lane, h->span), sum);
        store(y + d * h->S + lane, sum);
    }
}

/* Which position of its document a lane is. */
INLINE ivec positions(int lane, int span)
{
    ivec at;

    for (int i = 0; i < W; i++)
        at[i] = (lane + i) % span;
    return at;
}

/* Scores go to prob, those of the future as never; returns the largest of each lane. */
INLINE vec scores(const struct head *h, int lane)
{
    const vec never = splat(-1e30f);
    ivec at = positions(lane, h->span);
    vec most = never, score[KEYS];

    for (int s = 0; s < h->span; s += KEYS) {
        dots(h, h->k, h->q, s, lane, score);
        UNROLL for (int i = 0; i < KEYS; i++)
        {
            score[i] = choose(at >= s + i, score[i] * h->scale, never);
            most = larger(score[i], most);
            store(h->prob + (s + i) * h->S + lane, score[i]);
        }
    }
    return most;
}

/* prob = exp(prob - most); returns the sum */
INLINE vec exponentials(const struct head *h, int lane, vec most)
{
    vec sum = {0};

    for (int s = 0; s < h->span; s += KEYS)
        UNROLL for (int i = 0; i < KEYS; i++)
        {
            vec e = exponential(load(h->prob + (s + i) * h->S + lane) - most);
            sum += e;
            store(h->prob + (s + i) * h->S + lane, e);
        }
    return sum;
}

/* dscore[t,s] = p (dp - sum over s of p dp) / sqrt(D),  dp[t,s] = dy[t] . v[s] */
INLINE void scores_backward(const struct head *h, int lane, const float *dy, float *dscore)
{
    vec sum = {0}, dp[KEYS];

    for (int s = 0; s < h->span; s += KEYS) {
        dots(h, h->v, dy, s, lane, dp);
        UNROLL for (int i = 0; i < KEYS; i++)
        {
            sum = fma_(load(h->prob + (s + i) * h->S + lane), dp[i], sum);
            store(dscore + (s + i) * h->S + lane, dp[i]);
        }
    }
    for (int s = 0; s < h->span; s++) {
        float *at = dscore + s * h->S + lane;
        store(at, load(h->prob + s * h->S + lane) * (load(at) - sum) * h->scale);
    }
}

/* to: row t, lane s, of from: row s, lane t; each document for itself */
INLINE void turn(const struct head *h, const float *from, float *to)
{
    for (int first = 0; first < h->S; first += h->span)
        transpose(from + first, h->span, h->span, h->S, to + first, h->S);
}

/* Each stage for all heads before the next: they do not wait for one another. */
INLINE void attention_forward(const struct micro_layer *l, int T, int S, int C, int D)
{
    for (int lane = 0; lane < S; lane += W) {
        vec most[MICRO_HEADS], sum[MICRO_HEADS];
        for (int i = 0; i < C / D; i++) {
            struct head h = head_of(l, i, T, S, C, D);
            most[i] = scores(&h, lane);
        }
        for (int i = 0; i < C / D; i++) {
            struct head h = head_of(l, i, T, S, C, D);
            sum[i] = exponentials(&h, lane, most[i]);
        }
        for (int i = 0; i < C / D; i++) {
            struct head h = head_of(l, i, T, S, C, D);
            vec scale = 1 / sum[i];
            for (int s = 0; s < T; s++)
                store(h.prob + s * S + lane, load(h.prob + s * S + lane) * scale);
            weighted(&h, h.prob, h.v, lane, l->att + i * D * S);
        }
    }
}

/* dy (C,S) to dmix (3C,S); dq sums over keys, dk and dv over queries */
INLINE void attention_backward(const struct micro *m, const struct micro_layer *l, const float *dy,
                               float *dmix, int T, int S, int C, int D)
{
    float *dscore = m->dscore, *dscore_turned = m->turned, *prob_turned = m->turned + C / D * T * S;

    for (int i = 0; i < C / D; i++) {
        struct head h = head_of(l, i, T, S, C, D);
        for (int lane = 0; lane < S; lane += W)
            scores_backward(&h, lane, dy + i * D * S, dscore + i * T * S);
        turn(&h, h.prob, prob_turned + i * T * S);
    }
    for (int i = 0; i < C / D; i++) {
        struct head h = head_of(l, i, T, S, C, D);
        for (int lane = 0; lane < S; lane += W) {
            weighted(&h, dscore + i * T * S, h.k, lane, dmix + i * D * S);
            weighted(&h, prob_turned + i * T * S, dy + i * D * S, lane, dmix + (2 * C + i * D) * S);
        }
        turn(&h, dscore + i * T * S, dscore_turned + i * T * S);
    }
    for (int i = 0; i < C / D; i++) {
        struct head h = head_of(l, i, T, S, C, D);
        for (int lane = 0; lane < S; lane += W)
            weighted(&h, dscore_turned + i * T * S, h.q, lane, dmix + (C + i * D) * S);
    }
}

#endif
