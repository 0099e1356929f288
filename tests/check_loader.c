/* Loading modules: files that are none, plugins that are wrong, and what the registry makes of
 * them. */
#include <config.h>

#include <elf.h>
#include <link.h>
#include <signal.h>

#include <microgpt/scheduler.h>

#include "base/stop.h"
#include "modules.h"
#include "plugin/elf.h"
#include "plugin/loader.h"
#include "plugin/registry.h"

static struct mgpt_error error;

/* ---- files ---- */

static void refused(const char *path, const char *why)
{
    error.text[0] = '\0';
    ck_assert_msg(mgpt_elf_check(path, &error) == MGPT_PLUGIN, "%s: accepted, expected \"%s\"",
                  path, why);
    ck_assert_msg(strncmp(error.text, path, strlen(path)) == 0, "no path in \"%s\"", error.text);
    ck_assert_has(error.text, why);
}

START_TEST(accepts_a_whole_module)
{
    const char *module = in(modules, "good_old.so"), *link = in_scratch("link.so");
    ck_assert_msg(mgpt_elf_check(module, &error) == MGPT_OK, "%s", error.text);
    ck_assert_int_eq(symlink(module, link), 0);
    ck_assert_msg(mgpt_elf_check(link, &error) == MGPT_OK, "%s", error.text);
}
END_TEST

START_TEST(refuses_a_module_cut_anywhere)
{
    size_t size;
    char *data = get_bytes(in(modules, "good_old.so"), &size);
    for (size_t cut = 0; cut < size; cut += cut < 1024 ? 61 : 509)
        refused(put(in_scratch("cut.so"), data, cut), cut < 64 ? "header alone" : "truncated");
    refused(put(in_scratch("cut.so"), data, size - 1), "truncated: ");
    free(data);
}
END_TEST

START_TEST(refuses_segments_past_the_end)
{
    size_t size, end = 0;
    char *data = get_bytes(in(modules, "good_old.so"), &size);
    ElfW(Ehdr) header;
    memcpy(&header, data, sizeof header);
    for (unsigned i = 0; i < header.e_phnum; i++) {
        ElfW(Phdr) p;
        memcpy(&p, data + header.e_phoff + i * sizeof p, sizeof p);
        if (p.p_type == PT_LOAD && p.p_offset + p.p_filesz > end)
            end = p.p_offset + p.p_filesz;
    }
    header.e_shoff = 0; /* as sstrip leaves it: now the segments alone say how long the file is */
    header.e_shnum = 0;
    memcpy(data, &header, sizeof header);
    ck_assert_int_eq(mgpt_elf_check(put(in_scratch("cut.so"), data, end), &error), MGPT_OK);
    refused(put(in_scratch("cut.so"), data, end - 1), "segment");

    ElfW(Phdr) wild; /* an offset whose sum with the size wraps around */
    memcpy(&wild, data + header.e_phoff, sizeof wild);
    wild.p_offset = (ElfW(Off)) - 16;
    memcpy(data + header.e_phoff, &wild, sizeof wild);
    refused(put(in_scratch("wild.so"), data, size), "segment 0");
    free(data);
}
END_TEST

START_TEST(refuses_what_is_no_regular_file)
{
    ck_assert_int_eq(mkfifo(in_scratch("fifo.so"), 0644), 0);
    refused(in_scratch("fifo.so"), "found a FIFO, expected a regular file");
    refused(scratch, "found a directory");
    refused("/dev/null", "found a device");
    refused(in_scratch("absent.so"), "No such file");
}
END_TEST

START_TEST(refuses_what_is_no_shared_object)
{
    static const char script[] = "#!/bin/sh\n# A script, and long enough to hold an ELF header.\n"
                                 "exit 0\n";
    refused(put(in_scratch("empty.so"), "", 0), "found 0 bytes");
    refused(put(in_scratch("script.so"), script, sizeof script - 1), "23 21 2f 62");
}
END_TEST

/* Each header that differs in one field from a good one. */
START_TEST(refuses_headers_of_other_machines)
{
    static const struct {
        size_t offset;
        uint16_t value;
        uint16_t size;
        const char *why;
    } changes[] = {
        {EI_CLASS, ELFCLASSNONE, 1, "-bit one"},
        {EI_DATA, ELFDATANONE, 1, "byte order 0"},
        {EI_VERSION, 9, 1, "ELF version"},
        {offsetof(ElfW(Ehdr), e_machine), 4711, 2, "built for machine 4711, expected "},
        {offsetof(ElfW(Ehdr), e_type), ET_REL, 2, "ELF type 1, expected 3"},
        {offsetof(ElfW(Ehdr), e_phentsize), 8, 2, "program headers of 8 bytes"},
        {offsetof(ElfW(Ehdr), e_phnum), 0, 2, "0 program headers"},
        {offsetof(ElfW(Ehdr), e_phnum), 0xfffe, 2, "truncated: 65534 program headers"},
        {offsetof(ElfW(Ehdr), e_shnum), 0xfffe, 2, "truncated: 65534 section headers"},
    };
    size_t size;
    char *data = get_bytes(in(modules, "good_old.so"), &size);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        char *copy = malloc(size);
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, data, size);
        if (changes[i].size == 1)
            copy[changes[i].offset] = (char)changes[i].value;
        else
            memcpy(copy + changes[i].offset, &changes[i].value, 2);
        refused(put(in_scratch("other.so"), copy, size), changes[i].why);
        free(copy);
    }
    free(data);
}
END_TEST

