/* Settings for a text alone, or for a model alone: how to train when nothing else was said. */
#include <config.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <microgpt/utf8.h>

#include "base/file.h"
#include "run/picks.h"

#define TEXT_LIMIT ((uint64_t)4 << 30)
#define SHORTEST 1000  /* characters: less cannot be parted into training and validation */
#define MOST_CHARS 256 /* different ones; beyond, bytes make a smaller vocabulary */
#define EPOCHS 10
#define CODE_POINTS 0x110000
#define TUNING_STEPS 1000

/* About one parameter a token, as far as patience allows: a larger model learns a text by heart, a
 * smaller one leaves something in it. The last row is for all longer texts. */
static const struct size {
    uint64_t tokens; /* up to so many */
    unsigned layers, heads, embd, context, batch;
} sizes[] = {
    {20000, 2, 2, 32, 32, 8},      {100000, 3, 4, 48, 64, 8},      {500000, 4, 4, 96, 64, 16},
    {2000000, 4, 4, 128, 128, 16}, {20000000, 6, 8, 256, 256, 16}, {UINT64_MAX, 8, 8, 384, 256, 32},
};

/* The byte at `at` is of no text; the dataset would say the same, but later. */
static enum mgpt_status refuse(const char *path, const char *text, size_t at,
                               struct mgpt_error *error)
{
    unsigned char byte = (unsigned char)text[at];
    bool mark = at == 0 && byte >= 0xfe;
    size_t line = 1;

    for (size_t i = 0; i < at; i++)
        line += text[i] == '\n';
    return mgpt_fail(error, MGPT_DATA,
                     "%s:%zu: byte %zu (0x%02x) is %s; iconv -f %s -t UTF-8 FILE >NEW makes it so",
                     path, line, at, byte, byte ? "not UTF-8" : "NUL, expected UTF-8",
                     byte && !mark ? "WINDOWS-1252" : "UTF-16");
}

static enum mgpt_status count_chars(const char *path, const char *text, size_t size,
                                    struct mgpt_picks *p, struct mgpt_error *error)
{
    size_t mark = size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0; /* no part of the text */
    size_t valid = mark;
    unsigned char *seen = calloc(CODE_POINTS / 8, 1);

    if (!seen)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory");
    p->bytes = size - mark;
    uint32_t code;
    for (unsigned n; (n = mgpt_utf8_read(text + valid, size - valid, &code)) && code; valid += n) {
        p->distinct += !(seen[code / 8] >> code % 8 & 1);
        seen[code / 8] |= (unsigned char)(1 << code % 8);
        p->chars++;
    }
    free(seen);
    if (valid < size)
        return refuse(path, text, valid, error);
    if (p->chars < SHORTEST)
        return mgpt_fail(error, MGPT_DATA,
                         "%s: has %" PRIu64 " characters, expected at least %d to learn from", path,
                         p->chars, SHORTEST);
    return MGPT_OK;
}

/* Ten times through the text, in no more steps than somebody waits for. */
static void decide(struct mgpt_picks *p)
{
    const struct size *s = &sizes[0];

    p->by_byte = p->distinct > MOST_CHARS;
    p->tokens = p->by_byte ? p->bytes : p->chars;
    while (p->tokens > s->tokens)
        s++;
    p->layers = s->layers;
    p->heads = s->heads;
    p->embd = s->embd;
    p->context = s->context;
    p->batch = s->batch;
    p->steps = EPOCHS * p->tokens / (s->context * s->batch);
    p->steps = p->steps < 500 ? 500 : p->steps > 20000 ? 20000 : p->steps;
    p->parameters = (uint64_t)12 * s->layers * s->embd * s->embd +
                    (uint64_t)s->embd * (s->context + (p->by_byte ? 256 : p->distinct));
}

enum mgpt_status mgpt_picks_make(const char *path, struct mgpt_picks *picks,
                                 struct mgpt_error *error)
{
    char *text = NULL;
    size_t size = 0;
    enum mgpt_status status = mgpt_file_read(path, TEXT_LIMIT, &text, &size, error);

    *picks = (struct mgpt_picks){0};
    if (status == MGPT_OK)
        status = count_chars(path, text, size, picks, error);
    free(text);
    if (status == MGPT_OK)
        decide(picks);
    return status;
}

/* The recipe of GPT-2 but for its size: pre-norm, LayerNorm, gelu, the head tied; AdamW with a
 * warm-up, a cosine, and decay of matrices alone. It stops when validation stops falling. */
