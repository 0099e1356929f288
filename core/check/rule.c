/* The language of the optimizer's rule, after microgpt/optimizer.h: a walk along the tokens of the
 * body. A device compiles the text alone, without the headers that the host had. */
#include <config.h>

#include "check/rule.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define MAX_NAMES 64

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
        real = real || t->text[i] == '.' || (!hex && strchr("eEfF", t->text[i]));
    if (!real)
        return MGPT_OK;
    if (is(&w->last[0], ")") && is(&w->last[1], "real") && is(&w->last[2], "("))
        return MGPT_OK;
    return refuse(w, t, "is a literal without its cast: write (real)0.5", error);
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
    struct walk w = {.rule = rule, .at = rule->body};
    enum mgpt_status status = MGPT_OK;

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
