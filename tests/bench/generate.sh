#!/bin/bash
# How long 2000 characters take: tests/bench/generate.sh RUN [MICROGPT [MICROGPT...]]
# RUN is the folder of a trained run, such as that of ToyGPT. Each program writes one sample of 2000 ids three times in
# turn, on one thread, with the window recomputed and hopping; prints the median and fastest seconds of the whole
# program. CHARACTERS and THREADS of the environment change that. A program that knows no [generate] window is timed
# as it is.
set -eu
run=$1
shift
[ $# != 0 ] || set -- ./microgpt
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
: "${MICROGPT_PLUGIN_PATH:=$(cd "$(dirname "$1")" && pwd)/plugins/.libs}"
export MICROGPT_PLUGIN_PATH

# seconds PROGRAM OPTION...: of one sample; the text in $scratch/text.
seconds()
{
    program=$1
    shift
    /usr/bin/env time -f %e -o "$scratch/seconds" "$program" generate --dir "$run" --samples 1 --max-tokens "${CHARACTERS:-2000}" \
        --set "backend.cpu.threads=${THREADS:-1}" "$@" >"$scratch/text" 2>"$scratch/err" || { cat "$scratch/err" >&2; exit 1; }
    tail -1 "$scratch/seconds"
}

for _ in 1 2 3; do
    for program in "$@"; do
        for window in recompute hop; do
            set_window=(--set "generate.window=$window")
            if ! "$program" config show | grep -q '^window = '; then
                [ $window = recompute ] || continue
                set_window=()
            fi
            seconds "$program" "${set_window[@]}" >>"$scratch/$(basename "$program") $window"
        done
    done
done
for times in "$scratch"/*' '*; do
    sort -g "$times" | awk -v name="$(basename "$times")" '
        { t[NR] = $1 } END { printf "%-24s %6.2f s (fastest %.2f)\n", name, t[int((NR + 1) / 2)], t[1] }'
done
