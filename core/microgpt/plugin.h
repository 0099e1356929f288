/* microgpt plugin ABI 1: what a shared object exports, and what the host hands to it.
 *
 * A plugin exports ONE function, `microgpt_plugin_v1`, that returns static data and has no side
 * effects; MGPT_PLUGIN_DEFINE writes it. It links nothing from microgpt (-Wl,-z,defs): what it
 * needs from the host is in struct mgpt_host. C11 or C++11.
 *
 * Rules of all structs here and in the kinds' headers
 * - Growing structs start with their size, grow at the tail and have no tail padding; test a field
 * with MGPT_HAS before use. Structs marked "frozen" never change within one major version.
 * - In a struct that the callee fills, the caller sets `size` first; the callee writes no further.
 * - Names, tables, descriptors: static, for the life of the process (a plugin is never unloaded).
 * - Pointers passed in live for the call, unless said otherwise. Who creates destroys, through the
 * same table of functions. Destroyers take NULL.
 * - Threads: [main] one thread, never two calls at once; [step] one thread an instance; [any]
 * concurrent. */
#ifndef MICROGPT_PLUGIN_H
#define MICROGPT_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#include <microgpt/status.h>
#include <microgpt/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MGPT_ABI_MAGIC 0x5450474du /* "MGPT", little-endian */
#define MGPT_ABI_MAJOR 1           /* something was reordered, removed or retyped */
#define MGPT_ABI_MINOR 1           /* a field, an op, a kind was added at a tail */

/* What the one exported function is marked with. */
#if defined __GNUC__
#define MGPT_EXPORT __attribute__((visibility("default")))
#else
#define MGPT_EXPORT
#endif

/* Is `field` of *p within what its maker knew of? (Pointers in it may still be NULL.) */
#define MGPT_HAS(p, field)                                                                         \
    ((p)->size >= (size_t)((const char *)&(p)->field - (const char *)(p)) + sizeof((p)->field))

/* 1 when the growing struct at `s`, of `size` bytes, is zero from byte `ours` on: behind what the
 * reader was built with. A step module or optimizer declines a struct of which that is not so, as
 * mgpt_rest_is_zero(model, model->size, sizeof *model) tells: it would compute something else than
 * it was asked for. */
static inline int mgpt_rest_is_zero(const void *s, uint32_t size, uint32_t ours)
{
    const unsigned char *bytes = (const unsigned char *)s;

    for (uint32_t i = ours; i < size; i++)
        if (bytes[i])
            return 0;
    return 1;
}

/* ---- options: data that the core parses, checks, completes and documents ---- */

/* Append only. */
enum mgpt_option_type {
    MGPT_OPTION_BOOL = 1,  /* true false yes no on off 1 0 */
    MGPT_OPTION_INT = 2,   /* 64 bits, signed */
    MGPT_OPTION_FLOAT = 3, /* a finite double */
    MGPT_OPTION_TEXT = 4,
    MGPT_OPTION_ENUM = 5, /* one of choices */
    MGPT_OPTION_PATH = 6,
    MGPT_OPTION_LIST =
        7, /* comma-separated; each of choices, when there are any; "none" is the empty list */
    MGPT_OPTION_SEED = 8 /* 0 .. 2^64-1 */
};

/* Frozen within ABI 1; an array of these is walked with mgpt_component.option_size. */
struct mgpt_option {
    const char *key;            /* [a-z0-9_]+ */
    const char *value;          /* the default, as it would stand in the INI */
    const char *help;           /* one line, no final stop */
    const char *unit;           /* or NULL */
    double min, max;            /* of numbers, inclusive; both 0: no limit */
    const char *const *choices; /* of ENUM and LIST, NULL-terminated; or NULL */
    uint32_t type;              /* enum mgpt_option_type */
    uint32_t reserved;          /* 0 */
};

struct mgpt_config; /* the checked values of one module's section; owned by the core, lives as long
                       as the instance */

/* ---- the host: services that the core hands to plugins ---- */

/* The run's one stream of random draws for what happens once (MT19937, as CPython's random).
 * Frozen. [main] */
struct mgpt_stream {
    void *context;                                /* the first argument of all */
    double (*uniform)(void *context);             /* [0, 1), 53 bits: random.random() */
    uint64_t (*below)(void *context, uint64_t n); /* [0, n): random.randrange(n); n >= 1 */
    double (*gauss)(void *context, double mu, double sigma); /* random.gauss */
};

/* How loud a line is. */
enum mgpt_log_level {
    MGPT_LOG_ERROR = 1,
    MGPT_LOG_WARN = 2,
    MGPT_LOG_INFO = 3,
    MGPT_LOG_DEBUG = 4
};

struct mgpt_op;

