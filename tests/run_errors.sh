# Bad input: one clear message, the exit code of its kind, and nothing lost.
. "$abs_top_srcdir/tests/run.sh"

# A run that works, with a checkpoint to spoil and a folder of modules to spoil.
printf 'anna\nbob\ncarla\ndora\nemil\nfrida\ngustav\nhanna\nida\njonas\n' >few.txt
good="--steps 4 --val-every 2 --samples 0 --set dataset.path=few.txt"
# shellcheck disable=SC2086
run 0 train -c "$ini" $good --dir good

# bad EXIT REGEX ARGUMENT...: refused with exactly one line on stderr that matches, and no other
# output.
bad()
{
    wanted=$1
    regex=$2
    shift 2
    run "$wanted" "$@"
    has err "$regex"
    [ "$(grep -c 'error' err)" = 1 ] || fail "microgpt $*: expected one error"
    ! grep -q '^step' out || fail "microgpt $*: trained all the same"
}

# ini LINE...: an INI of these lines, as bad.ini.
ini() { printf '%s\n' "$@" >bad.ini; }

# --- the command line ---
bad 2 'tarin.*train' tarin
bad 2 'step' train --stepz 5
bad 2 'steps' train --steps
bad 2 'expected only options; see microgpt eval' eval surplus
bad 2 'expected only options; did you mean --dir .good.\?$' generate good
bad 2 'expected only options; see microgpt bench' bench good
bad 2 'metrics.jsonl' train --json
bad 3 'section.key=value' train --set nonsense
bad 2 '.' config mend

# --- the configuration ---
bad 3 'nowhere.ini' train -c nowhere.ini
ini '[train]' 'stpes = 10'
bad 3 'bad.ini:2: .*stpes.*steps' train -c bad.ini
ini '[trian]' 'steps = 10'
bad 3 'bad.ini:[12]: .*trian.*train' train -c bad.ini
ini '[train]' 'steps = many'
bad 3 'bad.ini:2: .*steps = many.*whole number' train -c bad.ini
ini '[train]' 'steps = 0'
bad 3 'bad.ini:2: .*steps = 0' train -c bad.ini
ini '[train]' 'lr = nan'
bad 3 'bad.ini:2: .*lr = nan' train -c bad.ini
ini '[model]' 'norm = layr'
bad 3 'bad.ini:2: .*layr.*layer' train -c bad.ini
ini '[train]' 'steps = 1' 'steps = 2'
bad 3 'bad.ini:3: ' train -c bad.ini
ini '[model]' 'heads = 3'
bad 3 'heads = 3.*embd = 16' train -c bad.ini --dir never --set dataset.path=few.txt
ini '[optimizer.adamw]' 'beta1 = 1.5'
bad 3 'bad.ini:2: .*beta1 = 1.5' train -c bad.ini
bad 3 'steps = -1' train -c "$ini" --steps -1
bad 3 'adamw.*beta3' train -c "$ini" --set optimizer.adamw.beta3=1
printf '[train]\nsteps = \377\n' >bad.ini
bad 3 'bad.ini:2: .*UTF-8' train -c bad.ini
bad 3 'dataset.*BOS' train -c "$ini" --set tokenizer.char.bos=false --set dataset.path=few.txt \
    --dir never
bad 3 '.' config check --set train.batch=0

# --- modules ---
bad 4 'adamv.*adamw' train -c "$ini" --set optimizer.use=adamv
bad 4 'abacus' train -c "$ini" --set backend.use=abacus
bad 4 'fp64.*F64|F64.*fp64' train -c "$ini" --set backend.use=cpu --set precision.use=fp64 \
    --dir never \
    --set dataset.path=few.txt
mkdir modules && chmod 755 modules
# broken NAME REGEX: modules/optimizer_NAME.so is refused for that reason.
broken()
{
    chmod 644 "modules/optimizer_$1.so"
    bad 4 "optimizer_$1.so.*$2" train -P modules -c "$ini" --set optimizer.use="$1"
}
head -c 3000 "$MICROGPT_PLUGIN_PATH/optimizer_adamw.so" >modules/optimizer_cut.so
broken cut '.'
: >modules/optimizer_empty.so
broken empty '.'
cp "$ini" modules/optimizer_text.so
broken text 'ELF'
cp "$MICROGPT_TEST_PLUGINS/bad_abi.so" modules/optimizer_abi.so
broken abi 'ABI [0-9]+\.[0-9]+.*rebuild'
cp "$MICROGPT_TEST_PLUGINS/bad_symbol.so" modules/optimizer_symbol.so
broken symbol 'microgpt_plugin_v1'
cp "$MICROGPT_TEST_PLUGINS/bad_undefined.so" modules/optimizer_undefined.so
broken undefined 'undefined symbol'
cp "$MICROGPT_PLUGIN_PATH/optimizer_adamw.so" modules/optimizer_loose.so
chmod 666 modules/optimizer_loose.so
bad 4 'optimizer_loose.so.*lets others write' train -P modules -c "$ini" --set optimizer.use=loose

