#!/bin/bash
# The examples of doc/kinds.md, as a reader would copy them: each compiles without a warning, is a
# plugin that the program takes and keeps the contract of its kind; and every kind has its section.
set -u

doc=$abs_top_srcdir/doc/kinds.md
headers=$abs_top_srcdir/core
microgpt=${MICROGPT:-$abs_top_builddir/microgpt}
read -ra compiler <<<"${CC:-cc}"
flags=(-std=c11 -Wall -Wextra -Werror -fPIC -shared -fvisibility=hidden)
failed=0

command -v "${compiler[0]}" >/dev/null || { echo "SKIP: no C compiler (${compiler[0]})"; exit 77; }
umask 022 # the loader refuses what others may write
scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT

complain() {
    echo "$doc: $*"
    failed=1
}

# Each ```c block becomes a file that is called after its first line: 123.c.
awk -v scratch="$scratch" '
    /^```/ { if (file) close(file); file = !file && $0 == "```c" ? scratch "/" NR ".c" : ""; next }
    file { print > file }' "$doc" || exit 99

examples=0
shopt -s nullglob
for source in "$scratch"/*.c; do
    line=$(basename "$source" .c)
    plugin=$scratch/$line.so
    grep -q '^MGPT_PLUGIN_DEFINE(' "$source" || continue
    examples=$((examples + 1))
    if ! "${compiler[@]}" "${flags[@]}" -I "$headers" "$source" -o "$plugin" \
            -lm 2>"$scratch/said"; then
        complain "the example at line $line does not compile:"
        head -n 20 "$scratch/said"
    elif ! "$microgpt" plugins inspect "$plugin" >"$scratch/said" 2>&1 ||
        ! grep -q '^;   runs     on this machine$' "$scratch/said"; then
        complain "the example at line $line is refused:"
        head -n 20 "$scratch/said"
    elif ! "$microgpt" plugins check "$plugin" >"$scratch/said" 2>&1; then
        complain "the example at line $line breaks the contract of its kind:"
        grep -A 5 '^  \(FAIL\|CRASH\|HANGS\)' "$scratch/said" | head -n 40
    fi
done
[ $examples -gt 0 ] || complain 'found no example with MGPT_PLUGIN_DEFINE'

kinds=0
for kind in $(sed -n 's|^#define MGPT_KIND_[A-Z]* "\([a-z]*\)/[0-9]*"$|\1|p' \
        "$headers"/microgpt/*.h); do
    kinds=$((kinds + 1))
    grep -qx "## $kind" "$doc" || complain "no section \"## $kind\""
done
[ $kinds -gt 0 ] || complain "found no kind in $headers/microgpt"

# What bootstrap installs and says is what the README says.
for package in $(sed -nE 's/^(tools|build|check) +([^ ]+) +[a-z]+:.*/\2/p' \
        "$abs_top_srcdir/bootstrap") \
    'mkdir -p build && cd build && ../configure && make'; do
    for file in README.md bootstrap; do
        grep -qwF -- "$package" "$abs_top_srcdir/$file" ||
            complain "$file does not speak of $package"
    done
done

# The README that is installed speaks to who has the program and no checkout.
if grep -nE 'bootstrap|\.\./configure|\]\((doc|conf)/|`conf/|<!--|-->' \
        "$abs_top_builddir/doc/README.md"; then
    echo 'the installed README speaks of a checkout'
    failed=1
fi
grep -q '^microgpt doctor' "$abs_top_builddir/doc/README.md" ||
    complain 'the installed README is none'

echo "docs: $examples examples, $kinds kinds"
exit $failed
