#!/bin/bash
# `make api` writes the reference of the public headers and finds no symbol without a comment; one
# that loses its comment is found.
set -u
command -v "${DOXYGEN:-doxygen}" >/dev/null ||
    { echo 'SKIP: doxygen is missing (Debian package doxygen)'; exit 77; }
scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT

# reference CORE: of the headers in CORE/microgpt.
reference() {
    rm -rf "$scratch/out" && mkdir "$scratch/out"
    sed -e 's|@VERSION@|test|' -e 's|@ABI@|test|' -e 's|@AWK@|awk|' -e "s|@OUTPUT@|$scratch/out|" \
        -e "s|@CORE@|$1|" -e "s|@FILTER@|$abs_top_srcdir/doc/api/filter.awk|" \
        "$abs_top_srcdir/doc/api/Doxyfile.in" >"$scratch/Doxyfile"
    "${DOXYGEN:-doxygen}" "$scratch/Doxyfile" >"$scratch/said" 2>&1
}

if ! reference "$abs_top_srcdir/core" || grep -q 'is not documented' "$scratch/said"; then
    sed "s|$abs_top_srcdir/||" "$scratch/said" | head -n 20
    exit 1
fi
for page in structmgpt__op structmgpt__optimizer__api structmgpt__component; do
    [ -s "$scratch/out/html/$page.html" ] || { echo "FAIL: no page $page.html"; exit 1; }
done
grep -q 'finite, &gt;= 0' "$scratch/out/html/structmgpt__scheduler__api.html" ||
    { echo 'FAIL: the comment of lr in scheduler.h is not in its page'; exit 1; }

mkdir -p "$scratch/core" && cp -R "$abs_top_srcdir/core/microgpt" "$scratch/core/" &&
    chmod -R u+w "$scratch/core"
sed -i 's|^\( *uint32_t abi_minor;\) .*|\1|' "$scratch/core/microgpt/plugin.h"
reference "$scratch/core" && { echo 'FAIL: a field without a comment was not found'; exit 1; }
grep -q 'abi_minor.*is not documented' "$scratch/said" ||
    { echo 'FAIL: the field was not named'; exit 1; }
echo "api: $(find "$abs_top_srcdir/core/microgpt" -name '*.h' | wc -l) headers, every symbol documented"
