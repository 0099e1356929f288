/* Import: a folder of Hugging Face's as a run of ours that has done no step yet. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "model/spec.h"
#include "ref/ops.h"
#include "run/folder.h"
#include "run/hf.h"
#include "run/snapshot.h"

#define TEXT_LIMIT ((uint64_t)64 << 20) /* GPT-2's own tokenizer.json has 3.5 MB */

/* ---- opening ---- */

static enum mgpt_status read_text(const char *dir, const char *name, char **path, char **text,
                                  size_t *size, struct mgpt_error *error)
{
    *path = mgpt_path_join(dir, name);
    return *path ? mgpt_file_read(*path, TEXT_LIMIT, text, size, error)
                 : mgpt_fail(error, MGPT_NOMEM, "out of memory");
}

/* Without a file the number of ids says which: transformers writes models without one. */
static enum mgpt_status guess_tokenizer(struct mgpt_hf *hf, struct mgpt_error *error)
{
    if (hf->model.vocab != 256 && hf->model.vocab != 257)
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "%s: there is no tokenizer.json nor vocab.json, and \"vocab_size\" is %u; "
                         "expected 256 (bytes) or 257 (bytes and BOS)",
                         hf->dir, hf->model.vocab);
    hf->tokenizer = "byte";
    hf->bos = hf->model.vocab == 257;
    hf->ids = hf->model.vocab;
    hf->tokenizer_json =
        strdup(hf->bos ? "{\"version\":\"1.0\",\"model\":{\"type\":\"byte\",\"bos\":\"<BOS>\"}}"
                       : "{\"version\":\"1.0\",\"model\":{\"type\":\"byte\",\"bos\":null}}");
    mgpt_log(MGPT_LOG_INFO, "%s: no tokenizer.json; its %u ids are taken for bytes%s", hf->dir,
             hf->model.vocab, hf->bos ? " and BOS" : "");
    hf->tokenizer_path = strdup(hf->dir);
    return hf->tokenizer_json && hf->tokenizer_path ? MGPT_OK
                                                    : mgpt_fail(error, MGPT_NOMEM, "out of memory");
}

static bool has(const struct mgpt_hf *hf, const char *name)
{
    char *path = mgpt_path_join(hf->dir, name);
    bool found = path && mgpt_path_exists(path);

    free(path);
    return found;
}

/* A tokenizer that is refused, by the file that is wrong. */
static enum mgpt_status refuse(const struct mgpt_hf *hf, const char *path, const char *more,
                               enum mgpt_status status, const struct mgpt_error *why,
                               struct mgpt_error *error)
{
    return hf->added_wrong ? mgpt_fail(error, status, "%s", why->text)
                           : mgpt_fail(error, status, "%s%s: %s", path, more, why->text);
}

/* The files that GPT-2 came with, for a folder without tokenizer.json. */
static enum mgpt_status open_merges(struct mgpt_hf *hf, int32_t bos, struct mgpt_error *error)
{
    char *vocab = NULL, *merges = NULL, *path = NULL, *other = NULL;
    size_t size, merges_size;
    struct mgpt_error why;
    enum mgpt_status status = read_text(hf->dir, "vocab.json", &path, &vocab, &size, error);

    if (status == MGPT_OK)
        status = read_text(hf->dir, "merges.txt", &other, &merges, &merges_size, error);
    if (status == MGPT_OK) {
        status = mgpt_hf_merges_read(vocab, size, merges, merges_size, bos, hf, &why);
        if (status != MGPT_OK)
            (void)refuse(hf, path, " and merges.txt", status, &why, error);
    }
    free(vocab);
    free(merges);
    free(path);
    hf->tokenizer_path = other;
    return status;
}

static enum mgpt_status open_json(struct mgpt_hf *hf, int32_t bos, struct mgpt_error *error)
{
    char *text = NULL, *path = NULL;
    size_t size;
    struct mgpt_error why;
    enum mgpt_status status = read_text(hf->dir, "tokenizer.json", &path, &text, &size, error);

    if (status == MGPT_OK) {
        status = mgpt_hf_tokenizer_read(text, size, bos, hf, &why);
        if (status != MGPT_OK)
            (void)refuse(hf, path, "", status, &why, error);
    }
    free(text);
    hf->tokenizer_path = path;
    return status;
}

static enum mgpt_status open_added(struct mgpt_hf *hf, struct mgpt_error *error)
{
    size_t size;

