/* One value of an option: text checked against what the option's table entry allows. */
#include <config.h>

#include "plugin/value.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

/* Limits from here on stand for none: no error message should print them. */
#define ENDLESS 1e15

/* ---- what an option takes ---- */

static bool limited(const struct mgpt_option *option)
{
    return option->min != 0 || option->max != 0;
}

static bool in_range(const struct mgpt_option *option, double number)
{
    return !limited(option) || (number >= option->min && number <= option->max);
}

/* A minimum of DBL_MIN is how a table says "more than 0" with inclusive limits. */
static void describe_range(const struct mgpt_option *option, struct mgpt_string *out)
{
    bool low = option->min > -ENDLESS, high = option->max < ENDLESS;
    if (!limited(option))
        return;
    if (option->min > 0 && option->min <= DBL_MIN) {
        mgpt_string_format(out, " above 0");
        if (high)
            mgpt_string_format(out, ", at most %.15g", option->max);
    } else if (low && high) {
        mgpt_string_format(out, " from %.15g to %.15g", option->min, option->max);
    } else if (low) {
        mgpt_string_format(out, ", at least %.15g", option->min);
    } else if (high) {
        mgpt_string_format(out, ", at most %.15g", option->max);
    }
}

static void describe_choices(const char *const *choices, struct mgpt_string *out)
{
    for (size_t i = 0; choices && choices[i]; i++)
        mgpt_string_format(out, i ? ", %s" : " %s", choices[i]);
}

void mgpt_option_describe(const struct mgpt_option *option, struct mgpt_string *out)
{
    switch (option->type) {
    case MGPT_OPTION_BOOL: mgpt_string_format(out, "true or false"); break;
    case MGPT_OPTION_INT:
        mgpt_string_format(out, "a whole number");
        describe_range(option, out);
        break;
    case MGPT_OPTION_SEED:
        mgpt_string_format(out, "a whole number from 0 to 18446744073709551615");
        break;
    case MGPT_OPTION_FLOAT:
        mgpt_string_format(out, "a number");
        describe_range(option, out);
        break;
    case MGPT_OPTION_TEXT: mgpt_string_format(out, "text"); break;
    case MGPT_OPTION_ENUM:
        mgpt_string_format(out, "one of");
        describe_choices(option->choices, out);
        break;
    case MGPT_OPTION_PATH: mgpt_string_format(out, "a path"); break;
    case MGPT_OPTION_LIST:
        mgpt_string_format(out, option->choices ? "a comma-separated list of"
                                                : "a comma-separated list");
        describe_choices(option->choices, out);
        mgpt_string_format(out, "; or none");
        break;
    }
}

/* The one refusal: what was expected and, where names are expected, the nearest to `given`. */
static enum mgpt_status refuse(const struct mgpt_option *option, const char *given,
                               struct mgpt_error *error)
{
    static const char *const truths[] = {"true", "false", "yes", "no", "on", "off", NULL};
    const char *const *names = option->type == MGPT_OPTION_BOOL ? truths : option->choices;
    const char *nearest = names ? mgpt_nearest(given, names) : NULL;
    struct mgpt_string expected = {0};
    mgpt_option_describe(option, &expected);
    mgpt_fail(error, MGPT_CONFIG, nearest ? "expected %s; did you mean %s?" : "expected %s",
              expected.failed ? "something else" : expected.data, nearest);
    mgpt_string_finish(&expected);
    return MGPT_CONFIG;
}

/* ---- parsing ---- */

/* Index of `name`, or -1. */
static int choice(const char *const *choices, const char *name)
{
    for (int i = 0; choices && choices[i]; i++)
        if (!strcmp(choices[i], name))
            return i;
    return -1;
}

/* Does `list`, items parted by commas, hold `item`? */
static bool holds(const char *list, const char *item)
{
    size_t size = strlen(item);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (!strncmp(at, item, size) && (at[size] == ',' || at[size] == 0))
            return true;
    }
    return false;
}

/* `text` is cut up. */
static enum mgpt_status parse_list(struct mgpt_value *value, const struct mgpt_option *option,
                                   char *text, struct mgpt_error *error)
{
    struct mgpt_string list = {0};
    enum mgpt_status status = MGPT_OK;
    mgpt_string_add(&list, "", 0);
    bool none = !strcmp(text, "none");
    for (char *next = text; next && !none && status == MGPT_OK && !list.failed;) {
        char *item = mgpt_trim(strsep(&next, ","));
        int index = choice(option->choices, item);
        if (!*item || !strcmp(item, "none") || (option->choices && index < 0))
            status = refuse(option, item, error);
        else if (holds(list.data, item))
            status = mgpt_fail(error, MGPT_CONFIG, "%s stands in it twice", item);
        else if (index >= 0)
            value->set |= UINT32_C(1) << index;
        mgpt_string_format(&list, list.size ? ",%s" : "%s", item);
    }
    if (status == MGPT_OK && list.failed)
        status = mgpt_fail(error, MGPT_NOMEM, "no memory");
    if (status == MGPT_OK && !none) {
        free(value->text);
        value->text = list.data;
        return MGPT_OK;
    }
    mgpt_string_finish(&list);
    return status;
}

/* value->text is set; is it of the type, in the range, among the choices? */
static bool parse_scalar(struct mgpt_value *value, const struct mgpt_option *option)
{
    bool truth = false;
    switch (option->type) {
    case MGPT_OPTION_BOOL:
        if (!mgpt_parse_bool(value->text, &truth))
            return false;
        value->integer = truth;
        return true;
    case MGPT_OPTION_INT:
        if (!mgpt_parse_int(value->text, &value->integer))
            return false;
        value->number = (double)value->integer;
        return in_range(option, value->number);
    case MGPT_OPTION_SEED: return mgpt_parse_seed(value->text, &value->seed);
    case MGPT_OPTION_FLOAT:
        return mgpt_parse_float(value->text, &value->number) && in_range(option, value->number);
    case MGPT_OPTION_ENUM:
        value->integer = choice(option->choices, value->text);
        return value->integer >= 0;
    case MGPT_OPTION_PATH: /* only an option that has no path by default may be without */
        return *value->text || !*option->value;
    default: return true;
    }
}

enum mgpt_status mgpt_value_parse(struct mgpt_value *value, const struct mgpt_option *option,
                                  const char *text, struct mgpt_error *error)
{
    struct mgpt_value parsed = {0};
    enum mgpt_status status = MGPT_OK;
    char *copy = strdup(text), *trimmed = copy ? mgpt_trim(copy) : NULL;
    parsed.text = trimmed ? strdup(trimmed) : NULL;
    if (!parsed.text)
        status = mgpt_fail(error, MGPT_NOMEM, "no memory");
    else if (option->type == MGPT_OPTION_LIST)
        status = parse_list(&parsed, option, trimmed, error);
    else if (!parse_scalar(&parsed, option))
        status = refuse(option, parsed.text, error);
    free(copy);
    if (status != MGPT_OK) {
        mgpt_value_finish(&parsed);
        return status;
    }
    mgpt_value_finish(value);
    *value = parsed;
    return MGPT_OK;
}

void mgpt_value_finish(struct mgpt_value *value)
{
    if (!value)
        return;
    free(value->text);
    *value = (struct mgpt_value){0};
}
