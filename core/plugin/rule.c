/* The language of the optimizer's rule, after microgpt/optimizer.h: a walk along the tokens of the
 * body. A device compiles the text alone, without the headers that the host had. */
#include <config.h>

#include "plugin/rule.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define MAX_NAMES 64  /* variables of a body */
#define MAX_LISTED 16 /* names of a list, and ... */
#define MAX_NAME 64   /* ...bytes of one with its end, as devices take them */

#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

struct token {
    const char *text;
    int size;
};

struct walk {
    const struct mgpt_rule *rule;
    const char *at;
    struct token last[3];           /* the ones before, latest first */
    struct token locals[MAX_NAMES]; /* variables that the body declares */
    int n_locals;
    bool declares;     /* between a type and its semicolon */
    int depth, braces; /* of parentheses; of braces */
};

static bool is(const struct token *t, const char *word)
{
    return (size_t)t->size == strlen(word) && memcmp(t->text, word, (size_t)t->size) == 0;
}

static bool is_one_of(const struct token *t, const char *const *words)
{
    while (*words && !is(t, *words))
        words++;
    return *words != NULL;
}

/* Is it in a list like "(m, v)"? */
static bool is_in_list(const struct token *t, const char *list)
{
    for (const char *at = list; *at; at++) {
        size_t n = strcspn(at, "(), ");
        if (n == (size_t)t->size && memcmp(at, t->text, n) == 0)
            return true;
        at += n;
        if (!*at)
            break;
    }
    return false;
}

static bool is_name_start(char c)
{
    return isalpha((unsigned char)c) || c == '_';
}

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* A preprocessing number: 1e-3 is one token. */
static int number_size(const char *at)
{
    int n = 0;

    while (is_name(at[n]) || at[n] == '.' ||
           ((at[n] == '+' || at[n] == '-') && n > 0 && strchr("eEpP", at[n - 1])))
        n++;
    return n;
}

/* The next token; size 0 at the end. */
static struct token next(struct walk *w)
{
    struct token t;

    while (isspace((unsigned char)*w->at))
        w->at++;
    t.text = w->at;
    if (!*w->at)
        t.size = 0;
    else if (is_name_start(*w->at))
        for (t.size = 0; is_name(w->at[t.size]); t.size++)
            ;
    else if (isdigit((unsigned char)*w->at) || (*w->at == '.' && isdigit((unsigned char)w->at[1])))
        t.size = number_size(w->at);
    else
        t.size = 1;
    w->at += t.size;
    return t;
}

static char after(const struct walk *w)
{
    const char *at = w->at;

    while (isspace((unsigned char)*at))
        at++;
    return *at;
}

static enum mgpt_status refuse(const struct walk *w, const struct token *t, const char *why,
                               struct mgpt_error *error)
{
    return mgpt_fail(error, MGPT_PLUGIN, "the body of rule %s, at character %d: \"%.*s\" %s",
                     w->rule->name, (int)(t->text - w->rule->body), t->size, t->text, why);
}

/* Without the cast it is a double, on the host and on devices, and slow or rounded otherwise. */
static enum mgpt_status check_number(const struct walk *w, const struct token *t,
                                     struct mgpt_error *error)
{
    bool hex = t->size > 1 && (t->text[1] == 'x' || t->text[1] == 'X');
    bool real = false;

    for (int i = 0; i < t->size; i++)
        real = real || t->text[i] == '.' || strchr(hex ? "pP" : "eEfF", t->text[i]);
    if (!real)
        return MGPT_OK;
    if (is(&w->last[0], ")") && is(&w->last[1], "real") && is(&w->last[2], "("))
        return MGPT_OK;
    return refuse(w, t, "is a literal without its cast: write (real)0.5", error);
}

/* Names in C, words in C++ (ISO C++20, lex.key and lex.digraph): a device refuses them. */
static bool is_cpp(const struct token *t)
{
    static const char *const words[] = {"alignas",       "alignof",
                                        "and",           "and_eq",
                                        "asm",           "bitand",
                                        "bitor",         "bool",
                                        "catch",         "char16_t",
                                        "char32_t",      "char8_t",
                                        "class",         "co_await",
                                        "co_return",     "co_yield",
                                        "compl",         "concept",
                                        "consteval",     "constexpr",
                                        "constinit",     "const_cast",
                                        "decltype",      "delete",
                                        "explicit",      "dynamic_cast",
                                        "export",        "false",
                                        "friend",        "mutable",
                                        "namespace",     "new",
                                        "noexcept",      "not",
                                        "not_eq",        "nullptr",
                                        "operator",      "or",
                                        "or_eq",         "private",
                                        "protected",     "public",
                                        "requires",      "static_cast",
                                        "static_assert", "reinterpret_cast",
                                        "template",      "this",
                                        "throw",         "thread_local",
                                        "true",          "try",
                                        "typeid",        "typename",
                                        "using",         "virtual",
                                        "wchar_t",       "xor",
                                        "xor_eq",        NULL};

    return is_one_of(t, words);
}