    return has(hf, "added_tokens.json") ? read_text(hf->dir, "added_tokens.json", &hf->added_path,
                                                    &hf->added_json, &size, error)
                                        : MGPT_OK;
}

/* Rows behind the tokenizer's ids are padding, to a multiple that suits a device; more than the
 * largest that is common, or than there are ids, come of another tokenizer's. */
static enum mgpt_status check_ids(const struct mgpt_hf *hf, struct mgpt_error *error)
{
    if (hf->model.vocab < hf->ids)
        return mgpt_fail(error, MGPT_DATA,
                         "%s: \"vocab_size\" is %u in config.json, and its tokenizer has %u ids; "
                         "expected at least as many",
                         hf->dir, hf->model.vocab, hf->ids);
    uint32_t behind = hf->model.vocab - hf->ids;
    if (behind > 1024 || behind > hf->ids)
        mgpt_log(MGPT_LOG_WARN,
                 "%s: \"vocab_size\" is %u in config.json, and its tokenizer has %u ids, which is "
                 "more than padding: the tokenizer may be of another model",
                 hf->dir, hf->model.vocab, hf->ids);
    else if (behind)
        mgpt_log(MGPT_LOG_INFO,
                 "%s: \"vocab_size\" is %u in config.json, and its tokenizer has %u ids: those "
                 "behind stay in the model, and no sample has them",
                 hf->dir, hf->model.vocab, hf->ids);
    return MGPT_OK;
}

static enum mgpt_status open_tokenizer(struct mgpt_hf *hf, int32_t bos, struct mgpt_error *error)
{
    bool json = has(hf, "tokenizer.json"), merges = has(hf, "vocab.json");
    enum mgpt_status status = open_added(hf, error);

    if (status == MGPT_OK)
        status = json     ? open_json(hf, bos, error)
                 : merges ? open_merges(hf, bos, error)
                          : guess_tokenizer(hf, error);
    return status == MGPT_OK ? check_ids(hf, error) : status;
}

enum mgpt_status mgpt_hf_open(const char *dir, struct mgpt_hf *hf, struct mgpt_error *error)
{
    char *text = NULL, *path = NULL;
    size_t size;
    struct mgpt_error why;

    hf->dir = mgpt_path_absolute(dir);
    if (!hf->dir)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory");
    enum mgpt_status status = read_text(hf->dir, "config.json", &path, &text, &size, error);
    if (status == MGPT_OK) {
        status = mgpt_hf_config_read(text, size, &hf->model, &why);
        if (status != MGPT_OK)
            (void)mgpt_fail(error, status, "%s: %s", path, why.text);
    }
    int32_t bos = status == MGPT_OK ? mgpt_hf_config_bos(text, size) : -1;
    free(text);
    free(path);
    return status == MGPT_OK ? open_tokenizer(hf, bos, error) : status;
}

void mgpt_hf_close(struct mgpt_hf *hf)
{
    free(hf->dir);
    free(hf->tokenizer_path);
    free(hf->tokenizer_json);
    free(hf->added_json);
    free(hf->added_path);
    *hf = (struct mgpt_hf){0};
}

void mgpt_hf_settings(const struct mgpt_hf *hf, struct mgpt_string *out)
{
    mgpt_model_settings(&hf->model, out);
    mgpt_string_format(out, "model.vocab=%u\n", hf->model.vocab > hf->ids ? hf->model.vocab : 0);
    mgpt_string_format(out, "tokenizer.use=%s\ntokenizer.%s.bos=%s\n", hf->tokenizer, hf->tokenizer,
                       hf->bos ? "true" : "false");
    if (!strcmp(hf->tokenizer, "bpe"))
        mgpt_string_format(out, "tokenizer.bpe.vocab=%u\n", hf->ids);
}

/* ---- weights ---- */

/* The name of a tensor in the file: with the prefix, or as older folders have it. */
static void choose_name(const struct mgpt_safetensors *file, const char *ours, char theirs[96],
                        bool *transposed)
{
    static const char prefix[] = "transformer.";
    struct mgpt_blob blob;

    mgpt_hf_name(ours, theirs, transposed);
    if (!strncmp(theirs, prefix, sizeof prefix - 1) && !mgpt_safetensors_find(file, theirs, &blob))
        memmove(theirs, theirs + sizeof prefix - 1, strlen(theirs + sizeof prefix - 1) + 1);
}

static bool is_float(uint32_t dtype)
{
    return dtype == MGPT_F32 || dtype == MGPT_F64 || dtype == MGPT_F16 || dtype == MGPT_BF16;
}

