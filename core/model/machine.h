/* A machine: an open device, completed by the reference, so that every op runs. */
#ifndef MGPT_MODEL_MACHINE_H
#define MGPT_MODEL_MACHINE_H

#include <stdbool.h>

#include <microgpt/backend.h>
#include <microgpt/optimizer.h>
#include <microgpt/step.h>

/* How an op, or the optimizer's rule, runs. */
enum mgpt_path {
    MGPT_PATH_DEVICE = 0, /* the device has it */
    MGPT_PATH_HOST = 1,   /* by the core, on the device's memory, which the host sees */
    MGPT_PATH_STAGED = 2, /* by the core, on copies */
    MGPT_PATHS = 3
};

/* What was planned, one an op code. */
struct mgpt_tally {
    uint32_t calls[MGPT_PATHS];
    uint64_t staged; /* bytes that its calls copy, both ways */
};

/* Zero-initialise. */
struct mgpt_machine {
    const struct mgpt_backend_api *api;
    struct mgpt_device *device;
    bool owned; /* close closes the device */
    struct mgpt_caps caps;
    uint32_t fallback;              /* enum mgpt_fallback */
    uint32_t warned[MGPT_OP_COUNT]; /* ops whose staging was told */
    enum mgpt_path update_path;     /* that the last mgpt_machine_update took */
    struct mgpt_tally *tally;       /* MGPT_OP_COUNT of them, to be added to by plan; or NULL */
};

/* An op as it will run: on the device, by the reference in place, or by the reference on staged
 * copies. */
struct mgpt_call {
    struct mgpt_op op;
    mgpt_op_fn run; /* NULL: by the reference */
    uint32_t host;  /* 1: its tensors are in host memory */
};

enum mgpt_status mgpt_machine_open(struct mgpt_machine *machine, const struct mgpt_backend_api *api,
                                   const struct mgpt_config *config, enum mgpt_fallback fallback,
                                   struct mgpt_error *error);
/* The device of a step's spec, borrowed. */
void mgpt_machine_borrow(struct mgpt_machine *machine, const struct mgpt_step_spec *spec);
void mgpt_machine_close(struct mgpt_machine *machine);

/* Does the device itself have the op? Its shapes and formats are final. */
bool mgpt_machine_supports(const struct mgpt_machine *machine, const struct mgpt_op *op);
/* Checks the op once and decides how it runs; with fallback = error a staged op is refused. */
enum mgpt_status mgpt_machine_plan(struct mgpt_machine *machine, const struct mgpt_op *op,
                                   struct mgpt_call *call, struct mgpt_error *error);
enum mgpt_status mgpt_machine_run(struct mgpt_machine *machine, const struct mgpt_call *call,
                                  struct mgpt_error *error);
/* Plans and runs one op. */
enum mgpt_status mgpt_machine_do(struct mgpt_machine *machine, const struct mgpt_op *op,
                                 struct mgpt_error *error);
/* The optimizer's rule: on the device, else on the host (in place or staged). */
enum mgpt_status mgpt_machine_update(struct mgpt_machine *machine, const struct mgpt_update *update,
                                     struct mgpt_error *error);

/* Host address of a tensor, or NULL when the host cannot see it. */
void *mgpt_machine_map(const struct mgpt_machine *machine, const struct mgpt_tensor *tensor);
/* All of a tensor, to and from host memory. */
enum mgpt_status mgpt_machine_write(struct mgpt_machine *machine, const struct mgpt_tensor *tensor,
                                    const void *data, struct mgpt_error *error);
enum mgpt_status mgpt_machine_read(struct mgpt_machine *machine, const struct mgpt_tensor *tensor,
                                   void *data, struct mgpt_error *error);
/* A new buffer of n elements as a tensor of rank 1, filled with zero bytes. */
enum mgpt_status mgpt_machine_new(struct mgpt_machine *machine, enum mgpt_dtype dtype, int64_t n,
                                  struct mgpt_tensor *tensor, struct mgpt_error *error);
void mgpt_machine_free(struct mgpt_machine *machine, struct mgpt_tensor *tensor);

#endif
