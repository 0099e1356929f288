/* A trained model, opened from the checkpoint that the configuration names. */
#include <config.h>

#include <stdlib.h>

#include "run/trained.h"

static enum mgpt_status find(struct mgpt_session *s, char **checkpoint, struct mgpt_error *error)
{
    const char *dir = mgpt_conf_text(s->conf, "run", "dir");
    const char *which = mgpt_conf_text(s->conf, "generate", "checkpoint");
    enum mgpt_status status = mgpt_checkpoint_find(dir, which, checkpoint, error);

    if (status == MGPT_OK && !*checkpoint)
        return mgpt_fail(error, MGPT_DATA,
                         "%s: no checkpoint (%s) here; train first (microgpt train), or name the "
                         "run's folder: --dir DIR",
                         dir, which);
    return status;
}

enum mgpt_status mgpt_trained_open(struct mgpt_session *s, bool data, char **checkpoint,
                                   struct mgpt_error *error)
{
    enum mgpt_status status = find(s, checkpoint, error);

    if (status == MGPT_OK)
        status = mgpt_session_device(s, error);
    mgpt_session_seed(s, mgpt_conf_seed(s->conf, "train", "seed"));
    if (status == MGPT_OK)
        status = data ? mgpt_session_data(s, *checkpoint, error)
                      : mgpt_session_tokenizer(s, *checkpoint, error);
    if (status == MGPT_OK)
        status = mgpt_session_model(s, false, error);
    if (status == MGPT_OK)
        status = mgpt_session_load(s, *checkpoint, error);
    if (status == MGPT_OK)
        status = mgpt_session_passes(s, data ? mgpt_conf_int(s->conf, "train", "batch") : 1, error);
    if (status == MGPT_OK && !data)
        status = mgpt_session_sampler(s, error);
    return status;
}
