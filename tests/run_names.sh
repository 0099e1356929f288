# The main job: names are learned, printed, kept, continued, judged; nothing but the program is
# used.
. "$abs_top_srcdir/tests/run.sh"

run 0 train -c "$ini" --dir run
! grep -q 'longer than the context' err || fail 'our own data do not fit our own context'
has out '^num docs: [0-9]+ \(train [0-9]+, val [0-9]+\)$'
has out '^vocab size: 27$'
has out '^num params: 3632$'
has out '^step    1/ 500 \| loss 3\.[0-9]{4} '
has out '^step  500/ 500 \| loss [0-9]\.[0-9]{4} '
[ "$(grep -c '^val loss: [0-9]\.[0-9]\{4\}$' out)" = 5 ] || fail 'expected 5 validations'
[ "$(grep -cE '^sample [ 0-9]{2}: [a-z]{1,8}$' out)" -ge 18 ] ||
    fail 'expected 20 samples, like names'
[ "$(grep -c '^sample ' out)" = 20 ] || fail 'expected 20 samples'
first=$(grep -m1 '^val loss' out | cut -d' ' -f3)
last=$(grep '^val loss' out | tail -1 | cut -d' ' -f3)
awk -v a="$first" -v b="$last" 'BEGIN { exit !(b < a) }' ||
    fail "validation loss went from $first to $last"

for file in model.safetensors state.safetensors config.json tokenizer.json manifest.json; do
    [ -s "run/latest/$file" ] || fail "no run/latest/$file"
done
[ -e run/best/model.safetensors ] || fail 'no run/best'
[ "$(readlink run/latest)" = checkpoints/step-500 ] || fail "run/latest is $(readlink run/latest)"

# Metrics: one object a line, with the promised keys.
[ "$(grep -c '"loss"' run/metrics.jsonl)" = 500 ] || fail 'expected 500 step lines in metrics.jsonl'
for key in step loss grad_norm lr tokens_per_s; do
    [ "$(grep -c "\"$key\":" run/metrics.jsonl)" -ge 500 ] || fail "metrics.jsonl lacks $key"
done
[ "$(grep -c '"val_loss":' run/metrics.jsonl)" = 5 ] || fail 'metrics.jsonl lacks val_loss'

# eval says what training said; generate is the same for the same seed, and begins with its prompt.
run 0 eval --dir run
has out "^val loss: $last \\(mean over [0-9]+ predicted tokens in 20 of [0-9]+ held-out documents; .*/step-500\\)$"
has err '[-][-]val-docs N takes more'
run 0 eval --dir run -v -q # the last one wins
[ ! -s err ] || fail '-v -q is not quiet'
run 0 eval --dir run -q -v
has err 'takes more'
run 0 eval --dir run --val-docs 100000
has out ' in ([0-9]+) of \1 held-out documents; '
! grep -q 'takes more' err || fail 'eval says that more could be taken than all'
run 0 eval --dir run --json
has out '"val_loss": [0-9.]+'
# The logits that eval writes are those that its loss is of.
run 0 eval --dir run --val-docs 1 --json --logits logits.safetensors
python3 - out logits.safetensors <<'END' || fail 'the loss of eval is not that of its logits'
import json, math, struct, sys

loss = json.load(open(sys.argv[1]))["val_loss"]
data = open(sys.argv[2], "rb").read()
size = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8 : 8 + size])

def values(name, letter):
    begin, end = (8 + size + at for at in header[name]["data_offsets"])
    return struct.unpack(f"<{(end - begin) // 4}{letter}", data[begin:end])

rows, columns, vocab = header["logits"]["shape"]
assert header["ids"]["shape"] == header["targets"]["shape"] == [rows, columns] and vocab == 27
logits, targets = values("logits", "f"), values("targets", "i")
losses = [math.log(sum(map(math.exp, logits[i * vocab : (i + 1) * vocab]))) - logits[i * vocab + t]
          for i, t in enumerate(targets) if t >= 0]
assert abs(sum(losses) / len(losses) - loss) < 1e-5, (losses, loss)
END
checks=$((checks + 1))
run 1 eval --dir run --logits no/such/folder/logits.safetensors
has err 'no/such/folder/logits.safetensors'

run 0 generate --dir run --samples 3 --prompt mar --seed 7
[ "$(grep -c '^mar' out)" = 3 ] || fail 'samples do not begin with the prompt'
mv out first
run 0 generate --dir run --samples 3 --prompt mar --seed 7
cmp -s first out || fail 'the same seed gave other samples'
run 0 generate --dir run --samples 1 --max-tokens 3 --checkpoint best
run 0 generate --dir run --samples 2 --json
has out '^\{"sample":1,"text":"'

# A run is not overwritten; it goes on when asked to.
cp -r run before
run 3 train -c "$ini" --dir run
has err 'already holds a run'
diff -r run before >/dev/null || fail 'a refused train touched the run'
run 0 train -c "$ini" --dir run --resume --steps 510 --samples 0
has out '^step  510/ 510 '
[ "$(grep -c '^step' out)" = 10 ] || fail 'resuming did other than the ten steps left'

# --resume without a checkpoint starts, saying so.
run 0 train -c "$ini" --dir fresh --resume --steps 3 --samples 0
has err 'starting at step 0'
run 0 train -c "$ini" --dir fresh --resume --steps 5 --samples 2
cp fresh/metrics.jsonl metrics
run 0 train -c "$ini" --dir fresh --resume --steps 5 --samples 2
[ ! -s out ] || fail 'a finished run ran again'
has err 'fresh: all 5 steps are done; --steps 10 goes on to step 10$'
cmp metrics fresh/metrics.jsonl || fail 'a finished run logged anew'

# A signal while it samples: the run is whole.
"$MICROGPT" train -c "$ini" --dir sampling --steps 3 --val-every 0 --samples 100000000 \
    >out 2>err </dev/null &
pid=$!
until grep -q '^sample' out || ! kill -0 $pid 2>/dev/null; do sleep 0.1; done
kill -INT $pid
wait $pid
[ $? = 130 ] || fail 'a signal while sampling: another exit code'
has err 'warning: stopped while sampling; all 3 steps are done and saved$'

# A folder has one trainer at a time.
"$MICROGPT" train -c "$ini" --dir busy --steps 100000000 --val-every 0 \
    --set train.checkpoint_every=0 \
    --set logger.use=jsonl >/dev/null 2>&1 </dev/null &
pid=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -s busy/config.ini ] && break
    sleep 0.1
done
run 3 train -c "$ini" --dir busy --resume
has err 'another microgpt is training'
kill -KILL $pid
wait $pid 2>/dev/null
run 0 train -c "$ini" --dir busy --resume --steps 3 --samples 0

# A signal saves and says how to go on.
for signal in INT TERM; do
    "$MICROGPT" train -c "$ini" --dir "sig$signal" --steps 100000000 --val-every 0 \
        --set train.checkpoint_every=0 --set logger.use=jsonl >out 2>err </dev/null &
    pid=$!
    sleep 0.5
    kill -$signal $pid
    wait $pid
    got=$?
    [ $got = 130 ] || fail "SIG$signal: exit $got, expected 130"
    has err 'microgpt train --resume'
    [ -s "sig$signal/latest/manifest.json" ] || fail "SIG$signal: nothing was saved"
done
echo "names: $checks checks"
