/* Ids of a text by a module and its tokenizer.json, for what is held against other programs.
 *   encode_text MODULE TOKENIZER_JSON <TEXT >IDS      int32 in the order of the machine
 *   encode_text MODULE learn VOCAB <TEXT >TOKENIZER_JSON
 * Says on standard error how long it took. Ends with 1 when decoding gives another text, but for
 * BOS, which has none. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <microgpt/tokenizer.h>

#include "base/file.h"
#include "check/check.h"

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static char *read_input(size_t *size)
{
    size_t room = 1 << 16;
    char *text = malloc(room);

    *size = 0;
    for (size_t n; text && (n = fread(text + *size, 1, room - *size, stdin)) > 0;) {
        *size += n;
        if (*size == room)
            text = realloc(text, room *= 2);
    }
    return text;
}

static int complain(const struct mgpt_error *error)
{
    fprintf(stderr, "encode_text: %s\n", error->text);
    return 1;
}

static int learn(const struct mgpt_tokenizer_api *api, struct mgpt_tokenizer *it,
                 const struct mgpt_text *text)
{
    struct mgpt_error error = {0};
    double start = seconds();

    if (api->train(it, text, 1, &error) != MGPT_OK)
        return complain(&error);
    fprintf(stderr, "%d ids learned from %zu bytes in %.2f s\n", api->vocab(it), (size_t)text->size,
            seconds() - start);
    int64_t n = api->save(it, NULL, 0, &error);
    char *json = n > 0 ? malloc((size_t)n) : NULL;
    int bad = !json || api->save(it, json, (uint64_t)n, &error) != n ||
              fwrite(json, 1, (size_t)n, stdout) != (size_t)n;
    free(json);
    return bad;
}

static int encode(const struct mgpt_tokenizer_api *api, struct mgpt_tokenizer *it,
                  const struct mgpt_text *text)
{
    struct mgpt_error error = {0};
    int32_t *ids = malloc((text->size + 1) * sizeof *ids);
    char *back = malloc(text->size + 1);
    double start = seconds();
    int64_t n = api->encode(it, text->data, text->size, ids, text->size, &error);
    double took = seconds() - start;

    if (n < 0 || n > (int64_t)text->size)
        return complain(&error);
    fprintf(stderr, "%zu bytes to %lld ids in %.3f s\n", (size_t)text->size, (long long)n, took);
    bool has_bos = false;
    for (int64_t i = 0; i < n; i++)
        has_bos |= ids[i] == api->bos(it);
    int bad = fwrite(ids, sizeof *ids, (size_t)n, stdout) != (size_t)n;
    if (!has_bos)
        bad |= api->decode(it, ids, (uint64_t)n, back, text->size, &error) != (int64_t)text->size ||
               memcmp(back, text->data, text->size) != 0;
    free(ids);
    free(back);
    return bad;
}

int main(int argc, char **argv)
{
    struct mgpt_module module;
    struct mgpt_error error = {0};
    struct mgpt_tokenizer *it;
    size_t size, json_size;
    char *json = NULL, *text = read_input(&size);
    bool learns = argc == 4;

    if ((argc != 3 && argc != 4) || !text)
        return 2;
    struct mgpt_registry *registry = mgpt_check_registry();
    if (mgpt_registry_use(registry, MGPT_KIND_TOKENIZER, argv[1], &module, &error) != MGPT_OK)
        return complain(&error);
    const struct mgpt_tokenizer_api *api = module.component->api;
    struct mgpt_config *config = mgpt_check_settings(module.component, "bos", "true", "vocab",
                                                     learns ? argv[3] : "300", NULL);
    int bad = api->create(mgpt_host(), config, &it, &error) != MGPT_OK;
    if (!bad && !learns)
        bad = mgpt_file_read(argv[2], UINT64_C(1) << 28, &json, &json_size, &error) != MGPT_OK ||
              api->load(it, json, json_size, &error) != MGPT_OK;
    if (bad)
        return complain(&error);
    const struct mgpt_text whole = {text, size};
    bad = learns ? learn(api, it, &whole) : encode(api, it, &whole);
    api->destroy(it);
    mgpt_config_destroy(config);
    mgpt_registry_destroy(registry);
    free(json);
    free(text);
    return bad;
}