/* A list like "(m, v)", of what is called `what`. */
static enum mgpt_status check_list(const struct mgpt_rule *rule, const char *list, const char *what,
                                   struct mgpt_error *error)
{
    int n = 0;

    for (const char *at = list; *(at += strcspn(at, NAME_CHARACTERS));) {
        struct token t = {at, (int)strspn(at, NAME_CHARACTERS)};
        const char *why = is_cpp(&t) ? "is a word of C++, as which devices compile it"
                          : t.size >= MAX_NAME
                              ? "is too long for a device: expected at most 63 bytes"
                          : ++n > MAX_LISTED ? "is one too many: devices take 16"
                                             : NULL;
        if (why)
            return mgpt_fail(error, MGPT_PLUGIN, "the %s of rule %s: \"%.*s\" %s", what, rule->name,
                             t.size, t.text, why);
        at += t.size;
    }
    return MGPT_OK;
}

static enum mgpt_status check_name(struct walk *w, const struct token *t, struct mgpt_error *error)
{
    static const char *const types[] = {"real", "int", NULL};
    static const char *const words[] = {"const", "if", "else", NULL};
    static const char *const functions[] = {"sqrt", "fabs", "fmin", "fmax", "copysign", NULL};
    bool called = after(w) == '(';

    if (is_one_of(t, words))
        return MGPT_OK;
    if (is_one_of(t, types)) {
        w->declares = !is(&w->last[0], "("); /* else a cast */
        return MGPT_OK;
    }
    if (called)
        return is_one_of(t, functions)
                   ? MGPT_OK
                   : refuse(w, t,
                            "is called, which no device can: the language has sqrt, fabs, fmin, "
                            "fmax, copysign",
                            error);
    if (w->declares && w->depth == 0 &&
        (is_one_of(&w->last[0], types) || is(&w->last[0], ",") || is(&w->last[0], "const"))) {
        if (is_cpp(t))
            return refuse(w, t, "is a word of C++, as which devices compile it", error);
        if (w->n_locals == MAX_NAMES)
            return refuse(w, t, "is one variable too many", error);
        w->locals[w->n_locals++] = *t;
        return MGPT_OK;
    }
    for (int i = 0; i < w->n_locals; i++)
        if (w->locals[i].size == t->size && !memcmp(w->locals[i].text, t->text, (size_t)t->size))
            return MGPT_OK;
    if (is(t, "p") || is(t, "g") || is_in_list(t, w->rule->state) ||
        is_in_list(t, w->rule->scalars))
        return MGPT_OK;
    return refuse(w, t,
                  "does not compile for a device: it is no state, scalar or variable of the "
                  "rule, nor of the language",
                  error);
}

static enum mgpt_status check_sign(struct walk *w, const struct token *t, struct mgpt_error *error)
{
    if (!strchr("()[]{}+-*/%<>=!&|^~?:;,", *t->text))
        return refuse(w, t, "is not of the language", error);
    if (*t->text == '[' || *t->text == ']')
        return refuse(w, t, "is not of the language: a rule knows one element at a time", error);
    w->depth += (*t->text == '(') - (*t->text == ')');
    w->braces += (*t->text == '{') - (*t->text == '}');
    if (w->depth < 0 || w->braces < 0)
        return refuse(w, t, "closes what was not opened", error);
    if (*t->text == ';' && w->depth == 0)
        w->declares = false;
    return MGPT_OK;
}

enum mgpt_status mgpt_rule_check(const struct mgpt_rule *rule, struct mgpt_error *error)
{
    if (!rule || !rule->name || !rule->state || !rule->scalars || !rule->body)
        return mgpt_fail(error, MGPT_PLUGIN, "the rule lacks a part: MGPT_RULE writes them all");
    struct walk w = {.rule = rule, .at = rule->body};
    enum mgpt_status status = check_list(rule, rule->state, "state", error);

    if (status == MGPT_OK)
        status = check_list(rule, rule->scalars, "scalars", error);
    for (struct token t; status == MGPT_OK && (t = next(&w)).size;) {
        if (is_name_start(*t.text))
            status = check_name(&w, &t, error);
        else if (isdigit((unsigned char)*t.text) || (*t.text == '.' && t.size > 1))
            status = check_number(&w, &t, error);
        else
            status = check_sign(&w, &t, error);
        w.last[2] = w.last[1];
        w.last[1] = w.last[0];
        w.last[0] = t;
    }
    if (status == MGPT_OK && (w.depth || w.braces))
        return mgpt_fail(error, MGPT_PLUGIN,
                         "the body of rule %s ends within parentheses or braces", rule->name);
    return status;
}
