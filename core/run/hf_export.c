/* Export: a checkpoint as a folder that Hugging Face transformers opens as a GPT-2. */
#include <config.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "model/params.h"
#include "model/spec.h"
#include "run/checkpoint.h"
#include "run/hf.h"

/* What the folder will hold, in host memory. */
struct image {
    struct mgpt_model model;
    int32_t bos;
    uint32_t dtype;
    char *config, *tokenizer, *bos_name;
    struct mgpt_params params; /* the table of theirs: every norm and linear layer has a bias */
    struct mgpt_blob *blobs;
    char (*names)[96];
};

static void free_image(struct image *image)
{
    for (uint32_t i = 0; i < image->params.n && image->blobs; i++)
        free(image->blobs[i].data);
    free(image->blobs);
    free(image->names);
    mgpt_params_finish(&image->params);
    free(image->config);
    free(image->tokenizer);
    free(image->bos_name);
}

/* ---- reading the checkpoint ---- */

static enum mgpt_status read_model(const char *checkpoint, struct image *image,
                                   struct mgpt_error *error)
{
    char *json = NULL, *tokenizer = NULL;
    size_t size = 0;
    struct mgpt_error why;
    enum mgpt_status status = mgpt_checkpoint_text(checkpoint, "config.json", &json, &size, error);

    if (status != MGPT_OK)
        return status;
    status = mgpt_model_from_json(json, size, &image->model, &tokenizer, &why);
    free(json);
    free(tokenizer);
    if (status != MGPT_OK)
        return mgpt_fail(error, status, "%s/config.json: %s", checkpoint, why.text);
    return mgpt_hf_check(&image->model, error);
}

/* One that cannot be expressed is left out; only one that cannot be read stops the export. */
static enum mgpt_status read_tokenizer(const char *checkpoint, struct image *image,
                                       struct mgpt_hf_exported *exported, struct mgpt_error *error)
{
    char *json = NULL;
    size_t size = 0;
    struct mgpt_error why;
    enum mgpt_status status =
        mgpt_checkpoint_text(checkpoint, "tokenizer.json", &json, &size, error);

    if (status != MGPT_OK)
        return status;
    status =
        mgpt_hf_tokenizer_write(json, size, &image->tokenizer, &image->bos, &image->bos_name, &why);
    free(json);
    exported->tokenizer = status == MGPT_OK;
    exported->why_not = why;
    if (status == MGPT_OK || status == MGPT_UNSUPPORTED)
        return MGPT_OK;
    return mgpt_fail(error, status, "%s/tokenizer.json: %s", checkpoint, why.text);
}

/* Parameters that the model lacks are those that change nothing: gain 1, bias 0. */
static void fill(const struct mgpt_tensor *t, double value, void *data)
{
    for (int64_t k = 0; k < mgpt_tensor_count(t); k++)
        if (t->dtype == MGPT_F64)
            ((double *)data)[k] = value;
        else
            ((float *)data)[k] = (float)value;
}

/* Tensor i of the table, in their layout. */
static enum mgpt_status read_tensor(struct mgpt_safetensors *file, struct image *image, uint32_t i,
                                    struct mgpt_error *error)
{
    const struct mgpt_param *item = &image->params.items[i];
    struct mgpt_blob here = {item->name, item->p.dtype, item->p.rank, {0}, NULL}, found;
    struct mgpt_blob *out = &image->blobs[i];
    bool transposed;
    uint64_t size;

    memcpy(here.shape, item->p.shape, sizeof here.shape);
    mgpt_hf_name(item->name, image->names[i], &transposed);
    *out = here;
    out->name = image->names[i];
    if (!mgpt_blob_size(&here, &size) || !(out->data = malloc((size_t)size ? (size_t)size : 1)))
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for %s", item->name);
    if (!mgpt_safetensors_find(file, item->name, &found)) {
        fill(&item->p, image->params.start[i].value, out->data);
        return MGPT_OK;
    }
    here.data = out->data;
    enum mgpt_status status = mgpt_safetensors_read(file, &here, error);
    if (status != MGPT_OK || !transposed)
        return status;
    out->data = malloc((size_t)size);
    if (out->data)
        mgpt_hf_transpose(here.data, out->data, here.shape[0], here.shape[1],
                          mgpt_dtype_size(here.dtype));
    free(here.data);
    out->shape[0] = here.shape[1];
    out->shape[1] = here.shape[0];
    return out->data ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "out of memory for %s", item->name);
}

