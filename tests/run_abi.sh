#!/bin/bash
# Plugins built against the headers of every released minor version (tests/abi/), against those of a
# version to come, in C++ and by clang: each keeps its contract, and a run with them is the run that
# it would be.
set -u
top=${abs_top_srcdir:?}
[ -n "${CC:-}" ] || { echo "SKIP: no C compiler"; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
umask 022
export XDG_CONFIG_HOME=$scratch TMPDIR=$scratch
failed=0

# <microgpt/utf8.h> came with 1.1 and shares nothing with the host, so any plugin may bring it
# along.
mkdir -p "$scratch/brought/microgpt"
cp "$top/core/microgpt/utf8.h" "$scratch/brought/microgpt/"

fail() {
    echo "$1:"
    tail -12 "$scratch/said"
    failed=$((failed + 1))
}

build() { # INCLUDE OUT SOURCE...: by $compiler
    local include=$1 out=$2
    shift 2
    $compiler -shared -fPIC -O2 -fno-math-errno -ffp-contract=off -ftree-vectorize -w \
        -I"$include" -I"$scratch/brought" -o "$out" "$@" >"$scratch/said" 2>&1 ||
        { fail "cannot compile $*"; return 1; }
}

sound() { # FILE [OPTIONS]: keeps the contracts of its kinds
    "${MICROGPT:?}" plugins check "$@" >"$scratch/said" 2>&1 || fail "$1 breaks a contract"
    grep ' passed, ' "$scratch/said" | sed "s|^|$(basename "$1"): |"
}

run() { # NAME FOLDER-OF-MODULES SETTING...
    local name=$1 modules=$2 settings=() s
    shift 2
    for s; do settings+=(--set "$s"); done
    "$MICROGPT" train -P "$modules" --dir "$scratch/$name" --steps 5 --set train.val_docs=2 \
        --set dataset.path="$top/conf/data/given-names.txt" --set model.embd=8 \
        --set generate.samples=1 "${settings[@]}" >"$scratch/said" 2>&1 || fail "run $name fails"
}

# Our own modules of one file, and three strangers', with the headers in $1; then a run with them.
all_against() { # INCLUDE NAME
    local include=$1 out=$scratch/modules-$2 m
    local own=(scheduler/cosine optimizer/adamw sampler/topk tokenizer/char precision/fp32)
    mkdir "$out"
    # Our loggers read what events have had since 1.1; the template's does not.
    [ "$2" = 1.0 ] || own+=(logger/jsonl)
    [ "$2" = 1.0 ] ||
        build "$include" "$out/logger_console.so" "$top"/plugins/logger/console/*.c -lm
    for m in "${own[@]}"; do
        build "$include" "$out/${m/\//_}.so" "$top/plugins/$m.c" -I"$top/plugins/${m%/*}" -lm
    done
    build "$include" "$out/dataset_lines.so" "$top/plugins/dataset/lines.c" \
        "$top/plugins/dataset/file.c"
    build "$include" "$out/backend_slow.so" "$top/tests/plugins/backend_slow.c"
    build "$include" "$out/stranger.so" "$top/tests/plugins/broken.c" -lm
    build "$include" "$out/logger_my-name.so" "$top/plugins/template/logger/module.c"
    for m in "$out"/*.so; do
        sound "$m"
    done
    run "slow-$2" "$out" backend.use=slow backend.fallback=silent
    "$MICROGPT" plugins list -P "$out" >"$scratch/said" 2>&1
    for m in "$out"/*_*.so; do
        grep -qF "$m" "$scratch/said" || fail "$m is not the one in use"
    done
    cmp "$scratch/slow-$2/checkpoints/step-5/model.safetensors" \
        "$scratch/plain/checkpoints/step-5/model.safetensors" ||
        { echo "a run with modules of ABI $2 gives other bits"; failed=$((failed + 1)); }
}

compiler=$CC
run plain "$scratch/none" backend.use=ref step.use=composed

# Released minors.
for kept in "$top"/tests/abi/*/; do
    version=$(basename "$kept")
    grep -q "define MGPT_ABI_MINOR ${version#*.} " "$kept/microgpt/plugin.h" ||
        { echo "tests/abi/$version is not of ABI $version"; failed=$((failed + 1)); }
    all_against "$kept" "$version"
done

# A step of ABI 1.0 cannot cover the update of an optimizer that it has never heard of.
build "$top/tests/abi/1.0" "$scratch/modules-1.0/step_broken.so" \
    -DSTEP_LIES "$top/tests/plugins/broken.c"
"$MICROGPT" train -P "$scratch/modules-1.0" --dir "$scratch/old-step" --steps 1 \
    --set dataset.path="$top/conf/data/given-names.txt" --set optimizer.use=muon \
    --set step.use=broken >"$scratch/said" 2>&1 && fail 'a step of ABI 1.0 updates for muon'
grep -qF 'built for ABI 1.0, it does not know optimizers' "$scratch/said" ||
    fail 'the refused bid of a step of ABI 1.0 does not say why'

# A minor to come: a higher number, tables that have grown at their tails.
mkdir -p "$scratch/later"
cp -r "$top/core/microgpt" "$scratch/later/"
chmod -R u+w "$scratch/later"
sed -i 's/\(define MGPT_ABI_MINOR\) [0-9]*/\1 9/' "$scratch/later/microgpt/plugin.h"
for kind in scheduler optimizer sampler tokenizer dataset logger precision backend; do
    sed -i "/^struct mgpt_${kind}_api {/,/^};/s/^};/    void (*of_the_future)(void);\n};/" \
        "$scratch/later/microgpt/$kind.h"
done
all_against "$scratch/later" 1.9
"$MICROGPT" plugins inspect "$scratch/modules-1.9/stranger.so" >"$scratch/said" 2>&1
grep -q 'built for ABI 1.9' "$scratch/said" || fail "inspect does not say ABI 1.9"

# C++, and clang.
if compiler=${CXX:-} && [ -n "$compiler" ] &&
        $compiler -x c++ -c -o /dev/null /dev/null 2>/dev/null; then
    build "$top/core" "$scratch/cpp.so" -std=c++11 "$top/tests/plugins/cpp.cpp" &&
        sound "$scratch/cpp.so"
else
    echo "not tried: there is no C++ compiler"
fi
if compiler=$(command -v clang); then
    build "$top/core" "$scratch/clang.so" "$top/tests/plugins/broken.c" -lm &&
        sound "$scratch/clang.so"
else
    echo "not tried: there is no clang"
fi

echo "$failed failures"
[ $failed -eq 0 ]
