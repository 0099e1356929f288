# Export and import of Hugging Face folders by the whole program: there and back to the bit, and
# what cannot be expressed or believed is refused by name.
. "$abs_top_srcdir/tests/run.sh"

cat >gpt2.ini <<'END'
[dataset]
path = data.txt
[tokenizer]
use = byte
[model]
layers = 2
heads = 2
embd = 8
mlp = 24
context = 16
norm = layer
norm_gain = true
norm_bias = true
embed_norm = false
final_norm = true
activation = gelu_tanh
bias = qkv,proj,mlp
init_residual = 1.0
[train]
steps = 4
checkpoint_every = 0
val_every = 0
[generate]
samples = 1
[sampler]
use = greedy
[backend]
use = cpu
END
for i in 1 2 3 4 5 6 7 8; do printf 'émile %s\nanna\nzoë\n' $i; done >data.txt
c='-c gpt2.ini -q'

# There and back, for each tokenizer, tied and not.
bpe='bpe true'
[ -e "$MICROGPT_PLUGIN_PATH/tokenizer_bpe.so" ] || bpe=
for kind in 'byte true' 'char false' ${bpe:+"$bpe"}; do
    set -- $kind
    set -- $1 --set tokenizer.use=$1 --set model.tied=$2
    name=$1
    shift
    run 0 train $c "$@" --dir $name
    run 0 export --to hf hf-$name --dir $name
    has out "^hf-$name: exported from .*/$name/checkpoints/step-4$"
    run 0 import hf-$name $c --dir back-$name
    has out "^back-$name: a model of 2 layers, width 8, context 16, tokenizer $name$"
    cmp $name/latest/model.safetensors back-$name/latest/model.safetensors || fail "$name: weights"
    cmp $name/latest/tokenizer.json back-$name/latest/tokenizer.json || fail "$name: tokenizer.json"
    cmp $name/latest/config.json back-$name/latest/config.json || fail "$name: config.json"
    run 0 generate -q --dir $name --prompt an
    mv out first
    run 0 generate -q --dir back-$name --prompt an
    cmp first out || fail "$name: another sample"
    run 0 eval -q --dir back-$name
    run 0 train -q --resume --dir back-$name
    [ -d back-$name/checkpoints/step-4 ] || fail 'the import was not trained on'
done

# GPT-2's two files instead of one.
if [ "$bpe" ]; then
    cp -r hf-bpe hf-files
    python3 - <<'END' || fail 'vocab.json, merges.txt'
import json
model = json.load(open("hf-bpe/tokenizer.json"))["model"]
json.dump(model["vocab"], open("hf-files/vocab.json", "w"))
with open("hf-files/merges.txt", "w", encoding="utf-8") as file:
    file.write("#version: 0.2\n" + "".join(merge + "\n" for merge in model["merges"]))
END
    rm hf-files/tokenizer.json
    run 0 import hf-files $c --dir files
    cmp bpe/latest/tokenizer.json files/latest/tokenizer.json || fail 'files: tokenizer.json'
    has files/config.ini '^use = bpe$'
    echo 'a b c' >hf-files/merges.txt
    run 5 import hf-files $c --dir bad-run
    has err 'hf-files/merges.txt: model.merges\[0\]: expected two tokens'
    rm hf-files/merges.txt
    run 5 import hf-files $c --dir bad-run
    has err 'hf-files/merges.txt: '
fi

