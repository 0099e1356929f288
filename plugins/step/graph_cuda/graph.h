/* Inside step graph_cuda: the core's composed step, taken down as CUDA graphs.
 *
 * A piece is one micro-batch: its passes; before the first one also what begins a step, after the
 * last one also what ends it. A piece is known by all that its launches depend on, above all its
 * shape. The first time it runs as the composed step runs it, so that the device allocates and
 * compiles what it needs; the second time it is captured; after that it is one launch. What changes
 * from step to step is in the feed, a place in device memory that the host fills before each piece,
 * through page-locked memory and in the order of the stream: so it never waits. */
#ifndef MGPT_GRAPH_CUDA_H
#define MGPT_GRAPH_CUDA_H

#include <stdbool.h>

#include <microgpt/cuda_native.h>
#include <microgpt/step.h>

/* ---- the feed: offsets in it ---- */

#define FEED_HEAD 0u /* what the core writes to the step state: its first three fields */
#define HEAD_BYTES (uint32_t) offsetof(struct mgpt_step_state, grad_norm)
#define FEED_SETS 64u /* scalars of rules, MGPT_MAX_SCALARS doubles a set */
#define MOST_SETS 16u
#define SET_BYTES (uint32_t)(MGPT_MAX_SCALARS * sizeof(double))
#define FEED_IDS (FEED_SETS + MOST_SETS * SET_BYTES) /* then the targets, at the next 64 */

/* ---- pieces ---- */

enum stage {
    STAGE_NEW = 0,
    STAGE_WARM, /* it ran once, op by op */
    STAGE_GRAPH
};

/* The scalars of a rule: each of the input's 2 * MGPT_MAX_SCALARS, or a constant of the
 * optimizer's. */
struct set {
    uint32_t n;
    int32_t index[MGPT_MAX_SCALARS]; /* -1: the constant */
    double constant[MGPT_MAX_SCALARS];
};

struct key {
    int64_t rows, columns;
    int64_t first; /* sequences of the step before these, where draws depend on it; else 0 */
    bool begins, ends;
};

struct piece {
    struct key key;
    enum stage stage;
    struct mgpt_cuda_graph *graph;
    uint32_t n_sets;
    struct set sets[MOST_SETS];
};

/* What the proxy does with the calls of the piece at hand. */
enum mode {
    MODE_IDLE = 0, /* between steps: only uploads, of nobody */
    MODE_RUN,      /* hands them on */
    MODE_TAKE,     /* hands them on while the stream captures, uploads apart */
    MODE_SKIP      /* drops them: the graph of the piece was launched */
};

/* Uploads of a piece that is being captured, until the next op: one kernel does them all. */
struct part {
    char *to;
    uint32_t from, bytes; /* offset in the feed */
};
#define MOST_PARTS 4

/* ---- the step ---- */

/* What the composed step takes for its device. */
struct mgpt_device {
    struct mgpt_step *step;
};

struct mgpt_step {
    const struct mgpt_host *host;
    struct mgpt_step_spec spec; /* the real device's */
    const struct mgpt_backend_api *backend;
    struct mgpt_device *device;
    const struct mgpt_cuda_native *cuda;
    const struct mgpt_step_api *composed;
    struct mgpt_step *inner; /* the composed step */
    struct mgpt_device proxy;
    struct mgpt_backend_api proxy_api;
    struct mgpt_cuda_program *program; /* of text.c */

    struct mgpt_tensor feed, ring; /* U8: device memory */
    char *slots;                   /* page-locked, feed_bytes each */
    uint64_t feed_bytes;
    uint32_t n_slots, used;           /* since the host last waited */
    struct mgpt_step_state *results;  /* page-locked, MGPT_STEP_RING */
    uint64_t done, fenced;            /* steps whose results were put into the ring, were told */
    uint64_t numbers[MGPT_STEP_RING]; /* of steps, by place in the ring */

    struct piece *pieces;
    uint32_t n_pieces, most_pieces;
    bool draws; /* there is dropout */

    /* the step that runs through the proxy */
    enum mode mode;
    struct piece *piece;
    uint32_t at;  /* its micro-batch */
    bool has_ids; /* of which the ids came */
    const struct mgpt_step_input *input;
    struct part parts[MOST_PARTS];
    uint32_t n_parts;
};

/* ---- proxy.c ---- */

/* The table that the composed step is opened with; `bid` needs it as well. */
void graph_proxy_init(struct mgpt_step *step);
/* One step, piece by piece, through the composed step. */
enum mgpt_status graph_run_through(struct mgpt_step *step, const struct mgpt_step_input *input,
                                   struct mgpt_error *error);

/* ---- piece.c ---- */

/* The piece of micro-batch i; NULL: no room for another. `first`: sequences before it. */
struct piece *graph_piece(struct mgpt_step *step, const struct mgpt_step_input *input, uint32_t i,
                          int64_t first);
/* Forgets all pieces; waits for the device. */
enum mgpt_status graph_forget(struct mgpt_step *step, struct mgpt_error *error);
/* Fills the feed and launches the graph. */
enum mgpt_status graph_launch(struct mgpt_step *step, const struct piece *piece,
                              const struct mgpt_step_input *input, uint32_t i,
                              struct mgpt_error *error);
/* Where the targets of a piece are in the feed, and where it ends. */
uint32_t graph_targets_at(const struct key *key);
uint64_t graph_feed_bytes(int64_t rows, int64_t columns);
/* Index of the scalars of a rule among the piece's; -1: too many. The values are marks (below) or
 * constants. */
int graph_set(struct piece *piece, const double *scalars, uint32_t n);

/* In the input of a step that is captured each scalar is a mark, a NaN that says which one it is:
 * so the proxy learns which scalars a rule is given. Nothing computes with them. */
double graph_mark(uint32_t index);

/* ---- text.c: kernels of its own ---- */

enum { KERNEL_FEED = 0, KERNEL_KEEP = 1 };

struct mgpt_cuda_source graph_source(void);
enum mgpt_status graph_program_open(struct mgpt_step *step, struct mgpt_error *error);
/* From the feed to where the parts belong. */
enum mgpt_status graph_enqueue_parts(struct mgpt_step *step, struct mgpt_error *error);
/* The step state into the next place of the ring. */
enum mgpt_status graph_enqueue_keep(struct mgpt_step *step, struct mgpt_error *error);

#define RING_BYTES (64 + MGPT_STEP_RING * sizeof(struct mgpt_step_state)) /* a count comes first */

#endif