/* Grows at the tail. Lives for the process. */
struct mgpt_host {
    uint32_t size;
    uint32_t abi_minor;  /* of the host */
    const char *version; /* of microgpt, "0.1.0" */
    /* One line without newline. [any] */
    void (*log)(enum mgpt_log_level level, const char *line);
    /* A value of the module's own section, already checked; the key must be in its options. [any]
     */
    int64_t (*get_int)(const struct mgpt_config *config, const char *key);   /* INT and BOOL */
    double (*get_float)(const struct mgpt_config *config, const char *key);  /* FLOAT */
    uint64_t (*get_seed)(const struct mgpt_config *config, const char *key); /* SEED */
    const char *(*get_text)(const struct mgpt_config *config,
                            const char *key); /* TEXT ENUM PATH LIST; lives with config */
    /* Has the user asked to stop? Poll it in anything that lasts more than a second. [any] */
    int (*canceled)(void);
    /* The reference op of the core on host memory: in[i], out[i] are the data of op->in[i],
     * op->out[i] (NULL where the slot is empty; the buffers named in the tensors are not looked
     * at). Reads and writes every float format, computes in double. [any] */
    enum mgpt_status (*reference)(const struct mgpt_op *op, const void *const *in, void *const *out,
                                  struct mgpt_error *error);
    /* Extensions of the host by id; NULL when unknown. [any] */
    const void *(*query)(const char *id);
};

/* ---- what a file carries ---- */

/* Grows at the tail. Static. */
struct mgpt_component {
    uint32_t size;
    uint32_t n_options;   /* entries of `options` */
    uint32_t option_size; /* sizeof(struct mgpt_option) as the plugin was built */
    uint32_t flags;       /* 0 */
    const char *kind;     /* "optimizer/1": the kind and the major version of its table */
    const char *name;     /* [a-z0-9_-]+ */
    const char *summary;  /* one line */
    const struct mgpt_option *options; /* NULL: none */
    /* Can it run on this machine? MGPT_OK, or why not ("libcuda.so.1 not found"). Opens no device.
     * NULL: always. [main] */
    enum mgpt_status (*probe)(const struct mgpt_host *host, struct mgpt_error *error);
    const void *api; /* the kind's table: struct mgpt_optimizer_api, ... */
};

/* The first four fields are frozen for ever: they are checked before anything else is read. */
struct mgpt_plugin {
    uint32_t magic, abi_major, abi_minor; /* MGPT_ABI_*, of the headers it was built with */
    uint32_t size;                        /* of this struct */
    const char *id;                       /* "org.example.lion" */
    const char *version;                  /* of the plugin */
    const char *license;                  /* SPDX */
    const char *vendor;                   /* who made it */
    const char *url;                      /* or NULL */
    const struct mgpt_component *const *components; /* NULL-terminated */
};

/* The one exported symbol. */
typedef const struct mgpt_plugin *(*mgpt_plugin_entry)(void);
/* Its name, for dlsym. */
#define MGPT_PLUGIN_SYMBOL "microgpt_plugin_v1"
/* What MGPT_PLUGIN_DEFINE writes: the plugin's descriptor, static. */
MGPT_EXPORT const struct mgpt_plugin *microgpt_plugin_v1(void);

/* The `n_options, option_size` pair of a component, and the same for none. */
#define MGPT_OPTIONS(table) (uint32_t)(sizeof(table) / sizeof(table)[0]), (uint32_t)sizeof(table)[0]
/* For a component without options. */
#define MGPT_NO_OPTIONS 0u, (uint32_t)sizeof(struct mgpt_option)

/* MGPT_PLUGIN_DEFINE("org.example.lion", "1.0", "MIT", "A. Author", "https://...", &lion): writes
 * the frozen prefix, the descriptor and the exported function. The rest are pointers to components.
 */
#define MGPT_PLUGIN_DEFINE(id_, version_, license_, vendor_, url_, ...)                            \
    MGPT_EXPORT const struct mgpt_plugin *microgpt_plugin_v1(void)                                 \
    {                                                                                              \
        static const struct mgpt_component *const components_[] = {__VA_ARGS__, NULL};             \
        static const struct mgpt_plugin plugin_ = {MGPT_ABI_MAGIC,                                 \
                                                   MGPT_ABI_MAJOR,                                 \
                                                   MGPT_ABI_MINOR,                                 \
                                                   (uint32_t)sizeof(struct mgpt_plugin),           \
                                                   id_,                                            \
                                                   version_,                                       \
                                                   license_,                                       \
                                                   vendor_,                                        \
                                                   url_,                                           \
                                                   components_};                                   \
        return &plugin_;                                                                           \
    }

#ifdef __cplusplus
}
#endif
#endif