# Rows of wte behind the tokenizer's ids stay, and no sample has them, though here they have by far
# the highest logits: of x, -x and so on one is.
cp -r hf-byte hf-wide
python3 - <<'END' || fail 'wide'
import json, struct
raw = open("hf-byte/model.safetensors", "rb").read()
n, = struct.unpack("<Q", raw[:8])
header, data, out = json.loads(raw[8:8 + n]), raw[8 + n:], b""
for name, t in header.items():
    if name == "__metadata__":
        continue
    begin, end = t["data_offsets"]
    piece = data[begin:end]
    if name == "transformer.wte.weight":
        for i in range(47):
            row = [0.0] * 8
            row[i % 8] = 1e3 if i & 8 else -1e3
            piece += struct.pack("<8f", *row)
        t["shape"][0] += 47
    t["data_offsets"] = [len(out), len(out) + len(piece)]
    out += piece
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
open("hf-wide/model.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + out)
END
sed -i 's/"vocab_size": 257/"vocab_size": 304/' hf-wide/config.json
run 0 import hf-wide -c gpt2.ini --dir wide
has err '"vocab_size" is 304 in config.json, and its tokenizer has 257 ids: those behind stay'
has wide/config.ini '^vocab = 304$'
cp -r hf-wide hf-far
for size in 515 1282; do
    sed -i 's/"vocab_size": [0-9]*/"vocab_size": '$size'/' hf-far/config.json
    run 5 import -q hf-far -c gpt2.ini --dir never
    has err "warning: .*/hf-far: \"vocab_size\" is $size .* the tokenizer may be of another model"
done
mkdir hf-added
cp hf-byte/config.json hf-byte/model.safetensors hf-added
echo '{"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]},"pre_tokenizer":null}' \
    >hf-added/tokenizer.json
echo '{"<x>": 2}' >hf-added/added_tokens.json
run 4 import hf-added $c --dir never
has err 'error: /[^:]*/hf-added/added_tokens.json: expected the first of model.vocab alone'
echo '{"<x>": ]' >hf-added/added_tokens.json
run 5 import hf-added $c --dir never
has err 'error: /[^:]*/hf-added/added_tokens.json: offset 9: '
run 0 import hf-byte $c --dir narrow
run 0 generate -q --dir narrow --prompt an --set generate.samples=3
mv out first
for batch in 1 3; do
    run 0 generate -q --dir wide --prompt an --set generate.samples=3 --set generate.batch=$batch
    cmp first out || fail "wide, batch $batch: another sample"
done
run 0 generate -q --dir narrow --prompt an --show-probs --json
mv out first
run 0 generate -q --dir wide --prompt an --show-probs --json
cmp first out || fail 'wide: other probabilities'
run 0 generate -q --dir wide --set sampler.use=topk --set sampler.topk.top_k=0
run 0 export --to hf hf-wider --dir wide
cmp hf-wide/tokenizer.json hf-wider/tokenizer.json || fail 'wide: tokenizer.json'
has hf-wider/config.json '"vocab_size": 304'
run 0 import hf-wider $c --dir back-wide
cmp wide/latest/model.safetensors back-wide/latest/model.safetensors || fail 'wide: weights'
run 0 train -q --resume --dir wide
[ -d wide/checkpoints/step-4 ] || fail 'the padded model was not trained on'
run 0 train $c --set tokenizer.use=byte --set model.vocab=264 --dir padded
run 0 export --to hf hf-padded --dir padded
has hf-padded/config.json '"vocab_size": 264'
run 3 train $c --set tokenizer.use=byte --set model.vocab=256 --dir bad-run
has err '\[model\] vocab = 256: the tokenizer has 257 ids; expected at least as many, or 0$'
run 5 train -q --resume --dir padded --set model.vocab=272 --steps 5
has err 'the vocabulary has 264 rows there, 272 in the configuration: \[model\] vocab'

# Without -c it is written how to go on with a model that knows something already, on a text to be
# named; a microgpt.ini nearby, most likely for another model, is told of and left alone.
echo '[train' >microgpt.ini
run 0 import hf-byte --dir tuned
has err './microgpt.ini is not read by import; -c microgpt.ini reads it'
has out "train --resume --dir 'tuned' --set dataset.path=FILE$"
rm microgpt.ini
for line in 'use = text' 'path = import:none' 'batch = 16' 'lr = 3e-4' 'warmup = 100' \
        'steps = 1000' \
    'max_tokens = 16' 'window = hop'; do
    has tuned/config.ini "^$line$"
done
run 0 generate -q --dir tuned
for command in eval 'train --resume'; do
    run 3 $command -q --dir tuned
    has err 'import:none: an imported model has no text of its own; name one: --set dataset.path=FILE$'
done
for i in $(seq 40); do cat data.txt; done >long.txt
run 0 eval -q --dir tuned --set dataset.path=long.txt
before=$(sed -n 's/^val loss: \([0-9.]*\) .*/\1/p' out)
run 0 train -q --resume --dir tuned --set dataset.path=long.txt --steps 150
has tuned/config.ini '^path = /.*/long.txt$'
run 0 eval -q --dir tuned
after=$(sed -n 's/^val loss: \([0-9.]*\) .*/\1/p' out)
awk "BEGIN { exit !($after < $before) }" || fail "tuned from $before to $after"

# What is there already stays.
run 2 export --to hf hf-byte --dir byte
has err 'hf-byte: is there already; expected a new folder'
run 3 import hf-byte $c --dir byte
has err 'byte already holds a run'

# What a GPT-2 has no place for.
for bad in norm=rms embed_norm=true final_norm=false activation=relu2 bias=head kv_heads=1; do
    run 0 train $c --set model.$bad --steps 1 --dir bad-$bad
    run 4 export --to hf bad --dir bad-$bad
    has err "\[model\] cannot be expressed as a GPT-2: ${bad%%=*} = ${bad##*=} \(.*\); for one .*--set model.${bad%%=*}="
    [ ! -e bad ] || fail "$bad left something"
done
# Of the built-in defaults all at once, and the way to a model that can be exported is a true one.
run 0 train $c -c "$ini" --set dataset.path=data.txt --steps 1 --dir default
run 4 export --to hf bad --dir default
has err 'GPT-2: norm = rms \(.*\), embed_norm = true \(.*\), final_norm = false \(.*\), activation = relu2 \('
set -- $(sed -n 's/.* train with \(.*\), or these keys .*/\1/p' err)
[ $# = 8 ] || fail "expected four settings: $*"
run 0 train $c -c "$ini" --set dataset.path=data.txt --steps 1 --dir other "$@"
run 0 export --to hf hf-other --dir other
sed -n '/^norm = layer$/,/^```$/p' "$abs_top_srcdir/README.md" | sed '$d' >lines # those of README.md
{ printf '[model]\n'; cat lines; } >other.ini
[ "$(paste -sd' ' lines)" = "$(printf '%s\n' "$@" | sed -n 's/^model\.\(.*\)=/\1 = /p' | paste -sd' ')" ] ||
    fail "README.md says $(cat lines), export says $*"
run 0 train -q -c other.ini --set dataset.path=data.txt --steps 1 --dir third
run 0 export --to hf hf-third --dir third
run 2 export bad --dir byte
has err 'export: --to is missing: expected --to hf'
run 2 export --to hf --dir byte
run 5 export --to hf bad --dir nowhere
has err 'nowhere: no checkpoint'

# What a killed export left does not refuse the next.
bash -c 'mkdir hf-again.tmp-$$ && touch hf-again.tmp-$$/config.json && exec "$0" export -q --to hf hf-again --dir byte' \
    "$MICROGPT" || fail 'a folder of a killed export is in the way'
[ -s hf-again/model.safetensors ] || fail 'nothing was exported'

# A model without biases and gains exports as one whose biases are 0 and whose gains are 1.
run 0 train $c --set model.bias=none --set model.norm_bias=false --set model.norm_gain=false \
    --dir bare
run 0 export --to hf hf-bare --dir bare
run 0 import hf-bare $c --dir back-bare
run 0 eval -q --dir bare
sed 's/ (.*//' out >first
run 0 eval -q --dir back-bare
sed 's/ (.*//' out >second
cmp first second || fail 'bare: another loss'

# What is typed may change how it trains, not what it is.
run 0 import hf-byte $c --set model.dropout=0.1 --set train.lr=1e-3 --dir typed
has typed/config.ini '^dropout = 0\.1$'
run 3 import hf-byte $c --set model.embd=16 --dir typed2
has err 'hf-byte/config.json: embd is 8 there, 16 in the configuration'
[ ! -e typed2 ] || fail 'a refused import left a folder'

# Folders that lie. spoil NAME FILE SED-SCRIPT, then the words expected.
spoil()
{
    rm -rf bad
    cp -r hf-byte bad
    sed -i "$2" bad/$1
    run $3 import bad $c --dir bad-run
    has err "bad/$1: $4"
    [ ! -e bad-run ] || fail "$2: a refused import left a folder"
}
spoil config.json 's/"gpt2"/"gptj"/' 4 'offset [0-9]+: "model_type": expected "gpt2"'
spoil config.json 's/"n_layer": 2/"n_layer": "2"/' 5 'offset [0-9]+: "n_layer": expected a whole'

spoil config.json 's/"gelu_new"/"swish"/' 4 \
    'offset [0-9]+: "activation_function": expected gelu_new'
if [ "$bpe" ]; then
    spoil tokenizer.json 's/"merges": \[\]/"merges": ["a b"]/' 5 \
        'model.merges\[0\]: "a b": expected two'
fi
spoil tokenizer.json 's/"normalizer": null/"normalizer": {"type": "NFC"}/' 4 \
    'normalizer: expected null'
spoil tokenizer.json 's/"BPE"/"WordPiece"/' 4 'model.type: expected "BPE"'
rm -rf bad
cp -r hf-byte bad
sed -i 's/"n_layer": 2/"n_layer": 3/' bad/config.json
run 5 import bad $c --dir bad-run
has err 'bad/model.safetensors: offset 8: there is no tensor "h.2.ln_1.weight"'
sed -i 's/"n_layer": 3/"n_layer": 1/' bad/config.json
run 5 import bad $c --dir bad-run
has err 'bad/model.safetensors: offset 8: it holds "transformer.h.1.*", which config.json has no place for'
# A claim of terabytes is held against the file before anything is allocated.
sed -i 's/"n_layer": 1/"n_layer": 1024/; s/"n_embd": 8/"n_embd": 65536/; s/"n_inner": 24/"n_inner": null/' bad/config.json
run 5 import bad $c --dir bad-run
has err 'bad/model.safetensors: offset [0-9]+: "transformer.wte.weight" is F32 \[257, 8\], expected F32 \[257, 65536\]'
head -c 5000 hf-byte/model.safetensors >bad/model.safetensors
run 5 import bad $c --dir bad-run
has err 'bad/model.safetensors: offset [0-9]+: '
rm bad/model.safetensors
run 5 import bad $c --dir bad-run
has err 'bad/model.safetensors: '
rm bad/tokenizer.json
sed -i 's/"vocab_size": 257/"vocab_size": 300/' bad/config.json
run 4 import bad $c --dir bad-run
has err 'there is no tokenizer.json nor vocab.json, and "vocab_size" is 300; expected 256'
rm -rf bad
cp -r hf-byte bad
sed -i 's/"vocab_size": 257/"vocab_size": 256/' bad/config.json
run 5 import bad $c --dir bad-run
has err '"vocab_size" is 256 in config.json, and its tokenizer has 257 ids; expected at least as many'
sed -i 's/"vocab_size": 256/"vocab_size": 300/' bad/config.json
run 5 import bad $c --dir bad-run
has err '"transformer.wte.weight" is F32 \[257, 8\], expected F32 \[300, 8\]'
run 5 import nowhere $c --dir bad-run
has err 'nowhere/config.json: '

echo "$checks checks"
