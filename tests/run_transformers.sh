# Folders of Hugging Face transformers, where that is installed (`make judge` does it): it opens
# what we export, we open what it writes, and both compute the same.
. "$abs_top_srcdir/tests/run.sh"

judge=$abs_top_srcdir/tests/judge
python=$abs_top_builddir/judge-venv/bin/python
[ -x "$python" ] || python=$(command -v python3) || skip 'no python3'
export PYTHONDONTWRITEBYTECODE=1 OMP_WAIT_POLICY=passive HF_HUB_OFFLINE=1
"$python" -c 'import transformers, torch, safetensors' 2>/dev/null ||
    skip 'no transformers with PyTorch: make judge'

text=${names%/names.txt}/tinyshakespeare.txt
[ -r "$text" ] || text=$scratch/text.txt
[ -r "$text" ] || "$python" - >"$text" <<'END'
import random
draw = random.Random(3)
words = ["".join(draw.choices("etaoinshrdlucmFirst ", k=draw.randint(1, 9))) for _ in range(300)]
print(" ".join(draw.choice(words) for _ in range(20000)))
END
"$python" "$judge/hf.py" "$MICROGPT" "$text" "$scratch" 2>err || {
    sed 's/^/  err: /' err | tail -5 >&2
    exit 1
}
