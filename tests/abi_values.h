/* What every constant of the public headers means. For check_abi. */
#ifndef MGPT_TESTS_ABI_VALUES_H
#define MGPT_TESTS_ABI_VALUES_H

#include <microgpt/backend.h>
#include <microgpt/cuda_native.h>
#include <microgpt/dataset.h>
#include <microgpt/logger.h>
#include <microgpt/model.h>
#include <microgpt/optimizer.h>
#include <microgpt/plugin.h>
#include <microgpt/precision.h>
#include <microgpt/random.h>
#include <microgpt/sampler.h>
#include <microgpt/scheduler.h>
#include <microgpt/status.h>
#include <microgpt/step.h>
#include <microgpt/tensor.h>
#include <microgpt/tokenizer.h>
#include <microgpt/utf8.h>

#define VALUE(name, number)                                                                        \
    {                                                                                              \
#name, (long long)name, number                                                             \
    }
static const struct {
    const char *name;
    long long value, expected;
} values[] = {
    VALUE(MGPT_OK, 0),
    VALUE(MGPT_UNSUPPORTED, -1),
    VALUE(MGPT_INVALID, -2),
    VALUE(MGPT_NOMEM, -3),
    VALUE(MGPT_DEVICE, -4),
    VALUE(MGPT_IO, -5),
    VALUE(MGPT_CANCELED, -6),
    VALUE(MGPT_INTERNAL, -7),
    VALUE(MGPT_USAGE, -8),
    VALUE(MGPT_CONFIG, -9),
    VALUE(MGPT_PLUGIN, -10),
    VALUE(MGPT_DATA, -11),
    VALUE(MGPT_NONFINITE, -12),
    VALUE(MGPT_F32, 1),
    VALUE(MGPT_F64, 2),
    VALUE(MGPT_F16, 3),
    VALUE(MGPT_BF16, 4),
    VALUE(MGPT_I32, 5),
    VALUE(MGPT_U8, 6),
    VALUE(MGPT_U32, 7),
    VALUE(MGPT_I64, 8),
    VALUE(MGPT_OPTION_BOOL, 1),
    VALUE(MGPT_OPTION_INT, 2),
    VALUE(MGPT_OPTION_FLOAT, 3),
    VALUE(MGPT_OPTION_TEXT, 4),
    VALUE(MGPT_OPTION_ENUM, 5),
    VALUE(MGPT_OPTION_PATH, 6),
    VALUE(MGPT_OPTION_LIST, 7),
    VALUE(MGPT_OPTION_SEED, 8),
    VALUE(MGPT_LOG_ERROR, 1),
    VALUE(MGPT_LOG_WARN, 2),
    VALUE(MGPT_LOG_INFO, 3),
    VALUE(MGPT_LOG_DEBUG, 4),
    VALUE(MGPT_NORM_RMS, 1),
    VALUE(MGPT_NORM_LAYER, 2),
    VALUE(MGPT_ACT_NONE, 0),
    VALUE(MGPT_ACT_RELU, 1),
    VALUE(MGPT_ACT_RELU2, 2),
    VALUE(MGPT_ACT_GELU, 3),
    VALUE(MGPT_ACT_GELU_TANH, 4),
    VALUE(MGPT_BIAS_QKV, 1),
    VALUE(MGPT_BIAS_PROJ, 2),
    VALUE(MGPT_BIAS_MLP, 4),
    VALUE(MGPT_BIAS_HEAD, 8),
    VALUE(MGPT_INIT_NORMAL, 1),
    VALUE(MGPT_INIT_UNIFORM, 2),
    VALUE(MGPT_OP_EMBED, 1),
    VALUE(MGPT_OP_EMBED_BACKWARD, 2),
    VALUE(MGPT_OP_NORM, 3),
    VALUE(MGPT_OP_NORM_BACKWARD, 4),
    VALUE(MGPT_OP_LINEAR, 5),
    VALUE(MGPT_OP_LINEAR_BACKWARD, 6),
    VALUE(MGPT_OP_ACTIVATION, 7),
    VALUE(MGPT_OP_ACTIVATION_BACKWARD, 8),
    VALUE(MGPT_OP_ATTENTION, 9),
    VALUE(MGPT_OP_ATTENTION_BACKWARD, 10),
    VALUE(MGPT_OP_ADD, 11),
    VALUE(MGPT_OP_DROPOUT, 12),
    VALUE(MGPT_OP_CROSS_ENTROPY, 13),
    VALUE(MGPT_OP_FILL, 14),
    VALUE(MGPT_OP_CLIP, 15),
    VALUE(MGPT_OP_SCALER, 16),
    VALUE(MGPT_OP_AXPBY, 17),
    VALUE(MGPT_OP_COUNT, 18),
    VALUE(MGPT_OP_ACCUMULATE, 1),
    VALUE(MGPT_OP_TF32, 2),
    VALUE(MGPT_ROLE_VECTOR, 1),
    VALUE(MGPT_ROLE_EMBEDDING, 2),
    VALUE(MGPT_ROLE_HEAD, 3),
    VALUE(MGPT_ROLE_HIDDEN, 4),
    VALUE(MGPT_MAX_PARTS, 4),
    VALUE(MGPT_CAPS_HOST, 1),
    VALUE(MGPT_CAPS_TF32, 2),
    VALUE(MGPT_PART_TRAIN, 0),
    VALUE(MGPT_PART_VALID, 1),
    VALUE(MGPT_PART_TRAIN_EVAL, 2),
    VALUE(MGPT_EVENT_STEP, 1),
    VALUE(MGPT_EVENT_VALIDATION, 2),
    VALUE(MGPT_EVENT_SAMPLE, 3),
    VALUE(MGPT_EVENT_CHECKPOINT, 4),
    VALUE(MGPT_EVENT_NOTE, 5),
    VALUE(MGPT_CUDA_COOPERATIVE, 1),
    VALUE(MGPT_COVERS_FB, 1),
    VALUE(MGPT_COVERS_FBC, 2),
    VALUE(MGPT_COVERS_FBCU, 3),
    VALUE(MGPT_COVERS_FBCUS, 4),
    VALUE(MGPT_FALLBACK_WARN, 0),
    VALUE(MGPT_FALLBACK_ERROR, 1),
    VALUE(MGPT_FALLBACK_SILENT, 2),
    VALUE(MGPT_DRAW_CROP, 1),
    VALUE(MGPT_DRAW_EVAL_CROP, 2),
    VALUE(MGPT_DRAW_EMBEDDING, 3),
    VALUE(MGPT_DRAW_ATTENTION, 4),
    VALUE(MGPT_DRAW_PROJECTION, 5),
    VALUE(MGPT_DRAW_MLP, 6),
    VALUE(MGPT_DRAW_SAMPLE, 7),
    VALUE(MGPT_ABI_MAGIC, 0x5450474d),
    VALUE(MGPT_ABI_MAJOR, 1),
    VALUE(MGPT_MAX_RANK, 4),
    VALUE(MGPT_OP_MAX_IN, 6),
    VALUE(MGPT_OP_MAX_OUT, 4),
    VALUE(MGPT_MAX_STATE, 4),
    VALUE(MGPT_MAX_SCALARS, 16),
    VALUE(MGPT_STEP_RING, 64),
    VALUE(sizeof(enum mgpt_status), 4),
};
#undef VALUE

#endif
