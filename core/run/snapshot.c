/* Snapshots: what the device holds, to and from a checkpoint. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "model/spec.h"
#include "run/snapshot.h"

/* Small things that a resumed run needs, as they lie in state.safetensors. */
struct extras {
    struct mgpt_step_state step_state;
    double best_loss;
    int64_t step, seed, validated, stale;
};

/* The blobs of a checkpoint, backed by one copy of the device's buffers. */
struct image {
    struct mgpt_snapshot snapshot;
    void *p, *state[MGPT_MAX_STATE];
    struct mgpt_blob *blobs;
    char (*names)[96];
    size_t n_names;
    struct extras extras;
};

#define N_EXTRAS 10

static void free_image(struct image *image)
{
    free(image->p);
    for (int k = 0; k < MGPT_MAX_STATE; k++)
        free(image->state[k]);
    free(image->blobs);
    free(image->names);
}

/* The k-th name of "(m, v)". */
static void state_name(const char *list, uint32_t k, char *out, size_t size)
{
    list += strspn(list, "( ");
    for (; k; k--) {
        list += strcspn(list, ",");
        list += strspn(list, ", ");
    }
    snprintf(out, size, "%.*s", (int)strcspn(list, ",) "), list);
}

static struct mgpt_blob blob_of(const struct mgpt_tensor *t, const char *name, void *buffer)
{
    struct mgpt_blob blob = {.name = name, .dtype = t->dtype, .rank = t->rank};

    memcpy(blob.shape, t->shape, sizeof blob.shape);
    blob.data = (char *)buffer + t->offset;
    return blob;
}

static struct mgpt_blob flat(const char *name, uint32_t dtype, int64_t n, void *data)
{
    return (struct mgpt_blob){.name = name, .dtype = dtype, .rank = 1, .shape = {n}, .data = data};
}

static void add_extras(struct mgpt_session *s, struct image *image)
{
    struct mgpt_blob *b = image->snapshot.state + image->snapshot.n_state;
    struct extras *x = &image->extras;

    *b++ = flat("run.step", MGPT_I64, 1, &x->step);
    *b++ = flat("run.seed", MGPT_I64, 1, &x->seed);
    *b++ = flat("run.best_loss", MGPT_F64, 1, &x->best_loss);
    *b++ = flat("run.validated", MGPT_I64, 1, &x->validated);
    *b++ = flat("run.stale", MGPT_I64, 1, &x->stale);
    *b++ = flat("run.step_state", MGPT_U8, sizeof x->step_state, &x->step_state);
    *b++ = flat("rng.words", MGPT_U32, 624, s->rng.words);
    *b++ = flat("rng.index", MGPT_U32, 1, &s->rng.index);
    *b++ = flat("rng.has_gauss", MGPT_U32, 1, &s->rng.has_gauss);
    *b++ = flat("rng.gauss", MGPT_F64, 1, &s->rng.gauss);
    image->snapshot.n_state = (size_t)(b - image->snapshot.state);
}

/* Lays the blobs out: the model's, then, with training, the optimizer's state and the extras. */
static enum mgpt_status make_image(struct mgpt_session *s, bool training, struct image *image,
                                   struct mgpt_error *error)
{
    const struct mgpt_params *params = &s->params;
    size_t bytes = (size_t)params->elements * mgpt_dtype_size(params->dtype);
    uint32_t n_state = training ? params->n_state : 0;
    size_t n = params->n * (1 + (size_t)n_state) + N_EXTRAS;
    bool ok;

    memset(image, 0, sizeof *image);
    image->p = calloc(1, bytes);
    image->blobs = calloc(n, sizeof *image->blobs);
    image->names = calloc(n, sizeof *image->names);
    ok = image->p && image->blobs && image->names;
    for (uint32_t k = 0; k < n_state; k++)
        if (params->state[k].rank)
            ok = (image->state[k] = calloc(1, mgpt_tensor_bytes(&params->state[k]))) && ok;
    if (!ok) {
        free_image(image);
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for a checkpoint's copy (%zu bytes)",
                         bytes * (1 + n_state));
    }
    image->snapshot.model = image->blobs;
    image->snapshot.n_model = params->n;
    for (uint32_t i = 0; i < params->n; i++)
        image->blobs[i] = blob_of(&params->items[i].p, params->items[i].name, image->p);
    image->snapshot.state = image->blobs + params->n;
    for (uint32_t k = 0; k < n_state; k++)
        for (uint32_t i = 0; i < params->n; i++) {
            if (!params->items[i].state[k].rank)
                continue;
            char *name = image->names[image->n_names++], array[32];
            state_name(s->optimizer_api->rule->state, k, array, sizeof array);
            snprintf(name, sizeof *image->names, "%s.%s.%s",
                     mgpt_conf_text(s->conf, "optimizer", "use"), array, params->items[i].name);
            image->snapshot.state[image->snapshot.n_state++] =
                blob_of(&params->items[i].state[k], name, image->state[k]);
        }
    if (training)
        add_extras(s, image);
    return MGPT_OK;
}

