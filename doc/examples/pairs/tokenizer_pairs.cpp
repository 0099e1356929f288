// Tokenizer pairs: bytes, and pairs that come often, as one id (byte-pair encoding: Gage 1994;
// Sennrich, Haddow & Birch 2016).
//
// Id 0 is BOS, byte b is b + 1, and merge k makes id 257 + k of two ids that are there before it.
// Any text has ids, also one that training never saw. Written in C++, with its library and
// exceptions; of these none leaves the module: `guarded` makes a status of them.
//
// tokenizer.json: {"type":"pairs","merges":[[98,99],[257,102]]}
#include <array>
#include <charconv>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <microgpt/tokenizer.h>

namespace
{

using pair = std::array<int32_t, 2>;
using ids = std::vector<int32_t>;

constexpr int32_t first_merge = 257;
constexpr size_t most_merges = 50000;
constexpr std::string_view opening = R"({"type":"pairs","merges":[)", closing = "]}";

/* Runs body(), which returns a T; `otherwise` when it throws. */
template <typename T, typename Body> T guarded(mgpt_error *error, T otherwise, Body body) noexcept
{
    try {
        return body();
    } catch (const std::bad_alloc &) {
        mgpt_fail(error, MGPT_NOMEM, "out of memory for tokenizer pairs");
    } catch (const std::exception &e) {
        mgpt_fail(error, MGPT_INTERNAL, "tokenizer pairs: %s", e.what());
    }
    return otherwise;
}

/* The two ids of `rule` become `whole` wherever they are side by side, from the left. */
void merge(ids &text, const pair &rule, int32_t whole)
{
    size_t out = 0;
    for (size_t i = 0; i < text.size(); i++) {
        bool both = i + 1 < text.size() && text[i] == rule[0] && text[i + 1] == rule[1];
        text[out++] = both ? whole : text[i];
        i += both;
    }
    text.resize(out);
}

ids bytes_of(std::string_view text)
{
    ids result;
    result.reserve(text.size());
    for (unsigned char byte : text)
        result.push_back(byte + 1);
    return result;
}

/* The pair that comes most often, of equals the least; {0, 0} when none comes twice. What is
 * counted is a sum over documents, so their order does not matter. */
pair most_frequent(const std::vector<ids> &documents)
{
    std::map<pair, uint64_t> counts;
    for (const ids &text : documents)
        for (size_t i = 0; i + 1 < text.size(); i++)
            counts[{text[i], text[i + 1]}]++;
    pair best = {0, 0};
    uint64_t most = 1;
    for (const auto &[rule, count] : counts)
        if (count > most) {
            best = rule;
            most = count;
        }
    return best;
}

} // namespace

struct mgpt_tokenizer {
    size_t wanted = 0;             // merges to learn
    std::vector<pair> merges;      // merge k makes id first_merge + k
    std::vector<std::string> text; // of each id

    void clear()
    {
        merges.clear();
        text.assign(1, {});
        for (int byte = 0; byte < 256; byte++)
            text.emplace_back(1, static_cast<char>(byte));
    }

    int32_t vocab() const
    {
        return static_cast<int32_t>(text.size());
    }

    void add(const pair &rule)
    {
        merges.push_back(rule);
        text.push_back(text[static_cast<size_t>(rule[0])] + text[static_cast<size_t>(rule[1])]);
    }

    void train(const mgpt_text *documents, uint64_t n)
    {
        std::vector<ids> all;
        clear();
        for (uint64_t i = 0; i < n; i++)
            all.push_back(bytes_of({documents[i].data, documents[i].size}));
        while (merges.size() < wanted) {
            pair rule = most_frequent(all);
            if (rule[0] == 0)
                break;
            for (ids &document : all)
                merge(document, rule, vocab());
            add(rule);
        }
    }

    /* As in training: one merge after the other. */
    ids encode(std::string_view words) const
    {
        ids result = bytes_of(words);
        for (size_t k = 0; k < merges.size() && result.size() > 1; k++)
            merge(result, merges[k], first_merge + static_cast<int32_t>(k));
        return result;
    }

    std::string save() const
    {
        std::string json(opening);
        for (size_t k = 0; k < merges.size(); k++)
            json += (k ? ",[" : "[") + std::to_string(merges[k][0]) + "," +
                    std::to_string(merges[k][1]) + "]";
        return json.append(closing);
    }

    /* Anybody may have written this: exactly what save writes, of ids that are there, or false. */
    bool load(std::string_view json)
    {
        clear();
        if (!json.starts_with(opening) || !json.ends_with(closing) ||
            json.size() < opening.size() + closing.size())
            return false;
        json.remove_prefix(opening.size());
        json.remove_suffix(closing.size());
        while (!json.empty()) {
            pair rule;
            if ((!merges.empty() && !take(json, ",")) || !take(json, "[") ||
                !number(json, rule[0]) || !take(json, ",") || !number(json, rule[1]) ||
                !take(json, "]") || merges.size() == most_merges ||
                text[static_cast<size_t>(rule[0])].size() +
                        text[static_cast<size_t>(rule[1])].size() >
                    4096)
                return false;
            add(rule);
        }
        return true;
    }

