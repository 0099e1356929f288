/* The program's frame: commands, options and mistakes, each with its exit code and its words. */
#include <config.h>

#include <sys/wait.h>

#include "conf_fixture.h"

static const struct {
    const char *arguments;
    int code;
    const char *output; /* both streams */
} runs[] = {
    {"", 2, "microgpt: error: expected a command; see microgpt --help\n"},
    {"--version", 0, "microgpt " PACKAGE_VERSION "\n"},
    {"--help", 0, "Usage: microgpt COMMAND"},
    {"train --help", 0, "--steps N"},
    {"-V", 0, "microgpt " PACKAGE_VERSION "\n"},
    {"help", 0, "Usage: microgpt COMMAND"},
    {"help train", 0, "--steps N"},
    {"help trian", 2, "trian: no such command; did you mean train?"},
    {"trian", 2, "trian: no such command; did you mean train?"},
    {"-c x train", 2, "-c: expected a command before the options"},
    {"train --setps 3", 2, "train: --setps: no such option; did you mean --steps?"},
    {"train -x", 2, "train: -x: no such option; see"},
    {"train --steps", 2, "train: --steps: expected a value: --steps N"},
    {"train --resume=1", 2, "train: --resume=1: expected no value"},
    {"eval more", 2, "eval: more: expected only options"},
    {"config", 2, "config: expected one word, show or check"},
    {"config shwo", 2, "config: expected one word, show or check"},
    {"config check -c nowhere.ini", 3, "nowhere.ini"},
    {"config check", 3, "microgpt.ini:2: [train] stpes = 1: no such key; did you mean steps?"},
    {"config check", 3, "microgpt: error: microgpt.ini: 1 mistake\n"},
    {"config check -c bad.ini", 3,
     "bad.ini:2: [model] heads = 3 does not divide embd = 16; expected a divisor of embd\n"
     "bad.ini:3: [model] kv_heads = 2 does not divide heads = 3; expected a divisor of heads\n"
     "bad.ini:4: [model] norm_bias = true needs norm_gain = true\n"
     "bad.ini:6: [train] lr = x: expected a number above 0, at most 1000\n"
     "bad.ini:8: [generate] stop = a|: an empty string; expected strings parted by |\n"
     "microgpt: error: bad.ini: 5 mistakes\n"},
    {"config check -c bad.ini --set modle.x=3 --set trian.x=1",
     3, /* heads may be meant otherwise */
     "microgpt: error: bad.ini: 3 mistakes\n"},
    {"config check -c bad.ini --json", 3,
     "{\n      \"origin\": \"bad.ini:6\",\n      \"line\": 6,\n      \"section\": \"train\",\n"
     "      \"key\": \"lr\",\n      \"value\": \"x\",\n      \"text\": \"bad.ini:6: [train] lr"},
    {"config check -c lost.ini", 3,
     "microgpt: error: lost.ini: 1 mistake; 2 more settings can be checked when it is mended\n"},
    /* modules that are not found for that are no mistakes */
    {"config check -c rel.ini", 3,
     "rel.ini:2: [plugins] path = rel: expected absolute paths: write "},
    {"config check -c rel.ini", 3,
     "microgpt: error: rel.ini: 1 mistake; 4 more settings can be checked when it is mended\n"},
    {"config check -c indented.ini", 3, "microgpt: error: indented.ini: 1 mistake; 4 more"},
    {"config check -c absent.ini", 4, "microgpt: error: absent.ini: 1 mistake; 4 more"},
    {"config check -c good.ini", 0, "good.ini: OK\n"},
    {"config check -c good.ini --json", 0, "\"ok\": true"},
    {"config check -c good.ini --set train.lr=x", 3,
     "--set train.lr=x: [train] lr = x: expected a number"},
    {"config check -c good.ini --set optimizer.use=nobody", 4,
     "--set optimizer.use=nobody: [optimizer] use = nobody"},
    {"config show -c good.ini", 0, "steps = 7                            ; good.ini:2\n"},
    {"config show -c good.ini --json --set=train.seed=5", 0, "\"origin\": \"--set=train.seed=5\""},
    {"train -c good.ini --steps 0", 3,
     "--steps 0: [train] steps = 0: expected a whole number, at least 1"},
    {"train -c good.ini --top-k=x", 3,
     "--top-k=x: [sampler.topk] top_k = x: expected a whole number"},
};

/* A file whose modules are where its first lines say. */
static void put_users(const char *path, const char *first)
{
    char text[512];
    int n = snprintf(text, sizeof text,
                     "[plugins]\n%s\n[optimizer]\nuse = mine\n[scheduler]\nuse = mine\n"
                     "[tokenizer]\nuse = mine\n[sampler]\nuse = mine\n",
                     first);
    put_bytes(path, text, (size_t)n);
}

START_TEST(program_reports_mistakes_with_their_exit_code)
{
    char command[4096];
    size_t size;
    const char bad[] = "[train]\nstpes = 1\n", good[] = "[train]\nsteps = 7\n";
    const char worse[] = "[model]\nheads = 3\nkv_heads = 2\nnorm_bias = true\n"
                         "[train]\nlr = x\n[generate]\nstop = a|\n";
    const char lost[] = "[trian]\nsteps = 7\nlr = 1\nseed = 1\n";
    setenv("MICROGPT_PLUGIN_PATH", plugin_path, 1);
    put_bytes("microgpt.ini", bad, sizeof bad - 1);
    put_bytes("good.ini", good, sizeof good - 1);
    put_bytes("bad.ini", worse, sizeof worse - 1);
    put_bytes("lost.ini", lost, sizeof lost - 1);
    put_users("rel.ini", "path = rel");
    put_users("indented.ini", " path = /x");
    put_users("absent.ini", "load = /nope/x.so");
    snprintf(command, sizeof command, "\"$MICROGPT\" %s >out 2>&1 </dev/null", runs[_i].arguments);
    int result = system(command);
    char *output = get_bytes("out", &size);
    ck_assert_msg(WIFEXITED(result) && WEXITSTATUS(result) == runs[_i].code, "%s: exit %d: %s",
                  runs[_i].arguments, result, output);
    ck_assert_has(output, runs[_i].output);
    free(output);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("cli");
    if (!getenv("MICROGPT") || !getenv("MICROGPT_PLUGIN_PATH")) {
        puts("SKIP: MICROGPT or MICROGPT_PLUGIN_PATH is not set");
        return 77;
    }
    tcase_add_loop_test(tests, program_reports_mistakes_with_their_exit_code, 0, COUNT(runs));
    return run_suite("cli", tests);
}
