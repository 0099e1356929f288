#!/bin/bash
# All that only a GPU can show, in one go: tests/bench/gpu.sh, from the top of the source tree. Says
# what machine this is, builds, holds backend cuda and its steps against the reference, runs them
# under compute-sanitizer, trains both recipes, measures steps and formats against PyTorch where
# there is one, and prints a table with our targets beside what was measured. Some six minutes on an
# H200. Exits 77 without a GPU, 1 when something is wrong. The environment may set: BUILD
# (./build-gpu: built there, unless microgpt runs there already; BUILD/lib may have the libraries
# that it needs), OUT (gets the table as it grows and, after each part, an archive of all logs),
# PARTS (all: facts build conform sanitize train measure torch), PYTHON (python3), LIMIT (560:
# seconds that all may take; what could take longer is not begun), BACKEND (cuda; cuda_emu tries the
# script itself, without a GPU and at sizes that say nothing about speed).
set -u
cd "$(dirname "$0")/../.." || exit 1
root=$PWD
: "${BUILD:=$root/build-gpu}" "${PARTS:=facts build conform sanitize train measure torch}" \
    "${PYTHON:=python3}"
: "${LIMIT:=560}" "${BACKEND:=cuda}"
umask 022 # the loader refuses what others may write

if [ "$BACKEND" = cuda ]; then
    command -v nvidia-smi >/dev/null ||
        { echo 'SKIP: no NVIDIA GPU here (there is no nvidia-smi)'; exit 77; }
    nvidia-smi -L 2>&1 | grep -q '^GPU ' ||
        { echo "SKIP: no NVIDIA GPU here ($(nvidia-smi -L 2>&1 | head -n 1))"; exit 77; }
fi

work=$(mktemp -d) || exit 1
mkdir -p "$work/logs"
# The logs so far, to OUT: in one file, since a place that runs this may give few back.
keep() { [ -z "${OUT:-}" ] || tar -C "$work" -czf "$OUT/logs.tar.gz" logs; }
trap 'keep; rm -rf "$work"' EXIT
table=${OUT:-$work}/table
mkdir -p "${OUT:-$work}" && : >"$table" || exit 1
export XDG_CACHE_HOME=$work/cache XDG_CONFIG_HOME=$work/no-config PYTHONDONTWRITEBYTECODE=1
failed=0

say() { echo "$*" | tee -a "$table"; }
wants() { [[ " $PARTS " == *" $1 "* ]]; }
# late WHAT SECONDS: is there no time left for what may take so long?
late() { [ $((SECONDS + $2)) -gt "$LIMIT" ] && say "skipped: $1 (no time left)"; }
verdict() # STATUS WHAT LOG
{
    if [ "$1" = 0 ]; then
        say "ok: $2"
    else
        say "FAILED ($1): $2: $(grep -iE 'error|fail' "$3" | tail -n 1 | cut -c1-200)"
        failed=1
    fi
}
with_limit() # SECONDS COMMAND...
{
    local seconds=$1
    shift
    timeout -k 5 "$seconds" "$@"
}

# ---- the machine ----

facts()
{
    say "date: $(date -u +%Y-%m-%dT%H:%MZ)"
    say "commit: $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
    if [ "$BACKEND" = cuda ]; then
        local what=name,compute_cap,driver_version,memory.total,clocks.max.sm,power.limit
        what=$what,mig.mode.current
        say "gpu: $(nvidia-smi --query-gpu=$what --format=csv,noheader | head -n 1)"
        say "toolkit: $(nvcc --version 2>/dev/null | tail -n 1)"
    fi
    say "host: $(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
}

# ---- the build ----

use_build()
{
    export LD_LIBRARY_PATH=$BUILD/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export MICROGPT=$BUILD/microgpt MICROGPT_PLUGIN_PATH=$BUILD/plugins/.libs \
        MICROGPT_TEST_PLUGINS=$work/none
    export abs_top_srcdir=$root abs_top_builddir=$BUILD builddir=$BUILD
    mkdir -p "$MICROGPT_TEST_PLUGINS"
    [ "$BACKEND" = cuda ] || MICROGPT_PLUGIN_PATH=$BUILD/tests/plugins/.libs:$MICROGPT_PLUGIN_PATH
    "$MICROGPT" --version >/dev/null 2>&1
}

