# Step graph_cuda on the emulated CUDA device: the bits of the composed step, whatever the recipe
# and the optimizer, with accumulation and dropout; killed and resumed, too.
. "$abs_top_srcdir/tests/run.sh"
. "$abs_top_srcdir/tests/recipes.sh"

[ -e "$MICROGPT_TEST_PLUGINS/backend_cuda_emu.so" ] || skip 'no C++ compiler (Debian package g++)'

# train NAME STEP CONF OPTION...
train()
{
    local name=$1 step=$2 conf=$3
    shift 3
    run 0 train -P "$MICROGPT_TEST_PLUGINS" -c "$conf" --dir "$name" --samples 0 \
        --set backend.use=cuda_emu --set backend.fallback=error --set step.use="$step" \
        --set logger.use=jsonl "$@"
}

# lines NAME: what metrics.jsonl says of each step, but for the time it took.
lines()
{
    sed -n 's/.*"step": *\([0-9]*\).*"loss": *\([0-9.e+-]*\).*/\1 \2/p' "$1/metrics.jsonl"
}

# same NAME CONF OPTION...: both steps, held against each other.
same()
{
    local name=$1 conf=$2
    shift 2
    train "$name.composed" composed "$conf" "$@"
    train "$name.graph" graph_cuda "$conf" "$@"
    [ "$(sum "$name.graph")" = "$(sum "$name.composed")" ] || fail "$name: other bits"
    [ "$(lines "$name.graph")" = "$(lines "$name.composed")" ] || fail "$name: other losses"
    [ "$(lines "$name.graph" | wc -l)" -ge 10 ] ||
        fail "$name: $(lines "$name.graph" | wc -l) losses"
    checks=$((checks + 1))
}

data=$abs_top_srcdir/conf/data/given-names.txt
toyini=$abs_top_srcdir/conf/toygpt.ini
head -c 20000 "$data" >text
small=(--steps 20 --set dataset.path="$data")
toy=(--steps 10 --set dataset.path="$PWD/text" "${toy_model[@]}" --set train.val_batches=2)

same names "$ini" "${small[@]}"
same names.lion "$ini" "${small[@]}" --set optimizer.use=lion --set train.accumulate=2
# Each call held to the contract of its kind, the same bits: what is taken down in a graph runs
# later, and nothing can be read meanwhile.
MICROGPT_VALIDATE=1 train names.held graph_cuda "$ini" "${small[@]}"
has err 'validate: backend cuda_emu is held to its contract'
has err 'validate: step graph_cuda is held to its contract'
[ "$(sum names.held)" = "$(sum names.graph)" ] || fail 'a validated run has other bits'
same toy "$toyini" "${toy[@]}" --set model.dropout=0
same toy.dropout "$toyini" "${toy[@]}" --set model.dropout=0.2 --set train.accumulate=3 \
    --set optimizer.use=sgd
same toy.muon "$toyini" "${toy[@]}" --set optimizer.use=muon

# Weights that are kept in 16 bits, too, change no bit: not with batches that accumulate, a
# validation between steps, steps that are skipped as the scale is sought, or after a checkpoint.
kept=("${toy[@]}" --set scheduler.use=constant --set train.accumulate=3 --set train.val_every=2
    --set train.checkpoint_every=4 --set precision.fp16.scale_initial=134217728
    --set precision.fp16.scale_interval=2)
for mode in bf16 fp16; do
    same kept.$mode "$toyini" "${kept[@]}" --set precision.use=$mode
    train plain.$mode composed "$toyini" "${kept[@]}" --set precision.use=$mode \
        --set backend.cuda_emu.keep=false
    [ "$(sum plain.$mode)" = "$(sum kept.$mode.graph)" ] || fail "$mode: other bits without copies"
    [ "$(lines plain.$mode)" = "$(lines kept.$mode.graph)" ] || fail "$mode: other losses"
    for step in composed graph_cuda; do
        train halves.$mode.$step $step "$toyini" "${kept[@]}" --steps 4 --set precision.use=$mode
        train halves.$mode.$step $step "$toyini" "${kept[@]}" --set precision.use=$mode --resume
        [ "$(sum halves.$mode.$step)" = "$(sum plain.$mode)" ] || fail "$mode: resumed, other bits"
    done
    checks=$((checks + 2))
done

# The fastest that knows the model, unless another is named; on another device it says why not.
# A small model is for micro_cuda, in any format; what it has no room for is for this one.
run 0 train -P "$MICROGPT_TEST_PLUGINS" -c "$ini" --dir auto "${small[@]}" \
    --set backend.use=cuda_emu \
    --samples 0
has err 'backend cuda_emu .* step micro_cuda'
for mode in tf32 bf16 fp16; do
    run 0 train -P "$MICROGPT_TEST_PLUGINS" -c "$ini" --dir auto16 "${small[@]}" --explain \
        --set backend.use=cuda_emu --set precision.use=$mode
    has out '^step       micro_cuda, which covers FBCUS'
done
run 0 train -P "$MICROGPT_TEST_PLUGINS" -c "$ini" --dir auto16 "${small[@]}" --explain \
    --set backend.use=cuda_emu --set model.mlp=8192
has out '^step       graph_cuda, which covers FBCUS'
has out 'micro_cuda bids 0: one document takes .* bytes of shared memory'
run 4 train -c "$ini" --dir cpu "${small[@]}" --set backend.use=cpu --set step.use=graph_cuda
has err 'it cannot run this: the backend is no CUDA device \(it has no nvidia.cuda-native/1\)'

# Killed after its first checkpoint, and resumed: graphs are made anew, the bits are the same.
often=(--steps 60 --set dataset.path="$data" --set model.dropout=0.1 --set train.checkpoint_every=3)
train whole graph_cuda "$ini" "${often[@]}"
"$MICROGPT" train -P "$MICROGPT_TEST_PLUGINS" -c "$ini" --dir killed --samples 0 \
    --set backend.use=cuda_emu --set step.use=graph_cuda --set logger.use=jsonl "${often[@]}" \
    >out 2>err </dev/null &
for ((i = 0; i < 3000; i++)); do
    [ ! -e killed/latest ] || break
    sleep 0.02
done
kill -KILL $!
wait $! 2>/dev/null
[ -e killed/latest ] || fail 'no checkpoint within a minute'
[ "$(lines killed | wc -l)" -lt 60 ] ||
    fail 'the run was over before it was killed: this says nothing'
train killed graph_cuda "$ini" "${often[@]}" --resume
[ "$(sum killed)" = "$(sum whole)" ] || fail 'killed and resumed: other bits'
[ "$(lines killed)" = "$(lines whole)" ] || fail 'killed and resumed: other losses'
checks=$((checks + 1))
echo "graph: $checks checks"