# --- runs that do not fit ---
bad 3 'needs .*TB of memory.*activations.*batch = 65536.*context = 1048576' train -c "$ini" \
    --dir never \
    --set dataset.path=few.txt --set train.batch=65536 --set model.context=1048576
bad 3 'needs .*TB of memory.*parameters.*embd = 65536' train -c "$ini" --dir never \
    --set dataset.path=few.txt --set model.embd=65536 --set model.layers=30
bad 3 'needs .*TB of memory.*accumulate = 65536' train -c "$ini" --dir never \
    --set dataset.path=few.txt --set train.accumulate=65536 --set model.context=65536 \
    --set train.batch=64

# --- data ---
bad 5 'nowhere.txt' train -c "$ini" --set dataset.path=nowhere.txt --dir never
: >empty.txt
bad 5 'empty.txt' train -c "$ini" --set dataset.path=empty.txt --dir never
printf '\n  \n\t\n' >blank.txt
bad 5 'blank.txt' train -c "$ini" --set dataset.path=blank.txt --dir never
printf 'anna\n' >one.txt
bad 5 'one.txt.*(1|one) document' train -c "$ini" --set dataset.path=one.txt --dir never
printf 'anna\nbo\377b\n' >latin.txt
bad 5 'latin.txt.*2.*UTF-8|UTF-8.*latin.txt.*2' train -c "$ini" --set dataset.path=latin.txt \
    --dir never
has err 'iconv -f WINDOWS-1252 -t UTF-8 FILE >NEW'
printf 'anna\nb\0b\n' >nul.txt
bad 5 'nul.txt:2: byte 6 is NUL: not text; .*iconv -f UTF-16' train -c "$ini" \
    --set dataset.path=nul.txt --dir never
printf '\377\376a\0\n\0' >wide.txt
bad 5 'wide.txt:1: .*UTF-16.*iconv -f UTF-16 -t UTF-8' train -c "$ini" --set dataset.path=wide.txt \
    --dir never
bad 5 '.' train -c "$ini" --set dataset.path=. --dir never
if [ "$(id -u)" != 0 ]; then
    cp few.txt secret.txt
    chmod 000 secret.txt
    bad 5 'secret.txt.*[Pp]ermission' train -c "$ini" --set dataset.path=secret.txt --dir never
fi
bad 3 'builtin' train -c "$ini" --set dataset.path=builtin:../x --dir never
[ ! -e never ] || fail 'a refused run left a folder'
printf 'bartholomew\nanna\nbob\n%s\n' "$(yes clara | head -20)" >long.txt
run 0 train -c "$ini" --steps 2 --val-every 0 --samples 0 --set dataset.path=long.txt --dir long
has err '1 of [0-9]+ documents are longer than the context.*--set model.context=16 shows more of them'

# --- prompts and checkpoints ---
bad 2 'Q' generate --dir good --prompt Q
bad 5 'no checkpoint' generate --dir nowhere
bad 5 '.' generate --dir good --checkpoint nowhere
bad 5 'embd is 16 there, 32 in the configuration' train -c "$ini" $good --dir good \
    --resume \
    --set model.embd=32
bad 3 'seed' train -c "$ini" $good --dir good --resume --seed 43
bad 3 'optimizer. use = lion.*step-4 was trained with adamw.*use that.*--dir' train \
    -c "$ini" $good --dir good --resume \
    --set optimizer.use=lion
bad 3 'use = sgd.*trained with adamw' train -c "$ini" $good --dir good --resume \
    --set optimizer.use=sgd
