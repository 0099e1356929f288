#!/bin/bash
# microgpt doctor: nothing is wrong where nothing is; each problem is found, with one fix and the
# exit code of its kind, also when a module crashes.
# shellcheck disable=SC2154 # abs_top_srcdir comes from the makefile
. "$abs_top_srcdir/tests/run.sh"

umask 022
export XDG_CONFIG_HOME=$scratch/none
good=$MICROGPT_PLUGIN_PATH

run 0 doctor -c "$ini"
has out '^ok +processor +.*(AVX2|backend cpu)'
has out '^ok +threads +[0-9]+ cores? for this process$'
has out '^ok +memory +[0-9.]+ GB are available$'
has out '^ok +device +cpu: .*threads?$'
has out '^ok +device +ref: '
has out '^ok +data +/.*given-names.txt$'
has out '^nothing is wrong$'
[ ! -e run ] || fail 'it made a run'
run 0 doctor -c "$ini" --json
has out '^ *"ok": true,$'
has out '"topic": "processor"'
if command -v python3 >/dev/null; then
    python3 -c 'import json; assert json.load(open("out"))["ok"] is True' || fail 'not JSON'
fi

# The configuration, and what it names.
printf '[train]\nstpes = 3\n' >bad.ini
run 3 doctor -c bad.ini
has out '^problem +configuration bad.ini:2: \[train\] stpes = 3: no such key; did you mean steps\?$'
has out '^ +fix: +correct it there'
has out '^ok +modules +[0-9]+ of [0-9]+ can run here$'
printf '[plugins]\nload = /nope/x.so\n' >load.ini
run 4 doctor -c load.ini
has out '^problem +configuration load.ini:2: \[plugins\] load: /nope/x.so'
has out '^ +fix: +correct it there; microgpt config check'
run 4 doctor -c "$ini" --set optimizer.use=nobody
has out '^problem +configuration --set optimizer.use=nobody: \[optimizer\] use = nobody: no optimizer'
has out '^ +fix: +see the modules below; or take another one: --set KIND.use=NAME'
# Where microgpt is not installed the built-in text lies beside the INI of the sources, and nowhere
# else.
run 5 doctor --set dataset.path=builtin:nothing-of-that-name
has out '^problem +data +builtin:nothing-of-that-name is neither in /.*/data nor in data beside the INI$'
has out '^ +fix: +install it .*-c SOURCES/conf/microgpt.ini'
run 5 train --set dataset.path=builtin:nothing-of-that-name --dir never
has err 'no nothing-of-that-name.txt in /.*/data: there is no built-in text of that name, or .*-c SOURCES/conf/microgpt.ini'
[ ! -e never ] || fail 'a run without its text left a folder'
run 5 doctor --set dataset.path=nowhere.txt
has out '^problem +data +.*/nowhere.txt: No such file or directory$'
has out '^ +fix: .*dataset.path=FILE$'
has out '^1 problem$'
run 0 doctor --set dataset.path=fetch:names
has out '^ok +data +fetch:names, which is downloaded'
if [ "$(id -u)" != 0 ]; then
    mkdir locked
    chmod 555 locked
    run 1 doctor -c "$ini" --dir locked/run
    has out '^problem +run .*locked/run cannot be written'
    chmod 755 locked
fi

# The search path and damaged files.
MICROGPT_PLUGIN_PATH=$scratch/nowhere:$good run 4 doctor -c "$ini"
has out '^problem +modules +.*/nowhere: this folder of the search path is not there$'
has out '^ +fix: +take it out of MICROGPT_PLUGIN_PATH'
MICROGPT_PLUGIN_PATH=$scratch/nowhere run 4 generate -c "$ini"
has err 'no [a-z]+ called .*/nowhere \(not there\).*; not installed\? .*MICROGPT_PLUGIN_PATH=BUILD/plugins/.libs$'
MICROGPT_PLUGIN_PATH=$scratch/nowhere run 4 doctor -c "$ini"
has out '^problem +modules +there is no .*no tokenizer'
# What configure left out is no misspelt name.
read -r kind name <<<"$(sed -nE 's/^#define MGPT_LEFT_OUT \{"([a-z]+)", "([a-z0-9_]+)".*/\1 \2/p' "$abs_top_builddir/config.h")"
if [ -n "$name" ]; then
    run 4 plugins inspect "$kind/$name"
    has err "this microgpt was built without $kind $name \(.+\): .*; microgpt doctor says more"
    run 0 doctor -c "$ini"
    has out "^note +modules +this microgpt was built without $kind $name \(.+\)\$"
fi
mkdir bad
head -c 3000 "$good/optimizer_sgd.so" >bad/optimizer_half.so
run 4 doctor -c "$ini" -P "$scratch/bad"
has out '^problem +modules +.*/bad/optimizer_half.so: .*truncated'
has out '^ +fix: +copy or build it again$'
has out '^1 problem$'
run 4 doctor -c "$ini" --json -P "$scratch/bad"
has out '^ *"ok": false,$'
has out '"fix": "copy or build it again"'
rm bad/*

read -ra compiler <<<"${CC:-cc}"
if command -v "${compiler[0]}" >/dev/null; then
    # A device that crashes when it is opened.
    cat >trouble.c <<'END'
#include <stdlib.h>

#include <microgpt/backend.h>

static enum mgpt_status crash(const struct mgpt_host *host, const struct mgpt_config *config,
                              struct mgpt_device **device, struct mgpt_error *error)
{
    (void)host, (void)config, (void)device, (void)error;
    abort();
}

static const struct mgpt_backend_api api = {
    .size = sizeof api,
    .open = crash,
    .close = (void (*)(struct mgpt_device *))abort,
    .buffer_new = (void *)abort,
    .buffer_free = (void *)abort,
    .upload = (void *)abort,
    .download = (void *)abort,
    .sync = (void *)abort,
    .caps = (void *)abort,
};
static const struct mgpt_component component = {
    sizeof component, MGPT_NO_OPTIONS, 0, MGPT_KIND_BACKEND, "boom", "crashes", NULL, NULL, &api};
MGPT_PLUGIN_DEFINE("org.example.boom", "1", "MIT", "nobody", NULL, &component)
END
    "${compiler[@]}" -w -shared -fPIC -fvisibility=hidden -I "$abs_top_srcdir/core" trouble.c \
        -o bad/backend_boom.so || fail 'the test module does not compile'
    run 4 doctor -c "$ini" -P "$scratch/bad"
    has out '^problem +device +boom does not open: crashed \(signal 6, Aborted\)$'
    has out '^ok +device +cpu: '
fi
echo "$checks checks"
