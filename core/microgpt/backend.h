/* Kind "backend/1": a device. Seven functions make one, everything after them makes it fast.
 *
 * An op that a backend does not have is run by the core: first as its parts on the device (a fused
 * epilogue apart), then by the reference op of the core, in place where `map` shows host memory,
 * else on copies staged through the host ([backend] fallback says how loudly). */
#ifndef MICROGPT_BACKEND_H
#define MICROGPT_BACKEND_H

#include <microgpt/model.h>
#include <microgpt/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a component of this kind states. */
#define MGPT_KIND_BACKEND "backend/1"

struct mgpt_device; /* an open device; the backend's own */
struct mgpt_rule;   /* microgpt/optimizer.h */

/* ---- the state of a training step, resident on the device ---- */

/* Frozen. A U8 tensor of sizeof(struct mgpt_step_state) bytes. The core writes the first three
 * fields before each step; the ops named write the others. */
struct mgpt_step_state {
    uint64_t step;      /* steps completed before this one; part of every draw */
    double inv_targets; /* 1 / targets of the whole step, over all its micro-batches */
    double loss;        /* 0 at the start; CROSS_ENTROPY adds: the mean over the step's targets */
    double grad_norm;   /* CLIP: L2 norm of all gradients, unscaled */
    double grad_scale; /* CLIP: min(1, clip / grad_norm) / loss_scale; UPDATE uses g * grad_scale */
    double loss_scale; /* SCALER: 1 without loss scaling */
    uint64_t nonfinite; /* CLIP: 1 when the loss or a gradient is not finite, else 0; then UPDATE
                           does nothing */
    uint64_t good;      /* SCALER: steps since the last skip or growth of the scale */
    uint64_t skipped;   /* SCALER: steps skipped since the start of training */
};

/* ---- ops ---- */

/* Formats: every float tensor has its own. Arithmetic and sums within an op are in F32 or wider,
 * and a result is rounded once, when it is stored; LINEAR says how the operands of products are
 * rounded.
 *
 * B sequences, T positions, N = any number of rows (B*T), C embd, H heads, KV kv heads, D = C/H,
 * V vocab, K and M inputs and outputs of a linear layer. [x] is optional.
 * Shapes: matrices may come with more leading dimensions; rows are their product.
 * Outputs are overwritten, but for parameter gradients (d of a parameter), which are added to, and
 * dx of NORM_BACKWARD and LINEAR_BACKWARD with MGPT_OP_ACCUMULATE. An op that fails has written
 * nothing. Ops of one device run in the order of the calls; a call may return before it is done. */