/* The tensor of a parameter as the file must have it, in whatever float format it has there. */
static struct mgpt_blob wanted(const struct mgpt_safetensors *file, const struct mgpt_param *item,
                               char name[96], bool *transposed)
{
    const struct mgpt_tensor *t = &item->p;
    struct mgpt_blob want = {.name = name, .dtype = t->dtype, .rank = t->rank}, found;

    choose_name(file, item->name, name, transposed);
    want.shape[0] = t->shape[*transposed ? 1 : 0];
    if (t->rank > 1)
        want.shape[1] = t->shape[*transposed ? 0 : 1];
    if (mgpt_safetensors_find(file, name, &found) && is_float(found.dtype))
        want.dtype = found.dtype;
    return want;
}

/* (rows, columns) in the format of the file to that of the parameters; the same one to the bit,
 * NaN's payload and all. `wide` has room for a row. */
static void convert(const struct mgpt_blob *raw, uint32_t dtype, double *wide, void *out)
{
    int64_t rows = raw->shape[0], columns = raw->rank > 1 ? raw->shape[1] : 1;
    size_t from = mgpt_dtype_size(raw->dtype), to = mgpt_dtype_size(dtype);

    if (raw->dtype == dtype) {
        memcpy(out, raw->data, (size_t)(rows * columns) * to);
        return;
    }
    for (int64_t r = 0; r < rows; r++) {
        mgpt_ref_load(raw->dtype, (char *)raw->data + (size_t)(r * columns) * from, wide, columns);
        mgpt_ref_store(dtype, wide, (char *)out + (size_t)(r * columns) * to, columns);
    }
}

/* Reads the tensor of one parameter and puts it on the device, (out, in). */
static enum mgpt_status put_tensor(struct mgpt_session *s, struct mgpt_safetensors *file,
                                   const struct mgpt_param *item, struct mgpt_error *error)
{
    const struct mgpt_tensor *t = &item->p;
    char name[96];
    bool transposed;
    struct mgpt_blob want = wanted(file, item, name, &transposed);
    size_t n = (size_t)mgpt_tensor_count(t), width = mgpt_dtype_size(t->dtype);

    /* `raw` takes the transposed layout, too; no element is wider than 8 bytes. */
    void *raw = want.data = malloc(n * 8), *out = malloc(n * width);
    double *wide = malloc(sizeof *wide * (size_t)(want.rank > 1 ? want.shape[1] : 1));
    enum mgpt_status status = raw && out && wide
                                  ? mgpt_safetensors_read(file, &want, error)
                                  : mgpt_fail(error, MGPT_NOMEM, "out of memory for %s", name);
    if (status == MGPT_OK) {
        convert(&want, t->dtype, wide, out);
        if (transposed)
            mgpt_hf_transpose(out, raw, want.shape[0], want.shape[1], width);
        status = mgpt_machine_write(&s->machine, t, transposed ? raw : out, error);
    }
    free(raw);
    free(out);
    free(wide);
    return status;
}

/* What a GPT-2 folder may hold besides weights: masks of older versions, and the head that is
 * wte. */
static bool is_spare(const char *name, bool tied)
{
    static const char *const ends[] = {".attn.bias", ".attn.masked_bias"};

    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(name), m = strlen(ends[i]);
        if (n > m && !strcmp(name + n - m, ends[i]))
            return true;
    }
    return tied && !strcmp(name, "lm_head.weight");
}

static bool is_known(const struct mgpt_session *s, const struct mgpt_safetensors *file,
                     const char *name)
{
    char theirs[96];
    bool transposed;

    for (uint32_t i = 0; i < s->params.n; i++) {
        choose_name(file, s->params.items[i].name, theirs, &transposed);
        if (!strcmp(theirs, name))
            return true;
    }
    return is_spare(name, s->model.tied);
}

/* A tensor that the model has no place for means that it is another model. */
static enum mgpt_status check_names(const struct mgpt_session *s,
                                    const struct mgpt_safetensors *file, const char *path,
                                    struct mgpt_error *error)
{
    size_t most = (size_t)s->params.n + 2 * (size_t)s->model.layers + 1;

    for (size_t i = 0; i < mgpt_safetensors_count(file); i++)
        if (i >= most || !is_known(s, file, mgpt_safetensors_name(file, i)))
            return mgpt_fail(error, MGPT_DATA,
                             "%s: offset 8: it holds \"%.80s\", which config.json has no place for",
                             path, mgpt_safetensors_name(file, i));
    return MGPT_OK;
}

