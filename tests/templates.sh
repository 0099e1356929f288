#!/bin/bash
# What `microgpt plugins new` writes works before the first edit: for every kind, in both languages,
# it builds, passes its tests and trains. `make check` tries that beside the build folder, with make
# alone; `make installcheck` (MGPT_INSTALLED, MGPT_PREFIX, MGPT_PKGCONFIGDIR) with what is installed
# and nothing else, and one project of each language through the whole of Autotools.
set -u

: "${PKG_CONFIG:=$(command -v pkg-config)}"
[ -n "$PKG_CONFIG" ] || { echo 'SKIP: pkg-config is missing'; exit 77; }
if [ -n "${MGPT_INSTALLED:-}" ]; then
    export PKG_CONFIG_PATH=$MGPT_PKGCONFIGDIR
    # Moved with DESTDIR, everything is where it was to be, below another folder.
    [ "$MGPT_INSTALLED" = "$MGPT_PREFIX" ] ||
        PKG_CONFIG="$PKG_CONFIG --define-variable=prefix=$MGPT_INSTALLED"
else
    export PKG_CONFIG_PATH=$abs_top_builddir
fi
export PKG_CONFIG
microgpt=$($PKG_CONFIG --variable=program microgpt) || exit 99
unset MICROGPT MICROGPT_PLUGIN_PATH MAKEFLAGS MFLAGS MAKELEVEL
export XDG_CONFIG_HOME=/nonexistent LC_ALL=C
scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 99
failed=0
read -ra kinds \
    <<<"$("$microgpt" plugins new nothing x 2>&1 | sed -n 's/.*expected one of //p' | tr -d ,)"
