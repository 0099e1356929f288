/* The parts of hf_tokenizer.c that are about merges. */
#ifndef MGPT_RUN_HF_BPE_H
#define MGPT_RUN_HF_BPE_H

#include <jansson.h>

#include "run/hf.h"

/* A parsed tokenizer.json as one of ours. */
enum mgpt_status mgpt_hf_tokenizer_take(const json_t *root, int32_t bos, struct mgpt_hf *hf,
                                        struct mgpt_error *error);
/* Appends the names of added tokens, those of added_json too, to `added`, and to the tokens by id
 * those that it lacks. */
enum mgpt_status mgpt_hf_added_read(const json_t *root, struct mgpt_hf *hf, json_t *vocab,
                                    json_t *added, struct mgpt_error *error);
/* The same for one with merges, or added tokens of any kind, whose tokens are `vocab` by id. */
enum mgpt_status mgpt_hf_bpe_read(const json_t *root, json_t *vocab, json_t *added, int32_t bos,
                                  struct mgpt_hf *hf, struct mgpt_error *error);
/* {token: id} of the "model" of our module bpe; NULL without memory. */
json_t *mgpt_hf_bpe_vocab(const json_t *model);

#endif