  private:
    static bool take(std::string_view &json, std::string_view word)
    {
        if (!json.starts_with(word))
            return false;
        json.remove_prefix(word.size());
        return true;
    }

    /* An id that is there and has text. */
    bool number(std::string_view &json, int32_t &id) const
    {
        auto [end, status] = std::from_chars(json.data(), json.data() + json.size(), id);
        if (status != std::errc() || id < 1 || id >= vocab() || json.front() == '0')
            return false;
        json.remove_prefix(static_cast<size_t>(end - json.data()));
        return true;
    }
};

namespace
{

/* As far as there is room; how many there are. */
template <typename T> int64_t copy(const T *from, size_t n, T *to, uint64_t capacity)
{
    if (capacity && n)
        std::memcpy(to, from, (capacity < n ? static_cast<size_t>(capacity) : n) * sizeof(T));
    return static_cast<int64_t>(n);
}

mgpt_status create(const mgpt_host *host, const mgpt_config *config, mgpt_tokenizer **tokenizer,
                   mgpt_error *error)
{
    return guarded(error, MGPT_NOMEM, [&] {
        auto t = std::make_unique<mgpt_tokenizer>();
        t->wanted = static_cast<size_t>(host->get_int(config, "merges"));
        t->clear();
        *tokenizer = t.release();
        return MGPT_OK;
    });
}

void destroy(mgpt_tokenizer *t)
{
    delete t;
}

mgpt_status train(mgpt_tokenizer *t, const mgpt_text *documents, uint64_t n, mgpt_error *error)
{
    return guarded(error, MGPT_NOMEM, [&] {
        t->train(documents, n);
        return MGPT_OK;
    });
}

int32_t vocab(const mgpt_tokenizer *t)
{
    return t->vocab();
}

int32_t bos(const mgpt_tokenizer *)
{
    return 0;
}

int64_t encode(const mgpt_tokenizer *t, const char *text, uint64_t size, int32_t *out,
               uint64_t capacity, mgpt_error *error)
{
    return guarded(error, int64_t{-1}, [&] {
        ids result = t->encode({text, size});
        return copy(result.data(), result.size(), out, capacity);
    });
}

int64_t decode(const mgpt_tokenizer *t, const int32_t *in, uint64_t n, char *out, uint64_t capacity,
               mgpt_error *error)
{
    return guarded(error, int64_t{-1}, [&]() -> int64_t {
        std::string result;
        for (uint64_t i = 0; i < n; i++) {
            if (in[i] < 0 || in[i] >= t->vocab()) {
                mgpt_fail(error, MGPT_USAGE, "id %d: expected 0 to %d", static_cast<int>(in[i]),
                          static_cast<int>(t->vocab() - 1));
                return -1;
            }
            result += t->text[static_cast<size_t>(in[i])];
        }
        return copy(result.data(), result.size(), out, capacity);
    });
}

int64_t save(const mgpt_tokenizer *t, char *json, uint64_t capacity, mgpt_error *error)
{
    return guarded(error, int64_t{-1}, [&] {
        std::string result = t->save();
        return copy(result.data(), result.size(), json, capacity);
    });
}

mgpt_status load(mgpt_tokenizer *t, const char *json, uint64_t size, mgpt_error *error)
{
    return guarded(error, MGPT_NOMEM, [&] {
        if (t->load({json, size}))
            return MGPT_OK;
        t->clear();
        return mgpt_fail(error, MGPT_DATA, "expected %s[id,id],...%s, of ids that are there",
                         opening.data(), closing.data());
    });
}

/* key, default, help, unit, least, most (both 0: no limit), choices, type, 0 */
const mgpt_option options[] = {
    {"merges", "100", "pairs to learn", nullptr, 0, most_merges, nullptr, MGPT_OPTION_INT, 0},
};

const mgpt_tokenizer_api api = {
    .size = sizeof api,
    .create = create,
    .destroy = destroy,
    .train = train,
    .vocab = vocab,
    .bos = bos,
    .encode = encode,
    .decode = decode,
    .save = save,
    .load = load,
};

const mgpt_component component = {
    .size = sizeof component,
    .n_options = sizeof options / sizeof options[0],
    .option_size = sizeof options[0],
    .kind = MGPT_KIND_TOKENIZER,
    .name = "pairs",
    .summary = "bytes, and pairs that come often",
    .options = options,
    .api = &api,
};

} // namespace

MGPT_PLUGIN_DEFINE("org.microgpt.examples.pairs", "1.0.0", "MIT", "The microgpt authors", nullptr,
                   &component)