enum mgpt_op_code {
    /* x = wte[ids] + wpe[position + t]
     * in: ids(B,T) I32, wte(V,C), wpe(L,C)   out: x(B,T,C) */
    MGPT_OP_EMBED = 1,
    /* in: ids, dx   out: dwte, dwpe */
    MGPT_OP_EMBED_BACKWARD = 2,
    /* s = x [+ residual]; y = norm(s) [* gain] [+ bias]; enum mgpt_norm
     * in: x(N,C), [residual(N,C)], [gain(C)], [bias(C)]
     * out: y(N,C), [stats(N,2): mean (0 for rms), 1/std], [s(N,C)]; s may be x or residual */
    MGPT_OP_NORM = 3,
    /* in: s(N,C), stats, dy, [gain]   out: ds (ACCUMULATE adds), [dgain], [dbias] */
    MGPT_OP_NORM_BACKWARD = 4,
    /* pre = x w^T [+ bias]; y = activation(pre)
     * When x is F32, MGPT_OP_TF32 has a say. When x is BF16 or F16, w (and backward dy) is rounded
     * to that format, to nearest even, before it is multiplied; products are summed in F32 at
     * least.
     * Bias, activation and its slope work on the sum, and y and pre are rounded once, to their own
     * formats.
     * in: x(N,K), w(M,K), [bias(M)]   out: y(N,M), [pre(N,M)] (only with an activation) */
    MGPT_OP_LINEAR = 5,
    /* dx = dy w, then times activation'(pre) when x was activation(pre); dw += dy^T x; dbias += sum
     * over rows of dy as it is
     * in: x(N,K), w(M,K), dy(N,M), [pre(N,K)] (with an activation, and only then)
     * out: [dx(N,K)] (ACCUMULATE adds), [dw(M,K)], [dbias(M)] */
    MGPT_OP_LINEAR_BACKWARD = 6,
    /* in: x   out: y = activation(x); y may be x */
    MGPT_OP_ACTIVATION = 7,
    /* in: x (before the activation), dy   out: dx; dx may be dy */
    MGPT_OP_ACTIVATION_BACKWARD = 8,
    /* y = dropout(softmax(q k^T / sqrt(D), causal)) v, per head; query head h reads kv head
     * h / (H / KV). T x T is never stored, but by the reference. Dao et al. 2022, algorithm 1.
     * Scores, softmax and sums are in F32 at least, whatever the format of qkv; a device may round
     * probabilities, and backward the scores' gradients, where it multiplies them, to the format of
     * qkv or, with MGPT_OP_TF32, as that rounds. With it q, k, v and dy count as operands of
     * products where they are F32, and the sums of dy y are taken from dy as it is.
     * in: qkv(B,T,(H+2KV)D): q, k, v side by side, [state] (with dropout)
     * out: y(B,T,HD), [lse(B,H,T): log of the sum of exp of the scaled scores],
     *      [cache(2,B,S,KV*D)]: k and v of rows position.. are written first, then rows
     *      0..position+t are read; position > 0 needs it
     * The weight of query t on row s is element (((row + b) H + h) T + t)(position + T) + s of the
     * step's logical tensor. */
    MGPT_OP_ATTENTION = 9,
    /* in: qkv, y, lse, dy, [state]   out: dqkv.  Dao et al. 2022, algorithm 4 */
    MGPT_OP_ATTENTION_BACKWARD = 10,
    /* in: a(N,C), b(N,C) or b(C), added to each row   out: y = a + b; y may be a or b */
    MGPT_OP_ADD = 11,
    /* y = x keep / (1 - rate); its own backward. Element i of the tensor is element
     * row * columns + i of the step's logical tensor.   in: x, state   out: y; y may be x */
    MGPT_OP_DROPOUT = 12,
    /* loss += inv_targets * sum over rows of (log sum exp(logits) - logits[target]);
     * dlogits = (softmax(logits) - onehot(target)) * inv_targets * loss_scale; target -1: none
     * in: logits(N,V), targets(N) I32, state   out: state, [dlogits]; dlogits may be logits */
    MGPT_OP_CROSS_ENTROPY = 13,
    /* out: y = value, everywhere */
    MGPT_OP_FILL = 14,
    /* grad_norm, nonfinite and grad_scale of the state; `scale`: the largest norm allowed, 0: none
     * in: gradient (any shape), state   out: state */
    MGPT_OP_CLIP = 15,
    /* nonfinite: skipped += 1, good = 0, loss_scale *= backoff (at least 1 with loss scaling);
     * else good += 1, and every `interval` good steps loss_scale *= growth, good = 0.
     * interval 0: no loss scaling. Micikevicius et al. 2018, section 3.2.
     * in: state   out: state */
    MGPT_OP_SCALER = 16,
    /* y = scale x [+ value z]; element by element, formats may differ (ABI 1.1)
     * in: x(N,C), [z(N,C)]   out: y(N,C); y may be x or z */
    MGPT_OP_AXPBY = 17,
    MGPT_OP_COUNT = 18
};

/* A set. */
enum mgpt_op_flags {
    MGPT_OP_ACCUMULATE = 1, /* dx is added to */
    /* LINEAR, ATTENTION and their backward: where x or qkv is F32, the operands of products (x, w,
     * dy; q, k, v, dy) are rounded to 10 bits of mantissa before they are multiplied, to nearest,
     * ties away from zero, as PTX's cvt.rna.tf32.f32; sums stay in F32 at least. On tensors of
     * other formats it says nothing. Only a device whose caps lack MGPT_CAPS_TF32 may ignore it.
     * (ABI 1.1)
     */
    MGPT_OP_TF32 = 2
};

#define MGPT_OP_MAX_IN 6  /* inputs an op may have */
#define MGPT_OP_MAX_OUT 4 /* and outputs */

/* Grows at the tail; an attribute that an op does not name is 0. Offsets of tensors are multiples
 * of 64 bytes unless the tensor is part of another. Dimensions are 1 or more. */
struct mgpt_op {
    uint32_t size;
    uint32_t code;             /* enum mgpt_op_code */
    uint32_t flags;            /* enum mgpt_op_flags */
    uint32_t norm, activation; /* enum mgpt_norm, enum mgpt_activation */
    uint32_t heads, kv_heads;  /* of ATTENTION: H, KV */
    uint32_t purpose, layer;   /* of the draws: enum mgpt_purpose, microgpt/random.h */
    uint32_t interval;         /* of SCALER: good steps between growths */
    int64_t position;          /* EMBED, ATTENTION: index of the first row of each sequence */
    uint64_t seed;             /* of the draws */
    int64_t
        row; /* of the draws: DROPOUT rows, ATTENTION sequences before this micro-batch's first */
    double eps, rate, scale, value, growth, backoff; /* as the op's comment names them */
    struct mgpt_tensor in[MGPT_OP_MAX_IN];           /* in the order of the op's comment */
    struct mgpt_tensor out[MGPT_OP_MAX_OUT];         /* likewise */
};

