/* The core's own sections and keys: names, defaults, ranges, help. conf/microgpt.ini says the same,
 * for people. */
#include <config.h>

#include "conf/schema.h"

#include <float.h>
#include <math.h>

#define BOOL(key, value, help)                                                                     \
    {                                                                                              \
        key, value, help, NULL, 0, 0, NULL, MGPT_OPTION_BOOL, 0                                    \
    }
#define INT(key, value, min, max, unit, help)                                                      \
    {                                                                                              \
        key, value, help, unit, min, max, NULL, MGPT_OPTION_INT, 0                                 \
    }
#define FLOAT(key, value, min, max, help)                                                          \
    {                                                                                              \
        key, value, help, NULL, min, max, NULL, MGPT_OPTION_FLOAT, 0                               \
    }
#define TEXT(key, value, help)                                                                     \
    {                                                                                              \
        key, value, help, NULL, 0, 0, NULL, MGPT_OPTION_TEXT, 0                                    \
    }
#define PATH(key, value, help)                                                                     \
    {                                                                                              \
        key, value, help, NULL, 0, 0, NULL, MGPT_OPTION_PATH, 0                                    \
    }
#define LIST(key, value, choices, help)                                                            \
    {                                                                                              \
        key, value, help, NULL, 0, 0, choices, MGPT_OPTION_LIST, 0                                 \
    }
#define ENUM(key, value, choices, help)                                                            \
    {                                                                                              \
        key, value, help, NULL, 0, 0, choices, MGPT_OPTION_ENUM, 0                                 \
    }
#define SEED(key, value, help)                                                                     \
    {                                                                                              \
        key, value, help, NULL, 0, 0, NULL, MGPT_OPTION_SEED, 0                                    \
    }
#define ABOVE_0 DBL_MIN  /* limits are inclusive */
#define MANY 1000000000  /* of what the code counts in 32 bits */
#define ENDLESS INFINITY /* of what it counts in 64 */

static const char *const norms[] = {"rms", "layer", NULL};
static const char *const activations[] = {"relu", "relu2", "gelu", "gelu_tanh", NULL};
static const char *const biases[] = {"qkv", "proj", "mlp", "head", NULL};
static const char *const inits[] = {"normal", "uniform", NULL};
static const char *const moments[] = {"after", "before", NULL};
static const char *const decays[] = {"all", "matrices", NULL};
static const char *const windows[] = {"recompute", "hop", NULL};
static const char *const fallbacks[] = {"warn", "error", "silent", NULL};

static const struct mgpt_option dataset[] = {
    TEXT("use", "lines", "the module that reads the text"),
    PATH("path", "builtin:given-names",
         "the text; builtin:NAME comes with microgpt, fetch:NAME from the network"),
    FLOAT("split", "0.9", ABOVE_0, 1, "share of the documents to train on; the rest validates"),
};

static const struct mgpt_option tokenizer[] = {
    TEXT("use", "char", "the module that turns text into token ids"),
};

static const struct mgpt_option model[] = {
    INT("vocab", "0", 0, 1 << 24, NULL,
        "ids that it has rows for, those of the tokenizer or more; 0: those of the tokenizer"),
    INT("layers", "1", 1, 1024, NULL, "transformer blocks"),
    INT("heads", "4", 1, 1024, NULL, "attention heads; embd is a multiple of it"),
    INT("kv_heads", "0", 0, 1024, NULL,
        "heads of keys and values, a divisor of heads; 0: as heads"),
    INT("embd", "16", 1, 65536, NULL, "numbers that stand for one token, C"),
    INT("mlp", "64", 0, 262144, NULL, "hidden width of the mlp; 0: 4 x embd"),
    INT("context", "8", 1, 1048576, "tokens", "longest sequence that the model sees, T"),
    ENUM("norm", "rms", norms, "normalisation: divide by the root mean square, or LayerNorm"),
    BOOL("norm_gain", "false", "norms have a learned gain"),
    BOOL("norm_bias", "false", "norms have a learned bias"),
    FLOAT("norm_eps", "1e-5", ABOVE_0, 1, "added under the root of a norm"),
    BOOL("embed_norm", "true", "a norm after the embedding"),
    BOOL("final_norm", "false", "a norm before the head"),
    ENUM("activation", "relu2", activations, "between the two mlp matrices; relu2 is relu squared"),
    LIST("bias", "none", biases, "linear layers with a bias"),
    BOOL("tied", "true", "the head is the token embedding"),
    FLOAT("dropout", "0.0", 0, 0.99, "share of activations zeroed in training"),
    ENUM("init", "normal", inits,
         "normal: N(0, init_std); uniform: by the inputs of a layer, as PyTorch"),
    FLOAT("init_std", "0.02", 0, 10, "standard deviation of init = normal"),
    FLOAT("init_residual", "0.0", 0, 10,
          "factor on init_std for attention output and second mlp matrix"),
};

