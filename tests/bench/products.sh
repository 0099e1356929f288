#!/bin/bash
# The cpu backend's products against those of libraries: tests/bench/products.sh, from the build
# folder. Builds tests/bench/products there; then, for each shape rows x K x N of a linear layer and
# for y = x w^T, dx = dy w and dw += dy^T x, ours, oneDNN's sgemm and OpenBLAS's (Debian:
# libdnnl-dev, libopenblas-dev) take turns, each in a process of its own. Prints the median over the
# rounds in GFLOP/s, and what share of the best ours is: the median of the rounds' shares, and their
# spread. Libraries that are absent are named.
# The environment may set: THREADS ("1 2"), ROUNDS (5), SHAPES (those of ToyGPT, 32 windows of 128,
# of GPT-2, 4 of 64, and 1024x1024x1024).
set -euo pipefail
: "${SHAPES:=4096x128x384 4096x128x512 4096x512x128 256x768x3072 256x768x2304 256x3072x768 1024x1024x1024}"
: "${THREADS:=1 2}" "${ROUNDS:=5}" "${MICROGPT_PLUGIN_PATH:=$PWD/plugins/.libs}"
export MICROGPT_PLUGIN_PATH
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE OMP_NUM_THREADS OMP_WAIT_POLICY OPENBLAS_NUM_THREADS \
    GOMP_SPINCOUNT
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
make -s tests/bench/products

who=cpu
for library in onednn openblas; do
    if tests/bench/products $library 1 1x1x1 y >/dev/null 2>"$scratch/err"; then
        who="$who $library"
    else
        echo "products.sh: no $library: $(head -1 "$scratch/err")"
    fi
done
[ "$who" != cpu ] ||
    echo "products.sh: nobody to compare with (Debian: libdnnl-dev, libopenblas-dev)"

for round in $(seq "$ROUNDS"); do
    for threads in $THREADS; do
        export OMP_NUM_THREADS=$threads OPENBLAS_NUM_THREADS=$threads
        for shape in $SHAPES; do
            for what in y dx dw; do
                for contender in $who; do
                    seconds=$(tests/bench/products "$contender" "$threads" "$shape" "$what")
                    echo "$round $threads $contender $shape $what $seconds"
                done
            done
        done
    done
    echo "products.sh: round $round of $ROUNDS" >&2
done >"$scratch/times"

awk -v who="$who" '
    function middle(a, n,   i, j, x) { # sorts a
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && a[j - 1] > a[j]; j--) { x = a[j]; a[j] = a[j - 1]; a[j - 1] = x }
        return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
    }
    {
        key = $2 " " $4 " " $5
        time[key, $3, $1] = $6
        rounds = $1 > rounds ? $1 : rounds
        if (!(key in known)) { known[key]; order[++keys] = key }
    }
    END {
        n = split(who, names, " ")
        printf "%-7s %-15s %-3s", "threads", "shape", ""
        for (i = 1; i <= n; i++) printf " %9s", names[i]
        printf "   GFLOP/s; of the best\n"
        for (k = 1; k <= keys; k++) {
            key = order[k]
            split(key, part, " ")
            split(part[2], size, "x")
            printf "%-7s %-15s %-3s", part[1], part[2], part[3]
            for (i = 1; i <= n; i++) {
                for (r = 1; r <= rounds; r++) t[r] = time[key, names[i], r]
                printf " %9.1f", 2e-9 * size[1] * size[2] * size[3] / middle(t, rounds)
            }
            for (r = 1; r <= rounds; r++) {
                best = time[key, "cpu", r]
                for (i = 1; i <= n; i++)
                    if (time[key, names[i], r] < best) best = time[key, names[i], r]
                share[r] = best / time[key, "cpu", r]
            }
            m = middle(share, rounds)
            printf "   %3.0f %% (%.0f .. %.0f)\n", 100 * m, 100 * share[1], 100 * share[rounds]
            if (!(part[1] in worst) || m < worst[part[1]]) worst[part[1]] = m
        }
        for (threads in worst) printf "threads %s: never below %.0f %% of the best\n", threads, 100 * worst[threads]
    }' "$scratch/times"
