/* Kind "optimizer/1": the update rule, written once.
 *
 * MGPT_RULE(lion, (m), (lr, b1, c1, b2, c2, decay),
 *     const real u = b1 * m + c1 * g;
 *     p -= lr * ((real)((u > 0) - (u < 0)) + decay * p);
 *     m = b2 * m + c2 * g;)
 *
 * makes a float function, a double function and the body's own text. The host calls the functions;
 * a device backend compiles the text; a fused step inlines it. So a stranger's optimizer in plain C
 * runs on a GPU without a copy. In the body: `real` is the type; p and g (already scaled) and the
 * names of the state and the scalars are of it; p and the state may be assigned. Allowed: sqrt,
 * fabs, fmin, fmax, copysign, ?:, if, local variables, literals as (real)0.5. Not: other functions,
 * own macros, return, directives, fma, integer loops over memory. Compile with -ftree-vectorize
 * -fno-math-errno -ffp-contract=off (microgpt.pc: plugin_cflags), or sqrt keeps the loop scalar and
 * bits change between compilers.
 *
 * An optimizer that needs more of a parameter than one element at a time also has `takes` and
 * `record`: it writes its update down as ops of the device and rules, once, and the core runs that
 * every step. */
#ifndef MICROGPT_OPTIMIZER_H
#define MICROGPT_OPTIMIZER_H

#include <microgpt/plugin.h>

