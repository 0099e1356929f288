/* Folders of the shape that Hugging Face gave GPT-2: config.json, model.safetensors,
 * tokenizer.json. The parts of export and import.
 * https://huggingface.co/docs/transformers/model_doc/gpt2 */
#ifndef MGPT_RUN_HF_H
#define MGPT_RUN_HF_H

#include <microgpt/model.h>

#include "base/text.h"
#include "conf/conf.h"
#include "plugin/registry.h"

/* ---- export ---- */

/* What export has to say besides success. */
struct mgpt_hf_exported {
    bool tokenizer;            /* false: tokenizer.json was left out, because of... */
    struct mgpt_error why_not; /* ...this */
};

/* Writes a checkpoint's model (and tokenizer, where it can be expressed) to the new folder `dir`,
 * which appears whole or not at all. MGPT_UNSUPPORTED names the setting that GPT-2 has no place
 * for; MGPT_USAGE: the folder is there already. */
enum mgpt_status mgpt_hf_export(const char *checkpoint, const char *dir,
                                struct mgpt_hf_exported *exported, struct mgpt_error *error);

/* ---- import ---- */

/* A folder that was opened: its model, and its tokenizer as one of ours. Zero-initialise. */
struct mgpt_hf {
    char *dir;
    struct mgpt_model model;
    const char *tokenizer; /* name of the module */
    bool bos;
    uint32_t ids;         /* that the tokenizer has; the model may have rows behind them */
    char *added_json;     /* added_tokens.json, or NULL */
    char *added_path;     /* of that */
    bool added_wrong;     /* what is wrong is wrong there; the error names it */
    char *tokenizer_json; /* as that module loads it */
    char *tokenizer_path; /* the file that it comes from, for messages */
};

/* Reads config.json and tokenizer.json. MGPT_DATA: path, offset, reason; MGPT_UNSUPPORTED: what
 * this program has no place for. Close it in any case. */
enum mgpt_status mgpt_hf_open(const char *dir, struct mgpt_hf *hf, struct mgpt_error *error);
/* "section.key=value" lines: the configuration that the folder asks for. */
void mgpt_hf_settings(const struct mgpt_hf *hf, struct mgpt_string *out);
/* Makes [run] dir a run that has done no step and holds the folder's weights. MGPT_CONFIG when that
 * holds a run already, or when the configuration makes another model. */
enum mgpt_status mgpt_hf_import(const struct mgpt_hf *hf, struct mgpt_conf *conf,
                                struct mgpt_registry *registry, const char *config_path,
                                struct mgpt_error *error);
void mgpt_hf_close(struct mgpt_hf *hf);

/* ---- the parts ---- */

/* Can GPT-2 express it? MGPT_UNSUPPORTED: "[model] norm = rms: ...". */
enum mgpt_status mgpt_hf_check(const struct mgpt_model *model, struct mgpt_error *error);
/* config.json; bos -1: none (malloc). */
enum mgpt_status mgpt_hf_config_write(const struct mgpt_model *model, int32_t bos, uint32_t dtype,
                                      char **json, struct mgpt_error *error);
enum mgpt_status mgpt_hf_config_read(const char *json, size_t size, struct mgpt_model *model,
                                     struct mgpt_error *error);

/* The id of BOS there, or -1, whatever is wrong with the file. */
int32_t mgpt_hf_config_bos(const char *json, size_t size);

/* tokenizer.json of ours to one that `tokenizers` reads, with the id and the name of BOS, -1 and
 * NULL without (malloc). MGPT_UNSUPPORTED: it is none of char, byte and bpe. */
enum mgpt_status mgpt_hf_tokenizer_write(const char *ours, size_t size, char **theirs, int32_t *bos,
                                         char **bos_name, struct mgpt_error *error);
/* The other way: byte-level BPE, or one that has an id for each character and no merges. `bos` is
 * the id that config.json names, or -1. */
enum mgpt_status mgpt_hf_tokenizer_read(const char *theirs, size_t size, int32_t bos,
                                        struct mgpt_hf *hf, struct mgpt_error *error);
/* The two files that GPT-2's tokenizer had first: {token: id}, and a merge a line. */
enum mgpt_status mgpt_hf_merges_read(const char *vocab, size_t size, const char *merges,
                                     size_t merges_size, int32_t bos, struct mgpt_hf *hf,
                                     struct mgpt_error *error);

/* Their name of our tensor, "transformer.h.0.attn.c_attn.weight"; *transposed: they store it
 * (in, out). */
void mgpt_hf_name(const char *ours, char theirs[96], bool *transposed);
/* (rows, columns) to (columns, rows), elements of 4 or 8 bytes. */
void mgpt_hf_transpose(const void *from, void *to, int64_t rows, int64_t columns, size_t size);

#endif
