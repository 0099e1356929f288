#!/bin/bash
# How long a step of the default recipe takes, and how much memory: tests/bench/steps.sh [MICROGPT
# [OPTION...]]. Trains 20,000 steps (no validation, no checkpoint but the last) five times; prints
# the median step of each run, in microseconds, as blocks of 64 steps show it in metrics.jsonl, and
# the peak memory of the process. Without OPTIONs the recipe is that of conf/microgpt.ini.
set -eu
microgpt=${1:-./microgpt}
[ $# = 0 ] || shift
[ $# -gt 0 ] || set -- -c "$(cd "$(dirname "$0")/../.." && pwd)/conf/microgpt.ini"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
: "${MICROGPT_PLUGIN_PATH:=$(cd "$(dirname "$microgpt")" && pwd)/plugins/.libs}"
export MICROGPT_PLUGIN_PATH

for run in 1 2 3 4 5; do
    /usr/bin/env time -f %M -o "$scratch/memory" "$microgpt" train --dir "$scratch/run$run" \
        --steps 20000 \
        --val-every 0 --samples 0 --set train.checkpoint_every=0 --set logger.use=jsonl \
        --set backend.cpu.threads=1 "$@" >/dev/null 2>"$scratch/err" ||
        { cat "$scratch/err"; exit 1; }
    tr -d '"{},' <"$scratch/run$run/metrics.jsonl" |
        awk '{ for (i = 1; i < NF; i++) if ($i == "seconds:") s = $(i + 1)
               if (NR % 64 == 0) { print (s - last) / 64 * 1e6; last = s } }' |
        sort -g | awk -v memory="$(tail -1 "$scratch/memory")" '
            { t[NR] = $1 }
            END { printf "%.2f us a step (fastest %.2f, 9 of 10 below %.2f), peak memory %.1f MB\n",
                  t[int((NR + 1) / 2)], t[1], t[int(NR * 0.9)], memory / 1024 }'
done
