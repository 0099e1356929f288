#!/bin/bash
# How many samples a second, one after the other and in batches: tests/bench/samples.sh RUN
# [MICROGPT [SETTING...]] RUN is the folder of a trained run. By turns, on one thread, microgpt
# writes SAMPLES samples in each of BATCHES; then the samples a second of processor time, the start
# of the program apart, and how many times those of the first batch they are: the median of the
# rounds, and their spread. SETTING is --set S.KEY=VALUE or another option of generate. The
# environment may set: SAMPLES (1000), BATCHES ("1 8 64"), ROUNDS (5), THREADS (1: processor time
# says nothing else).
set -euo pipefail
run=${1:?usage: samples.sh RUN [MICROGPT [SETTING...]]}
program=${2:-./microgpt}
shift $(($# < 2 ? $# : 2))
: "${SAMPLES:=1000}" "${BATCHES:=1 8 64}" "${ROUNDS:=5}" "${THREADS:=1}"
export MICROGPT_PLUGIN_PATH="${MICROGPT_PLUGIN_PATH:-$(cd "$(dirname "$program")" && pwd)/plugins/.libs}"
config=(-c "$run/config.ini" --dir "$run")
TIMEFORMAT='%U %S'

# Processor seconds of N samples in batches of B.
seconds()
{
    local n=$1 b=$2
    shift 2
    { time "$program" generate "${config[@]}" --samples "$n" --batch "$b" \
        --set "backend.cpu.threads=$THREADS" \
        "$@" >/dev/null 2>&1; } 2>&1 | awk '{ print $1 + $2 }'
}

for round in $(seq "$ROUNDS"); do
    start=$(seconds 1 1 --max-tokens 1 "$@")
    for b in $BATCHES; do
        echo "$round $b $(seconds "$SAMPLES" "$b" "$@") $start"
    done
done | awk -v samples="$SAMPLES" -v order="$BATCHES" '
    function middle(a, n,   i, j, x) { # sorts a
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && a[j - 1] > a[j]; j--) { x = a[j]; a[j] = a[j - 1]; a[j - 1] = x }
        return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
    }
    { s[$1, $2] = $3 - $4 > 0.001 ? $3 - $4 : 0.001; rounds = $1 }
    END {
        n = split(order, batch, " ")
        printf "%8s %14s %10s   %s\n", "batch", "samples/s", "ratio", "spread"
        for (k = 1; k <= n; k++) {
            for (i = 1; i <= rounds; i++) {
                rate[i] = samples / s[i, batch[k]]
                r[i] = s[i, batch[1]] / s[i, batch[k]]
            }
            m = middle(rate, rounds); x = middle(r, rounds)
            printf "%8d %14.0f %10.2f   %.2f .. %.2f\n", batch[k], m, x, r[1], r[rounds]
        }
    }'
