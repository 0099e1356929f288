#!/bin/bash
# A training step of GPT-2 124M here and in PyTorch, by turns: tests/bench/gpt2.sh [MICROGPT], from
# the build folder. 12 layers, 12 heads, 768 wide, 50257 ids, the head tied to the embedding, GELU
# (tanh), biases, AdamW; B rows of T random ids, fp32. The context is T, so the table of positions
# has T rows rather than 1024: 0.6 % of the parameters. Ours is the median full step of `microgpt
# bench --only cpu`, which also holds the first steps against ref; PyTorch's that of
# tests/judge/gpt2.py, with threads that wait asleep and a fused AdamW. Prints the medians over the
# rounds, and how many times as long PyTorch took: the median of the rounds' ratios, and their
# spread. 5 GB of memory. The environment may set: PYTHON (with torch; judge-venv/bin/python after
# `make judge`), THREADS (all), ROUNDS (3), STEPS (5 a round), LONG (60: seconds that bench may
# take; on a slow machine more), B (4), T (64), WHAT (eager compile).
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
microgpt=${1:-./microgpt}
: "${PYTHON:=$PWD/judge-venv/bin/python}" "${THREADS:=$(nproc)}" "${ROUNDS:=3}" "${STEPS:=5}" \
    "${LONG:=60}"
: "${B:=4}" "${T:=64}" "${WHAT:=eager}" \
    "${MICROGPT_PLUGIN_PATH:=$(cd "$(dirname "$microgpt")" && pwd)/plugins/.libs}"
export MICROGPT_PLUGIN_PATH PYTHONDONTWRITEBYTECODE=1
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE OMP_NUM_THREADS OMP_WAIT_POLICY
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cat >"$scratch/gpt2.ini" <<END
[backend.cpu]
threads = $THREADS
[model]
layers = 12
heads = 12
embd = 768
mlp = 3072
context = $T
norm = layer
norm_gain = true
norm_bias = true
embed_norm = false
final_norm = true
activation = gelu_tanh
bias = qkv,proj,mlp
tied = true
dropout = 0.0
[train]
batch = $B
accumulate = 1
weight_decay = 0.1
decay = matrices
clip = 0
[optimizer]
use = adamw
END

# Seconds of the median full step. bench exits 1 when a step is not what ref computes.
time_microgpt()
{
    "$microgpt" bench -c "$scratch/gpt2.ini" --only cpu --vocab 50257 --steps "$STEPS" \
        --seconds "$LONG" --json \
        >"$scratch/out" 2>"$scratch/err" || { tail -5 "$scratch/err" >&2; exit 1; }
    python3 - "$scratch/out" "$B" "$T" <<'END'
import json, sys
steps = json.load(open(sys.argv[1]))["steps"]
row = next(s for s in steps if s["step"] == "composed" and s["precision"] == "fp32")
if (row["outcome"], row["rows"], row["columns"]) != ("ran", int(sys.argv[2]), int(sys.argv[3])):
    sys.exit("gpt2.sh: bench made no full step (%s): LONG=600" % row.get("reason", ""))
print(row["seconds"])
END
}

time_torch() # eager | compile
{
    words=()
    [ "$1" = eager ] || words=(--compile)
    OMP_WAIT_POLICY=passive "$PYTHON" "$root/tests/judge/gpt2.py" --threads "$THREADS" \
        --steps "$STEPS" --rows "$B" \
        --columns "$T" ${words[@]+"${words[@]}"} >"$scratch/out" 2>"$scratch/err" ||
        { tail -5 "$scratch/err" >&2; exit 1; }
    sed 's/.*"seconds": \([0-9.e+-]*\).*/\1/' "$scratch/out"
}

if "$PYTHON" -c 'import torch' 2>/dev/null; then
    "$PYTHON" -c 'import torch; print("PyTorch", torch.__version__)'
else
    echo "gpt2.sh: no PyTorch in $PYTHON (make judge, or PYTHON=...): microgpt alone" >&2
    WHAT=
fi
for round in $(seq "$ROUNDS"); do
    seconds=$(time_microgpt)
    echo "$round microgpt $seconds"
    for who in $WHAT; do
        seconds=$(time_torch "$who")
        echo "$round $who $seconds"
    done
done | tee "$scratch/times" | sed 's/^/  /' >&2

echo "threads $THREADS, $B x $T ids"
awk -v ids=$((B * T)) '
    function middle(a, n,   i, j, x) { # sorts a
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && a[j - 1] > a[j]; j--) { x = a[j]; a[j] = a[j - 1]; a[j - 1] = x }
        return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
    }
    $2 == "microgpt" { base[$1] = $3 }
    !($2 in count) { order[++kinds] = $2 }
    { time[$2, ++count[$2]] = $3; ratio[$2, count[$2]] = $3 / base[$1] }
    END {
        printf "%-10s %12s %12s %10s %8s   %s\n", "", "median s", "fastest s", "ids/s", "ratio", "spread"
        for (k = 1; k <= kinds; k++) {
            who = order[k]; n = count[who]
            for (i = 1; i <= n; i++) { t[i] = time[who, i]; r[i] = ratio[who, i] }
            m = middle(t, n); x = middle(r, n)
            printf "%-10s %12.3f %12.3f %10.1f %8.2f   %.2f .. %.2f\n", who, m, t[1], ids / m, x, r[1], r[n]
        }
    }' "$scratch/times"
