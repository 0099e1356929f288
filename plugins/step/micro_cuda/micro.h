/* Step "micro_cuda": the whole training step of a small model in one launch.
 *
 * The program (*.cu here) is made for one model and one optimizer: text.c puts their constants in
 * front of it. plan.c says where everything goes, bid.c whether it fits, open.c makes the program,
 * plugin.c runs it. The structs below are those of memory.cu. */
#ifndef MGPT_MICRO_H
#define MGPT_MICRO_H

#include <stdbool.h>

#include <microgpt/cuda_native.h>
#include <microgpt/step.h>

#define MICRO_THREADS 512    /* of a block, unless told otherwise */
#define MICRO_MOST_SHARES 64 /* that the documents of a step are cut into */
#define MICRO_SLICE 4        /* elements a thread, of a slice of the gradients */
#define MICRO_ENTRY "mgpt_micro_step"

/* Number formats of a step. The words are those of the program (format.cu). */
enum micro_format { MICRO_F32 = 0, MICRO_TF32 = 1, MICRO_BF16 = 2, MICRO_F16 = 3 };

/* Where everything goes: depends on the model, the batch and the device alone. */
struct micro_plan {
    enum micro_format format;
    uint32_t threads, documents, shares, per_share, slices;
    int elements;         /* N: of all parameters, with what lies between them */
    bool updates;         /* the rule is ours, too */
    bool w_here;          /* in shared memory: weights rounded to 16 bits */
    bool p_here, g_here;  /* likewise: parameters and gradients */
    uint32_t s_here;      /* arrays of state there */
    uint64_t activations; /* bytes of shared memory without all these */
    uint64_t shared;      /* bytes in all */
    uint64_t global;      /* bytes of the device that an open step holds */
    uint32_t capacity;    /* steps whose data fit into what is held */
};

/* One document of a step; ids and targets follow, T' each: micro_document_bytes. */
struct micro_document {
    int32_t length, columns;
    uint64_t row;
    int32_t ids[];
};

struct micro_input {
    uint64_t step;
    double inv_targets, scalars[2][MGPT_MAX_SCALARS];
};

struct micro_args {
    float *p, *g, *s[MGPT_MAX_STATE];
    struct mgpt_step_state *state;
    const char *steps;
    struct mgpt_step_result *results;
    float *shares;
    double *losses, *squares;
    uint64_t n;
};

/* Rows of T positions are padded to whole groups of four. */
static inline uint32_t micro_pad(uint32_t n)
{
    return (n + 3) / 4 * 4;
}

static inline uint64_t micro_document_bytes(uint32_t columns)
{
    return sizeof(struct micro_document) + 2 * sizeof(int32_t) * (uint64_t)micro_pad(columns);
}

static inline uint64_t micro_step_bytes(const struct mgpt_step_spec *spec, uint32_t documents)
{
    return sizeof(struct micro_input) + documents * micro_document_bytes(spec->columns);
}

/* Which of them a plan asks for; false: none. (plan.c) */
bool micro_format_of(const struct mgpt_precision_plan *plan, enum micro_format *format);
static inline bool micro_is_short(enum micro_format format)
{
    return format == MICRO_BF16 || format == MICRO_F16;
}

/* The device behind a backend, or NULL. */
const struct mgpt_cuda_native *micro_native(const struct mgpt_step_spec *spec);

/* Whether it fits is for the caller to see: `activations` against `most`, bytes of shared memory
 * that a block can have. (plan.c) */
void micro_plan_make(const struct mgpt_step_spec *spec, uint32_t threads, uint64_t most,
                     struct micro_plan *plan);

/* The program, malloc'd. (text.c) */
enum mgpt_status micro_text(const struct mgpt_step_spec *spec, const struct micro_plan *plan,
                            char **text, struct mgpt_error *error);

void micro_bid(const struct mgpt_step_spec *spec, struct mgpt_bid *out);
/* What the module cannot do, or NULL. (bid.c) */
const char *micro_needs(const struct mgpt_step_spec *spec);

/* Lines of the files, NULL-terminated: device.cu, and the rest. (kernel_text.c, made by
 * embed.awk) */
extern const char *const micro_kernel_head[], *const micro_kernel_body[];

struct mgpt_step {
    struct mgpt_step_spec spec;
    const struct mgpt_cuda_native *cuda;
    struct micro_plan plan;
    struct mgpt_cuda_program *program;
    uint32_t blocks, at_once;   /* steps a launch, at most */
    struct mgpt_buffer *memory; /* of the device: steps, results, shares, losses, squares */
    struct micro_args args;
    char *steps;                      /* page-locked: data of the steps on their way */
    struct mgpt_step_result *results; /* page-locked */
    uint32_t n_steps, n_results;      /* steps whose data may still be read; not yet fetched */
};

enum mgpt_status micro_open(const struct mgpt_host *host, const struct mgpt_config *config,
                            const struct mgpt_step_spec *spec, struct mgpt_step **step,
                            struct mgpt_error *error);
void micro_close(struct mgpt_step *step);

#endif
