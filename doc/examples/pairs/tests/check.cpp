// Tokenizer pairs: what it learns, there and back, saved and loaded, and what it refuses.
#include <string>
#include <vector>

#include <microgpt/tokenizer.h>

#include "host.h"

static const struct mgpt_tokenizer_api *api;
static struct mgpt_error error;

static mgpt_tokenizer *make(const char *merges)
{
    mgpt_tokenizer *t = nullptr;
    set("merges", merges);
    CHECK_STATUS(api->create(&host, nullptr, &t, &error), MGPT_OK, error);
    return t;
}

static std::vector<int32_t> encode(const mgpt_tokenizer *t, const std::string &text)
{
    int64_t n = api->encode(t, text.data(), text.size(), nullptr, 0, &error);
    CHECK(n >= 0);
    std::vector<int32_t> result(static_cast<size_t>(n) + 1, -7);
    CHECK(api->encode(t, text.data(), text.size(), result.data(), static_cast<uint64_t>(n),
                      &error) == n);
    CHECK(result.back() == -7); /* not past the capacity */
    result.pop_back();
    return result;
}

static void gives_back(const mgpt_tokenizer *t, const std::string &text)
{
    std::vector<int32_t> ids = encode(t, text);
    std::string back(text.size(), '?');
    CHECK(api->decode(t, ids.data(), ids.size(), back.data(), back.size(), &error) ==
          static_cast<int64_t>(text.size()));
    CHECK(back == text);
}

static std::string saved(const mgpt_tokenizer *t)
{
    std::string json(static_cast<size_t>(api->save(t, nullptr, 0, &error)), '?');
    CHECK(api->save(t, json.data(), json.size(), &error) == static_cast<int64_t>(json.size()));
    return json;
}

// "abab" twice: ab first, then abab; nothing else comes twice.
static void learns_what_comes_often()
{
    const mgpt_text documents[] = {{"abab", 4}, {"cabab", 5}},
                    turned[] = {{"cabab", 5}, {"abab", 4}};
    mgpt_tokenizer *t = make("10"), *other = make("10");
    CHECK_STATUS(api->train(t, documents, 2, &error), MGPT_OK, error);
    CHECK_STATUS(api->train(other, turned, 2, &error), MGPT_OK, error);
    CHECK(saved(t) == R"({"type":"pairs","merges":[[98,99],[257,257]]})");
    CHECK(saved(t) == saved(other));
    CHECK(api->vocab(t) == 259 && api->bos(t) == 0);
    CHECK((encode(t, "ababab") == std::vector<int32_t>{258, 257}));
    api->destroy(t);
    api->destroy(other);
}

static void takes_any_text()
{
    const mgpt_text documents[] = {{"the theatre", 11}, {"then", 4}};
    mgpt_tokenizer *t = make("5"), *other = make("0");
    const int32_t none[] = {-1, 9999}, bos[] = {0, 98};
    char back[4];
    CHECK_STATUS(api->train(t, documents, 2, &error), MGPT_OK, error);
    for (const char *text : {"", "t", "the then", "zo\xc3\xab \xf0\x9f\x98\x80"})
        gives_back(t, text);
    uint64_t state = 5;
    for (int i = 0; i < 200; i++) {
        std::string noise;
        for (int k = 0; k < i; k++)
            noise += static_cast<char>(draw_below(&state, 256));
        gives_back(t, noise);
    }
    CHECK(api->decode(t, &none[0], 1, back, 4, &error) == -1 && error.status == MGPT_USAGE);
    CHECK(api->decode(t, &none[1], 1, back, 4, &error) == -1);
    CHECK(api->decode(t, bos, 2, back, 4, &error) == 1 && back[0] == 'a');
    std::string json = saved(t);
    CHECK(api->load(other, json.data(), json.size(), &error) == MGPT_OK && saved(other) == json);
    for (size_t cut = 0; cut < json.size(); cut++)
        CHECK_STATUS(api->load(other, json.data(), cut, &error), MGPT_DATA, error);
    api->destroy(t);
    api->destroy(other);
    api->destroy(nullptr);
}

static void refuses_other_json()
{
    mgpt_tokenizer *t = make("5");
    for (std::string merges :
         {"[0,98]", "[98,258]", "[257,1]", "[98]", "[98,99],", "[-1,5]", "[98,99][99,98]",
          "[098,99]", "[98,99999999999]", "[98,99],[1, 2]"}) {
        std::string json = R"({"type":"pairs","merges":[)" + merges + "]}";
        CHECK_STATUS(api->load(t, json.data(), json.size(), &error), MGPT_DATA, error);
        CHECK_EQUAL(api->vocab(t), 257);
    }
    api->destroy(t);
}

int main(int argc, char **argv)
{
    load(argc > 1 ? argv[1] : nullptr, MGPT_KIND_TOKENIZER);
    api = static_cast<const mgpt_tokenizer_api *>(component->api);
    learns_what_comes_often();
    takes_any_text();
    refuses_other_json();
    puts("check: tokenizer pairs is sound");
    return 0;
}