# folder_of SONAME: where the loader does not know it; in a toolkit, or in what pip installs
folder_of()
{
    local folder
    for folder in /usr/local/cuda/lib64 /usr/local/cuda-*/lib64 $("$PYTHON" -c 'import glob, nvidia
print(*[lib for at in nvidia.__path__ for lib in glob.glob(at + "/*/lib")])' 2>/dev/null); do
        [ ! -e "$folder/$1" ] || { echo "$folder"; return; }
    done
}

# cuBLASLt and NVRTC of the release that the plugin was built with: where they are, and how they are
# found.
libraries()
{
    local name soname major folder
    major=$(grep -ao 'libcublasLt\.so\.[0-9]*' "$BUILD/plugins/.libs/backend_cuda.so" |
        sed -n '1s/.*\.//p')
    for name in libcublasLt libnvrtc; do
        soname=$name.so.$major
        if "$PYTHON" -c "import ctypes; ctypes.CDLL('$soname')" 2>/dev/null; then
            say "$soname: found by the loader"
        elif folder=$(folder_of "$soname") && [ -n "$folder" ]; then
            LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
            say "$soname: in $folder"
        else
            say "$soname: NOT FOUND"
        fi
    done
}

build()
{
    local log=$work/logs/build arch
    use_build && { say "build: found in $BUILD"; return; }
    arch=sm_$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 |
        tr -d .)
    { [ -x configure ] || autoreconf -i; } >"$log" 2>&1 && mkdir -p "$BUILD" &&
        (cd "$BUILD" && "$root/configure" --with-cuda NVCC_ARCH="$arch" &&
        make -j"$(nproc)") >>"$log" 2>&1
    verdict $? "build for $arch in $SECONDS s" "$log"
    (cd "$BUILD" && make -j"$(nproc)" tests/conform_backend tests/conform_step) >>"$log" 2>&1
    use_build
}

# ---- right? ----

# conforms NAME MODULE SECONDS: the contract of a kind, kept by that module, in one process and one
# context.
conforms()
{
    local log=$work/logs/$1.$2
    late "$1 on $2" "$3" && return
    [ -x "$BUILD/tests/$1" ] || { say "skipped: $1 (not built: Check is missing)"; return; }
    MICROGPT_TEST_ONLY=$2 CK_FORK=no with_limit "$3" "$BUILD/tests/$1" >"$log" 2>&1
    verdict $? "$1 on $2: $(grep Checks: "$log")" "$log"
}

conform()
{
    conforms conform_backend "$BACKEND" 120
    conforms conform_step graph_cuda 60
    conforms conform_step micro_cuda 60
}

data=$root/conf/data/given-names.txt
head -c 20000 "$data" >"$work/text"
tiny=(--steps 6 --samples 0 --val-every 0 --set train.checkpoint_every=0)
tinytoy=(--set dataset.path="$work/text" --set model.layers=2 --set model.heads=4
    --set model.embd=64
    --set model.mlp=256 --set model.context=32 --set train.batch=4)

# trains NAME RECIPE OPTION...: in folder NAME; what it said is in logs/NAME
trains()
{
    local name=$1 recipe=$2
    shift 2
    rm -rf "${work:?}/$name"
    "${before[@]}" "$MICROGPT" train -c "$root/conf/$recipe.ini" --dir "$work/$name" \
        --set backend.use="$BACKEND" --set backend.fallback=error --set logger.use=jsonl "$@" \
        >"$work/logs/$name" 2>&1
}
before=()

# Does compute-sanitizer work here? Some places let programs use the GPU, and refuse what watches
# them.
sanitizes()
{
    local log=$work/logs/sanitizer
    before=(timeout -k 5 60 compute-sanitizer --tool memcheck --error-exitcode 9)
    trains sanitizer microgpt "${tiny[@]}" --set dataset.path="$data" \
        --set backend.$BACKEND.products=own && return 0
    grep -qE 'Invalid __|Misaligned|out of bounds' "$log" && return 0
    say "skipped: compute-sanitizer (does not work here: $(grep '^=========' "$log" | grep -iE 'error|not supp|fail|unable' |
        head -n 1 | cut -c1-150))"
    return 1
}

