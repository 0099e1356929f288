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

START_TEST(program_reports_mistakes_with_their_exit_code)
{
    char command[4096];
    size_t size;
    const char bad[] = "[train]\nstpes = 1\n", good[] = "[train]\nsteps = 7\n";
    setenv("MICROGPT_PLUGIN_PATH", plugin_path, 1);
    put_bytes("microgpt.ini", bad, sizeof bad - 1);
    put_bytes("good.ini", good, sizeof good - 1);
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