START_TEST(refuses_files_that_others_may_change)
{
    static const mode_t modes[] = {0664, 0646, 0777};
    place("good_old.so", scratch, "open.so");
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        ck_assert_int_eq(chmod(in_scratch("open.so"), modes[i]), 0);
        refused(in_scratch("open.so"), "lets others write it");
    }
    ck_assert_int_eq(chmod(in_scratch("open.so"), 0644), 0);
    ck_assert_int_eq(mgpt_elf_check(in_scratch("open.so"), &error), MGPT_OK);
    if (geteuid() == 0) { /* others cannot give files away */
        ck_assert_int_eq(chown(in_scratch("open.so"), 12345, (gid_t)-1), 0);
        refused(in_scratch("open.so"), "owned by user 12345, expected root");
    }
}
END_TEST

/* ---- plugins ---- */

START_TEST(refuses_wrong_plugins_with_the_cause)
{
    static const struct {
        const char *module, *why;
    } wrong[] = {
        {"bad_abi.so", "built for ABI 99.3, this microgpt speaks 1.1: rebuild it"},
        {"bad_symbol.so", "does not export microgpt_plugin_v1"},
        {"bad_undefined.so", "undefined symbol: mgpt_test_nobody_defines_this"},
        {"bad_magic.so", "starts with 0x12345678, expected 0x5450474d"},
        {"bad_size.so", "scheduler stump: claims 56 bytes, too few for api: expected 64"},
        {"bad_option.so", "scheduler steep: option floor has the default 1.5: "},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const char *path = in(modules, wrong[i].module);
        const struct mgpt_plugin *plugin = NULL;
        ck_assert_int_eq(mgpt_plugin_load(path, &plugin, &error), MGPT_PLUGIN);
        ck_assert_ptr_null(plugin);
        ck_assert_msg(strncmp(error.text, path, strlen(path)) == 0, "no path in \"%s\"",
                      error.text);
        ck_assert_has(error.text, wrong[i].why);
    }
}
END_TEST

START_TEST(accepts_older_and_newer_minor_versions)
{
    static const struct {
        const char *module, *name;
    } good[] = {{"good_old.so", "old"}, {"good_new.so", "later"}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        const struct mgpt_plugin *plugin = NULL;
        enum mgpt_status status = mgpt_plugin_load(in(modules, good[i].module), &plugin, &error);
        ck_assert_msg(status == MGPT_OK, "%s", error.text);
        ck_assert_str_eq(plugin->components[0]->name, good[i].name);
        const struct mgpt_scheduler_api *api = plugin->components[0]->api;
        ck_assert(api->lr(NULL, 0, 10, 0.5) == 0.5);
    }
}
END_TEST

static enum mgpt_status scheduler_create(const struct mgpt_host *host,
                                         const struct mgpt_config *config,
                                         struct mgpt_scheduler **scheduler, struct mgpt_error *e)
{
    (void)host, (void)config, (void)e;
    *scheduler = NULL;
    return MGPT_OK;
}
static void scheduler_destroy(struct mgpt_scheduler *scheduler)
{
    (void)scheduler;
}
static double scheduler_lr(const struct mgpt_scheduler *scheduler, uint64_t step, uint64_t total,
                           double base)
{
    (void)scheduler, (void)step, (void)total;
    return base;
}

static const struct mgpt_scheduler_api scheduler = {(uint32_t)sizeof scheduler, 0, scheduler_create,
                                                    scheduler_destroy, scheduler_lr};
static const struct mgpt_component sound = {(uint32_t)sizeof sound,
                                            MGPT_NO_OPTIONS,
                                            0,
                                            MGPT_KIND_SCHEDULER,
                                            "sound",
                                            "nothing wrong with it",
                                            NULL,
                                            NULL,
                                            &scheduler};

static void unsound(const struct mgpt_component *component, const char *why)
{
    ck_assert_msg(mgpt_component_check(component, "P", &error) == MGPT_PLUGIN,
                  "accepted, expected \"%s\"", why);
    ck_assert_has(error.text, why);
}

