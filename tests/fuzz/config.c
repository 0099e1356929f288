/* config.json, of a checkpoint and of a GPT-2 folder: what was read is written and read again. */
#include <config.h>

#include <string.h>

#include "base/log.h"
#include "fuzz.h"
#include "model/spec.h"
#include "run/hf.h"

static int try_ours(const char *text, size_t size)
{
    struct mgpt_model model, again;
    struct mgpt_error error;
    char *tokenizer = NULL, *json = NULL, *name = NULL;
    if (mgpt_model_from_json(text, size, &model, &tokenizer, &error) != MGPT_OK)
        return 0;
    FUZZ_MUST(mgpt_model_to_json(&model, tokenizer, &json, &error) == MGPT_OK);
    FUZZ_MUST(mgpt_model_from_json(json, strlen(json), &again, &name, &error) == MGPT_OK);
    FUZZ_MUST(mgpt_model_match(&model, &again, &error) == MGPT_OK && !strcmp(tokenizer, name));
    free(tokenizer);
    free(json);
    free(name);
    return 1;
}

static int try_theirs(const char *text, size_t size)
{
    struct mgpt_model model, again;
    struct mgpt_error error;
    char *json = NULL;
    enum mgpt_status status = mgpt_hf_config_read(text, size, &model, &error);
    if (status != MGPT_OK) {
        FUZZ_MUST((status == MGPT_DATA || status == MGPT_UNSUPPORTED) &&
                  strstr(error.text, "offset "));
        return 0;
    }
    FUZZ_MUST(mgpt_hf_check(&model, &error) == MGPT_OK);
    FUZZ_MUST(mgpt_hf_config_write(&model, -1, MGPT_F32, &json, &error) == MGPT_OK);
    FUZZ_MUST(mgpt_hf_config_read(json, strlen(json), &again, &error) == MGPT_OK);
    FUZZ_MUST(mgpt_model_match(&model, &again, &error) == MGPT_OK);
    free(json);
    return 1;
}

int fuzz_config(const uint8_t *data, size_t size)
{
    mgpt_log_threshold(MGPT_LOG_ERROR);
    return try_ours((const char *)data, size) | try_theirs((const char *)data, size);
}

FUZZ_ENTRY(config)
