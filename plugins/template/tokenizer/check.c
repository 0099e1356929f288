/* Tokenizer my-name: there and back, saved and loaded, and what it refuses. */
#include <microgpt/tokenizer.h>

#include "host.h"

static const struct mgpt_tokenizer_api *api;
static struct mgpt_error error;

static struct mgpt_tokenizer *make(void)
{
    struct mgpt_tokenizer *t = NULL;
    CHECK_STATUS(api->create(&host, NULL, &t, &error), MGPT_OK, error);
    return t;
}

static struct mgpt_tokenizer *trained(void)
{
    const struct mgpt_text documents[] = {{"emma", 4}, {"zo\xc3\xab", 4}, {"", 0}};
    struct mgpt_tokenizer *t = make();

    CHECK_STATUS(api->train(t, documents, 3, &error), MGPT_OK, error);
    CHECK_EQUAL(api->vocab(t), 8); /* BOS a e m o z c3 ab */
    return t;
}

static void gives_back_the_text(const struct mgpt_tokenizer *t, const char *text)
{
    int32_t ids[32];
    char back[32];
    size_t size = strlen(text);
    int64_t n = api->encode(t, text, size, NULL, 0, &error);

    CHECK(n >= 0 && n <= 32);
    CHECK_EQUAL(api->encode(t, text, size, ids, 32, &error), n);
    for (int64_t i = 0; i < n; i++)
        CHECK(ids[i] >= 0 && ids[i] < api->vocab(t) && ids[i] != api->bos(t));
    CHECK_EQUAL(api->decode(t, ids, (uint64_t)n, back, sizeof back, &error), size);
    CHECK(memcmp(back, text, size) == 0);
}

static void refuses_what_it_does_not_know(const struct mgpt_tokenizer *t)
{
    const int32_t bad[] = {-1, 8};
    char back[8];

    CHECK_EQUAL(api->encode(t, "emmy", 4, NULL, 0, &error), -1);
    CHECK_EQUAL(error.status, MGPT_USAGE);
    CHECK(strstr(error.text, "byte 3"));
    CHECK_EQUAL(api->decode(t, &bad[0], 1, back, sizeof back, &error), -1);
    CHECK_EQUAL(api->decode(t, &bad[1], 1, back, sizeof back, &error), -1);
}

static void loads_what_it_saved_and_nothing_else(const struct mgpt_tokenizer *t)
{
    char json[256];
    int64_t n = api->save(t, json, sizeof json, &error);
    struct mgpt_tokenizer *other = make();

    CHECK(n > 0 && n < 256);
    for (int64_t cut = 0; cut < n; cut++)
        CHECK_STATUS(api->load(other, json, (uint64_t)cut, &error), MGPT_DATA, error);
    CHECK_STATUS(api->load(other, json, (uint64_t)n, &error), MGPT_OK, error);
    CHECK_EQUAL(api->vocab(other), api->vocab(t));
    gives_back_the_text(other, "zo\xc3\xab");
    api->destroy(other);
}

int main(int argc, char **argv)
{
    load(argc > 1 ? argv[1] : NULL, MGPT_KIND_TOKENIZER);
    api = (const struct mgpt_tokenizer_api *)component->api;
    struct mgpt_tokenizer *t = trained();
    gives_back_the_text(t, "mazo\xc3\xab");
    gives_back_the_text(t, "");
    refuses_what_it_does_not_know(t);
    loads_what_it_saved_and_nothing_else(t);
    api->destroy(t);
    api->destroy(NULL);
    puts("check: tokenizer my-name is sound");
    return 0;
}
