/* Tokenizer bpe: what it states, its options, its ids and their bytes. When trained, ids 0 to 255
 * are the bytes, 256 is BOS where there is one, and the merges follow in the order of learning. A
 * vocabulary that was loaded, as that of GPT-2, has its own order. */
#include <stdlib.h>
#include <string.h>

#include "bpe.h"

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_tokenizer **tokenizer, struct mgpt_error *error)
{
    struct mgpt_tokenizer *t = calloc(1, sizeof *t);
    bool good = t != NULL;

    if (good) {
        t->host = host;
        t->with_bos = host->get_int(config, "bos") != 0;
        t->wanted = (int32_t)host->get_int(config, "vocab");
        bpe_table_init(&t->table);
        good = bpe_table_start(&t->table, t->with_bos);
    }
    if (!good) {
        if (t)
            bpe_table_finish(&t->table);
        free(t);
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for tokenizer bpe");
    }
    *tokenizer = t;
    return MGPT_OK;
}

static void destroy(struct mgpt_tokenizer *t)
{
    if (t)
        bpe_table_finish(&t->table);
    free(t);
}

static int32_t vocab(const struct mgpt_tokenizer *t)
{
    return t->table.n;
}

static int32_t bos(const struct mgpt_tokenizer *t)
{
    return t->table.bos;
}

static int64_t decode(const struct mgpt_tokenizer *t, const int32_t *ids, uint64_t n, char *text,
                      uint64_t capacity, struct mgpt_error *error)
{
    uint64_t total = 0;

    for (uint64_t i = 0; i < n; i++) {
        uint64_t size;
        if (ids[i] < 0 || ids[i] >= t->table.n) {
            mgpt_fail(error, MGPT_USAGE, "id %d at %llu: expected 0 to %d", ids[i],
                      (unsigned long long)i, t->table.n - 1);
            return -1;
        }
        if (ids[i] == t->table.bos)
            continue;
        const char *bytes = bpe_bytes(&t->table, ids[i], &size);
        if (total < capacity)
            memcpy(text + total, bytes, size < capacity - total ? size : capacity - total);
        total += size;
    }
    return (int64_t)total;
}

static const struct mgpt_option options[] = {
    {.key = "vocab",
     .value = "1024",
     .help = "ids to learn at most: the bytes, BOS, and one a merge",
     .unit = "ids",
     .min = 256,
     .max = 1 << 24,
     .type = MGPT_OPTION_INT},
    {.key = "bos",
     .value = "true",
     .help = "id 256, <|endoftext|> in a text, stands between documents",
     .type = MGPT_OPTION_BOOL},
};

static const struct mgpt_tokenizer_api api = {
    .size = sizeof api,
    .create = create,
    .destroy = destroy,
    .train = bpe_learn,
    .vocab = vocab,
    .bos = bos,
    .encode = bpe_encode,
    .decode = decode,
    .save = bpe_save,
    .load = bpe_load,
};

static const struct mgpt_component component = {
    .size = sizeof component,
    MGPT_OPTIONS(options),
    .kind = MGPT_KIND_TOKENIZER,
    .name = "bpe",
    .summary = "byte pairs merged to one id, as GPT-2's",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.tokenizer.bpe", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
