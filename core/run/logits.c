/* Logits in a file, for whoever holds this program against another one. */
#include <config.h>

#include <stdlib.h>

#include "run/logits.h"
#include "run/safetensors.h"

static enum mgpt_status write_file(struct mgpt_session *s, const struct mgpt_batch *batch,
                                   const struct mgpt_tensor *on_device, const char *path,
                                   struct mgpt_error *error)
{
    int64_t rows = batch->rows, columns = batch->columns, vocab = s->model.vocab;
    size_t n = (size_t)(rows * columns * vocab);
    void *logits = calloc(n, mgpt_dtype_size(on_device->dtype));
    enum mgpt_status status = logits
                                  ? mgpt_machine_read(&s->machine, on_device, logits, error)
                                  : mgpt_fail(error, MGPT_NOMEM, "out of memory for %zu logits", n);
    const struct mgpt_blob blobs[] = {
        {"ids", MGPT_I32, 2, {rows, columns}, batch->ids},
        {"targets", MGPT_I32, 2, {rows, columns}, batch->targets},
        {"logits", on_device->dtype, 3, {rows, columns, vocab}, logits},
    };

    if (status == MGPT_OK)
        status = mgpt_safetensors_write(path, blobs, sizeof blobs / sizeof blobs[0], error);
    free(logits);
    return status;
}

enum mgpt_status mgpt_logits_save(struct mgpt_session *s, const char *path,
                                  struct mgpt_error *error)
{
    size_t cells = (size_t)mgpt_conf_int(s->conf, "train", "batch") * s->model.context;
    struct mgpt_batch batch = {.ids = calloc(cells, sizeof(int32_t)),
                               .targets = calloc(cells, sizeof(int32_t))};
    struct mgpt_tape *tape;
    enum mgpt_status status = MGPT_OK;

    if (!batch.ids || !batch.targets)
        status = mgpt_fail(error, MGPT_NOMEM, "out of memory for a validation batch");
    if (status == MGPT_OK) {
        s->dataset_api->batch(s->dataset, MGPT_PART_VALID, 0, 0, &batch);
        status = mgpt_passes_run(&s->passes, MGPT_MODE_LOGITS, &batch, 0, &tape, error);
    }
    if (status == MGPT_OK)
        status = write_file(s, &batch, &tape->logits, path, error);
    free(batch.ids);
    free(batch.targets);
    return status;
}
