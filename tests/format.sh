#!/bin/bash
# Every C, C++ and CUDA source is as clang-format leaves it, its comments within the same 100
# columns; so are scripts and what makes the build, but for what is quoted. Lists of the build are
# sorted. No source is longer than 500 lines unless one of its first 20 says "Over 500 lines
# because".
set -u
cd "${abs_top_srcdir:-$(dirname "$0")/..}" || exit 1

failed=0

mapfile -t sources < <(
    find core plugins tests doc conf m4 .ci -type f ! -path '*/.libs/*' ! -path '*/.deps/*' \
        \( -name '*.c' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' -o -name '*.cpp' \
        -o -name '*.sh' -o -name '*.py' -o -name '*.mk' \
        -o -name 'mgpt_*.m4' -o -path .ci/run \) | sort
    ls configure.ac Makefile.am bootstrap
)
for file in "${sources[@]}"; do
    lines=$(wc -l <"$file")
    if [ "$lines" -gt 500 ] && ! head -n 20 "$file" | grep -q 'Over 500 lines because'; then
        echo "$file:1: $lines lines; split it, or say \"Over 500 lines because ...\" at the top"
        failed=1
    fi
done

# What is quoted, a message or a pattern, is not cut; here it counts for nothing.
mapfile -t scripts < <(printf '%s\n' "${sources[@]}" |
    grep -E '\.(sh|mk|m4|am|ac)$|^bootstrap$|^\.ci/run$')
for file in "${scripts[@]}"; do
    if wide=$(LC_ALL=C.UTF-8 sed -E "s/'[^']*'/''/g; s/\"[^\"]*\"/\"\"/g" "$file" |
        LC_ALL=C.UTF-8 grep -nE '^.{101}'); then
        echo "$file:${wide%%:*}: over 100 columns"
        failed=1
    fi
done

# Lists of paths, "NAME = \" and some a line, unless the comment above speaks of their order.
LC_ALL=C awk '
    FNR == 1 { last = above = "" }
    list {
        for (i = 1; i <= NF && $i != "\\"; i++) {
            if (!own && $i ~ "^[%a-z][^=]*/" && $i < last) {
                print FILENAME ":" FNR ": " $i " behind " last "; expected a sorted list"
                bad = 1
            }
            last = $i
        }
        list = /\\$/
        next
    }
    /^[%A-Za-z_]+ *\+?= *\\$/ { list = 1; last = ""; own = above ~ /order/ }
    /^#/ { above = $0 }
    /^$/ { above = "" }
    END { exit bad }' Makefile.am ./*/local.mk || failed=1
echo "format: ${#sources[@]} files measured"

formatter=${CLANG_FORMAT:-$(command -v clang-format-14 || command -v clang-format)}
if [ -z "$formatter" ]; then
    if [ "${CI:-}" = true ]; then
        echo "format: clang-format is missing (Debian package clang-format), and CI must have it"
        exit 1
    fi
    [ $failed -eq 0 ] || exit 1
    echo "SKIP: clang-format is missing (Debian package clang-format)"
    exit 77
fi

mapfile -t formatted < <(printf '%s\n' "${sources[@]}" | grep -E '\.(c|h|cu|cuh|cpp)$')
for file in "${formatted[@]}"; do
    # clang-format leaves comments alone. The kept headers of older ABIs stay as they were.
    [[ $file != tests/abi/* ]] || continue
    if wide=$(LC_ALL=C.UTF-8 grep -nE '^.{101}' "$file"); then
        echo "$file:${wide%%:*}: over 100 columns"
        failed=1
    fi
done
"$formatter" --style=file --dry-run -Werror "${formatted[@]}" || failed=1
echo "format: ${#formatted[@]} files checked by $("$formatter" --version)"
[ $failed -eq 0 ] || { echo "format: to repair: clang-format -i FILE"; exit 1; }