# Our kernels, each format and step; not cuBLASLt's.
sanitize()
{
    local tool step format batch what words
    command -v compute-sanitizer >/dev/null ||
        { say 'skipped: compute-sanitizer (not installed)'; return; }
    late compute-sanitizer 60 && return
    sanitizes || { before=(); return; }
    for tool in memcheck racecheck initcheck; do
        before=(timeout -k 5 60 compute-sanitizer --tool $tool --error-exitcode 9)
        for what in composed:auto:4 graph_cuda:auto:4 micro_cuda:fp32:1 micro_cuda:fp32:4 \
                composed:fp32:4 \
            composed:tf32:4 composed:fp16:4; do
            IFS=: read -r step format batch <<<"$what"
            late "compute-sanitizer $tool, step $step, $format, batch $batch" 60 && continue
            words=(toygpt "${tinytoy[@]}" --set model.dropout=0.2)
            [ $step != micro_cuda ] || words=(microgpt --set dataset.path="$data")
            trains "$tool.$step.$format.$batch" "${words[@]}" "${tiny[@]}" --set step.use=$step \
                --set precision.use=$format --set train.batch=$batch \
                --set backend.$BACKEND.products=own
            verdict $? "compute-sanitizer $tool, step $step, $format, batch $batch" \
                "$work/logs/$tool.$step.$format.$batch"
        done
    done
    before=()
}

losses() { sed -n 's/.*"loss": *\([0-9.e+-]*\).*/\1/p' "$work/$1/metrics.jsonl"; }