void mgpt_picks_settings(const struct mgpt_picks *p, const char *path, const char *dir,
                         struct mgpt_string *out)
{
    const char *tokenizer = p->by_byte ? "byte" : "char";
    uint64_t every = p->steps / 20;

    mgpt_string_format(out, "dataset.use=text\ndataset.path=%s\nrun.dir=%s\n", path, dir);
    mgpt_string_format(out, "tokenizer.use=%s\ntokenizer.%s.bos=false\n", tokenizer, tokenizer);
    mgpt_string_format(out,
                       "model.layers=%u\nmodel.heads=%u\nmodel.embd=%u\nmodel.mlp=0\n"
                       "model.context=%u\n",
                       p->layers, p->heads, p->embd, p->context);
    mgpt_string_format(out, "model.norm=layer\nmodel.norm_gain=true\nmodel.norm_bias=true\n"
                            "model.embed_norm=false\nmodel.final_norm=true\n"
                            "model.activation=gelu_tanh\nmodel.bias=qkv,proj,mlp\n"
                            "model.tied=true\nmodel.init=normal\n");
    mgpt_string_format(out, "model.init_residual=%.4g\n", p->layers < 4 ? 0.5 : 0.3);
    mgpt_string_format(out,
                       "train.steps=%" PRIu64 "\ntrain.batch=%u\ntrain.lr=%s\n"
                       "train.weight_decay=0.1\ntrain.decay=matrices\n",
                       p->steps, p->batch, p->embd < 256 ? "2e-3" : "6e-4");
    mgpt_string_format(out,
                       "train.val_every=%" PRIu64 "\ntrain.val_batches=20\ntrain.patience=5\n"
                       "train.checkpoint_every=%" PRIu64 "\n",
                       every, every);
    mgpt_string_format(out,
                       "optimizer.use=adamw\noptimizer.adamw.beta2=0.99\nscheduler.use=cosine\n"
                       "scheduler.cosine.warmup=%" PRIu64 "\nscheduler.cosine.floor=1e-4\n",
                       every < 100 ? every : 100);
    mgpt_string_format(out, "sampler.use=topk\nsampler.topk.temperature=0.8\n"
                            "sampler.topk.top_k=0\ngenerate.samples=1\n"
                            "generate.max_tokens=500\ngenerate.window=hop\n");
}

/* As many tokens a step as a text would have that asks for a model as wide. */
static unsigned tuning_batch(const struct mgpt_model *m)
{
    const struct size *s = &sizes[0], *last = &sizes[sizeof sizes / sizeof sizes[0] - 1];

    while (s < last && s->embd < m->embd)
        s++;
    unsigned rows = s->batch * s->context / m->context;
    return rows ? rows : 1;
}

/* Weights that are good already are only nudged: a sixth of the rate that they would begin with,
 * and no step at its full length before Adam's means are warm. */
void mgpt_picks_tuning(const struct mgpt_model *m, struct mgpt_string *out)
{
    unsigned every = TUNING_STEPS / 20, tokens = m->context < 200 ? m->context : 200;

    mgpt_string_format(out, "dataset.use=text\ndataset.path=import:none\n");
    mgpt_string_format(out,
                       "train.steps=%d\ntrain.batch=%u\ntrain.lr=%s\n"
                       "train.weight_decay=0.1\ntrain.decay=matrices\n",
                       TUNING_STEPS, tuning_batch(m), m->embd < 256 ? "3e-4" : "1e-4");
    mgpt_string_format(out,
                       "train.val_every=%u\ntrain.val_batches=20\ntrain.patience=5\n"
                       "train.checkpoint_every=%u\n",
                       every, every);
    mgpt_string_format(out, "optimizer.use=adamw\noptimizer.adamw.beta2=0.99\n"
                            "scheduler.use=cosine\nscheduler.cosine.warmup=100\n"
                            "scheduler.cosine.floor=1e-5\n");
    mgpt_string_format(out,
                       "sampler.use=topk\nsampler.topk.temperature=0.8\nsampler.topk.top_k=0\n"
                       "sampler.topk.top_p=0.95\ngenerate.samples=1\n"
                       "generate.max_tokens=%u\ngenerate.window=hop\n",
                       tokens);
}

char *mgpt_picks_dir(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    struct mgpt_string dir = {0};

    if (dot && dot > name)
        mgpt_string_format(&dir, "%.*s", (int)(dot - name), name);
    else /* the file itself has that name */
        mgpt_string_format(&dir, "%s.run", name);
    return dir.data;
}