#ifdef __cplusplus
#include <math.h> /* not <cmath>: only <math.h> brings sqrt(float) to the global namespace */
#define MGPT_RESTRICT_ __restrict
extern "C" {
#else
#include <tgmath.h> /* sqrt(real) is sqrtf or sqrt */
#define MGPT_RESTRICT_ restrict
#endif

/* What a component of this kind states. */
#define MGPT_KIND_OPTIMIZER "optimizer/1"

#define MGPT_MAX_STATE 4    /* arrays of state a rule may have */
#define MGPT_MAX_SCALARS 16 /* scalars a rule may have */

/* n elements; s[k] are the arrays of state, h the scalars; g[i] * gscale is what the body calls g.
 * Arrays do not overlap. [any] */
typedef void (*mgpt_rule_f32)(size_t n, float *p, const float *g, float *const *s, const double *h,
                              double gscale);
/* The same in double. [any] */
typedef void (*mgpt_rule_f64)(size_t n, double *p, const double *g, double *const *s,
                              const double *h, double gscale);

/* Written by MGPT_RULE. Grows at the tail. Static. */
struct mgpt_rule {
    uint32_t size;
    uint32_t n_state, n_scalars; /* lengths of the two lists */
    uint32_t reserved;
    const char *name;    /* "lion" */
    const char *state;   /* "(m, v)" */
    const char *scalars; /* "(lr, b1, ...)" */
    const char *body;    /* the statements, as text */
    mgpt_rule_f32 f32;   /* the same as a function */
    mgpt_rule_f64 f64;   /* and in double */
};

struct mgpt_optimizer; /* the module's own */

/* What the scalars of one step depend on. weight_decay is 0 for a parameter group that does not
 * decay. Frozen. */
struct mgpt_tick {
    uint64_t step;           /* steps attempted before this one; bias corrections use step + 1 */
    uint64_t total;          /* of the run */
    double lr, weight_decay; /* of this step and this group */
};

/* ---- parameters that are updated as whole tensors (ABI 1.1) ---- */

struct mgpt_param;    /* microgpt/step.h */
struct mgpt_op;       /* microgpt/backend.h */
struct mgpt_update;   /* microgpt/backend.h */
struct mgpt_recorder; /* the core's */

/* What a parameter is to the model. Append only. */
enum mgpt_role {
    MGPT_ROLE_VECTOR = 1,    /* of rank 1: gains, biases */
    MGPT_ROLE_EMBEDDING = 2, /* a row for each token or position; wte is one also as a tied head */
    MGPT_ROLE_HEAD = 3,      /* the matrix that makes logits, when it is not wte */
    MGPT_ROLE_HIDDEN = 4     /* a matrix from hidden activations to hidden activations */
};

#define MGPT_MAX_PARTS 4 /* tensors that may lie in one parameter */

/* Where a parameter stands in the model. Frozen. */
struct mgpt_place {
    uint32_t role;    /* enum mgpt_role */
    uint32_t n_parts; /* tensors that lie in it, one under the other: q, k and v in attn.qkv.weight,
                         one alone elsewhere */
    int64_t rows[MGPT_MAX_PARTS]; /* first dimension of each of them */
};

/* What the update of a parameter as a whole takes. Grows at the tail. */
struct mgpt_needs {
    uint32_t size;
    uint32_t state; /* set of 1u << k: the arrays of the rule's state that the parameter keeps; the
                         others are not allocated for it */
    uint64_t scratch; /* bytes to work in; all parameters share one piece */
};

/* A parameter whose update is to be written down: everything in it lives as long as the step. Grows
 * at the tail. */
struct mgpt_whole {
    uint32_t size, reserved;
    const struct mgpt_param *param; /* the parameter */
    const struct mgpt_place *place; /* what it is to the model */
    const double *scalars; /* of its group: what `scalars` gave, put here before each step */
    struct mgpt_tensor step_state;  /* struct mgpt_step_state, U8 */
    struct mgpt_tensor scratch;     /* U8, at least what was asked for; contents undefined */
    struct mgpt_recorder *recorder; /* for the two functions below */
    /* Each appends to what a step does, in order, and copies what it is given. Ops are those of
     * microgpt/backend.h, on any device; they run in skipped steps too and know nothing of
     * grad_scale: let them write to scratch alone, and never read g. Rules are MGPT_RULEs over
     * tensors of rank 1 and one format (F32 or F64): the body's g is scaled, and a rule does
     * nothing in a skipped step. `p` of a rule is what it writes: the parameter, or scratch. */
    enum mgpt_status (*op)(struct mgpt_recorder *recorder, const struct mgpt_op *op,
                           struct mgpt_error *error);
    /* Appends a rule: see above. */
    enum mgpt_status (*rule)(struct mgpt_recorder *recorder, const struct mgpt_update *update,
                             struct mgpt_error *error);
};

/* Grows at the tail. */
struct mgpt_optimizer_api {
    uint32_t size, reserved;
    const struct mgpt_rule *rule; /* of every parameter that `takes` does not take */
    enum mgpt_status (*create)(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_optimizer **optimizer,
                               struct mgpt_error *error); /* [main] */
    void (*destroy)(struct mgpt_optimizer *optimizer);    /* [main] */
    /* The scalars of the rule, in its order, for one step and one parameter group. With `takes`
     * more may follow, MGPT_MAX_SCALARS in all, for what `record` writes down. Pure. [any] */
    void (*scalars)(const struct mgpt_optimizer *optimizer, const struct mgpt_tick *tick,
                    double *h);
    /* --- optional, both or neither (ABI 1.1): some parameters are updated as whole tensors --- */
    /* 1: this parameter is, and *needs says what that takes. 0: the rule does it. Buffers of the
     * parameter may be NULL. Pure. [any] */
    int (*takes)(const struct mgpt_optimizer *optimizer, const struct mgpt_param *param,
                 const struct mgpt_place *place, struct mgpt_needs *needs);
    /* Writes down what a step does to a parameter that it takes. Called once, when the step is
     * opened; the core then runs it every step, with other scalars. [main] */
    enum mgpt_status (*record)(const struct mgpt_optimizer *optimizer,
                               const struct mgpt_whole *whole, struct mgpt_error *error);
};

/* ---- MGPT_RULE ---- */

#if defined __x86_64__ && defined __linux__ && defined __GNUC__ && !defined __CUDACC__ &&          \
    !defined __SANITIZE_ADDRESS__ && !defined MGPT_RULE_PORTABLE
#define MGPT_RULE_CLONES_ __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define MGPT_RULE_CLONES_
#endif

/* MGPT_EACH_(M, list...): M(name, index) for each of 0 to 16 names. An empty list still counts as
 * one (empty) name: only there does MGPT_COMMA_ find the parenthesis that makes it a comma. */
#define MGPT_CAT_(a, b) MGPT_CAT2_(a, b)
#define MGPT_CAT2_(a, b) a##b
#define MGPT_NAMES_(...)                                                                           \
    MGPT_NAMES2_(__VA_ARGS__, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define MGPT_NAMES2_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, count, ...) count
#define MGPT_COMMA_(...) ,
#define MGPT_COUNT_(...) (2 * MGPT_NAMES_(__VA_ARGS__) - MGPT_NAMES_(MGPT_COMMA_ __VA_ARGS__()))
#define MGPT_ONE_1(M, a) M(a, 0)
#define MGPT_ONE_2(M, a)
#define MGPT_E1_(M, a) MGPT_CAT_(MGPT_ONE_, MGPT_NAMES_(MGPT_COMMA_ a()))(M, a)
#define MGPT_E2_(M, a, b) MGPT_E1_(M, a) M(b, 1)
#define MGPT_E3_(M, a, b, c) MGPT_E2_(M, a, b) M(c, 2)
#define MGPT_E4_(M, a, b, c, d) MGPT_E3_(M, a, b, c) M(d, 3)
#define MGPT_E5_(M, a, b, c, d, e) MGPT_E4_(M, a, b, c, d) M(e, 4)
#define MGPT_E6_(M, a, b, c, d, e, f) MGPT_E5_(M, a, b, c, d, e) M(f, 5)
#define MGPT_E7_(M, a, b, c, d, e, f, g) MGPT_E6_(M, a, b, c, d, e, f) M(g, 6)
#define MGPT_E8_(M, a, b, c, d, e, f, g, h) MGPT_E7_(M, a, b, c, d, e, f, g) M(h, 7)
#define MGPT_E9_(M, a, b, c, d, e, f, g, h, i) MGPT_E8_(M, a, b, c, d, e, f, g, h) M(i, 8)
#define MGPT_E10_(M, a, b, c, d, e, f, g, h, i, j) MGPT_E9_(M, a, b, c, d, e, f, g, h, i) M(j, 9)
#define MGPT_E11_(M, a, b, c, d, e, f, g, h, i, j, k)                                              \
    MGPT_E10_(M, a, b, c, d, e, f, g, h, i, j) M(k, 10)
#define MGPT_E12_(M, a, b, c, d, e, f, g, h, i, j, k, l)                                           \
    MGPT_E11_(M, a, b, c, d, e, f, g, h, i, j, k) M(l, 11)
#define MGPT_E13_(M, a, b, c, d, e, f, g, h, i, j, k, l, m)                                        \
    MGPT_E12_(M, a, b, c, d, e, f, g, h, i, j, k, l) M(m, 12)
#define MGPT_E14_(M, a, b, c, d, e, f, g, h, i, j, k, l, m, n)                                     \
    MGPT_E13_(M, a, b, c, d, e, f, g, h, i, j, k, l, m) M(n, 13)
#define MGPT_E15_(M, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o)                                  \
    MGPT_E14_(M, a, b, c, d, e, f, g, h, i, j, k, l, m, n) M(o, 14)
#define MGPT_E16_(M, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)                               \
    MGPT_E15_(M, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o) M(p, 15)
#define MGPT_EACH_(M, ...) MGPT_CAT_(MGPT_E, MGPT_CAT_(MGPT_NAMES_(__VA_ARGS__), _))(M, __VA_ARGS__)
#define MGPT_UNWRAP_(...) __VA_ARGS__
#define MGPT_EACH_OF_(M, list) MGPT_EACH_OF2_(M, MGPT_UNWRAP_ list)
#define MGPT_EACH_OF2_(M, ...) MGPT_EACH_(M, __VA_ARGS__)
#define MGPT_COUNT_OF_(list) MGPT_COUNT_OF2_(MGPT_UNWRAP_ list)
#define MGPT_COUNT_OF2_(...) MGPT_COUNT_(__VA_ARGS__)

#define MGPT_RULE_SCALAR_(x, i)                                                                    \
    const real x = (real)h_[i];                                                                    \
    (void)x;
#define MGPT_RULE_STATE_(x, i) real *MGPT_RESTRICT_ x##_p_ = s_[i];
#define MGPT_RULE_LOAD_(x, i) real x = x##_p_[i_];
#define MGPT_RULE_STORE_(x, i) x##_p_[i_] = x;

#define MGPT_RULE_FN_(fn, T, state_, scalars_, ...)                                                \
    MGPT_RULE_CLONES_ static void fn(size_t n_, T *MGPT_RESTRICT_ p_, const T *MGPT_RESTRICT_ g_,  \
                                     T *const *s_, const double *h_, double c_)                    \
    {                                                                                              \
        typedef T real;                                                                            \
        MGPT_EACH_OF_(MGPT_RULE_SCALAR_, scalars_)                                                 \
        MGPT_EACH_OF_(MGPT_RULE_STATE_, state_)                                                    \
        (void)s_, (void)h_;                                                                        \
        for (size_t i_ = 0; i_ < n_; i_++) {                                                       \
            real p = p_[i_];                                                                       \
            const real g = g_[i_] * (real)c_;                                                      \
            (void)g;                                                                               \
            MGPT_EACH_OF_(MGPT_RULE_LOAD_, state_){__VA_ARGS__} p_[i_] = p;                        \
            MGPT_EACH_OF_(MGPT_RULE_STORE_, state_)                                                \
        }                                                                                          \
    }

/* Defines `static const struct mgpt_rule NAME`. state_ and scalars_ are lists in parentheses. */
#define MGPT_RULE(name_, state_, scalars_, ...)                                                    \
    MGPT_RULE_FN_(name_##_f32_, float, state_, scalars_, __VA_ARGS__)                              \
    MGPT_RULE_FN_(name_##_f64_, double, state_, scalars_, __VA_ARGS__)                             \
    static const struct mgpt_rule name_ = {(uint32_t)sizeof(struct mgpt_rule),                     \
                                           MGPT_COUNT_OF_(state_),                                 \
                                           MGPT_COUNT_OF_(scalars_),                               \
                                           0,                                                      \
                                           #name_,                                                 \
                                           #state_,                                                \
                                           #scalars_,                                              \
                                           #__VA_ARGS__,                                           \
                                           name_##_f32_,                                           \
                                           name_##_f64_};

#ifdef __cplusplus
}
#endif
#endif
