/* Tensors: a view of a device buffer. Contiguous, row-major, little-endian. */
#ifndef MICROGPT_TENSOR_H
#define MICROGPT_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Storage formats. Append only. */
enum mgpt_dtype {
    MGPT_F32 = 1,
    MGPT_F64 = 2,
    MGPT_F16 = 3,  /* IEEE 754 binary16 */
    MGPT_BF16 = 4, /* the upper half of an F32 */
    MGPT_I32 = 5,
    MGPT_U8 = 6,
    MGPT_U32 = 7,
    MGPT_I64 = 8
};

#define MGPT_MAX_RANK 4 /* dimensions a tensor may have */

struct mgpt_buffer; /* memory of a device; owned by the backend that made it, opaque to all others
                     */

/* Frozen. Rank 0 with a NULL buffer means "no tensor" in an optional slot of an op. */
struct mgpt_tensor {
    struct mgpt_buffer *buffer;   /* what it is a view of */
    uint64_t offset;              /* bytes from the start of the buffer */
    uint32_t dtype;               /* enum mgpt_dtype */
    uint32_t rank;                /* 1..MGPT_MAX_RANK */
    int64_t shape[MGPT_MAX_RANK]; /* outermost first */
};

/* Bytes of one element; 0 for an unknown format. [any] */
static inline size_t mgpt_dtype_size(uint32_t dtype)
{
    switch (dtype) {
    case MGPT_F32:
    case MGPT_I32:
    case MGPT_U32: return 4;
    case MGPT_F64:
    case MGPT_I64: return 8;
    case MGPT_F16:
    case MGPT_BF16: return 2;
    case MGPT_U8: return 1;
    default: return 0;
    }
}

/* Does it hold numbers with a fraction, which ops compute with? 1 or 0. [any] */
static inline int mgpt_dtype_is_float(uint32_t dtype)
{
    return dtype == MGPT_F32 || dtype == MGPT_F64 || dtype == MGPT_F16 || dtype == MGPT_BF16;
}

/* Number of elements; 0 for "no tensor". [any] */
static inline int64_t mgpt_tensor_count(const struct mgpt_tensor *t)
{
    int64_t n = t->rank ? 1 : 0;
    for (uint32_t i = 0; i < t->rank; i++)
        n *= t->shape[i];
    return n;
}

/* Bytes of all its elements; 0 for "no tensor". [any] */
static inline size_t mgpt_tensor_bytes(const struct mgpt_tensor *t)
{
    return (size_t)mgpt_tensor_count(t) * mgpt_dtype_size(t->dtype);
}

/* The last dimension, and the product of all before it: any tensor seen as a matrix. [any] */
static inline int64_t mgpt_tensor_columns(const struct mgpt_tensor *t)
{
    return t->rank ? t->shape[t->rank - 1] : 0;
}

/* Likewise: the product of all dimensions but the last. [any] */
static inline int64_t mgpt_tensor_rows(const struct mgpt_tensor *t)
{
    int64_t columns = mgpt_tensor_columns(t);
    return columns ? mgpt_tensor_count(t) / columns : 0;
}

#ifdef __cplusplus
}
#endif
#endif