START_TEST(checks_every_part_of_a_component)
{
    static const char *const kinds[] = {
        NULL, "", "optimizer", "/1", "optimizer/", "Optimizer/1", "optimizer/1x"};
    static const char *const names[] = {NULL, "", "Sound", "a/b", "..", "a.b", "a b"};
    struct mgpt_component c = sound;
    ck_assert_msg(mgpt_component_check(&c, "P", &error) == MGPT_OK, "%s", error.text);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        c.kind = kinds[i];
        unsound(&c, "expected one like \"optimizer/1\"");
    }
    c = sound;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        c.name = names[i];
        unsound(&c, "expected only a-z, 0-9, _ and -");
    }
    c = sound, c.size = 4;
    unsound(&c, "claims 4 bytes");
    c = sound, c.summary = NULL;
    unsound(&c, "summary is NULL");
    c = sound, c.api = NULL;
    unsound(&c, "api is NULL");
    struct mgpt_scheduler_api api = scheduler;
    c.api = &api;
    api.size = 0;
    unsound(&c, "its table claims 0 bytes, too few for create");
    api = scheduler, api.lr = NULL;
    unsound(&c, "lr is NULL");
}
END_TEST

START_TEST(checks_every_option_of_a_component)
{
    static const struct mgpt_option good = {"beta", "0.5", "a share",         NULL, 0,
                                            1,      NULL,  MGPT_OPTION_FLOAT, 0};
    struct mgpt_option options[2] = {good, good};
    struct mgpt_component c = sound;
    c.options = options, c.n_options = 1;
    ck_assert_msg(mgpt_component_check(&c, "P", &error) == MGPT_OK, "%s", error.text);
    c.n_options = 2;
    unsound(&c, "both called beta");
    c.option_size = (uint32_t)sizeof good - 8;
    unsound(&c, "claims options of 56 bytes, expected at least 64");
    c.option_size = (uint32_t)sizeof good;
    c.options = NULL;
    unsound(&c, "no table");
    c.options = options, c.n_options = 1;
    options[0].value = "half";
    unsound(&c, "beta");
    options[0] = good, options[0].value = "1.01";
    unsound(&c, "beta");
    options[0] = good, options[0].key = "Beta";
    unsound(&c, "Beta");
    options[0] = good, options[0].type = 77;
    unsound(&c, "77");
    options[0] = good, options[0].help = NULL;
    unsound(&c, "help");
    options[0] = good, options[0].type = MGPT_OPTION_ENUM;
    unsound(&c, "choices");
}
END_TEST

/* ---- the host ---- */

START_TEST(hands_out_a_whole_host)
{
    const struct mgpt_host *host = mgpt_host();
    ck_assert_uint_eq(host->size, sizeof *host);
    ck_assert_uint_eq(host->abi_minor, MGPT_ABI_MINOR);
    ck_assert_str_eq(host->version, PACKAGE_VERSION);
    ck_assert(host->log && host->get_int && host->get_float && host->get_seed && host->get_text);
    ck_assert(host->reference != NULL);
    ck_assert_ptr_null(host->query("org.example.unheard-of/1"));
}
END_TEST

START_TEST(asks_to_stop_on_the_first_signal)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        mgpt_stop_install();
        ck_assert_int_eq(mgpt_host()->canceled(), 0);
        ck_assert_int_eq(mgpt_stop_signal(), 0);
        ck_assert_int_eq(raise(numbers[i]), 0);
        ck_assert_int_eq(mgpt_host()->canceled(), 1);
        ck_assert_int_eq(mgpt_stop_signal(), numbers[i]);
    }
}
END_TEST

START_TEST(dies_of_the_second_signal)
{
    mgpt_stop_install();
    raise(SIGINT);
    raise(SIGTERM);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name, void (*before)(void), void (*after)(void))
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 60);
    if (before)
        tcase_add_checked_fixture(tcase, before, after);
    suite_add_tcase(suite, tcase);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("loader");
    TCase *files = add_case(suite, "files", modules_setup, scratch_teardown);
    tcase_add_test(files, accepts_a_whole_module);
    tcase_add_test(files, refuses_a_module_cut_anywhere);
    tcase_add_test(files, refuses_segments_past_the_end);
    tcase_add_test(files, refuses_what_is_no_regular_file);
    tcase_add_test(files, refuses_what_is_no_shared_object);
    tcase_add_test(files, refuses_headers_of_other_machines);
    tcase_add_test(files, refuses_files_that_others_may_change);
    TCase *plugins = add_case(suite, "plugins", modules_setup, scratch_teardown);
    tcase_add_test(plugins, refuses_wrong_plugins_with_the_cause);
    tcase_add_test(plugins, accepts_older_and_newer_minor_versions);
    tcase_add_test(plugins, checks_every_part_of_a_component);
    tcase_add_test(plugins, checks_every_option_of_a_component);
    TCase *host = add_case(suite, "host", NULL, NULL);
    tcase_add_test(host, hands_out_a_whole_host);
    tcase_add_test(host, asks_to_stop_on_the_first_signal);
    tcase_add_test_raise_signal(host, dies_of_the_second_signal, SIGTERM);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
