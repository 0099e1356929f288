# `microgpt generate` as people use it: probabilities beside the text.
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
echo "generate: $checks checks"
