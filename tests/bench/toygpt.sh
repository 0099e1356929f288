#!/bin/bash
# How long a step of the ToyGPT recipe takes: tests/bench/toygpt.sh [MICROGPT [OPTION...]] From the
# build folder. Trains a few steps on a made-up text, in turns on 1 and 2 threads; prints the median
# and the fastest run of each and the arithmetic a second that this is. PEAK=GFLOP/s of one core
# adds the share of it; STEPS and RUNS say how long to measure.
set -eu
microgpt=${1:-./microgpt}
[ $# = 0 ] || shift
conf=$(dirname "$0")/../../conf/toygpt.ini
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
: "${MICROGPT_PLUGIN_PATH:=$(cd "$(dirname "$microgpt")" && pwd)/plugins/.libs}"
export MICROGPT_PLUGIN_PATH

awk 'BEGIN { srand(1); letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ,.;:!?-&3$'\''"
             for (i = 0; i < 20000; i++) {
                 word = ""
                 for (n = 1 + rand() * 8; n > 0; n--)
                     word = word substr(letters, 1 + rand() * length(letters), 1)
                 printf "%s%s", word, i % 10 == 9 ? "\n" : " "
             } }' >"$scratch/text"

# What "seconds" of the last line is after $2 steps on $1 threads; the other arguments are options
# of train.
seconds()
{
    local threads=$1 steps=$2
    shift 2
    rm -rf "$scratch/run"
    "$microgpt" train -c "$conf" --dir "$scratch/run" --set dataset.path="$scratch/text" \
        --steps "$steps" \
        --val-every 0 --samples 0 --set train.checkpoint_every=0 --set logger.use=jsonl \
        --set backend.cpu.threads="$threads" "$@" >/dev/null 2>"$scratch/err" ||
        { cat "$scratch/err" >&2; exit 1; }
    tail -n 1 "$scratch/run/metrics.jsonl" | sed 's/.*"seconds": \([0-9.]*\).*/\1/'
}

# Steps between validations are one call, timed as a whole: 2 steps are taken off 2 + STEPS. 42.1
# GFLOP: 6 for each of 1,581,184 weights of matrices and each of 4,096 tokens, and three times two
# products over the causal half of attention.
for ((run = 1; run <= ${RUNS:-5}; run++)); do
    for threads in 1 2; do
        before=$(seconds $threads 2 "$@")
        after=$(seconds $threads $((2 + ${STEPS:-10})) "$@")
        echo "$threads $before $after"
    done
done | awk -v steps="${STEPS:-10}" '{ print $1, ($3 - $2) / steps * 1e3 }' | sort -k 1n -k 2g |
    awk -v peak="${PEAK:-0}" '
        function show(  m) {
            m = t[int((n + 1) / 2)]
            printf "%d threads: %.0f ms a step (fastest %.0f), %.1f GFLOP/s (%.1f)", threads, m, t[1], 42.1e3 / m, 42.1e3 / t[1]
            if (peak > 0) printf ", %.0f %% of the peak (%.0f)", 42.1e5 / m / threads / peak, 42.1e5 / t[1] / threads / peak
            printf "\n"
            n = 0
        }
        $1 != threads && n { show() }
        { threads = $1; t[++n] = $2 }
        END { show() }'
