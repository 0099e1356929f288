/* One value of an option: text checked against what the option's table entry allows. */
#ifndef MGPT_PLUGIN_VALUE_H
#define MGPT_PLUGIN_VALUE_H

#include <microgpt/plugin.h>

#include "base/text.h"

/* Zero-initialise. What the type does not name is 0. */
struct mgpt_value {
    char *text;      /* as given, without blanks around it and around the commas of a LIST */
    int64_t integer; /* INT; 0 or 1 of BOOL; index in the choices of ENUM */
    uint64_t seed;   /* SEED */
    double number;   /* FLOAT and INT */
    uint32_t set;    /* LIST with choices: bits 1 << index */
};

/* Parses `text` as a value of `option`; what *value held is freed. MGPT_CONFIG with what was
 * expected ("expected a whole number from 1 to 1024"), and *value is as it was; MGPT_NOMEM. */
enum mgpt_status mgpt_value_parse(struct mgpt_value *value, const struct mgpt_option *option,
                                  const char *text, struct mgpt_error *error);
void mgpt_value_finish(struct mgpt_value *value); /* frees; NULL is fine */

/* Adds what the option takes: "a whole number from 1 to 1024". */
void mgpt_option_describe(const struct mgpt_option *option, struct mgpt_string *out);

#endif