# agrees RUN OTHER MOST: are the losses of both the same at first, and close at the end?
agrees()
{
    local most
    most=$(paste <(losses "$1") <(losses "$2") | awk '
        NF != 2 { print "differ in number"; exit }
        { d = $1 - $2; if (d < 0) d = -d; if (d > most) most = d } END { if (NR) print most + 0 }')
    say "    largest difference of its losses from cpu: ${most:-no losses} (must be below $3)"
    awk -v d="${most:-none}" -v most="$3" 'BEGIN { exit !(d ~ /^[0-9.e+-]+$/ && d + 0 < most) }' ||
        failed=1
}

# Both recipes, held against the processor's losses; micro_cuda, which is for F32 and small models,
# too.
train()
{
    local name recipe step words steps
    local -A options=([microgpt]="--steps 200 --set dataset.path=$data"
        [microgpt.4]="--steps 100 --set dataset.path=$data --set train.batch=4"
        [toygpt]="--steps 30 --set dataset.path=$work/text --set train.batch=8 --set model.context=64")
    if [ "$BACKEND" != cuda ]; then
        options[microgpt]="--steps 20 --set dataset.path=$data"
        options[microgpt.4]="--steps 6 --set dataset.path=$data --set train.batch=4"
        options[toygpt]="--steps 6 ${tinytoy[*]}"
    fi
    for name in microgpt toygpt microgpt.4; do
        recipe=${name%.4}
        steps='composed graph_cuda micro_cuda'
        [ $recipe = microgpt ] || steps='composed graph_cuda'
        [ $name != microgpt.4 ] || steps=micro_cuda
        late "training $name" 200 && continue
        before=(timeout -k 5 50)
        read -ra words <<<"${options[$name]} --samples 0 --val-every 0"
        BACKEND=cpu trains "$name.cpu" $recipe "${words[@]}"
        for step in $steps; do
            [ $step != micro_cuda ] || words+=(--set precision.use=fp32)
            trains "$name.$step" $recipe "${words[@]}" --set step.use="$step"
            verdict $? "$name trains with step $step" "$work/logs/$name.$step"
            agrees "$name.cpu" "$name.$step" 0.02
        done
        [ "$steps" = micro_cuda ] ||
            cmp -s "$work/$name.composed/latest/model.safetensors" \
            "$work/$name.graph_cuda/latest/model.safetensors" ||
            { say "FAILED: $name: graph_cuda has other bits than composed"; failed=1; }
    done
    before=()
}

# ---- fast? ----

# Seconds a step after the first SKIP, from metrics.jsonl; lines of one block are timed as a whole.
pace() # NAME SKIP
{
    sed -n 's/.*"step": *\([0-9]*\).*"seconds": *\([0-9.e+-]*\).*/\1 \2/p' \
        "$work/$1/metrics.jsonl" |
        awk -v skip="$2" '$1 <= skip { s = $1; t = $2 } { n = $1; u = $2 } END { if (n > s) print (u - t) / (n - s) }'
}

row() { say "$(printf '%-10s %-43s %-6s %14s %14s   %s' "$1" "$2" "$3" "$4" "$5" "$6")"; }

# rate SECONDS TOKENS: "0.512 ms" and "8.0 M/s"
in_words() { awk -v s="$1" \
    'BEGIN { if (s < 1e-3) printf "%.2f us", s * 1e6; else printf "%.3f ms", s * 1e3 }'; }
per_second() { awk -v s="$1" -v n="$2" 'BEGIN { r = n / s; if (r > 1e6) printf "%.2f Mtok/s", r / 1e6; else printf "%.1f Ktok/s", r / 1e3 }'; }

# What made it other than it should be.
remarks() # NAME
{
    ! grep -q 'cuBLASLt is not installed' "$work/logs/$1" || printf ' (without cuBLASLt)'
    ! grep -q 'is not compiled' "$work/logs/$1" || printf ' (without NVRTC)'
}

# one NAME RECIPE STEP FORMAT TOKENS SKIP TARGET OPTION...; `note` tells rows of one step apart.
# What a run leaves, gigabytes for a large model, is removed; the save at its end may be cut off,
# the pace is known by then.
one()
{
    local name=$1 recipe=$2 step=$3 format=$4 tokens=$5 skip=$6 target=$7 run seconds
    shift 7
    run=$name.$step$note.$format
    run=${run//[, ]/_}
    late "$name, step $step$note, $format" 60 && return
    before=(timeout -k 5 60)
    trains "$run" "$recipe" --samples 0 --val-every 0 --set train.checkpoint_every=0 \
        --set step.use="$step" --set precision.use="$format" "$@"
    seconds=$(pace "$run" "$skip" 2>/dev/null)
    if [ -n "$seconds" ]; then
        row "$name" "step $step$note" "$format" "$(in_words "$seconds")" \
            "$(per_second "$seconds" "$tokens")" \
            "$target$(remarks "$run")"
    else
        row "$name" "step $step$note" "$format" - - \
            "skipped: $(grep -i error "$work/logs/$run" | tail -n 1 |
            sed 's/^microgpt: error: //' | cut -c1-110)"
    fi
    before=()
    rm -rf "${work:?}/$run"
}
note=

# GPT-2 124M on a text of 50,256 different characters and line ends, so that the vocabulary is
# GPT-2's; and on one of 50,304, a multiple of 128, as others pad theirs.
gpt2()
{
    local options=(--set model.layers=12 --set model.heads=12 --set model.embd=768
        --set model.mlp=3072
        --set model.context=1024 --set model.norm=layer --set model.norm_gain=true
        --set model.norm_bias=true
        --set model.embed_norm=false --set model.final_norm=true --set model.activation=gelu_tanh
        --set model.bias='qkv,proj,mlp' --set model.tied=true --set model.dropout=0
        --set train.batch=16
        --set train.accumulate=1 --set train.lr=1e-4) what vocab format step
    for vocab in 50257 50304; do
        "$PYTHON" -c 'import random, sys
letters = [chr(c) for c in range(0x3400, 0x3400 + 60000) if not 0xd800 <= c < 0xe000]
letters = letters[:int(sys.argv[1]) - 1]
random.seed(1)
print("".join(letters + random.choices(letters, k=1 << 20)))' $vocab >"$work/wide.$vocab" 2>/dev/null ||
            { say 'skipped: GPT-2 124M (no python3 to make its text)'; return; }
    done
    for what in 50257:bf16:graph_cuda 50304:bf16:graph_cuda 50257:bf16:composed \
        50257:tf32:graph_cuda 50257:fp32:graph_cuda 50257:tf32:composed 50257:fp32:composed; do
        IFS=: read -r vocab format step <<<"$what"
        note=", V $vocab"
        one gpt2-124M toygpt "$step" "$format" 16384 4 "600 Ktok/s" --steps 24 "${options[@]}" \
            --set dataset.path="$work/wide.$vocab"
    done
    note=
}

measure()
{
    local step format steps threads skip=640 n=3000 m=600 target="3-8 us (micro_cuda)"
    [ "$BACKEND" = cuda ] || { skip=4; n=12; m=10; }
    say "$(printf '%-10s %-43s %-6s %14s %14s   %s' recipe what format 'a step' rate target)"
    for step in composed graph_cuda; do
        one names microgpt "$step" fp32 7 "$skip" "$target" --steps "$n" --set dataset.path="$data"
    done
    for steps in 1 64; do
        for threads in 0 256 512 1024; do
            [ $steps = 64 ] || [ $threads = 0 ] || continue
            note=", $steps a launch"
            [ $threads = 0 ] || note+=", $threads threads"
            one names microgpt micro_cuda fp32 7 "$skip" "$target" --steps "$n" --set dataset.path="$data" \
                --set step.micro_cuda.steps=$steps --set step.micro_cuda.threads=$threads
        done
    done
    note=
    for format in tf32 bf16 fp16; do
        one names microgpt micro_cuda $format 7 $skip "3-8 us" --steps $n --set dataset.path="$data"
    done
    for format in fp32 tf32 bf16 fp16; do
        for step in composed graph_cuda micro_cuda; do
            [ "$BACKEND" = cuda ] || tokens=("${tinytoy[@]}")
            one toygpt toygpt "$step" "$format" 4096 $((skip < 100 ? skip : 128)) "0.45-0.65 ms" --steps "$m" \
                --set dataset.path="$work/text" --set model.dropout=0 "${tokens[@]}"
        done
    done
    [ "$BACKEND" != cuda ] || gpt2
}
tokens=()

torch()
{
    local name rows format how words limit device=cuda result
    "$PYTHON" -c 'import torch' 2>/dev/null || { say "skipped: PyTorch ($PYTHON has no torch)"; return; }
    if [ "$BACKEND" = cuda ]; then
        "$PYTHON" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null ||
            { say 'skipped: PyTorch (it sees no GPU)'; return; }
    else
        device=cpu
    fi
    for name in names:1 toygpt:32 gpt2-124M:16; do
        rows=${name#*:} name=${name%:*}
        for format in fp32 tf32 bf16 fp16; do
            for how in eager compile; do
                [ "$name" != names ] || [ $format = fp32 ] || continue
                limit=60
                [ "$name.$how" != gpt2-124M.compile ] || limit=120
                late "PyTorch $name $format $how" $limit && continue
                words=()
                [ $how = eager ] || words=(--compile)
                result=$work/logs/torch.$name.$format.$how
                if with_limit $limit "$PYTHON" "$root/tests/judge/gpu.py" --model "${name%-*}" --rows "$rows" \
                    --format $format --device $device --steps 30 "${words[@]}" >"$result" 2>"$result.err"; then
                    result=$(sed 's/.*"seconds": \([0-9.e+-]*\), "tokens": \([0-9]*\).*/\1 \2/' "$result")
                    row "$name" "PyTorch $how" $format "$(in_words "${result% *}")" \
                        "$(per_second "${result% *}" "${result#* }")" ''
                else
                    row "$name" "PyTorch $how" $format - - "skipped: $(tail -n 1 "$result.err" | cut -c1-110)"
                fi
            done
        done
    done
}

for part in facts build conform sanitize train measure torch; do
    if wants $part; then $part; elif [ $part = build ]; then use_build; else continue; fi
    keep
    [ $part = build ] || continue
    "$MICROGPT" --version >/dev/null 2>&1 || { say 'FAILED: there is no microgpt to go on with'; exit 1; }
    [ "$BACKEND" != cuda ] || libraries
done
say "all of it: $SECONDS s"
exit $failed
