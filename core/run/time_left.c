/* How long the rest of a run will take. */
#include <config.h>

#include "run/plan.h"
#include "run/time_left.h"

double mgpt_time_left(const struct mgpt_spent *spent, const struct mgpt_validation *validation,
                      uint64_t step)
{
    double steps = (double)(validation->total - step);

    return steps * spent->stepping / (double)spent->steps +
           (double)mgpt_validation_left(validation, step) * spent->validating;
}

void mgpt_time_left_say(const struct mgpt_spent *spent, const struct mgpt_validation *validation,
                        uint64_t step, struct mgpt_string *out)
{
    uint64_t validations = mgpt_validation_left(validation, step);
    double seconds = mgpt_time_left(spent, validation, step);

    mgpt_string_format(out, "%llu steps ", (unsigned long long)(validation->total - step));
    if (validations && spent->validating > 0)
        mgpt_string_format(out, "and %llu validations ", (unsigned long long)validations);
    mgpt_string_format(out, seconds < 1 ? "to go take " : "to go take about ");
    mgpt_add_duration(out, seconds);
    mgpt_string_format(out, ", at the pace of the first %llu", (unsigned long long)spent->steps);
    if (validations && !(spent->validating > 0))
        mgpt_string_format(out, "; %llu validation%s on top", (unsigned long long)validations,
                           validations == 1 ? " comes" : "s come");
}
