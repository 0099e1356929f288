# Tokenizer bpe beside Hugging Face tokenizers, where that is installed (`make judge` does it): the
# same ids of any text; folders with GPT-2's vocabulary are imported, trained on and exported.
. "$abs_top_srcdir/tests/run.sh"

judge=$abs_top_srcdir/tests/judge
python=$abs_top_builddir/judge-venv/bin/python
[ -x "$python" ] || python=$(command -v python3) || skip 'no python3'
export PYTHONDONTWRITEBYTECODE=1 OMP_WAIT_POLICY=passive HF_HUB_OFFLINE=1
[ -e "$MICROGPT_PLUGIN_PATH/tokenizer_bpe.so" ] || skip 'tokenizer bpe was not built'
"$python" -c 'import transformers, tokenizers, torch, safetensors' 2>/dev/null ||
    skip 'no transformers with PyTorch: make judge'

data=${names%/names.txt}
text=$data/tinyshakespeare.txt
[ -r "$text" ] || text=$abs_top_srcdir/doc/kinds.md
"$python" "$judge/bpe.py" "$MICROGPT" "$abs_top_builddir/tests/encode_text" "$data/gpt2" "$text" \
    "$scratch" 2>err || {
    sed 's/^/  err: /' err | tail -5 >&2
    exit 1
}