static enum mgpt_status read_tensors(struct mgpt_safetensors *file, struct image *image,
                                     struct mgpt_error *error)
{
    struct mgpt_model full = image->model;
    struct mgpt_blob wte;
    uint32_t n_ours, n;

    image->dtype = MGPT_F32;
    if (mgpt_safetensors_find(file, "wte.weight", &wte) && wte.dtype == MGPT_F64)
        image->dtype = MGPT_F64;
    struct mgpt_params ours = {0};
    enum mgpt_status status = mgpt_params_init(&ours, &full, image->dtype, false, error);
    n_ours = ours.n;
    mgpt_params_finish(&ours);
    full.norm_gain = full.norm_bias = 1;
    full.bias = MGPT_BIAS_QKV | MGPT_BIAS_PROJ | MGPT_BIAS_MLP;
    full.init = MGPT_INIT_NORMAL; /* so that biases and gains start as constants */
    if (status == MGPT_OK)
        status = mgpt_params_init(&image->params, &full, image->dtype, false, error);
    if (status != MGPT_OK)
        return status;
    if (mgpt_safetensors_count(file) != n_ours)
        return mgpt_fail(error, MGPT_DATA,
                         "model.safetensors holds %zu tensors; config.json makes %u",
                         mgpt_safetensors_count(file), n_ours);
    n = image->params.n;
    image->blobs = calloc(n, sizeof *image->blobs);
    image->names = calloc(n, sizeof *image->names);
    if (!image->blobs || !image->names)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for %u tensors", n);
    for (uint32_t i = 0; i < n && status == MGPT_OK; i++)
        status = read_tensor(file, image, i, error);
    return status;
}

static enum mgpt_status read_weights(const char *checkpoint, struct image *image,
                                     struct mgpt_error *error)
{
    struct mgpt_safetensors *file = NULL;
    char *path = mgpt_path_join(checkpoint, "model.safetensors");
    enum mgpt_status status = path ? mgpt_safetensors_open(path, &file, error)
                                   : mgpt_fail(error, MGPT_NOMEM, "out of memory");

    if (status == MGPT_OK)
        status = read_tensors(file, image, error);
    mgpt_safetensors_close(file);
    free(path);
    return status;
}

/* ---- writing the folder ---- */

static enum mgpt_status write_text(const char *folder, const char *name, const char *text,
                                   struct mgpt_error *error)
{
    char *path = mgpt_path_join(folder, name);
    enum mgpt_status status = path && text ? mgpt_file_replace(path, text, strlen(text), error)
                                           : mgpt_fail(error, MGPT_NOMEM, "out of memory");

    free(path);
    return status;
}

/* A JSON text; takes `object`. */
static enum mgpt_status write_json(const char *folder, const char *name, json_t *object,
                                   struct mgpt_error *error)
{
    char *text = object ? json_dumps(object, JSON_INDENT(2)) : NULL;
    enum mgpt_status status = write_text(folder, name, text, error);

    free(text);
    json_decref(object);
    return status;
}

/* The class that takes tokenizer.json as it stands; GPT-2's own would put its pre-tokenizer
 * there. */
static enum mgpt_status write_tokenizer(const char *folder, const struct image *image,
                                        struct mgpt_error *error)
{
    enum mgpt_status status = write_text(folder, "tokenizer.json", image->tokenizer, error);

