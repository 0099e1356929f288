/* The kinds that this core knows. A new kind is a list and a line here. */
#include <config.h>

#include "plugin/kinds.h"

#include <string.h>

#include <microgpt/backend.h>
#include <microgpt/dataset.h>
#include <microgpt/logger.h>
#include <microgpt/optimizer.h>
#include <microgpt/precision.h>
#include <microgpt/sampler.h>
#include <microgpt/scheduler.h>
#include <microgpt/step.h>
#include <microgpt/tokenizer.h>

#include "base/text.h"

#define NEED(field)                                                                                \
    {                                                                                              \
#field, offsetof(struct API, field)                                                        \
    }
#define API mgpt_backend_api
static const struct mgpt_kind_need backend[] = {NEED(open),        NEED(close),  NEED(buffer_new),
                                                NEED(buffer_free), NEED(upload), NEED(download),
                                                NEED(sync),        {NULL, 0}};
#undef API
#define API mgpt_dataset_api
static const struct mgpt_kind_need dataset[] = {NEED(open),   NEED(close), NEED(documents),
                                                NEED(encode), NEED(info),  NEED(targets),
                                                NEED(batch),  {NULL, 0}};
#undef API
#define API mgpt_logger_api
static const struct mgpt_kind_need logger[] = {NEED(open), NEED(close), NEED(event), {NULL, 0}};
#undef API
#define API mgpt_optimizer_api
static const struct mgpt_kind_need optimizer[] = {
    NEED(rule), NEED(create), NEED(destroy), NEED(scalars), {NULL, 0}};
#undef API
#define API mgpt_precision_api
static const struct mgpt_kind_need precision[] = {NEED(plan), {NULL, 0}};
#undef API
#define API mgpt_sampler_api
static const struct mgpt_kind_need sampler[] = {NEED(create), NEED(destroy), NEED(next), {NULL, 0}};
#undef API
#define API mgpt_scheduler_api
static const struct mgpt_kind_need scheduler[] = {NEED(create), NEED(destroy), NEED(lr), {NULL, 0}};
#undef API
#define API mgpt_step_api
static const struct mgpt_kind_need step[] = {NEED(bid),   NEED(open),  NEED(close), NEED(run),
                                             NEED(fence), NEED(adopt), {NULL, 0}};
#undef API
#define API mgpt_tokenizer_api
static const struct mgpt_kind_need tokenizer[] = {
    NEED(create), NEED(destroy), NEED(train), NEED(vocab), NEED(bos),
    NEED(encode), NEED(decode),  NEED(save),  NEED(load),  {NULL, 0}};
#undef API
#undef NEED

const struct mgpt_kind mgpt_kinds[] = {
    {"backend", MGPT_KIND_BACKEND, backend},       {"dataset", MGPT_KIND_DATASET, dataset},
    {"logger", MGPT_KIND_LOGGER, logger},          {"optimizer", MGPT_KIND_OPTIMIZER, optimizer},
    {"precision", MGPT_KIND_PRECISION, precision}, {"sampler", MGPT_KIND_SAMPLER, sampler},
    {"scheduler", MGPT_KIND_SCHEDULER, scheduler}, {"step", MGPT_KIND_STEP, step},
    {"tokenizer", MGPT_KIND_TOKENIZER, tokenizer},
};
const size_t mgpt_n_kinds = sizeof mgpt_kinds / sizeof mgpt_kinds[0];

const struct mgpt_kind *mgpt_kind_named(const char *name, size_t size)
{
    for (size_t i = 0; i < mgpt_n_kinds; i++)
        if (strlen(mgpt_kinds[i].name) == size && memcmp(mgpt_kinds[i].name, name, size) == 0)
            return &mgpt_kinds[i];
    return NULL;
}

enum mgpt_status mgpt_kind_known(const char *name, enum mgpt_status status,
                                 struct mgpt_error *error)
{
    struct mgpt_string known = {0};

    if (mgpt_kind_named(name, strlen(name)))
        return MGPT_OK;
    for (size_t i = 0; i < mgpt_n_kinds; i++)
        mgpt_string_format(&known, "%s%s", i ? ", " : "", mgpt_kinds[i].name);
    mgpt_fail(error, status, "\"%s\" is no kind of module, expected one of %s", name,
              known.data ? known.data : "those of microgpt");
    mgpt_string_finish(&known);
    return status;
}

const struct mgpt_kind *mgpt_kind_of(const char *id)
{
    for (size_t i = 0; i < mgpt_n_kinds; i++)
        if (strcmp(mgpt_kinds[i].id, id) == 0)
            return &mgpt_kinds[i];
    return NULL;
}

enum mgpt_status mgpt_kind_check(const struct mgpt_kind *kind, const void *api, const char *what,
                                 struct mgpt_error *error)
{
    uint32_t size; /* the first field of every kind's table */
    if (!api)
        return mgpt_fail(error, MGPT_PLUGIN, "%s: api is NULL", what);
    memcpy(&size, api, sizeof size);
    for (const struct mgpt_kind_need *need = kind->needs; need->name; need++) {
        const void *value = NULL;
        if (size < need->offset + sizeof value)
            return mgpt_fail(error, MGPT_PLUGIN,
                             "%s: its table claims %u bytes, too few for %s, which every %s has",
                             what, (unsigned)size, need->name, kind->id);
        memcpy(&value, (const char *)api + need->offset, sizeof value);
        if (!value)
            return mgpt_fail(error, MGPT_PLUGIN, "%s: %s is NULL, every %s has it", what,
                             need->name, kind->id);
    }
    return MGPT_OK;
}

bool mgpt_module_name_valid(const char *name)
{
    return name[0] && name[strspn(name, MGPT_NAME_CHARACTERS)] == '\0';
}
