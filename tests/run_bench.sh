# The benchmark: every backend, precision and step is there, and says why when it cannot run here.
. "$abs_top_srcdir/tests/run.sh"

command -v python3 >/dev/null || skip 'no python3'
toy=$abs_top_srcdir/conf/toygpt.ini
small=(--set model.layers=2 --set model.heads=4 --set model.embd=32 --set model.mlp=128
    --set model.context=16 --set train.batch=4)
printf 'anna\nbob\ncarla\ndora\nemil\nfrida\ngustav\nhanna\nida\njonas\n' >few.txt

# ask EXPRESSION: is it true of the report in `out`, r?
ask()
{
    python3 -c "
import json, sys
r = json.load(open('out'))
ran = [s for s in r['steps'] if s['outcome'] == 'ran']
sys.exit(not ($1))" || fail "not true of the report: $1"
    checks=$((checks + 1))
}

# sound: what holds of every report.
sound()
{
    for file in "$MICROGPT_PLUGIN_PATH"/{backend,precision,step}_*.so; do
        [ -e "$file" ] || continue
        module=$(basename "$file" .so)
        ask "'${module#*_}' in {s['${module%%_*}'] for s in r['steps']}"
    done
    ask "all(s['outcome'] == 'ran' or s['outcome'] == 'skipped' and s['reason'] for s in r['steps'])"
    ask "{('ref', 'fp32', 'composed'), ('ref', 'fp64', 'composed'), ('cpu', 'fp32', 'composed')} <=
         {(s['backend'], s['precision'], s['step']) for s in ran}"
    ask "all(s['fastest'] <= s['seconds'] and s['samples'] >= 1 for s in ran)"
    ask "all(s['flops_per_second'] > 0 and s['share_of_peak'] > 0 for s in ran)"
    ask "all(s['loss_difference'] < 1e-3 and s['norm_difference'] < 0.2 for s in ran)"
    ask "all(s['loss_difference'] <= 1e-5 for s in ran if s['precision'] == 'fp32')"
    ask "{'linear', 'attention_backward', 'norm', 'cross_entropy', 'update'} <= {o['op'] for o in r['ops']}"
    ask "all(o['seconds'] > 0 and o['calls'] >= 1 for o in r['ops'])"
    # Products and attention of the step are the FLOPs of the plan.
    ask "abs(sum(o['calls'] * o['flops'] for o in r['ops']) / r['flops'] - 1) < 1e-6"
    ask "all(p['flops_per_second'] > 1e8 for p in r['peaks'])"
}

run 0 bench -c "$ini" --json --seconds 1 --set dataset.path=few.txt
sound
ask "r['vocab'] == 20 and r['columns'] == 8 and r['note'] == ''"
run 0 bench -c "$toy" "${small[@]}" --json --seconds 1
sound
ask "r['vocab'] == 65 and 'tinyshakespeare.txt' in r['note']"
ask "r['rows'] == 4 and r['columns'] == 16 and r['flops'] == 64 * 6 * (2 * 12 * 32 * 32 + 65 * 32 + 2 * 32 * 17)"
run 0 bench -c "$toy" "${small[@]}" --json --seconds 1 --steps 2 --vocab 77 \
    --set model.vocab=80 --set train.accumulate=3 --set model.dropout=0.1 --set train.clip=0.5
ask "r['vocab'] == 77 and r['rows'] == 12 and all(s['samples'] <= 2 for s in ran)"
# --vocab wins, smaller or larger; without data [model] vocab is the next to say.
few=(--json --seconds 0.3 --only cpu)
run 0 bench -c "$ini" "${few[@]}" --vocab 100 --set model.vocab=50
ask "r['vocab'] == 100 and r['note'] == ''"
run 0 bench -c "$ini" "${few[@]}" --set dataset.path=/nonexistent --set model.vocab=27
ask "r['vocab'] == 27 and 'taken to be 27 ' in r['note']"
run 0 bench -c "$ini" "${few[@]}" --set dataset.path=few.txt --set model.vocab=30
ask "r['vocab'] == 30 and r['note'] == ''"

# For people: a line for each, and nothing on stderr but why there is no GPU.
run 0 bench -c "$ini" --seconds 0.5 --vocab 27
has out '^model: 3632 parameters'
has out '^cpu +fp32 +composed +1x8 '
has out '^cpu +fp64 +composed +skipped: .*F64'
has out '^attention_backward +1x8x48 +1 '
has out '^peak: [0-9.]+ GFLOP/s'
! grep -vq 'backend = auto: not cuda' err || fail 'bench has something to say on stderr'

# What is wrong is marked, and fails.
mkdir modules && chmod 755 modules
cp "$MICROGPT_TEST_PLUGINS/bad_backend.so" modules/backend_wrong.so || fail "no bad_backend"
chmod 644 modules/backend_wrong.so
run 1 bench -P modules -c "$ini" --seconds 0.5 --vocab 27
has out '^wrong +fp32 +composed .*WRONG$'
has err 'error: backend wrong, precision fp32, step composed: not what ref computes'

run 0 bench -c "$ini" --seconds 0.5 --vocab 27 --only cpu
has out '^cpu +fp32 '
! grep -qE '^ref ' out || fail 'another backend than --only says'
run 2 bench -c "$ini" --seconds 0.5 --vocab 27 --only nobody
has err 'no such backend'
run 2 bench --seconds 0
run 2 bench --steps x
run 2 bench --vocab 0
run 3 bench -c "$ini" --vocab 27 --set train.batch=65536 --set model.context=1048576
has err 'needs .*B of memory'
echo "bench: $checks checks"
