#!/bin/bash
# microgpt plugins list and inspect survive modules that crash, hang or leave while they are loaded
# or probed, and say which and what to do; what they print of sound ones can be pasted and parsed.
# shellcheck disable=SC2154 # abs_top_srcdir comes from the makefile
. "$abs_top_srcdir/tests/run.sh"

read -ra compiler <<<"${CC:-cc}"
command -v "${compiler[0]}" >/dev/null || skip "no C compiler (${compiler[0]})"
umask 022
here=$PWD
mkdir bad

# build NAME FLAG...: scheduler NAME, with what the flags ask for.
build()
{
    name=$1
    shift
    "${compiler[@]}" -shared -fPIC -fvisibility=hidden -I "$abs_top_srcdir/core" \
        -DNAME="\"$name\"" \
        "$@" trouble.c -o "bad/scheduler_$name.so" || fail "scheduler $name does not compile"
}

cat >trouble.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <microgpt/scheduler.h>

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_scheduler **s, struct mgpt_error *error)
{
    (void)host, (void)config, (void)error;
    *s = NULL;
    return MGPT_OK;
}

static void destroy(struct mgpt_scheduler *s)
{
    (void)s;
}

static double lr(const struct mgpt_scheduler *s, uint64_t step, uint64_t total, double base)
{
    (void)s, (void)step, (void)total;
    return base;
}

static void trouble(void)
{
#if defined CRASH
    puts("noise on stdout");
    fflush(stdout);
    abort();
#elif defined HANG
    for (;;)
        pause();
#elif defined LEAVE
    exit(0);
#endif
}

#ifdef EARLY
__attribute__((constructor)) static void constructor(void)
{
    trouble();
}
#endif

static enum mgpt_status probe(const struct mgpt_host *host, struct mgpt_error *error)
{
    (void)host, (void)error;
    trouble();
    return MGPT_OK;
}

static const struct mgpt_scheduler_api api = {
    .size = sizeof api, .create = create, .destroy = destroy, .lr = lr};
static const struct mgpt_component component = {
    .size = sizeof component, MGPT_NO_OPTIONS, .kind = MGPT_KIND_SCHEDULER, .name = NAME,
    .summary = "trouble", .probe = probe, .api = &api};
MGPT_PLUGIN_DEFINE("org.example.trouble", "1.2", "MIT", "A. Author", NULL, &component)
END
build sound
build crashes -DEARLY -DCRASH
build hangs -DEARLY -DHANG
build leaves -DEARLY -DLEAVE
build probe-crashes -DCRASH
build probe-hangs -DHANG
cp bad/scheduler_sound.so bad/scheduler_misnamed.so
cp bad/scheduler_sound.so bad/sound.so
: >bad/scheduler_empty.so

run 0 plugins list --why -P bad
has out '^scheduler +sound +1\.2 +MIT +1\.[0-9]+ .*/bad/scheduler_sound\.so '
has out '/scheduler_crashes\.so: crashed \(signal [0-9]+, Abort'
has out '/scheduler_hangs\.so: hung: no answer in 5 s; constructors'
has out '/scheduler_leaves\.so: ended the program, with exit code 0; a plugin never calls exit'
has out 'scheduler probe-crashes cannot run here: its probe crashed \(signal'
has out 'scheduler probe-hangs cannot run here: its probe hung: no answer'
has out '/scheduler_misnamed\.so: holds scheduler sound.*; rename it'
has out '/bad/sound\.so: not called KIND_NAME\.so.*; rename it'
has out '/scheduler_empty\.so: found 0 bytes'
grep -q noise out && fail 'what a constructor printed is in the list'

# A file that was asked for first and is refused is named when another of its name takes its place.
mkdir front wrong
cp bad/scheduler_sound.so front/
chmod 775 front/scheduler_sound.so
run 0 config show -P front -P bad --set scheduler.use=sound
has err "warning: $here/front/scheduler_sound\\.so was refused \\(.*0?775.*\\); $here/bad/scheduler_sound\\.so is used instead"
cp bad/scheduler_sound.so wrong/scheduler_cosine.so
run 0 config show -P wrong --set scheduler.use=cosine
has err "warning: $here/wrong/scheduler_cosine\\.so was refused \\(holds scheduler sound.*\\); /.*/scheduler_cosine\\.so is used instead"
run 4 plugins check wrong/scheduler_cosine.so
has out '^ +FAIL +loads '
has out 'scheduler_cosine\.so holds scheduler sound; expected scheduler cosine, as the file is called'

