/* What contract checks are made of: assertions, the module under check, and what they share. The
 * command `plugins check` runs them one in a process; the tests run the same ones on our
 * modules. */
#ifndef MGPT_CHECK_CHECK_H
#define MGPT_CHECK_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <microgpt/plugin.h>

#include "plugin/options.h"
#include "plugin/registry.h"

/* ---- assertions ---- */

/* What a failed assertion does with its text; it does not return. Without one: stderr and abort. */
extern void (*mgpt_check_on_failure)(const char *text);

_Noreturn void mgpt_check_failed(const char *file, int line, const char *condition,
                                 const char *format, ...) MGPT_PRINTF(4, 5);

/* Ends the case unless the condition holds; the rest says what was found. */
#define check_that(condition, ...)                                                                 \
    do {                                                                                           \
        if (!(condition))                                                                          \
            mgpt_check_failed(__FILE__, __LINE__, #condition, __VA_ARGS__);                        \
    } while (0)

/* Ends the case unless the call returns MGPT_OK; `error` is within its arguments. */
#define check_ok(call)                                                                             \
    do {                                                                                           \
        struct mgpt_error error_of_call = {0};                                                     \
        struct mgpt_error *error = &error_of_call;                                                 \
        enum mgpt_status status_of_call = (call);                                                  \
        check_that(status_of_call == MGPT_OK, "%d %.900s", (int)status_of_call,                    \
                   error_of_call.text);                                                            \
    } while (0)

/* A refusal is the status that was expected, and one line of text. */
#define check_refused(result, expected, why)                                                       \
    do {                                                                                           \
        int result_ = (result);                                                                    \
        check_that(result_ == (expected), "status %d, expected %d; text \"%.900s\"", result_,      \
                   (int)(expected), (why).text);                                                   \
        check_that((why).status == result_, "error.status is %d", (why).status);                   \
        check_that((why).text[0] && !strchr((why).text, '\n'), "\"%.900s\"", (why).text);          \
    } while (0)

/* What a case has to say besides: how much it ran, or why it does not apply and returned. Lines of
 * one case are joined. */
void mgpt_check_note(const char *format, ...) MGPT_PRINTF(1, 2);
void mgpt_check_skip(const char *format, ...) MGPT_PRINTF(1, 2);
/* Where notes go, and whether one is a reason to skip; NULL: nowhere. */
extern void (*mgpt_check_on_note)(const char *text, bool skips);

/* ---- what a case is given ---- */

extern uint64_t mgpt_check_seed;             /* of all that is random */
extern const char *mgpt_check_folder;        /* an empty folder to write to */
extern const char *const *mgpt_check_search; /* more folders of modules, NULL-terminated; or NULL */

/* A path in the folder; one of eight buffers that take turns. */
const char *mgpt_check_path(const char *name);
/* Writes a file whole. */
void mgpt_check_put(const char *path, const void *data, size_t size);

/* A registry over the usual folders and those of mgpt_check_search, with the core's own modules. */
struct mgpt_registry *mgpt_check_registry(void);
/* A module by kind ("backend/1") and name, which must be there; is there one that can run? */
const struct mgpt_component *mgpt_check_module(const char *want, const char *name);
bool mgpt_check_has(const char *want, const char *name);

/* A section at its defaults, but for pairs of key and value that a NULL ends; keys that the module
 * lacks are passed over. The caller destroys it. */
struct mgpt_config *mgpt_check_settings(const struct mgpt_component *component, ...);
bool mgpt_check_has_option(const struct mgpt_component *component, const char *key);

/* Bytes of the heap in use, by everybody in the process; 0 where it cannot be told. */
size_t mgpt_check_heap(void);
/* Threads of the process. */
size_t mgpt_check_threads(void);
/* Calls body(component) a few times and then again: what the later calls leave behind is a leak, of
 * memory or of threads. */
void mgpt_check_leaks(const struct mgpt_component *component,
                      void (*body)(const struct mgpt_component *component));

/* ---- the contracts ---- */

struct mgpt_check_case {
    const char *name;  /* states what holds: "gives_back_the_text"; NULL ends a list */
    const char *means; /* what it means for a run when it does not, for the author to read */
    void (*run)(const struct mgpt_component *component);
    unsigned seconds; /* it may take; 0: as most do */
};

/* The name of the first case of kinds that are made or opened without much around them: when it
 * fails, the others would say the same, and are not tried. */
#define MGPT_CHECK_MADE "is_made_with_its_defaults"

struct mgpt_contract {
    const char *kind; /* "optimizer" */
    const struct mgpt_check_case *cases;
};

extern const struct mgpt_check_case mgpt_check_backend[], mgpt_check_dataset[], mgpt_check_logger[],
    mgpt_check_optimizer[], mgpt_check_precision[], mgpt_check_sampler[], mgpt_check_scheduler[],
    mgpt_check_step[], mgpt_check_tokenizer[];

/* The cases of a kind ("optimizer"); NULL: there are none. */
const struct mgpt_check_case *mgpt_contract_of(const char *kind);

#endif
