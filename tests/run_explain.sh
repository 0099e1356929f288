# train --explain says what train then does: device, formats, step, update, copies; and it leaves
# nothing behind.
. "$abs_top_srcdir/tests/run.sh"

data=(--set "dataset.path=$abs_top_srcdir/conf/data/given-names.txt" -P "$MICROGPT_TEST_PLUGINS")
small=(-c "$ini" "${data[@]}" --steps 3 --samples 0 --val-docs 2)

# explained BACKEND PRECISION STEP OPTION...: the explanation in out; a run with the same options
# uses them.
explained()
{
    backend=$1 precision=$2 step=$3
    shift 3
    run 0 train "${small[@]}" --dir none "$@" --explain
    [ ! -e none ] || fail '--explain left a folder'
    has out "^device +$backend \("
    has out "^precision +$precision: "
    has out "^step +$step, which covers FB"
    ! grep -q '^step *[0-9]*/' out || fail '--explain trained'
    cp out explanation
    run 0 train "${small[@]}" --dir "run$checks" "$@"
    has err "backend $backend \(.*, precision $precision, step $step, "
    cp explanation out
}

json() { grep -oE "\"$1\": \"?[^\",]*" out | head -1 | sed 's/.*: "*//'; }

# --- the default: what was asked, and what the others said ---
run 0 train "${small[@]}" --dir none --explain
has out '^ +not ref: could run here'
explained cpu fp32 fused_cpu --set backend.use=cpu
has out '^step +fused_cpu, which covers FBCUS: the highest bid'
has out '^ +composed bids 1 for FBCUS: op by op'
has out '^ +fused_cpu bids 100 for FBCUS: the whole step in cache'
has out '^optimizer +the rule of adamw, inlined by step fused_cpu$'
has out '^staged +0 bytes a step$'
explained cpu fp32 composed --set backend.use=cpu --set step.use=composed
has out '^step +composed, .*: --set step.use=composed says so$'
has out '^ +fused_cpu bids 100 for FBCUS'
has out '^optimizer +the rule of adamw, on the device$'
has out '^ops +[0-9]+ that the core calls'

# --- formats, resolved ---
explained ref fp16 composed --set backend.use=ref --set precision.use=fp16
has out 'weights, gradients and sums F32, activations F16, products of F16$'
has out 'the loss times 65536 at first, times 2 after 2000 good steps, times 0.5 after one that overflows'
has out '^ +fused_cpu bids 0: needs '
explained ref tf32 composed --set backend.use=ref --set precision.use=tf32
has out 'products of F32 rounded to TF32$'
explained cpu fp32 fused_cpu --set backend.use=cpu --set precision.use=tf32
has out 'precision +fp32: precision = tf32: cpu multiplies F32 as it is, without TF32, so fp32$'
explained ref fp32 composed --set backend.use=ref --set precision.use=auto
has out 'precision = auto: reference computes on the processor, so fp32$'

# --- a device of seven functions: everything on copies ---
explained slow fp32 composed --set backend.use=slow
has out '^optimizer +the rule of adamw, by the core, on copies'
has out '^ops +([0-9]+) that the core calls: 0 on the device, 0 by the core on its memory, \1 by the core on copies$'
has out '^ +linear_backward: 5 by the core on copies, [1-9][0-9]* bytes$'
one=$(sed -n 's/^staged *\([0-9]*\) bytes a step$/\1/p' out)
run 0 train "${small[@]}" --dir none --set backend.use=slow --set train.accumulate=3 --explain
three=$(sed -n 's/^staged *\([0-9]*\) bytes a step$/\1/p' out)
[ "$three" -gt $((one + one / 2)) ] && [ "$three" -lt $((3 * one)) ] ||
    fail "a step of 3 micro-batches copies $three bytes, one of 1 $one"
run 4 train "${small[@]}" --dir none --set backend.use=slow --set backend.fallback=error --explain
has err 'fallback = error'
has out '^device +slow'

# --- whole tensors ---
explained ref fp32 composed --set backend.use=ref --set optimizer.use=muon
has out '^optimizer +ops that muon recorded, and its rule for the rest, on the device$'

# --- what would be refused: the bids are told all the same ---
run 4 train "${small[@]}" --dir none --set backend.use=ref --set step.use=fused_cpu --explain
has out '^step +none$'
has out '^ +fused_cpu bids 0: needs a device that computes in F32 on memory of the host$'
has err 'step. use = fused_cpu, but it cannot run this'
run 4 train "${small[@]}" --dir none --set backend.use=cpu --set precision.use=fp16 --explain
has err 'fp16 needs a device with F16'
[ ! -e none ] || fail '--explain left a folder'

# --- for programs ---
run 0 train "${small[@]}" --dir none --set backend.use=slow --explain --json
[ "$(json name)" = slow ] || fail 'json: the device'
[ "$(json staged_bytes)" -gt 0 ] || fail 'json: bytes of an op'
grep -A6 '"linear": {' out | grep -q '"staged": 5,' || fail 'json: linear is not staged 5 times'
has out '"loss_scaling": false'
has out '"reason": "op by op: any model on any device'
run 2 train "${small[@]}" --dir none --json
has err 'explain --json'

# What a module says need not be UTF-8, and it is told all the same.
if [ -n "${CC:-}" ]; then
    mkdir foreign
    $CC -shared -fPIC -I"$abs_top_srcdir/core" "$abs_top_srcdir/tests/plugins/step_latin.c" \
        -o foreign/step_latin.so || fail 'step_latin.c does not compile'
    run 0 train "${small[@]}" --dir none -P "$PWD/foreign" --explain --json
    [ "$(json name)" ] || fail 'json: after a reason that is not UTF-8'
    has out '"name": "latin",'
    has out $'"reason": "nothing for a ger\xef\xbf\xbdt"'
    run 0 plugins list -P "$PWD/foreign" --json
    has out $'"summary": "for tests: ger\xef\xbf\xbdt"'
fi

# --- a run that is there ---
run 0 train "${small[@]}" --dir there --set backend.use=ref --set precision.use=bf16
before=$(cd there && find . -type f -exec sha256sum {} + | sort)
run 0 train --resume --dir there --explain
has out '^precision +bf16: .*config.ini:[0-9]+ says so$'
[ "$before" = "$(cd there && find . -type f -exec sha256sum {} + | sort)" ] ||
    fail '--explain touched a run'
echo "explain: $checks checks"
