# The second recipe, made small: a text is learned in windows; what its settings promise holds.
. "$abs_top_srcdir/tests/run.sh"

toy=$abs_top_srcdir/conf/toygpt.ini
text=${names%/names.txt}/tinyshakespeare.txt
if [ ! -r "$text" ]; then
    text=$scratch/text.txt # some 90,000 characters of no great beauty
    awk 'BEGIN {
        n = split("the king shall not come to this house of sorrow ere night is done and all men sleep", word, " ")
        for (i = 1; i <= 18000; i++) {
            seed = (seed * 1103 + 12345) % 65536
            printf "%s%s", word[seed % n + 1], i % 9 ? " " : ",\n"
        }
    }' >"$text"
fi
if [ "$(wc -c <"$text")" -lt 50000 ]; then fail "$text is too short"; fi

# small FOLDER OPTION...: trains the small size anew; the output in FOLDER.out.
small=(--set "dataset.path=$text" --set model.layers=2 --set model.heads=4 --set model.embd=32
    --set model.mlp=128 --set model.context=16 --set train.batch=4 --steps 10 --samples 0
    --val-every 4 --set train.val_batches=5 --set backend.use=cpu)
small()
{
    folder=$1
    shift
    rm -rf "$folder"
    run 0 train -c "$toy" "${small[@]}" --dir "$folder" "$@"
    cp out "$folder.out"
}

# numbers FOLDER KEY: one a line, from metrics.jsonl.
numbers() { sed -n "s/.*\"$2\": \([-+.0-9e]*\).*/\1/p" "$1/metrics.jsonl"; }

# near TOLERANCE FOLDER FOLDER: the losses of two runs are as many and as near.
near()
{
    for key in loss val_loss train_loss; do
        paste <(numbers "$2" $key) <(numbers "$3" $key) | awk -v most="$1" '
            NF != 2 || $1 - $2 > most || $2 - $1 > most { print "line " NR ": " $0; bad = 1 }
            END { exit bad || !NR }' >&2 || fail "$key of $2 and $3 differ by more than $1"
    done
    checks=$((checks + 1))
}

