#!/bin/bash
# ToyGPT in PyTorch and in microgpt, by turns: tests/bench/compare.sh [MICROGPT [OPTION...]], from
# the build folder. Each round times some steps of each in a process of its own; at the end the
# median step of each over the rounds, and how many times as long as microgpt it took: the median of
# the rounds' ratios, and their spread. OPTIONs go to microgpt train. The environment may set:
# PYTHON (with torch; judge-venv/bin/python after `make judge`), DATA (a text), THREADS (all),
# ROUNDS (5), STEPS (10 a round), WHAT (contenders: installed plain eager compile autocast
# autocast-compile). `installed` is PyTorch as it comes; the others wait passively, and update in
# one fused pass. Other settings of the recipe, for both: SIZES="layers=2 embd=32", as keys of the
# two programs.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
microgpt=${1:-./microgpt}
[ $# = 0 ] || shift
: "${PYTHON:=$PWD/judge-venv/bin/python}" "${THREADS:=$(nproc)}" "${ROUNDS:=5}" "${STEPS:=10}"
: "${WHAT:=installed plain eager compile}" "${DATA:=$root/../shared/data/tinyshakespeare.txt}" \
    "${SIZES:=}"
: "${MICROGPT_PLUGIN_PATH:=$(cd "$(dirname "$microgpt")" && pwd)/plugins/.libs}"
export MICROGPT_PLUGIN_PATH PYTHONDONTWRITEBYTECODE=1
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE OMP_NUM_THREADS OMP_WAIT_POLICY
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$PYTHON" -c 'import torch' 2>/dev/null || {
    echo "compare.sh: no PyTorch in $PYTHON: make judge, or PYTHON=..." >&2
    exit 77
}

[ -r "$DATA" ] || { echo "compare.sh: cannot read $DATA: DATA=..." >&2; exit 77; }

ours=() theirs=()
for size in $SIZES; do
    section=model
    [ "${size%%=*}" != batch ] || section=train
    ours+=(--set "$section.$size")
    theirs+=("--${size%%=*}" "${size#*=}")
done

# Seconds of the median step.
time_microgpt()
{
    rm -rf "$scratch/run"
    "$microgpt" train -q -c "$root/conf/toygpt.ini" --dir "$scratch/run" --steps $((STEPS + 3)) \
        --val-every 0 --samples 0 \
        --set dataset.path="$DATA" --set logger.use=jsonl --set backend.cpu.threads="$THREADS" \
        "${ours[@]}" "$@"
    sed -n 's/.*"loss".*"seconds": \([0-9.e+-]*\).*/\1/p' "$scratch/run/metrics.jsonl" |
        awk 'NR > 3 { print $1 - last } { last = $1 }' | sort -g |
        awk '{ t[NR] = $1 } END { print t[int((NR + 1) / 2)] }'
}

time_torch()
{
    wait=(OMP_WAIT_POLICY=passive)
    words=(--fused)
    case $1 in
    installed) wait=() words=(--attention plain) ;;
    plain) words+=(--attention plain) ;;
    eager) ;;
    compile) words+=(--compile) ;;
    autocast) words+=(--autocast) ;;
    autocast-compile) words+=(--autocast --compile) ;;
    *) echo "compare.sh: WHAT = $1: no such contender" >&2; exit 2 ;;
    esac
    env "${wait[@]}" "$PYTHON" "$root/tests/judge/toygpt.py" --data "$DATA" --crops philox \
        --threads "$THREADS" \
        --time "$STEPS" "${theirs[@]}" "${words[@]}" 2>"$scratch/err" >"$scratch/out" ||
        { tail -5 "$scratch/err" >&2; exit 1; }
    sed 's/.*"seconds": \([0-9.e+-]*\).*/\1/' "$scratch/out"
}

"$PYTHON" -c 'import torch; print("PyTorch", torch.__version__)'
"$microgpt" --version
echo "threads $THREADS, rounds $ROUNDS of $STEPS steps"
for round in $(seq "$ROUNDS"); do
    seconds=$(time_microgpt "$@")
    echo "$round microgpt $seconds"
    for who in $WHAT; do
        seconds=$(time_torch "$who")
        echo "$round $who $seconds"
    done
done | tee "$scratch/times" | sed 's/^/  /' >&2

awk '
    function middle(a, n,   i, j, x) { # sorts a
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && a[j - 1] > a[j]; j--) { x = a[j]; a[j] = a[j - 1]; a[j - 1] = x }
        return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
    }
    $2 == "microgpt" { base[$1] = $3 }
    !($2 in count) { order[++kinds] = $2 }
    { time[$2, ++count[$2]] = $3; ratio[$2, count[$2]] = $3 / base[$1] }
    END {
        printf "%-18s %12s %12s %8s   %s\n", "", "median ms", "fastest ms", "ratio", "spread"
        for (k = 1; k <= kinds; k++) {
            who = order[k]; n = count[who]
            for (i = 1; i <= n; i++) { t[i] = time[who, i]; r[i] = ratio[who, i] }
            m = middle(t, n); x = middle(r, n)
            printf "%-18s %12.2f %12.2f %8.2f   %.2f .. %.2f\n", who, 1000 * m, 1000 * t[1], x, r[1], r[n]
        }
    }' "$scratch/times"
