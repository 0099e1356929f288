/* The language of the optimizer's rule: would every device compile this text, and to the same? */
#ifndef MGPT_PLUGIN_RULE_H
#define MGPT_PLUGIN_RULE_H

#include <microgpt/optimizer.h>

/* MGPT_PLUGIN: the word that is not of the language, with what is. */
enum mgpt_status mgpt_rule_check(const struct mgpt_rule *rule, struct mgpt_error *error);

#endif