# tensor FOLDER NAME: digest of one tensor's bytes.
tensor()
{
    file=$1/latest/model.safetensors
    size=$(od -An -tu8 -N8 "$file" | tr -d ' ')
    range=$(head -c $((8 + size)) "$file" | tail -c "$size" |
        grep -o "\"$2\":{[^}]*}" | sed 's/.*"data_offsets":\[\([0-9]*\),\([0-9]*\)\].*/\1 \2/')
    [ -n "$range" ] || fail "$file has no $2"
    tail -c +$((9 + size + ${range% *})) "$file" | head -c $((${range#* } - ${range% *})) |
        sha256sum
}

# --- the recipe ---
run 0 config check -c "$toy"
[ ! -s err ] || fail 'config check of toygpt.ini has something to say'
small cpu
grep -Eqx 'num tokens: train [0-9]+, val [0-9]+' cpu.out || fail 'not one text'
small ref --set backend.use=ref
near 1e-5 cpu ref
[ "$(numbers cpu loss | wc -l)" = 10 ] || fail 'expected 10 losses'
small walk --set step.use=fused_cpu
near 1e-5 walk ref

# --- validation ---
# moments FOLDER: where the val lines stand, by the step printed before them.
moments() { awk '/^step/ { step = $2 + 0 } /^val loss/ { printf "%d ", step }' "$1.out"; }
[ "$(moments cpu)" = '0 4 8 9 ' ] || fail "validated before steps after: $(moments cpu)"
[ "$(sed -n 's/{"step": \([0-9]*\), "val_loss".*/\1/p' cpu/metrics.jsonl | tr '\n' ' ')" = \
    '0 4 8 9 ' ] ||
    fail 'metrics.jsonl numbers the validations otherwise'
[ "$(grep -cE '^val loss: [0-9]\.[0-9]{4} \| train loss: [0-9]\.[0-9]{4}$' cpu.out)" = 4 ] ||
    fail 'expected both losses four times'
small after --set train.val_when=after --set train.val_train=false
[ "$(moments after)" = '4 8 ' ] || fail "validated after steps: $(moments after)"
[ "$(grep -cE '^val loss: [0-9]\.[0-9]{4}$' after.out)" = 2 ] ||
    fail 'the line of val loss has changed'
small never --val-every 0
for other in after never; do
    [ "$(sha256sum <cpu/latest/model.safetensors)" = \
        "$(sha256sum <$other/latest/model.safetensors)" ] ||
        fail "validation ($other) disturbs training"
done
[ "$(readlink cpu/best)" = checkpoints/step-9 ] || fail "best is $(readlink cpu/best)"
last=$(grep '^val loss' cpu.out | tail -1)
run 0 eval --dir cpu --checkpoint best
has out "^${last/|/\\|} \(mean over 320 predicted tokens in [0-9]+ windows; "
has err '[-][-]set train.val_batches=N takes more'
run 0 eval --dir cpu --json
has out '"train_loss": [0-9]'

# --- micro-batches, dropout, clip, decay, other modules ---
small whole --set model.dropout=0.2 --set train.batch=6
small parts --set model.dropout=0.2 --set train.batch=2 --set train.accumulate=3 \
    --set train.val_batches=15
near 1e-5 whole parts
small parts_ref --set model.dropout=0.2 --set train.batch=2 --set train.accumulate=3 \
    --set backend.use=ref \
    --set train.val_batches=15
near 1e-5 parts parts_ref
[ "$(numbers cpu loss)" != "$(numbers whole loss)" ] || fail 'dropout does nothing'
small loose --set train.clip=1e6
[ "$(sum loose)" = "$(sum cpu)" ] || fail 'a clip that is never reached changes bits'
small tight --set train.clip=0.01
[ "$(numbers tight grad_norm | head -1)" = "$(numbers cpu grad_norm | head -1)" ] ||
    fail 'grad_norm is clipped'
[ "$(sum tight)" != "$(sum cpu)" ] || fail 'clip does nothing'
small tight_ref --set train.clip=0.01 --set backend.use=ref
near 1e-5 tight tight_ref

small none --steps 1 --set train.weight_decay=0
small matrices --steps 1
small all --steps 1 --set train.decay=all
for name in h.0.attn.qkv.weight h.1.mlp.fc.weight wte.weight wpe.weight lm_head.weight; do
    [ "$(tensor matrices $name)" = "$(tensor all $name)" ] ||
        fail "$name: decays otherwise among all"
    [ "$(tensor matrices $name)" != "$(tensor none $name)" ] || fail "$name: does not decay"
done
for name in h.0.ln_1.weight h.1.mlp.fc.bias ln_f.weight h.0.attn.proj.bias; do
    [ "$(tensor matrices $name)" = "$(tensor none $name)" ] || fail "$name: decays"
    [ "$(tensor matrices $name)" != "$(tensor all $name)" ] ||
        fail "$name: decays with the matrices alone"
done

modules=(--set optimizer.use=lion --set train.lr=1e-4 --set scheduler.use=wsd
    --set scheduler.wsd.decay=4
    --set scheduler.wsd.warmup=2 --set scheduler.wsd.floor=2e-5)
small lion "${modules[@]}"
[ "$(numbers lion lr | tr '\n' ' ')" = \
    '5e-05 0.0001 0.0001 0.0001 0.0001 0.0001 0.0001 8e-05 6e-05 4e-05 ' ] ||
    [ "$(numbers lion lr | awk '{ printf "%g ", 1e5 * $1 }')" = '5 10 10 10 10 10 10 8 6 4 ' ] ||
    fail "wsd gives $(numbers lion lr | tr '\n' ' ')"
small lion_ref "${modules[@]}" --set backend.use=ref
near 1e-4 lion lion_ref # a sign turns at once where a gradient is near 0
numbers lion val_loss | awk 'NR == 1 { a = $1 } { b = $1 } END { exit !(b < a) }' ||
    fail 'lion learns nothing'

# --- killed and resumed ---
state=(--steps 60 --val-every 7 --set train.accumulate=3 --set model.dropout=0.2
    --set train.patience=50
    --set train.checkpoint_every=5)
small plain "${state[@]}"
want=$(sum plain)
for threads in 1 2 3 8 17 32; do
    small run "${state[@]}" --set backend.cpu.threads=$threads
    [ "$(sum run)" = "$want" ] || fail "$threads threads: other bits"
done

# resume FOLDER WHAT OPTION...: goes on with other threads, to the bits of an unbroken run.
resume()
{
    folder=$1
    what=$2
    shift 2
    run 0 train -c "$toy" "${small[@]}" "$@" --dir "$folder" --resume
    [ "$(sum "$folder")" = "$want" ] || fail "$what and resumed: other bits"
    [ "$(readlink "$folder/best")" = "$(readlink plain/best)" ] ||
        fail "$what and resumed: another best"
    for key in '"loss"' '"val_loss"'; do
        [ "$(grep -o "^{\"step\": [0-9]*, $key: [^,]*" "$folder/metrics.jsonl")" = \
            "$(grep -o "^{\"step\": [0-9]*, $key: [^,]*" plain/metrics.jsonl)" ] ||
            fail "$what and resumed: metrics.jsonl has other lines of $key"
    done
}

threads=(1 2 3 8 17 32)
killed=0
for ((i = 0; i < 24; i++)); do
    rm -rf run
    delay=$(printf 0.%03d $((10 + 5 * i)))
    { # bash's own word on a killed child goes to its stderr
        timeout -s KILL "$delay" "$MICROGPT" train -c "$toy" "${small[@]}" "${state[@]}" \
            --dir run --set backend.cpu.threads=2 >out 2>err </dev/null || killed=$((killed + 1))
    } 2>/dev/null
    resume run "killed after $delay s" "${state[@]}" --set "backend.cpu.threads=${threads[i % 6]}"
done
[ $killed -gt 0 ] || fail 'no run was killed in time: the test says nothing'

# The same of the step that walks.
walks=("${state[@]}" --set step.use=fused_cpu --set train.batch=40 --set train.val_batches=1)
small plain "${walks[@]}"
want=$(sum plain)
for delay in 0.05 0.1 0.2 0.4; do
    rm -rf run
    { # as above
        timeout -s KILL "$delay" "$MICROGPT" train -c "$toy" "${small[@]}" "${walks[@]}" \
            --dir run --set backend.cpu.threads=3 >out 2>err </dev/null
    } 2>/dev/null
    resume run "walking, killed after $delay s" "${walks[@]}" --set backend.cpu.threads=2
done

# A signal in a validation: nothing of it is kept, and the resumed run makes it anew.
for when in before after; do
    rm -rf slow
    small plain "${state[@]}" --set train.val_when=$when
    want=$(sum plain)
    "$MICROGPT" train -c "$toy" "${small[@]}" "${state[@]}" --set train.val_when=$when \
        --set train.val_batches=1000000 --dir slow >out 2>err </dev/null &
    pid=$!
    begun=', step composed, ' # all is open, and the first validation next
    [ $when = before ] || begun='^step +7/'
    for ((i = 0; i < 300; i++)); do
        if cat out err | grep -qE "$begun"; then break; fi
        sleep 0.1
    done
    sleep 0.5
    kill -INT $pid
    wait $pid
    got=$?
    [ $got = 130 ] || fail "SIGINT in a validation: exit $got, expected 130"
    has err 'microgpt train --resume'
    step=0
    [ $when = before ] || step=7
    [ "$(readlink slow/latest)" = checkpoints/step-$step ] ||
        fail "saved $(readlink slow/latest), expected $step"
    resume slow "stopped in a validation ($when)" "${state[@]}" --set train.val_when=$when
done

"$MICROGPT" eval --dir slow --set train.val_batches=100000000 >out 2>err </dev/null &
pid=$!
sleep 1
kill -INT $pid
wait $pid
got=$?
[ $got = 130 ] || fail "SIGINT in eval: exit $got, expected 130"
has err 'warning: stopped$'

# --- early stopping ---
stops=(--steps 400 --val-every 3 --set train.patience=4 --set train.lr=3
    --set scheduler.use=constant
    --set train.checkpoint_every=7 --samples 1 --set generate.max_tokens=5)
small plain "${stops[@]}"
has plain.out '^note: stopped early, after step [0-9]+: no validation loss below [0-9.]+ in 4$'
has plain.out '^sample  1: '
at=$(readlink plain/latest)
[ "${at#checkpoints/step-}" -lt 399 ] || fail 'patience did not end the run'
validations=$(numbers plain val_loss | awk '
    NR == 1 || $1 < best { best = $1; since = 0; next } { since++ } END { print since }')
[ "$validations" = 4 ] || fail "stopped after $validations validations without improvement"
want=$(sum plain)
resume plain 'stopped early' "${stops[@]}"
has err 'plain: stopped early, after step [0-9]+; a larger \[train\] patience goes on$'
if grep -q '^step' out; then fail 'a run that had stopped early went on'; fi
for delay in 0.02 0.03 0.04 0.06; do
    rm -rf run
    { timeout -s KILL $delay "$MICROGPT" train -c "$toy" "${small[@]}" "${stops[@]}" --dir run \
        >out 2>err </dev/null
    } 2>/dev/null
    resume run "killed after $delay s" "${stops[@]}"
done

# --- writing ---
run 0 generate --dir cpu --samples 1 --max-tokens 100 --seed 3
[ "$(wc -m <out)" = 101 ] ||
    fail "generate wrote $(wc -m <out) characters, expected 100 and a newline"
mv out first
run 0 generate --dir cpu --samples 1 --max-tokens 100 --seed 3
cmp -s first out || fail 'the same seed wrote another text'
[ ! -s err ] || fail 'generate has something to say'
run 0 generate --dir cpu --samples 2 --max-tokens 100 --seed 3 --set generate.window=hop
[ "$(grep -c 'window = hop' err)" = 1 ] || fail 'a hopping window is to be told, once'
"$MICROGPT" generate --dir cpu --max-tokens 100 --seed 3 --samples 1 --prompt "$(head -c 3 out)" \
    --set generate.window=hop >both 2>&1 </dev/null || fail 'generate with a prompt'
head -n 1 both | grep -q '^microgpt: .*window = hop' ||
    fail 'the hopping window is told within the text'
run 0 generate --dir cpu --samples 1 --max-tokens 5 --seed 3 --set generate.window=hop
[ ! -s err ] || fail 'a window that cannot hop is told'
run 0 generate --dir cpu --samples 2 --max-tokens 100 --seed 3 --set generate.window=hop
[ "$(head -c 16 out)" = "$(head -c 16 first)" ] || fail 'hop differs within the context'
cmp -s <(head -c 101 out) first && fail 'hop changes nothing past the context'
stop=$(tr '\n' _ <first | cut -c41-43) # three characters of the text
stop=${stop//_/\\n}
stop=${stop// /\\s}
run 0 generate --dir cpu --samples 1 --max-tokens 100 --seed 3 --stop "no such text|$stop"
n=$(($(wc -c <out) - 1))
[ $n -le 40 ] || fail "the stop string '$stop' did not end the text"
cmp -s <(head -c $n out) <(head -c $n first) || fail 'a stop string changed the text before it'
run 3 generate --dir cpu --stop 'a|'
has err '^microgpt: error: --stop a\|: \[generate\] stop = a\|: an empty string'
run 3 train -c "$toy" "${small[@]}" --dir refused --set generate.stop='\x'
has err 'stop = .x: .x is not'
if [ -e refused/latest ]; then fail 'a bad stop string is told after training'; fi
small bytes --set tokenizer.use=byte --set tokenizer.byte.bos=false --steps 1 --val-every 0
run 0 generate --dir bytes --samples 1 --max-tokens 300 --json
has out '^\{"sample":1,"text":"'
has out $'\xef\xbf\xbd'
iconv -f UTF-8 -t UTF-8 out >/dev/null || fail 'the sampled bytes are no JSON'

# --- refusals ---
printf 'too short a text\n' >short.txt
run 5 train -c "$toy" "${small[@]}" --dir refused --set dataset.path=short.txt
has err 'short.txt: 17 tokens, expected at least 161, so that with split = 0.9 each part has a window of context = 16'
run 0 train -c "$toy" "${small[@]}" --dir bos --set tokenizer.char.bos=true --steps 1 --val-every 0
has err 'warning: .*BOS'
echo "toygpt: $checks checks"
