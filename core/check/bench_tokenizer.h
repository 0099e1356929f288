/* A tokenizer with its settings, for checks. */
#ifndef MGPT_CHECK_BENCH_TOKENIZER_H
#define MGPT_CHECK_BENCH_TOKENIZER_H

#include <microgpt/tokenizer.h>

#include "check/check.h"

static inline struct mgpt_tokenizer *tokenizer_bench_make(const struct mgpt_component *component,
                                                          const char *bos)
{
    const struct mgpt_tokenizer_api *api = component->api;
    struct mgpt_config *config = mgpt_check_settings(component, "bos", bos, NULL);
    struct mgpt_tokenizer *it = NULL;

    check_ok(api->create(mgpt_host(), config, &it, error));
    mgpt_config_destroy(config);
    return it;
}

#endif
