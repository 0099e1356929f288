# `microgpt generate` as people use it: probabilities beside the text, and a prompt a line.
# shellcheck disable=SC2154 # set by run.sh and the makefile
. "$abs_top_srcdir/tests/run.sh"

# Words of letters and of a character of several bytes; with tokenizer byte that is several tokens.
for i in 1 2 3 4 5 6 7 8 9 10; do printf 'anna\néé\nélan\nnora\néa\n'; done >words
tiny='-q --set dataset.path=words --set backend.use=cpu --set model.embd=8 --set train.batch=2'
# shellcheck disable=SC2086
run 0 train -c "$ini" $tiny --dir run --steps 30 --samples 0 --set model.heads=2
# shellcheck disable=SC2086
run 0 train -c "$ini" $tiny --dir bytes --steps 200 --samples 0 --set model.heads=2 \
    --set tokenizer.use=byte

# ---- --show-probs ----

# Without them the text is the same, and it is what stands before the braces.
run 0 generate --dir run --samples 5 --prompt an
mv out plain
run 0 generate --dir run --samples 5 --prompt an --show-probs
has out '\{(0\.[0-9]+|1|[0-9.]+e-[0-9]+)\}'
sed 's/{[0-9.e+-]*}//g' out | cmp - plain || fail 'with probabilities the text is another one'
run 0 generate --dir run --samples 5 --prompt an --show-probs --json
python3 - plain out <<'END' || fail 'the JSON of --show-probs is not that of the samples'
import json, sys

plain = open(sys.argv[1]).read().splitlines()
for line, text in zip(open(sys.argv[2]), plain, strict=True):
    sample = json.loads(line)
    assert sample["text"] == text == "an" + "".join(t["text"] for t in sample["tokens"]), sample
    assert all(0 < t["p"] <= 1 and isinstance(t["id"], int) for t in sample["tokens"]), sample
END
checks=$((checks + 1))

# Bytes of one character come out with the last of them.
run 0 generate --dir bytes --samples 40 --show-probs --json
python3 - out <<'END' || fail 'the tokens of bytes are not those of the text'
import json, sys

whole = 0
for sample in map(json.loads, open(sys.argv[1])):
    assert sample["text"] == "".join(t["text"] for t in sample["tokens"]), sample
    for first, second in zip(sample["tokens"], sample["tokens"][1:]):
        if second["text"] == "é":
            assert first["text"] == "" and first["p"] > 0, sample
            whole += 1
assert whole, "no sample has é"
END
checks=$((checks + 1))
run 2 generate --dir run --batch 3 --show-probs
has err '--show-probs: expected \[generate\] batch = 1, not 3 \(--batch 3\)'

# ---- samples of several lines ----

# shellcheck disable=SC2086
run 0 train -c "$ini" $tiny --dir lines --steps 30 --samples 2 --set model.heads=2 \
    --set dataset.use=text --set tokenizer.char.bos=false --max-tokens 100
for number in 1 2; do has out "^sample  $number:\$"; done
for batch in 1 3; do
    run 0 generate --dir lines --samples 3 --max-tokens 100 --batch $batch
    [ "$(grep -E '^--- ' out | tr '\n' ' ')" = '--- 2 --- --- 3 --- ' ] ||
        fail 'samples are not parted'
    [ "$(grep -B 1 '^--- 2 ---$' out | head -n 1)" = '' ] || fail 'no empty line between samples'
done
run 0 generate --dir lines --samples 3 --max-tokens 100 --json
[ "$(wc -l <out)" = 3 ] || fail 'JSON has other lines than samples'

# ---- a reader that goes away ----

# As other programs: no word, unless the caller has SIGPIPE ignored.
if ! grep -qE '^SigIgn:.*[13579bdf]...$' /proc/self/status; then
    "$MICROGPT" generate --dir run --samples 100000 2>err | head -n 1 >out
    [ "${PIPESTATUS[0]}" = 141 ] || fail 'generate into head: expected to end by SIGPIPE'
    [ ! -s err ] || fail 'generate into head: it complains'
    checks=$((checks + 1))
fi

# ---- --interactive ----

export XDG_STATE_HOME=$PWD/state
# say LINES WANTED_EXIT ARGUMENT...: lines from a pipe.
say()
{
    lines=$1 wanted=$2
    shift 2
    printf '%b' "$lines" | "$MICROGPT" generate --dir run --interactive "$@" >out 2>err
    got=$?
    [ "$got" = "$wanted" ] ||
        fail "generate --interactive $* <<<$lines: exit $got, expected $wanted"
    checks=$((checks + 1))
}
# The samples of one session are those of one command; an empty line is the prompt before it.
say 'an\n\n\n' 0 --seed 3
mv out said
run 0 generate --dir run --prompt an --samples 3 --seed 3
cmp -s out said || fail 'three lines gave other samples than --samples 3'
say '\n' 0 --prompt an --seed 3
head -n 2 said | cmp -s - out || fail '--prompt is not the first prompt'
say 'él\nan' 0 --json --show-probs
has out '^\{"sample":1,"text":"él.*"tokens":\[\{"id":'
has out '^\{"sample":2,"text":"an'
[ ! -e state ] || fail 'lines from a pipe became history'

# /set reaches the sampler and the length: greedy text is the same each time.
say '/set temperature 0\n/set max-tokens=2\nan\n\n/set top-k 3\n/quit\nno\n' 0 -q
[ "$(sort -u out | wc -l)" = 1 ] || fail 'temperature 0 gave different samples'
has out '^an.{0,2}$'
say '/set\n' 0 --top-k 7
has err 'top_k 7, .*max_tokens '
for mistake in '/set heat 3=heat' '/set top-k many=top_k = many' '/set top-k=expected KEY VALUE' \
    '/set max-tokens -1=max_tokens = -1' '/sat=expected /set, /help or /quit'; do
    "$MICROGPT" generate --dir run --interactive >out 2>err <<<"${mistake%%=*}"
    has err "${mistake#*=}"
    [ ! -s out ] || fail "$mistake: something was printed"
done
say '/set top-k many\nan\n' 3
say '/sat\nan\n' 2
say '//an\n' 2
has err 'prompt: byte 0: unknown character ./' # which the tokenizer does not know
say 'QQ\nan\n' 2
[ ! -s out ] || fail 'after a bad prompt from a pipe it went on'
say 'an\n' 2 --prompt 日本
has err "error: --prompt: byte 0: unknown character '日'"
run 2 generate --dir run --prompt 日本
has err "error: --prompt: byte 0: unknown character '日'"

if python3 -c 'import pty' 2>/dev/null; then
    # shellcheck disable=SC2086
    run 0 train -c "$ini" $tiny --dir endless --steps 30 --samples 0 --set model.heads=2 \
        --set dataset.use=text --set tokenizer.char.bos=false
    grep -q '^#define HAVE_LIBEDIT 1' "$abs_top_builddir/config.h" && how=edit || how=plain
    timeout 120 python3 "$abs_top_srcdir/tests/interactive.py" "$MICROGPT" "$PWD/endless" $how \
        >out 2>err ||
        fail 'a session on a terminal went wrong'
    checks=$((checks + 1))
fi
echo "generate: $checks checks"