/* The device's buffers into the image, or back. */
static enum mgpt_status move_image(struct mgpt_session *s, struct image *image, bool to_device,
                                   struct mgpt_error *error)
{
    enum mgpt_status status = to_device
                                  ? mgpt_machine_write(&s->machine, &s->params.p, image->p, error)
                                  : mgpt_machine_read(&s->machine, &s->params.p, image->p, error);

    for (uint32_t k = 0; k < s->params.n_state && status == MGPT_OK; k++) {
        if (!image->state[k])
            continue;
        status = to_device
                     ? mgpt_machine_write(&s->machine, &s->params.state[k], image->state[k], error)
                     : mgpt_machine_read(&s->machine, &s->params.state[k], image->state[k], error);
    }
    return status;
}

/* tokenizer.json (malloc). */
static enum mgpt_status tokenizer_json(struct mgpt_session *s, char **json,
                                       struct mgpt_error *error)
{
    int64_t size = s->tokenizer_api->save(s->tokenizer, NULL, 0, error);

    *json = size < 0 ? NULL : malloc((size_t)size + 1);
    if (size >= 0 && *json)
        size = s->tokenizer_api->save(s->tokenizer, *json, (uint64_t)size, error);
    if (size < 0)
        return error ? (enum mgpt_status)error->status : MGPT_INTERNAL;
    if (!*json)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for tokenizer.json");
    (*json)[size] = 0;
    return MGPT_OK;
}

/* A checkpoint that holds NaN or Inf is worse than none: it would take the place of a good one. */
static enum mgpt_status check_finite(const struct mgpt_session *s, const struct image *image,
                                     uint64_t step, struct mgpt_error *error)
{
    for (size_t i = 0; i < image->snapshot.n_model; i++) {
        const struct mgpt_tensor *t = &s->params.items[i].p;
        const void *data = image->blobs[i].data;
        for (int64_t k = 0; k < mgpt_tensor_count(t); k++) {
            double x = t->dtype == MGPT_F64 ? ((const double *)data)[k] : ((const float *)data)[k];
            if (!isfinite(x))
                return mgpt_fail(
                    error, MGPT_NONFINITE,
                    "after step %llu parameter %s holds %g; such a model is not saved. "
                    "A smaller [train] lr may help",
                    (unsigned long long)step, s->params.items[i].name, x);
        }
    }
    return MGPT_OK;
}

/* ---- the loss scale ----
 *
 * A checkpoint has 0 for it where the loss was not scaled, so that 1 is a scale like any other. */

static void mark_scale(const struct mgpt_session *s, struct mgpt_step_state *state)
{
    if (!s->precision.scale_interval)
        state->loss_scale = 0;
}

/* A run whose loss was scaled goes on with that scale, exactly. One whose loss was not begins as a
 * new run does, from scale_initial; and one that is scaled no longer has 1. */
static void settle_scale(const struct mgpt_session *s, struct mgpt_step_state *state)
{
    const struct mgpt_precision_plan *plan = &s->precision;

    if (!plan->scale_interval) {
        state->grad_scale = state->loss_scale > 1 ? 1 : state->grad_scale;
        state->loss_scale = 1;
    } else if (state->loss_scale == 0) {
        state->loss_scale = plan->scale_initial;
        state->grad_scale = 1 / plan->scale_initial;
        state->good = 0; /* it counted all steps: the scale would grow after the first */
        mgpt_log(MGPT_LOG_INFO,
                 "precision = %s: the loss was not scaled up to here; its scale begins at %g",
                 mgpt_conf_text(s->conf, "precision", "use"), plan->scale_initial);
    } else if (state->loss_scale == 1 && plan->scale_initial > 1) {
        mgpt_log(MGPT_LOG_INFO,
                 "precision = %s: the checkpoint has a scale of 1 for the loss, and keeps it; "
                 "older ones have that, too, where the loss was not scaled",
                 mgpt_conf_text(s->conf, "precision", "use"));
    }
}

enum mgpt_status mgpt_snapshot_write(struct mgpt_session *s, const char *run_dir,
                                     const struct mgpt_progress *progress, bool best,
                                     struct mgpt_error *error)
{
    struct image image;
    char *config = NULL, *tokenizer = NULL;
    enum mgpt_status status = make_image(s, true, &image, error);

