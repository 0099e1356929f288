/* Kind "dataset/1": step -> batch, a pure function of (seed, step); so a resumed run needs no
 * state. */
#ifndef MICROGPT_DATASET_H
#define MICROGPT_DATASET_H

#include <microgpt/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MGPT_KIND_DATASET "dataset/1"

struct mgpt_dataset; /* the module's own */

enum mgpt_part {
    MGPT_PART_TRAIN = 0,     /* index is the step */
    MGPT_PART_VALID = 1,     /* index counts evaluation batches from 0 */
    MGPT_PART_TRAIN_EVAL = 2 /* the training part, looked at as VALID is */
};

/* B rows of T columns, row-major, padded with id 0 and target -1. The caller owns the arrays, which
 * hold the `rows x columns` of struct mgpt_dataset_env. Frozen. */
struct mgpt_batch {
    uint32_t rows, columns;
    int32_t *ids;
    int32_t *targets; /* -1: no target here */
};

/* Grows at the tail. Lives as long as the dataset. */
struct mgpt_dataset_env {
    uint32_t size;
    uint32_t rows;       /* [train] batch: rows of a micro-batch, at most */
    uint32_t columns;    /* context: columns, at most */
    uint32_t accumulate; /* micro-batches a step */
    const char *path;    /* [dataset] path, made absolute */
    double split;        /* share of the data that trains, 0 < split <= 1 */
    uint64_t seed;
    const struct mgpt_stream *stream; /* for `open` alone */
};

/* Grows at the tail. */
struct mgpt_dataset_info {
    uint32_t size, reserved;
    uint64_t documents, train_documents,
        valid_documents;                 /* 1, 1, 1 (or 0) for one stream of text */
    uint64_t train_tokens, valid_tokens; /* targets there are */
    uint64_t cut_documents;              /* longer than the context: only their start is used */
    uint64_t valid_batches; /* different batches of MGPT_PART_VALID; 0: as many as wanted, drawn at
                               random */
};

/* Grows at the tail. Order of calls: open, documents (to train a tokenizer), encode, then the rest.
 */
struct mgpt_dataset_api {
    uint32_t size, reserved;
    /* Reads and checks the data. MGPT_DATA: path, line or offset, what was expected. May draw from
     * the stream: the draws must depend on the data alone. [main] */
    enum mgpt_status (*open)(const struct mgpt_host *host, const struct mgpt_config *config,
                             const struct mgpt_dataset_env *env, struct mgpt_dataset **dataset,
                             struct mgpt_error *error);
    void (*close)(struct mgpt_dataset *dataset); /* [main] */
    /* All documents, of both parts; they live until close. [main] */
    const struct mgpt_text *(*documents)(const struct mgpt_dataset *dataset, uint64_t *n);
    /* Turns the documents into ids; the tokenizer must outlive the dataset. [main] */
    enum mgpt_status (*encode)(struct mgpt_dataset *dataset, const struct mgpt_tokenizer_api *api,
                               const struct mgpt_tokenizer *tokenizer, struct mgpt_error *error);
    void (*info)(const struct mgpt_dataset *dataset, struct mgpt_dataset_info *info); /* [any] */
    /* Targets of a whole training step, over its micro-batches; 1 or more. [any] */
    uint64_t (*targets)(const struct mgpt_dataset *dataset, uint64_t step);
    /* Fills micro-batch `micro` of batch `index` of a part (0 but for TRAIN). Pure. [any] */
    void (*batch)(const struct mgpt_dataset *dataset, enum mgpt_part part, uint64_t index,
                  uint32_t micro, struct mgpt_batch *batch);
};

#ifdef __cplusplus
}
#endif
#endif
