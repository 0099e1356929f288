# ToyGPT and optimizer muon against PyTorch, where there is one: `make judge` installs it in the
# build folder.
. "$abs_top_srcdir/tests/run.sh"

judge=$abs_top_srcdir/tests/judge
python=$abs_top_builddir/judge-venv/bin/python
[ -x "$python" ] || python=$(command -v python3) || skip 'no python3'
export PYTHONDONTWRITEBYTECODE=1 OMP_WAIT_POLICY=passive
"$python" -c 'import torch, safetensors' 2>/dev/null ||
    skip "no PyTorch with safetensors: make judge"

text=${names%/names.txt}/tinyshakespeare.txt
[ -r "$text" ] || {
    text=$scratch/text.txt # of no great beauty, but with 65 characters or so
    "$python" -c "
import random
draw = random.Random(3)
words = [''.join(draw.choices('etaoinshrdlucmfwypvbgkjqxz' * 3 + 'ETAOINSHRDLU,;.-', k=draw.randint(1, 9)))
         for _ in range(300)]
print(' '.join(draw.choice(words) for _ in range(20000)))" >"$text"
}
"$python" "$judge/parity.py" "$MICROGPT" "$abs_top_srcdir/conf/toygpt.ini" "$text" \
    "$scratch" 2>err || {
    sed 's/^/  err: /' err | tail -5 >&2
    exit 1
}
"$python" "$judge/muon.py" "$MICROGPT" "$abs_top_srcdir/conf/toygpt.ini" "$text" "$scratch" 2>err
case $? in
0) ;;
77) echo 'muon is not judged: that takes PyTorch 2.9 or newer' ;;
*)
    sed 's/^/  err: /' err | tail -5 >&2
    exit 1
    ;;
esac
