# Tokenizer bpe through the whole program: documents and one text, training stopped and gone on
# with, samples, evaluation; ids that are parts of characters, and prompts with any.
. "$abs_top_srcdir/tests/run.sh"
[ -e "$MICROGPT_PLUGIN_PATH/tokenizer_bpe.so" ] ||
    skip 'tokenizer bpe was not built: utf8proc is missing'

for i in 1 2 3 4 5 6 7 8 9; do printf 'émile %s, anna and zoë\nanna\n你好 zoë 🙂\n' $i; done >data.txt
c='-q --set dataset.path=data.txt --set tokenizer.use=bpe --set tokenizer.bpe.vocab=300
   --set backend.use=cpu --set train.val_every=0 --set train.checkpoint_every=20'

# Documents, from one line each; the same bits whether or not it was stopped.
run 0 train -c "$ini" $c --steps 40 --samples 0 --dir whole
sum whole >first
cp whole/latest/tokenizer.json first.json
rm -r whole/checkpoints/step-40
ln -sfn checkpoints/step-20 whole/latest
run 0 train --resume -q --samples 0 --dir whole
sum whole | cmp - first || fail 'stopped and gone on with: other bits'
cmp whole/latest/tokenizer.json first.json || fail 'another tokenizer.json'
grep -q '"type":"bpe","bos":"<|endoftext|>"' whole/latest/tokenizer.json ||
    fail 'its tokenizer.json'
grep -q '"Ġzo' whole/latest/tokenizer.json || fail '"zoë" is not learned'
run 0 eval -q --dir whole
run 0 generate -q --dir whole --prompt 'anna <|endoftext|>你 never seen: ß' --samples 3
[ "$(grep -c '' out)" -ge 3 ] || fail 'three samples'
run 0 generate -q --dir whole --samples 3 --json
python3 -c \
    'import json, sys; [json.loads(line) for line in open("out", errors="surrogateescape")]' ||
    fail 'samples as JSON'

# One text. BOS is missed where the text has no word for it, and only there.
t="$c --set dataset.use=text --set dataset.split=1 --set model.context=16"
run 0 train -c "$ini" $t --steps 3 --samples 0 --dir text
has err 'warning: dataset text never shows'
for i in 1 2 3 4; do sed '$s/$/<|endoftext|>/' data.txt; done >marked.txt
run 0 train -c "$ini" $t --set dataset.path=marked.txt --steps 3 --samples 0 --dir marked
grep -q 'never shows' err && fail 'BOS is in the text'

# What is asked for is at most what there is to learn, and at least the bytes.
run 0 train -c "$ini" $c --set tokenizer.bpe.vocab=100000 --steps 1 --samples 0 --dir most
run 3 train -c "$ini" $c --set tokenizer.bpe.vocab=255 --steps 1 --dir least
has err 'vocab.*255'
echo "$checks checks"