    if (status != MGPT_OK)
        return status;
    image.snapshot.step = progress->step;
    image.extras.step = (int64_t)progress->step;
    image.extras.seed = (int64_t)mgpt_conf_seed(s->conf, "train", "seed");
    image.extras.best_loss = progress->best_loss;
    image.extras.validated = (int64_t)progress->validated;
    image.extras.stale = (int64_t)progress->stale;
    status = move_image(s, &image, false, error);
    if (status == MGPT_OK)
        status = check_finite(s, &image, progress->step, error);
    if (status == MGPT_OK)
        status =
            mgpt_machine_read(&s->machine, &progress->step_state, &image.extras.step_state, error);
    if (status == MGPT_OK)
        status = mgpt_model_to_json(&s->model, mgpt_conf_text(s->conf, "tokenizer", "use"), &config,
                                    error);
    if (status == MGPT_OK)
        status = tokenizer_json(s, &tokenizer, error);
    mark_scale(s, &image.extras.step_state);
    image.snapshot.config_json = config;
    image.snapshot.tokenizer_json = tokenizer;
    if (status == MGPT_OK)
        status = mgpt_checkpoint_save(run_dir, &image.snapshot, best,
                                      (unsigned)mgpt_conf_int(s->conf, "train", "keep"), error);
    free(config);
    free(tokenizer);
    free_image(&image);
    return status;
}

/* Is `name` a tensor of the optimizer that is called so? Those of others are called
 * OTHER.ARRAY... */
static bool belongs(const char *name, const char *optimizer)
{
    size_t n = strlen(optimizer);

    return strncmp(name, optimizer, n) == 0 && name[n] == '.';
}

/* Another optimizer's state cannot be gone on with. A file that cannot be read is for whoever loads
 * it to report. */
static enum mgpt_status check_optimizer(const struct mgpt_session *s, const char *checkpoint,
                                        struct mgpt_error *error)
{
    const char *use = mgpt_conf_text(s->conf, "optimizer", "use"), *other = NULL;
    struct mgpt_safetensors *file = NULL;
    char *path = mgpt_path_join(checkpoint, "state.safetensors");
    enum mgpt_status status = MGPT_OK;

    bool opened = path && mgpt_safetensors_open(path, &file, NULL) == MGPT_OK;
    for (size_t i = 0; opened && i < mgpt_safetensors_count(file); i++) {
        const char *name = mgpt_safetensors_name(file, i);
        if (!belongs(name, "run") && !belongs(name, "rng"))
            other = name;
        if (belongs(name, use))
            break;
    }
    if (other && !belongs(other, use)) {
        int n = (int)strcspn(other, ".");
        status =
            mgpt_fail(error, MGPT_CONFIG,
                      "%s: [optimizer] use = %s, but %s was trained with %.*s; to resume it, "
                      "use that. Another optimizer takes a run of its own: train without "
                      "--resume, with another --dir",
                      mgpt_conf_origin(s->conf, "optimizer", "use"), use, checkpoint, n, other);
    }
    mgpt_safetensors_close(file);
    free(path);
    return status;
}

enum mgpt_status mgpt_snapshot_read(struct mgpt_session *s, const char *checkpoint,
                                    struct mgpt_progress *progress, struct mgpt_error *error)
{
    uint64_t seed = mgpt_conf_seed(s->conf, "train", "seed");
    struct image image;
    enum mgpt_status status = check_optimizer(s, checkpoint, error);

    if (status == MGPT_OK)
        status = make_image(s, true, &image, error);
    if (status != MGPT_OK)
        return status;
    status = mgpt_checkpoint_load(checkpoint, &image.snapshot, error);
    if (status == MGPT_OK && (uint64_t)image.extras.seed != seed)
        status = mgpt_fail(error, MGPT_CONFIG,
                           "%s: [train] seed = %llu, but the run was started with %llu; to resume, "
                           "use that",
                           mgpt_conf_origin(s->conf, "train", "seed"), (unsigned long long)seed,
                           (unsigned long long)image.extras.seed);
    if (status == MGPT_OK && s->rng.index > 624)
        status =
            mgpt_fail(error, MGPT_DATA, "%s/state.safetensors: rng.index is %u, expected 0..624",
                      checkpoint, s->rng.index);
    if (status == MGPT_OK)
        status = move_image(s, &image, true, error);
    if (status == MGPT_OK)
        settle_scale(s, &image.extras.step_state);
    if (status == MGPT_OK)
        status =
            mgpt_machine_write(&s->machine, &progress->step_state, &image.extras.step_state, error);
    progress->step = (uint64_t)image.extras.step;
    progress->best_loss = image.extras.best_loss;
    progress->validated = (uint64_t)image.extras.validated;
    progress->stale = (uint64_t)image.extras.stale;
    free_image(&image);
    return status;
}

enum mgpt_status mgpt_snapshot_read_model(struct mgpt_session *s, const char *checkpoint,
                                          struct mgpt_error *error)
{
    struct image image;
    enum mgpt_status status = make_image(s, false, &image, error);

    if (status != MGPT_OK)
        return status;
    status = mgpt_checkpoint_load(checkpoint, &image.snapshot, error);
    if (status == MGPT_OK)
        status = move_image(s, &image, true, error);
    free_image(&image);
    return status;
}
