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
read -ra kinds <<<"$("$microgpt" plugins new nothing x 2>&1 | sed -n 's/.*expected one of //p' | tr -d ,)"
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

        grep -q "^run.sh: trained with $1 $name\$" log || { echo "FAIL: $1 $name: no training"; exit 1; }
        says make DESTDIR="$scratch/to" install
        find "$scratch/to" -name "$1_$name.so" | grep -q . || { echo "FAIL: $1: not installed"; exit 1; }
    ) || failed=1
}

by_autotools() { # KIND LANG
    (
        cd "$1-try-${2//+/p}_1" || exit 1
        says autoreconf -i && mkdir build && cd build && says ../configure --quiet &&
            says make check && grep -q '^run.sh: trained' log && says make distcheck
    ) || failed=1
}

for kind in "${kinds[@]}"; do
    by_make "$kind" c
    by_make "$kind" c++
done
echo "templates: ${#kinds[@]} kinds by make, each in C and in C++"

# An existing folder, a wrong kind, a wrong name: refused, and nothing is left behind.
mkdir there && cd there || exit 99
mkdir mine && echo precious >mine/file
for words in 'optimizer mine' 'optimiser other' 'optimizer Other' 'optimizer ../other' 'optimizer' \
    'optimizer other more' 'optimizer other --lang rust'; do
    # shellcheck disable=SC2086 # words
    "$microgpt" plugins new $words >../log 2>&1
    [ $? = 2 ] || { echo "FAIL: plugins new $words: $(cat ../log)"; failed=1; }
done
[ "$(ls -A)" = mine ] && [ "$(ls -A mine)" = file ] || { echo 'FAIL: something was left behind'; failed=1; }
if [ "$(id -u)" != 0 ]; then
    mkdir shut && chmod 555 shut && cd shut || exit 99
    "$microgpt" plugins new optimizer mine >../../log 2>&1
    [ $? = 1 ] || { echo "FAIL: in a folder that is read-only: $(cat ../../log)"; failed=1; }
    cd ..
fi
cd .. || exit 99

if [ -n "${MGPT_INSTALLED:-}" ]; then
    if command -v autoreconf >/dev/null && command -v libtoolize >/dev/null; then
        by_autotools optimizer c
        by_autotools tokenizer c++
        echo 'templates: optimizer (C) and tokenizer (C++) by Autotools, with distcheck'
    else
        echo 'templates: autoreconf or libtoolize is missing: Autotools not tried'
    fi
fi
exit $failed