static const struct mgpt_option train[] = {
    INT("steps", "500", 1, ENDLESS, "steps", "updates of the parameters"),
    FLOAT("lr", "1e-2", ABOVE_0, 1000, "learning rate at its highest"),
    FLOAT("weight_decay", "1e-4", 0, 1000,
          "pull of parameters to 0, a step, times the learning rate"),
    ENUM("decay", "all", decays, "what decays: every parameter, or those of 2 or more dimensions"),
    FLOAT("clip", "1.0", 0, ENDLESS, "longest gradient, as the norm over all parameters; 0: any"),
    INT("batch", "1", 1, 65536, "rows", "documents or windows in a micro-batch"),
    INT("accumulate", "1", 1, 65536, "micro-batches", "micro-batches summed into one step"),
    SEED("seed", "42", "of everything random; the same seed gives the same run"),
    INT("val_every", "100", 0, ENDLESS, "steps", "validate after so many; 0: never"),
    INT("val_docs", "20", 1, MANY, "documents", "how many validate, where data are documents"),
    INT("val_batches", "200", 1, MANY, "batches",
        "how many validate, drawn at random, where data are one text"),
    ENUM("val_when", "after", moments,
         "after so many steps; or before the first, before so many later and before the last"),
    BOOL("val_train", "false", "tell the loss of as much training data too"),
    INT("patience", "0", 0, MANY, "validations",
        "in a row without a better loss before the run ends; 0: it goes on"),
    INT("sample_every", "0", 0, ENDLESS, "steps",
        "print a sample after so many; 0: only at the end"),
    INT("checkpoint_every", "100", 0, ENDLESS, "steps", "save after so many; 0: only at the end"),
    INT("keep", "2", 1, MANY, "checkpoints", "newest that are kept, besides the best"),
    INT("max_skipped", "10", 0, MANY, "steps", "in a row with NaN or Inf before the run stops"),
};

static const struct mgpt_option optimizer[] = {
    TEXT("use", "adamw", "the module that updates the parameters"),
};

static const struct mgpt_option scheduler[] = {
    TEXT("use", "cosine", "the module that gives each step its learning rate"),
};

static const struct mgpt_option backend[] = {
    TEXT("use", "auto", "the device; auto: the GPU where there is one, else the CPU"),
    ENUM("fallback", "warn", fallbacks,
         "what to do when the device lacks an op and the CPU computes it"),
};

static const struct mgpt_option step[] = {
    TEXT("use", "auto", "the program of a training step; auto: the highest bidder"),
};

static const struct mgpt_option precision[] = {
    TEXT("use", "fp32", "the number formats of training"),
};

static const struct mgpt_option sampler[] = {
    TEXT("use", "topk", "the module that picks the next token"),
};

static const struct mgpt_option generate[] = {
    INT("samples", "20", 0, MANY, "samples", "how many to print, after training too"),
    INT("max_tokens", "0", 0, MANY, "tokens", "longest sample; 0: as many as the context"),
    INT("batch", "1", 1, 65536, "samples", "how many at once, each with draws of its own"),
    ENUM("window", "recompute", windows,
         "past the context: read its last tokens again for each new one; or drop the older half"),
    TEXT("stop", "", "texts that end a sample, parted by |; \\n, \\t, \\s, \\\\, \\| as usual"),
    TEXT("checkpoint", "latest", "latest, best, or the path of a checkpoint"),
};

static const struct mgpt_option logger[] = {
    LIST("use", "console,jsonl", NULL, "the modules that report on a run"),
};

static const struct mgpt_option run[] = {
    PATH("dir", "run", "folder of this run: configuration, metrics, checkpoints"),
};

static const struct mgpt_option fetch[] = {
    TEXT("mirror", "", "URL of a folder to fetch from, instead of where each text comes from"),
};

static const struct mgpt_option plugins[] = {
    TEXT("path", "", "more folders of modules: absolute, parted by colons"),
    TEXT("load", "", "files of modules to load: absolute, parted by colons"),
};

#define SECTION(name, help)                                                                        \
    {                                                                                              \
#name, help, name, sizeof name / sizeof name[0]                                            \
    }

const struct mgpt_section mgpt_sections[] = {
    SECTION(dataset, "what is learned"),
    SECTION(tokenizer, "text to numbers and back"),
    SECTION(model, "the shape of the GPT"),
    SECTION(train, "how it learns"),
    SECTION(optimizer, "the update rule"),
    SECTION(scheduler, "the learning rate over the run"),
    SECTION(backend, "where it is computed"),
    SECTION(step, "how one training step is put together"),
    SECTION(precision, "number formats"),
    SECTION(sampler, "how the next token is chosen"),
    SECTION(generate, "samples from the model"),
    SECTION(run, "where a run is kept"),
    SECTION(logger, "what a run tells the world"),
    SECTION(fetch, "texts from the network"),
    SECTION(plugins, "modules from elsewhere"),
};
const size_t mgpt_n_sections = sizeof mgpt_sections / sizeof mgpt_sections[0];
