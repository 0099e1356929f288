# Whole runs with optimizer muon: every backend, any number of threads, killed and resumed.
. "$abs_top_srcdir/tests/run.sh"
. "$abs_top_srcdir/tests/recipes.sh"

text=${names%/names.txt}/tinyshakespeare.txt
if [ ! -r "$text" ]; then
    text=$scratch/text.txt
    for ((i = 0; i < 400; i++)); do
        echo "line $((i * 7919 % 1000)) of a text that says $((i * i % 97)) things"
    done >"$text"
fi

# muon RUN OPTION...: ToyGPT, small, with muon.
muon()
{
    dir=$1
    shift
    rm -rf "$dir"
    run 0 train -c "$abs_top_srcdir/conf/toygpt.ini" --dir "$dir" --samples 0 --val-every 0 \
        --steps 30 \
        --set dataset.path="$text" "${toy_model[@]}" --set train.lr=1e-2 \
        --set scheduler.use=constant \
        --set optimizer.use=muon "$@"
}

# agree A B: the losses of two runs agree within 1e-5.
agree()
{
    paste <(numbers "$1" loss) <(numbers "$2" loss) | awk -v a="$1" -v b="$2" '
        { d = $1 - $2; if (NF != 2 || d > 1e-5 || d < -1e-5) { print a, b, NR ": " $0; bad = 1 } }
        END { exit bad || NR != 30 }' >&2 || fail "the losses of $1 and $2 differ"
    checks=$((checks + 1))
}

muon cpu --set backend.use=cpu
muon ref --set backend.use=ref
agree cpu ref
numbers cpu loss | awk 'NR == 1 { first = $1 } { last = $1 } END { exit !(last < first - 0.5) }' ||
    fail "the loss did not fall: $(numbers cpu loss | sed -n '1p;$p' | tr '\n' ' ')"

# Two micro-batches of two rows are one of four; q, k and v may share heads.
muon halves --set train.batch=2 --set train.accumulate=2
agree cpu halves
muon shared --set model.kv_heads=2

# Any number of threads, and clipped as anything else is.
muon clipped --set train.clip=0.5 --set backend.cpu.threads=1
want=$(sum clipped)
for threads in 2 3 8 17; do
    muon threads --set train.clip=0.5 --set backend.cpu.threads=$threads
    [ "$(sum threads)" = "$want" ] || fail "$threads threads: other bits"
done

# Killed and resumed: the same bits. state.safetensors names m for all, v for AdamW's parameters.
muon halted --set train.clip=0.5 --set train.checkpoint_every=1 --set train.keep=40
[ "$(sum halted)" = "$want" ] || fail 'checkpoints change the bits'
for at in 1 11 29; do
    rm -rf resumed
    cp -r halted resumed
    rm -rf resumed/latest
    (cd resumed/checkpoints && for step in step-*; do [ "${step#step-}" -le $at ] ||
        rm -rf "$step"; done)
    ln -s checkpoints/step-$at resumed/latest
    run 0 train --resume --dir resumed --set backend.cpu.threads=3
    [ "$(sum resumed)" = "$want" ] || fail "resumed at step $at: other bits"
done
head -c 20000 halted/latest/state.safetensors | tr ',{' '\n\n' | grep -ao '"muon[^"]*"' >tensors
has tensors '"muon.m.h.0.attn.qkv.weight"'
has tensors '"muon.m.wte.weight"'
has tensors '"muon.v.wte.weight"'
grep -q '"muon.v.h.0.attn.qkv.weight"' tensors && fail 'a hidden matrix keeps a second moment'

# The state of one optimizer is not that of another.
run 3 train --resume --dir resumed --steps 40 --set optimizer.use=adamw
has err 'was trained with muon'

# A fused step leaves the update to the core, and computes the same.
for step in composed fused_cpu; do
    run 0 train -c "$ini" --dir "$step" --steps 30 --val-every 0 --samples 0 \
        --set optimizer.use=muon \
        --set backend.use=cpu --set precision.use=fp32 --set step.use=$step
done
agree composed fused_cpu

# What is wrong is told, with what was expected.
for wrong in 'momentum=1' 'ns_steps=0' 'adjust_lr=auto' 'nesterov=perhaps' 'adamw_lr_ratio=-1'; do
    run 3 train -c "$ini" --dir wrong --set optimizer.use=muon --set "optimizer.muon.$wrong"
    has err "muon.*${wrong%=*}"
done
echo "muon: $checks checks"
