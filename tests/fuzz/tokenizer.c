/* tokenizer.json, that of `tokenizers` (or GPT-2's two files) and that of module char: what was
 * read is written and read again, and every id of it is text that encodes to that id. */
#include <config.h>

#define microgpt_plugin_v1 fuzz_plugin_char /* what the module exports */

#include <string.h>

#include "fuzz.h"
#include "run/hf.h"

#include "../../plugins/tokenizer/char.c"

static void write_again(const char *ours, bool bos)
{
    struct mgpt_error error;
    struct mgpt_hf again = {0};
    char *theirs = NULL, *name = NULL;
    int32_t id;
    FUZZ_MUST(mgpt_hf_tokenizer_write(ours, strlen(ours), &theirs, &id, &name, &error) == MGPT_OK);
    FUZZ_MUST((id >= 0) == bos && !name == !bos);
    FUZZ_MUST(mgpt_hf_tokenizer_read(theirs, strlen(theirs), id, &again, &error) == MGPT_OK);
    FUZZ_MUST(!strcmp(again.tokenizer_json, ours));
    mgpt_hf_close(&again);
    free(theirs);
    free(name);
}

static int try_theirs(const char *text, size_t size)
{
    struct mgpt_error error;
    struct mgpt_hf hf = {0};
    enum mgpt_status status = mgpt_hf_tokenizer_read(text, size, -1, &hf, &error);
    FUZZ_MUST(status == MGPT_OK || status == MGPT_DATA || status == MGPT_UNSUPPORTED);
    if (status == MGPT_OK)
        write_again(hf.tokenizer_json, hf.bos);
    mgpt_hf_close(&hf);
    return status == MGPT_OK;
}

/* vocab.json, a zero byte, and merges.txt. */
static int try_files(const char *text, size_t size)
{
    struct mgpt_error error;
    struct mgpt_hf hf = {0};
    const char *zero = memchr(text, 0, size);
    if (!zero)
        return 0;
    size_t n = (size_t)(zero - text);
    enum mgpt_status status = mgpt_hf_merges_read(text, n, zero + 1, size - n - 1, -1, &hf, &error);
    FUZZ_MUST(status == MGPT_OK || status == MGPT_DATA || status == MGPT_UNSUPPORTED);
    if (status == MGPT_OK)
        write_again(hf.tokenizer_json, hf.bos);
    mgpt_hf_close(&hf);
    return status == MGPT_OK;
}

static int try_ours(const char *text, size_t size)
{
    struct mgpt_tokenizer *t = calloc(1, sizeof *t);
    struct mgpt_error error;
    enum mgpt_status status = load(t, text, size, &error);
    FUZZ_MUST(status == MGPT_OK || status == MGPT_DATA);
    for (int32_t id = 0; status == MGPT_OK && id < vocab(t); id++) {
        char bytes[8];
        int32_t back = -1;
        int64_t n = decode(t, &id, 1, bytes, sizeof bytes, &error);
        FUZZ_MUST(id == bos(t) ? n == 0 : n >= 1 && n <= 4);
        FUZZ_MUST(id == bos(t) ||
                  (encode(t, bytes, (uint64_t)n, &back, 1, &error) == 1 && back == id));
    }
    destroy(t);
    return status == MGPT_OK;
}

int fuzz_tokenizer(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    return try_theirs(text, size) | try_files(text, size) | try_ours(text, size);
}

FUZZ_ENTRY(tokenizer)
