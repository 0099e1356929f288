#!/bin/bash
# How long 2000 characters take: tests/bench/generate.sh RUN [MICROGPT [MICROGPT...]] RUN is the
# folder of a trained run, such as that of ToyGPT. In each round every program writes one sample
# with the window recomputed and with it hopping, and PyTorch's loop writes as many with the same
# weights, by turns; then the median and fastest seconds of each, and how many times as long PyTorch
# took: the median of the rounds' ratios, and their spread. Ours is the whole program from start to
# end; PyTorch's is the loop alone, after ten characters. The environment may set: PYTHON (with
# torch and safetensors; judge-venv/bin/python after `make judge`), DATA (the text RUN is of),
# CHARACTERS (2000), THREADS ("1 2"), ROUNDS (3), TORCH (passive installed: threads that wait
# asleep, or as PyTorch comes). A program that knows no [generate] window is timed as it is. Only
# runs of the ToyGPT recipe, of these SIZES="layers=2 embd=32" where they differ, have a rival in
# PyTorch.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
run=${1:?usage: generate.sh RUN [MICROGPT...]}
shift
[ $# != 0 ] || set -- ./microgpt
: "${PYTHON:=$PWD/judge-venv/bin/python}" "${DATA:=$root/../shared/data/tinyshakespeare.txt}"
: "${CHARACTERS:=2000}" "${THREADS:=1 2}" "${ROUNDS:=3}" "${TORCH:=passive}" "${SIZES:=}"
export PYTHONDONTWRITEBYTECODE=1
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE OMP_NUM_THREADS OMP_WAIT_POLICY
plugins=${MICROGPT_PLUGIN_PATH-}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

see_modules() # PROGRAM: those of its build folder, unless the environment says
{
    export MICROGPT_PLUGIN_PATH="${plugins:-$(cd "$(dirname "$1")" && pwd)/plugins/.libs}"
}

# Of one sample by PROGRAM with OPTION...
time_microgpt()
{
    local program=$1
    shift
    see_modules "$program"
    /usr/bin/env time -f %e -o "$scratch/seconds" "$program" generate --dir "$run" --samples 1 \
        --max-tokens "$CHARACTERS" "$@" >"$scratch/text" 2>"$scratch/err" ||
        { cat "$scratch/err" >&2; exit 1; }
    tail -1 "$scratch/seconds"
}

time_torch() # passive | installed, threads
{
    local wait=()
    [ "$1" != passive ] || wait=(OMP_WAIT_POLICY=passive)
    # shellcheck disable=SC2086 # sizes are words
    env "${wait[@]}" "$PYTHON" "$root/tests/judge/toygpt.py" --data "$DATA" --threads "$2" \
        --generate "$CHARACTERS" \
        --weights "$weights" $sizes 2>"$scratch/err" >"$scratch/out" ||
        { tail -5 "$scratch/err" >&2; exit 1; }
    sed 's/.*"seconds": \([0-9.e+-]*\).*/\1/' "$scratch/out"
}

rivals=()
weights=$run/latest/model.safetensors
sizes=
for size in $SIZES; do
    sizes="$sizes --${size%%=*} ${size#*=}"
done
if ! "$PYTHON" -c 'import torch, safetensors' 2>/dev/null; then
    echo "generate.sh: no PyTorch with safetensors in $PYTHON (make judge, or PYTHON=...): microgpt alone" >&2
elif [ ! -r "$DATA" ]; then
    echo "generate.sh: cannot read $DATA (DATA=...): microgpt alone" >&2
else
    read -ra rivals <<<"$TORCH"
    "$PYTHON" -c 'import torch; print("PyTorch", torch.__version__)'
fi

for round in $(seq "$ROUNDS"); do
    for threads in $THREADS; do
        for program in "$@"; do
            see_modules "$program"
            if "$program" config show | grep -q '^window = '; then
                for window in recompute hop; do
                    seconds=$(time_microgpt "$program" --set "backend.cpu.threads=$threads" \
                        --set "generate.window=$window")
                    echo "$round $threads ${program##*/}-$window $seconds"
                done
            else
                seconds=$(time_microgpt "$program" --set "backend.cpu.threads=$threads")
                echo "$round $threads ${program##*/} $seconds"
            fi
        done
        for rival in ${rivals[@]+"${rivals[@]}"}; do
            seconds=$(time_torch "$rival" "$threads")
            echo "$round $threads torch-$rival $seconds"
        done
    done
done | tee "$scratch/times" | sed 's/^/  /' >&2

awk -v rival="torch-${rivals[0]-}" '
    function middle(a, n,   i, j, x) { # sorts a
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && a[j - 1] > a[j]; j--) { x = a[j]; a[j] = a[j - 1]; a[j - 1] = x }
        return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
    }
    { who = $2 " " $3; time[$1, who] = $4; rounds = $1 > rounds ? $1 : rounds }
    !(who in known) { known[who]; order[++kinds] = who }
    END {
        printf "%-8s %-28s %9s %9s %9s   %s\n", "threads", "", "median s", "fastest s", rival == "torch-" ? "" : "PyTorch/", "spread"
        for (k = 1; k <= kinds; k++) {
            who = order[k]
            split(who, part, " ")
            base = part[1] " " rival
            for (i = 1; i <= rounds; i++) {
                t[i] = time[i, who]
                if ((i, base) in time && t[i] > 0) r[i] = time[i, base] / t[i]
            }
            m = middle(t, rounds)
            printf "%-8s %-28s %9.2f %9.2f", part[1], part[2], m, t[1]
            if (base in known && rounds in r) {
                x = middle(r, rounds)
                printf " %9.2f   %.2f .. %.2f", x, r[1], r[rounds]
            }
            printf "\n"
        }
    }' "$scratch/times"