[ ${#kinds[@]} -ge 9 ] || { echo "templates: found only the kinds ${kinds[*]}"; exit 1; }

# says COMMAND...: its output in the log of the project, shown when it fails.
says() {
    if ! "$@" >log 2>&1 </dev/null; then
        echo "FAIL: $(basename "$PWD"): $*"
        grep -v '^;' log | tail -n 25
        failed=1
        return 1
    fi
}

# Built as strangers would, but with the warnings of both languages as errors.
by_make() { # KIND LANG
    local name=try-${2//+/p}_1
    "$microgpt" plugins new "$1" "$name" --lang "$2" >/dev/null || { failed=1; return; }
    mv "$name" "$1-$name"
    (
        cd "$1-$name" || exit 1
        says make CPPFLAGS='-Werror -pedantic' check || exit 1

        grep -q "^run.sh: trained with $1 $name\$" log ||
            { echo "FAIL: $1 $name: no training"; exit 1; }
        says make DESTDIR="$scratch/to" install
        find "$scratch/to" -name "$1_$name.so" | grep -q . ||
            { echo "FAIL: $1: not installed"; exit 1; }
    ) || failed=1
}

by_autotools() { # KIND LANG
    (
        cd "$1-try-${2//+/p}_1" || exit 1
        says autoreconf -i && mkdir build && cd build && says ../configure --quiet &&
            says make check && grep -q '^run.sh: trained' log && says make distcheck
    ) || failed=1
}

languages=(c)
read -ra cxx <<<"${CXX:-g++}"
if command -v "${cxx[0]}" >/dev/null; then
    languages+=(c++)
fi
for kind in "${kinds[@]}"; do
    for language in "${languages[@]}"; do
        by_make "$kind" "$language"
    done
done
echo "templates: ${#kinds[@]} kinds by make, each in ${languages[*]}"

# A test that fails says what it got: another rate than the module has, and another status.
for language in "${languages[@]}"; do
    (
        cd "scheduler-try-${language//+/p}_1" || exit 1
        source=$(echo tests/check.c*)
        sed -i.kept 's/api->lr(s, 0, 110, 1), 0.1,/api->lr(s, 0, 110, 1), 0.3,/' "$source"
        make check >log 2>&1 && { echo 'FAIL: a wrong expectation passes'; exit 1; }
        grep -qF 'api->lr(s, 0, 110, 1): expected 0.3 (within 1e-12), got 0.1' log || {
            echo 'FAIL: a failed check does not say what it got'
            exit 1
        }
        sed 's/, MGPT_OK, error);/, MGPT_DATA, error);/' "$source.kept" >"$source"
        make check >log 2>&1
        grep -qE 'create\(&host, NULL, &s, &error\): expected status -?[0-9]+, got 0$' log || {
            echo 'FAIL: a failed check does not say its status'
            exit 1
        }
        mv "$source.kept" "$source"
    ) || failed=1
done

# An existing folder, a wrong kind, a wrong name: refused, and nothing is left behind.
mkdir there && cd there || exit 99
mkdir mine && echo precious >mine/file
for words in 'optimizer mine' 'optimiser other' 'optimizer Other' 'optimizer ../other' 'optimizer' \
    'optimizer other more' 'optimizer other --lang rust' 'step auto' \
    'backend auto --force' 'step composed' 'logger none'; do
    # shellcheck disable=SC2086 # words
    "$microgpt" plugins new $words >../log 2>&1
    [ $? = 2 ] || { echo "FAIL: plugins new $words: $(cat ../log)"; failed=1; }
done
[ "$(ls -A)" = mine ] && [ "$(ls -A mine)" = file ] ||
    { echo 'FAIL: something was left behind'; failed=1; }
# A disk that is full, as a limit on the size of files.
(
    trap '' XFSZ
    ulimit -f 1
    exec "$microgpt" plugins new optimizer late 2>/dev/null
)
[ $? = 1 ] && [ "$(ls -A)" = mine ] ||
    { echo "FAIL: a write that fails leaves $(ls -A)"; failed=1; }
if [ "$(id -u)" != 0 ]; then
    mkdir shut && chmod 555 shut && cd shut || exit 99
    "$microgpt" plugins new optimizer mine >../../log 2>&1
    [ $? = 1 ] || { echo "FAIL: in a folder that is read-only: $(cat ../../log)"; failed=1; }
    cd ..
fi
cd .. || exit 99

# Each link of an installed page leads somewhere.
if [ -n "${MGPT_INSTALLED:-}" ]; then
    links=0
    while IFS=: read -r page link; do
        links=$((links + 1))
        [ -e "${page%/*}/${link%%#*}" ] ||
            { echo "FAIL: $page: the link $link leads nowhere"; failed=1; }
    done < <(cd "$MGPT_EXAMPLES/.." &&
        grep -oHE '\]\([^)#][^)]*\)' "$PWD"/*.md "$PWD"/examples/*/*.md |
        sed -e 's/\](\(.*\))$/\1/' | grep -vE ':(https?:|/)')
    [ $links -gt 10 ] || { echo "FAIL: found $links links in $MGPT_EXAMPLES/.."; failed=1; }
    echo "templates: $links links of installed pages"
fi

# The examples; and the optimizer's rule gives the same losses where it is compiled for a device:
# the emulation of one, which only the build folder has.
emulation=$abs_top_builddir/tests/plugins/.libs
losses() { # BACKEND: of 5 steps
    "$microgpt" train -c microgpt.ini --steps 5 --samples 0 --dir "$1" --set backend.use="$1" \
        --set optimizer.use=ademamix --set step.use=composed -P "$emulation" -P "$PWD" 2>log |
        sed -n 's/^step .*loss \([0-9.]*\) .*/\1/p' >"$1.losses"
    [ "$(wc -l <"$1.losses")" = 5 ] || { echo "FAIL: ademamix on $1:"; tail -n 5 log; return 1; }
}
# What an example has of the project around its module is what `plugins new` writes, but for its
# version, and for exceptions, which pairs wants.
as_new() { # FOLDER NAME
    local source kind lang=c file
    source=$(cd "$1" && echo *_"$2".c*)
    kind=${source%%_*}
    [ "${source##*.}" = c ] || lang=c++
    mkdir -p new
    (cd new && "$microgpt" plugins new "$kind" "$2" --lang $lang >/dev/null) || return 1
    for file in Makefile Makefile.am configure.ac tests/host.h tests/run.sh; do
        diff <(sed -e 's/-fno-exceptions -fno-rtti //' -e 's/\[0\.1\.0\]/[1.0.0]/' "new/$2/$file") \
            <(sed -e 's/-fno-exceptions -fno-rtti //' "$1/$file") >&2 ||
            { echo "FAIL: $2/$file is not what plugins new $kind $2 writes"; return 1; }
    done
}

for example in "${MGPT_EXAMPLES:-$abs_top_srcdir/doc/examples}"/*/; do
    name=$(basename "$example")
    examples=$((${examples:-0} + 1))
    as_new "${example%/}" "$name" || failed=1
    if [ "${#languages[@]}" = 1 ] && [ -e "$example/tests/check.cpp" ]; then
        continue
    fi
    cp -R "$example" "example-$name" && chmod -R u+w "example-$name"
    (
        cd "example-$name" || exit 1
        says make CPPFLAGS='-Werror -pedantic' check || exit 1
        grep -q "^run.sh: trained with [a-z]* $name\$" log ||
            { echo "FAIL: $name: no training"; exit 1; }
        if [ "$name" = ademamix ] && [ -e "$emulation/backend_cuda_emu.so" ]; then
            seq -f 'name%gx' 40 | tr 0-9 a-j >names.txt
            printf '[dataset]\npath = names.txt\n[train]\nval_every = 0\n' >microgpt.ini
            export MICROGPT_PLUGIN_PATH
            MICROGPT_PLUGIN_PATH=$($PKG_CONFIG --variable=plugindir microgpt)
            losses cpu && losses cuda_emu || exit 1
            paste cpu.losses cuda_emu.losses |
                awk '{ d = $1 - $2; if (d * d > 1e-6) bad = 1 } END { exit bad }' ||
                { echo "FAIL: ademamix on cuda_emu: $(paste cpu.losses cuda_emu.losses)"; exit 1; }
            echo 'templates: ademamix has the same losses on cpu and cuda_emu'
        fi
    ) || failed=1
done
[ "${examples:-0}" -ge 3 ] || { echo "FAIL: found ${examples:-0} examples"; failed=1; }
echo "templates: ${examples:-0} examples"

if [ -n "${MGPT_INSTALLED:-}" ]; then
    if command -v autoreconf >/dev/null && command -v libtoolize >/dev/null; then
        by_autotools optimizer c
        [ "${#languages[@]}" = 1 ] || by_autotools tokenizer c++
        echo 'templates: optimizer (C) and tokenizer (C++, where there is a compiler) by Autotools, with distcheck'
    else
        echo 'templates: autoreconf or libtoolize is missing: Autotools not tried'
    fi
fi
exit $failed