/* Before anything of the model is allocated: a config.json may claim any size, the file has one. */
static enum mgpt_status check_tensors(const struct mgpt_session *s,
                                      const struct mgpt_safetensors *file, struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;

    for (uint32_t i = 0; i < s->params.n && status == MGPT_OK; i++) {
        char name[96];
        bool transposed;
        struct mgpt_blob want = wanted(file, &s->params.items[i], name, &transposed);
        status = mgpt_safetensors_expect(file, &want, error);
    }
    return status;
}

static enum mgpt_status put_weights(struct mgpt_session *s, const struct mgpt_hf *hf,
                                    struct mgpt_error *error)
{
    struct mgpt_safetensors *file = NULL;
    char *path = mgpt_path_join(hf->dir, "model.safetensors");
    enum mgpt_status status = path ? mgpt_safetensors_open(path, &file, error)
                                   : mgpt_fail(error, MGPT_NOMEM, "out of memory");

    if (status == MGPT_OK)
        status = check_tensors(s, file, error);
    if (status == MGPT_OK)
        status = check_names(s, file, path, error);
    if (status == MGPT_OK)
        status = mgpt_session_model(s, true, error);
    for (uint32_t i = 0; i < s->params.n && status == MGPT_OK; i++)
        status = put_tensor(s, file, &s->params.items[i], error);
    mgpt_safetensors_close(file);
    free(path);
    return status;
}

/* ---- the run ---- */

/* All that training has open but for the data, and the weights in it. */
static enum mgpt_status fill_session(struct mgpt_session *s, const struct mgpt_hf *hf,
                                     struct mgpt_error *error)
{
    struct mgpt_error why;
    enum mgpt_status status = mgpt_session_device(s, error);

    mgpt_session_seed(s, mgpt_conf_seed(s->conf, "train", "seed"));
    if (status == MGPT_OK)
        status = mgpt_session_tokenizer_from(s, hf->tokenizer_path, hf->tokenizer_json,
                                             strlen(hf->tokenizer_json), error);
    if (status == MGPT_OK)
        status = mgpt_session_optimizer(s, error);
    if (status == MGPT_OK)
        status = mgpt_session_scheduler(s, error);
    if (status == MGPT_OK)
        status = mgpt_session_shape(s, error);
    if (status == MGPT_OK && mgpt_model_match(&hf->model, &s->model, &why) != MGPT_OK)
        return mgpt_fail(error, MGPT_CONFIG, "%s/config.json: %s", hf->dir, why.text);
    return status == MGPT_OK ? put_weights(s, hf, error) : status;
}

static enum mgpt_status write_run(struct mgpt_session *s, const char *dir, struct mgpt_error *error)
{
    struct mgpt_progress progress = {.best_loss = INFINITY};
    int lock = -1;
    enum mgpt_status status = mgpt_session_step_state(s, &progress.step_state, error);

    if (status == MGPT_OK)
        status = mgpt_dir_make(dir, error);
    if (status == MGPT_OK)
        status = mgpt_folder_lock(dir, &lock, error);
    if (status == MGPT_OK)
        status = mgpt_folder_refuse(dir, s->conf, error); /* somebody may have been faster */
    if (status == MGPT_OK)
        status = mgpt_snapshot_write(s, dir, &progress, false, error);
    if (status == MGPT_OK)
        status = mgpt_folder_keep(dir, s->conf, error);
    if (lock >= 0)
        close(lock);
    mgpt_machine_free(&s->machine, &progress.step_state);
    return status;
}

enum mgpt_status mgpt_hf_import(const struct mgpt_hf *hf, struct mgpt_conf *conf,
                                struct mgpt_registry *registry, const char *config_path,
                                struct mgpt_error *error)
{
    struct mgpt_session session = {.conf = conf, .registry = registry, .config_path = config_path};
    char *dir = mgpt_path_absolute(mgpt_conf_text(conf, "run", "dir"));
    enum mgpt_status status =
        dir ? mgpt_folder_refuse(dir, conf, error) : mgpt_fail(error, MGPT_NOMEM, "out of memory");

    if (status == MGPT_OK)
        status = fill_session(&session, hf, error);
    if (status == MGPT_OK)
        status = write_run(&session, dir, error);
    mgpt_session_close(&session);
    free(dir);
    return status;
}