    if (status != MGPT_OK)
        return status;
    return write_json(folder, "tokenizer_config.json",
                      json_pack("{s:s, s:s*, s:s*, s:b, s:i}", "tokenizer_class",
                                "PreTrainedTokenizerFast", "bos_token", image->bos_name,
                                "eos_token", image->bos_name, "clean_up_tokenization_spaces", 0,
                                "model_max_length", (int)image->model.context),
                      error);
}

static enum mgpt_status write_generation(const char *folder, const struct image *image,
                                         struct mgpt_error *error)
{
    json_t *id = image->bos < 0 ? json_null() : json_integer(image->bos);

    /* "O" takes a reference of its own */
    json_t *object = json_pack("{s:O, s:O}", "bos_token_id", id, "eos_token_id", id);
    json_decref(id);
    return write_json(folder, "generation_config.json", object, error);
}

static enum mgpt_status write_files(const char *folder, const struct image *image,
                                    struct mgpt_error *error)
{
    char *path = mgpt_path_join(folder, "model.safetensors");
    enum mgpt_status status =
        path ? mgpt_safetensors_write(path, image->blobs, image->params.n, error)
             : mgpt_fail(error, MGPT_NOMEM, "out of memory");

    free(path);
    if (status == MGPT_OK)
        status = write_text(folder, "config.json", image->config, error);
    if (status == MGPT_OK)
        status = write_generation(folder, image, error);
    if (status == MGPT_OK && image->tokenizer)
        status = write_tokenizer(folder, image, error);
    return status == MGPT_OK ? mgpt_dir_sync(folder, error) : status;
}

/* Under a temporary name, then renamed: whole or not there. */
static enum mgpt_status write_folder(const char *dir, const struct image *image,
                                     struct mgpt_error *error)
{
    char *folder = mgpt_path_folder(dir), *temporary = mgpt_path_temporary(dir);
    struct mgpt_error ignored;
    enum mgpt_status status = folder && temporary ? mgpt_dir_make(folder, error)
                                                  : mgpt_fail(error, MGPT_NOMEM, "out of memory");

    if (status == MGPT_OK)
        status = mgpt_dir_remove(temporary, error); /* of a killed process */
    if (status == MGPT_OK && mkdir(temporary, 0777))
        status = mgpt_file_fail(error, MGPT_IO, temporary, "make the folder");
    else if (status == MGPT_OK) {
        status = write_files(temporary, image, error);
        if (status == MGPT_OK && rename(temporary, dir))
            status = mgpt_file_fail(error, MGPT_IO, dir, "give the new folder its name");
        if (status != MGPT_OK)
            (void)mgpt_dir_remove(temporary, &ignored);
    }
    if (status == MGPT_OK)
        status = mgpt_dir_sync(folder, error);
    free(temporary);
    free(folder);
    return status;
}

enum mgpt_status mgpt_hf_export(const char *checkpoint, const char *dir,
                                struct mgpt_hf_exported *exported, struct mgpt_error *error)
{
    struct image image = {.bos = -1};
    char *absolute = mgpt_path_absolute(dir); /* "out/" has no name to be given */
    enum mgpt_status status = MGPT_OK;

    *exported = (struct mgpt_hf_exported){0};
    if (!absolute)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory");
    for (size_t n = strlen(absolute); n > 1 && absolute[n - 1] == '/'; n--)
        absolute[n - 1] = '\0';
    if (mgpt_path_exists(absolute))
        status = mgpt_fail(error, MGPT_USAGE, "%s: is there already; expected a new folder", dir);
    if (status == MGPT_OK)
        status = read_model(checkpoint, &image, error);
    if (status == MGPT_OK)
        status = read_tokenizer(checkpoint, &image, exported, error);
    if (status == MGPT_OK)
        status = read_weights(checkpoint, &image, error);
    if (status == MGPT_OK)
        status = mgpt_hf_config_write(&image.model, image.bos, image.dtype, &image.config, error);
    if (status == MGPT_OK)
        status = write_folder(absolute, &image, error);
    free_image(&image);
    free(absolute);
    return status;
}