bad 3 'steps = 2.*done 4' train -c "$ini" --steps 2 --set dataset.path=few.txt --dir good --resume
bad 3 'godo: no such folder; without --resume it would be a new run' train --resume --dir godo
bad 3 'godo: no such folder' train --resume --explain --dir godo
[ ! -e godo ] || fail '--resume began a new run'
echo '[train' >microgpt.ini # is not asked where the run is
run 0 train --resume --dir good --explain
run 0 eval --set run.dir=good
run 0 generate --dir good --samples 1
bad 3 'microgpt.ini:1' generate
rm microgpt.ini
before=$(sum good)
for file in model.safetensors config.json tokenizer.json manifest.json; do
    rm -rf spoilt
    cp -r good spoilt
    for folder in spoilt/checkpoints/*; do
        truncate -s -1 "$folder/$file"
    done
    bad 5 "$file|manifest" generate --dir spoilt
done
rm -rf spoilt
cp -r good spoilt
printf 'X' | dd of=spoilt/latest/model.safetensors bs=1 seek=900 conv=notrunc 2>/dev/null
run 0 generate --dir spoilt --samples 1
has err 'warning'

# --- what cannot be written ---
bad 1 'few.txt' train -c "$ini" $good --dir few.txt/run
"$MICROGPT" generate --dir good >/dev/full 2>err
[ $? = 1 ] || fail 'generate into a full device: expected exit 1'
has err 'No space left'
"$MICROGPT" train -c "$ini" $good --dir full1 >/dev/full 2>err
[ $? = 1 ] || fail 'train into a full device: expected exit 1'
cp -r good capped
(
    trap '' XFSZ
    ulimit -f 16
    "$MICROGPT" train -c "$ini" --steps 6 --samples 0 --set dataset.path=few.txt --dir capped \
        --resume \
        >out 2>err
)
[ $? = 1 ] || fail 'a checkpoint that does not fit: expected exit 1'
has err "safetensors.*(File too large|No space)"
[ "$(sum capped)" = "$before" ] || fail 'a failed save harmed the checkpoint before'
run 0 train -c "$ini" --steps 6 --samples 0 --set dataset.path=few.txt --dir capped --resume
# A reader that goes away ends the run, which saves first: resumed, it is the one that nobody cut.
long="--steps 2000 --val-every 500 --samples 0 --set dataset.path=few.txt --set train.checkpoint_every=0"
# shellcheck disable=SC2086
run 0 train -c "$ini" $long --dir whole
# shellcheck disable=SC2086
"$MICROGPT" train -c "$ini" $long --dir cut 2>err | head -n 3 >out
[ "${PIPESTATUS[0]}" = 1 ] || fail 'train into head: expected exit 1'
has err "Broken pipe; step [0-9]+ of 2000 is saved. To go on: microgpt train --resume --dir '.*/cut'"
step=$(sed -n 's/.*; step \([0-9]*\) of .*/\1/p' err)
[ "$step" -lt 2000 ] || fail 'the run was over before its reader was'
[ "$(grep -c '"loss"' cut/metrics.jsonl)" = "$step" ] || fail 'metrics.jsonl lacks steps'
run 0 train --resume --dir cut
[ "$(sum cut)" = "$(sum whole)" ] || fail 'the run that went on is another one'
# The command that goes on can be pasted, whatever the folder is called.
odd="it's \$HOME \"one\""
# shellcheck disable=SC2086
"$MICROGPT" train -c "$ini" $long --dir "$odd" 2>err | head -n 3 >out
next=$(sed -n 's/.*To go on: microgpt //p' err)
eval "\"\$MICROGPT\" $next --explain" >out 2>err </dev/null ||
    fail "what a run in $odd says to go on with does not work: $next"
run 2 generate "$odd"
next=$(sed -n 's/.*did you mean \(.*\)?$/\1/p' err)
eval "\"\$MICROGPT\" generate --samples 1 $next" >out 2>err </dev/null || fail "generate $next: exit $?"

if [ "$(id -u)" != 0 ]; then
    mkdir locked
    chmod 555 locked
    bad 1 'locked.*[Pp]ermission' train -c "$ini" $good --dir locked/run
fi
# --- what is not finite ---
"$MICROGPT" train -c "$ini" --steps 60 --val-every 0 --samples 0 --set dataset.path=few.txt \
    --set train.lr=1000 \
    --set train.weight_decay=1000 --set optimizer.use=sgd --set train.clip=0 \
    --set train.checkpoint_every=1 --set train.keep=1 --dir burnt >out 2>err </dev/null
[ $? = 1 ] || fail 'a run that diverges: expected exit 1'
has err 'is not saved|NaN or Inf'
ls burnt/checkpoints | grep -q . || fail 'a run that diverges kept no checkpoint'
! command -v python3 >/dev/null ||
    python3 - burnt/checkpoints/*/model.safetensors <<'END' || fail 'a checkpoint holds NaN or Inf'
import array, json, math, sys
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        json.loads(file.read(size))
        values = array.array("f", file.read())
    assert all(map(math.isfinite, values)), path
END

# --- what is none of ours, or closed ---
mkdir mine
touch mine/notes.tmp-5 mine/my.tmp-7.tmp-8
# shellcheck disable=SC2086
run 0 train -c "$ini" $good --dir mine
[ -e mine/notes.tmp-5 ] && [ -e mine/my.tmp-7.tmp-8 ] || fail "a save removed somebody's files"
# shellcheck disable=SC2086
"$MICROGPT" train -c "$ini" $good --dir closed --set logger.use=jsonl,console >&- 2>&-
has closed/metrics.jsonl '^\{"step": 1, '
[ "$(grep -vc '^{' closed/metrics.jsonl)" = 0 ] || fail 'what was printed went into metrics.jsonl'

# --- a trained model without what trained it ---
sed -i 's/^use = adamw$/use = gone/' good/config.ini
run 0 generate --dir good --samples 1 --checkpoint step-4
bad 4 'gone' train --resume --dir good --steps 5

[ "$(sum good)" = "$before" ] || fail 'some refusal touched the good run'
echo "errors: $checks checks"
