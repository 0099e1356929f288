# Killed at any moment and resumed, on any number of threads, a run ends with the same bits.
. "$abs_top_srcdir/tests/run.sh"

steps=24
train()
{
    "$MICROGPT" train -c "$ini" --steps $steps --val-every 6 --val-docs 4 --samples 0 \
        --set train.checkpoint_every=1 --set train.batch=3 --set train.accumulate=2 \
        --set model.dropout=0.2 "$@" >out 2>err </dev/null
}

train --dir whole || fail 'the run that is not killed failed'
want=$(sum whole)

for threads in 1 2 3 8 17; do
    rm -rf run
    train --dir run --set backend.cpu.threads=$threads || fail "$threads threads: failed"
    [ "$(sum run)" = "$want" ] || fail "$threads threads: other bits"
    checks=$((checks + 1))
done

# resume THREADS...: goes on, with another number of threads each time, until the run is done.
resume()
{
    for threads in "$@" 1; do
        train --dir run --resume --set backend.cpu.threads="$threads" && return 0
    done
    fail 'the resumed run failed'
}

# Killed by the clock, wherever it happens to be.
killed=0
for delay in 0.01 0.015 0.02 0.03 0.04 0.05 0.07 0.09 0.12 0.15; do
    rm -rf run
    timeout -s KILL $delay "$MICROGPT" train -c "$ini" --dir run --steps $steps --val-every 6 \
        --val-docs 4 --samples 0 --set train.checkpoint_every=1 --set train.batch=3 \
        --set train.accumulate=2 --set model.dropout=0.2 >out 2>err </dev/null ||
        killed=$((killed + 1))
    resume 2
    [ "$(sum run)" = "$want" ] || fail "killed after $delay s and resumed: other bits"
    [ "$(grep -c '"loss"' run/metrics.jsonl)" = $steps ] ||
        fail "killed after $delay s: metrics.jsonl has holes"
    checks=$((checks + 1))
done
[ $killed -gt 0 ] || fail 'no run was killed in time: the test says nothing'

# Killed at the n-th fsync, which falls into every step and every part of a save.
if ! command -v strace >/dev/null || ! strace -o /dev/null true 2>/dev/null; then
    echo 'strace cannot trace here: killed by the clock alone'
else
    total=$(ASAN_OPTIONS=detect_leaks=0 strace -f -c -e trace=fsync -o count "$MICROGPT" train \
        -c "$ini" --dir counted \
        --steps $steps --val-every 6 --val-docs 4 --samples 0 --set train.checkpoint_every=1 \
        --set train.batch=3 --set train.accumulate=2 --set model.dropout=0.2 >out 2>err </dev/null
        awk '$NF == "fsync" { print $4 }' count)
    [ "${total:-0}" -gt $steps ] || fail "expected more fsyncs than $steps, counted ${total:-none}"
    at=2
    while [ $at -lt "$total" ]; do
        rm -rf run
        ASAN_OPTIONS=detect_leaks=0 strace -f -o /dev/null -e trace=fsync \
            -e inject=fsync:signal=SIGKILL:when=$at "$MICROGPT" train -c "$ini" --dir run \
            --steps $steps --val-every 6 --val-docs 4 --samples 0 --set train.checkpoint_every=1 \
            --set train.batch=3 --set train.accumulate=2 --set model.dropout=0.2 \
            >out 2>err </dev/null &&
            fail "fsync $at of $total: was not killed"
        resume 8
        [ "$(sum run)" = "$want" ] || fail "killed at fsync $at of $total and resumed: other bits"
        checks=$((checks + 1))
        at=$((at + 5))
    done
fi
echo "resume: $checks checks"