/* One op on tensors of one device. Shapes and formats were checked. [step] */
typedef enum mgpt_status (*mgpt_op_fn)(struct mgpt_device *device, const struct mgpt_op *op,
                                       struct mgpt_error *error);

/* ---- the optimizer's rule on the device ---- */

/* Grows at the tail. p, g and state are rank 1, of one length and format; `scalars` is host memory.
 */
struct mgpt_update {
    uint32_t size;
    uint32_t n_state, n_scalars; /* those of the rule */
    uint32_t reserved;
    const struct mgpt_rule *rule;  /* what to do to each element */
    const double *scalars;         /* in the order of the rule */
    struct mgpt_tensor p, g;       /* the parameters, and their gradients before scaling */
    struct mgpt_tensor state[4];   /* in the order of the rule */
    struct mgpt_tensor step_state; /* struct mgpt_step_state, U8 */
};

/* ---- the device ---- */

/* A set. */
enum mgpt_caps_flags {
    MGPT_CAPS_HOST = 1, /* a host device: `precision = auto` is fp32 there */
    MGPT_CAPS_TF32 = 2  /* it heeds MGPT_OP_TF32 (ABI 1.1) */
};

/* Grows at the tail. */
struct mgpt_caps {
    uint32_t size;
    uint32_t flags;                     /* enum mgpt_caps_flags */
    uint32_t formats;                   /* set of 1u << enum mgpt_dtype that float ops take */
    uint32_t threads;                   /* host threads it uses; 0: not a host device */
    uint64_t memory_total, memory_free; /* bytes; 0: not known */
    char name[64];                      /* for people: "NVIDIA H100" */
    /* Set of 1u << enum mgpt_dtype: where there is memory, F32 weights that are multiplied with
     * inputs of that format are kept in it, too. (ABI 1.1) */
    uint32_t copies;
    uint32_t reserved;
};

/* Grows at the tail. */
struct mgpt_backend_api {
    uint32_t size;
    uint32_t n_ops; /* length of ops */
    /* --- required --- */
    enum mgpt_status (*open)(const struct mgpt_host *host, const struct mgpt_config *config,
                             struct mgpt_device **device, struct mgpt_error *error); /* [main] */
    void (*close)(struct mgpt_device *device); /* [main] joins its threads; NULL is fine */
    /* bytes >= 1, aligned to 64 or more; contents undefined. [main] */
    enum mgpt_status (*buffer_new)(struct mgpt_device *device, uint64_t bytes,
                                   struct mgpt_buffer **buffer, struct mgpt_error *error);
    void (*buffer_free)(struct mgpt_device *device,
                        struct mgpt_buffer *buffer); /* [main] NULL is fine */
    /* In order with the ops; when upload returns `data` may be changed, when download returns it is
     * there. Past the end: MGPT_INVALID. [step] */
    enum mgpt_status (*upload)(struct mgpt_device *device, struct mgpt_buffer *buffer,
                               uint64_t offset, const void *data, uint64_t bytes,
                               struct mgpt_error *error);
    /* The inverse of upload. [step] */
    enum mgpt_status (*download)(struct mgpt_device *device, struct mgpt_buffer *buffer,
                                 uint64_t offset, void *data, uint64_t bytes,
                                 struct mgpt_error *error);
    enum mgpt_status (*sync)(struct mgpt_device *device,
                             struct mgpt_error *error); /* also asynchronous errors [step] */
    /* --- optional --- */
    /* What it is; NULL: F32 alone. [main] */
    enum mgpt_status (*caps)(struct mgpt_device *device, struct mgpt_caps *caps,
                             struct mgpt_error *error);
    void *(*map)(struct mgpt_device *device,
                 struct mgpt_buffer *buffer); /* host address while the buffer lives, or NULL */
    /* Asked once, at planning, with final shapes and formats; buffers may not exist yet. NULL:
     * every op of the table in F32. [any] */
    int (*supports)(struct mgpt_device *device, const struct mgpt_op *op);
    /* Indexed by op code, NULL where there is none; shapes are already checked. [step] */
    const mgpt_op_fn *ops;
    /* p, state = rule(p, g * grad_scale, state); nothing when nonfinite. MGPT_UNSUPPORTED: the core
     * does it. [step] */
    enum mgpt_status (*update)(struct mgpt_device *device, const struct mgpt_update *update,
                               struct mgpt_error *error);
    const void *(*query)(struct mgpt_device *device,
                         const char *id); /* extensions: "nvidia.cuda-native/1" */
};

#ifdef __cplusplus
}
#endif
#endif
