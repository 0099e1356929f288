/* Which formats an op takes: everything in F32, or BF16 where precision bf16 has it. */
#include "ops.h"

/* A letter a slot: f F32, h BF16, m either of them, - no float. */
static const struct mixture {
    char in[MGPT_OP_MAX_IN + 1], out[MGPT_OP_MAX_OUT + 1];
} mixtures[MGPT_OP_COUNT] = {
    [MGPT_OP_NORM] = {"fmff--", "mff-"},      [MGPT_OP_NORM_BACKWARD] = {"ffmf--", "fff-"},
    [MGPT_OP_LINEAR] = {"hff---", "mh--"},    [MGPT_OP_LINEAR_BACKWARD] = {"hfmh--", "mff-"},
    [MGPT_OP_ATTENTION] = {"h-----", "hfh-"}, [MGPT_OP_ATTENTION_BACKWARD] = {"hhfh--", "h---"},
    [MGPT_OP_ADD] = {"fm----", "m---"},       [MGPT_OP_DROPOUT] = {"h-----", "h---"},
};

static int all_f32(const struct mgpt_tensor *slots, int n)
{
    for (int i = 0; i < n; i++)
        if (slots[i].rank && mgpt_dtype_is_float(slots[i].dtype) && slots[i].dtype != MGPT_F32)
            return 0;
    return 1;
}

static int fits(const char *letters, const struct mgpt_tensor *slots, int n)
{
    for (int i = 0; i < n; i++) {
        uint32_t dtype = slots[i].rank ? slots[i].dtype : 0;
        int f = letters[i] == 'f' || letters[i] == 'm', h = letters[i] == 'h' || letters[i] == 'm';
        if (mgpt_dtype_is_float(dtype) && !(f && dtype == MGPT_F32) && !(h && dtype == MGPT_BF16))
            return 0;
    }
    return 1;
}

int cpu_supports(struct mgpt_device *device, const struct mgpt_op *op)
{
    const struct mixture *m = &mixtures[op->code < MGPT_OP_COUNT ? op->code : 0];

    if (op->code < 1 || op->code >= MGPT_OP_COUNT)
        return 0;
    if (all_f32(op->in, MGPT_OP_MAX_IN) && all_f32(op->out, MGPT_OP_MAX_OUT))
        return 1;
    return device->kernels->formats >> MGPT_BF16 & 1 && fits(m->in, op->in, MGPT_OP_MAX_IN) &&
           fits(m->out, op->out, MGPT_OP_MAX_OUT);
}
