/* Kind "sampler/1": logits -> the next id. */
#ifndef MICROGPT_SAMPLER_H
#define MICROGPT_SAMPLER_H

#include <microgpt/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MGPT_KIND_SAMPLER "sampler/1"

struct mgpt_sampler; /* the module's own */

/* Grows at the tail. */
struct mgpt_sampler_api {
    uint32_t size, reserved;
    enum mgpt_status (*create)(const struct mgpt_host *host, const struct mgpt_config *config,
                               uint32_t vocab, struct mgpt_sampler **sampler,
                               struct mgpt_error *error); /* [main] */
    void (*destroy)(struct mgpt_sampler *sampler);        /* [main] */
    /* The next id, in [0, n), n = vocab. Logits are finite and the sampler may overwrite them.
     * Draws from the stream as it likes, always the same number for the same logits. Ties go to the
     * lower id. [step] */
    int32_t (*next)(struct mgpt_sampler *sampler, double *logits, uint32_t n,
                    const struct mgpt_stream *stream);
};

#ifdef __cplusplus
}
#endif
#endif