# A file is one by its path, also relative to the working directory.
for file in bad/scheduler_sound.so ./bad/scheduler_sound.so \
        ../"${here##*/}"/bad/scheduler_sound.so; do
    run 0 plugins inspect "$file"
    has out '^\[scheduler.sound\]$'
done
run 4 plugins inspect ./bad/scheduler_none.so
has err "$here/bad/scheduler_none.so: cannot open: No such file"

# What is typed is of the working directory, as -P is; in a file a path is absolute, and elsewhere
# the search says what it skips.
run 0 plugins list --set plugins.path=bad --why
has out "^scheduler +sound .* $here/bad/scheduler_sound.so "
run 0 config show --set plugins.load=bad/scheduler_sound.so --set scheduler.use=sound
has out "^load = $here/bad/scheduler_sound.so "
printf '[plugins]\npath = bad\n' >relative.ini
run 3 config check -c relative.ini
has out "relative.ini:2: .plugins. path = bad: expected absolute paths: write $here/bad$"
MICROGPT_PLUGIN_PATH=bad:worse:$MICROGPT_PLUGIN_PATH run 0 plugins list
[ "$(grep -c 'warning: MICROGPT_PLUGIN_PATH: bad is skipped: expected absolute folders' err)" = 1 \
    ] ||
    fail 'a relative folder of MICROGPT_PLUGIN_PATH is skipped without a word'

# One that is in use may crash, too.
run 0 plugins list -P bad --set scheduler.use=crashes
has err 'going on without the configuration: .*scheduler_crashes\.so|scheduler crashes was refused'
run 4 plugins inspect "$here/bad/scheduler_crashes.so"
has err 'scheduler_crashes\.so: crashed \(signal'

rm bad/*hang* bad/*leave*
run 0 plugins list --why --json -P bad
if command -v python3 >/dev/null; then
    python3 - "$here/bad" <<'END' || fail 'the JSON of plugins list'
import hashlib, json, sys
all = json.load(open("out"))
sound = next(m for m in all["modules"] if m["name"] == "sound")
path = sys.argv[1] + "/scheduler_sound.so"
assert sound["file"] == path and sound["version"] == "1.2" and sound["runs"]
assert sound["sha256"] == hashlib.sha256(open(path, "rb").read()).hexdigest()
adamw = next(m for m in all["modules"] if m["name"] == "adamw")
assert [o["key"] for o in adamw["options"]] == ["beta1", "beta2", "eps"]
assert "state (m, v)" in adamw["covers"]
crash = next(a for a in all["attempts"] if a["path"].endswith("_crashes.so"))
assert not crash["loaded"] and "gdb" in crash["cure"]
END
    checks=$((checks + 1))
fi

# A new module hides none that is there, unless asked to; and no word of an INI is a name.
run 2 plugins new optimizer adamw
has err 'optimizer adamw is there already \(/.*/optimizer_adamw.so\): take another name, or --force hides it'
run 2 plugins new scheduler sound -P bad
run 2 plugins new step composed
has err 'step composed is there already \(built in\)'
run 2 plugins new logger none
has err '.logger. use = none means something else than a module'
[ ! -e adamw ] && [ ! -e composed ] && [ ! -e none ] || fail 'a refused name left a folder'
run 0 plugins new optimizer adamw --force
[ -f adamw/optimizer_adamw.c ] || fail '--force made no project'

# What inspect prints is an INI.
for module in optimizer/adamw backend/cpu scheduler/cosine; do
    run 0 plugins inspect "$module"
    has out '^;   sha256   [0-9a-f]{64}$'
    cp out pasted.ini
    run 0 config check -c pasted.ini
done
has pasted.ini '^warmup = 0$'
run 0 plugins inspect backend/cpu
has out '^;   covers   ops: embed .*linear_backward.*; the update$'
echo "run_plugins: $checks checks"
