# Precision bf16: both recipes made small are learned as in fp32, the same on cpu and ref, whatever
# the number of threads, killed or not; a device without BF16 is refused, with the reason.
. "$abs_top_srcdir/tests/run.sh"
. "$abs_top_srcdir/tests/recipes.sh"

# --- ref, which runs everywhere ---
trained toy-ref ref bf16 "${toy[@]}"
trained toy-ref32 ref fp32 "${toy[@]}"
near 2e-2 toy-ref toy-ref32
[ "$(numbers toy-ref loss)" != "$(numbers toy-ref32 loss)" ] || fail 'bf16 rounds nothing'
trained names-ref ref bf16 "${names_small[@]}"
trained names-ref32 ref fp32 "${names_small[@]}"
near 2e-2 names-ref names-ref32
head -c 300 toy-ref/latest/model.safetensors | grep -q '"F32"' || fail 'weights are not kept in F32'
run 0 generate --dir toy-ref --samples 1 --set generate.max_tokens=20

# --- a processor without BF16 ---
run 4 train --dir refused --set precision.use=bf16 --set backend.use=cpu \
    --set backend.cpu.simd=baseline \
    "${names_small[@]}"
has err 'precision. use = bf16 with backend cpu: .*AVX512_BF16.*simd.*precision = fp32'
[ ! -e refused ] || fail 'a refused run left a folder'

# --- one with it ---
if ! "$MICROGPT" train --dir probe --set precision.use=bf16 --set backend.use=cpu \
        "${names_small[@]}" \
    --steps 1 >out 2>err; then
    has err 'AVX512_BF16'
    echo "bf16: $checks checks, all on ref: this processor or build has no AVX512_BF16"
    exit 0
fi
trained toy cpu bf16 "${toy[@]}"
near 1e-3 toy toy-ref
near 2e-2 toy toy-ref32
trained names cpu bf16 "${names_small[@]}"
near 1e-3 names names-ref
near 2e-2 names names-ref32
trained odd cpu bf16 "${toy[@]}" --set model.embd=36 --set model.kv_heads=2 --set model.mlp=51 \
    --set model.context=13 --set model.dropout=0.1 --set model.embed_norm=true
trained odd-ref ref bf16 "${toy[@]}" --set model.embd=36 --set model.kv_heads=2 --set model.mlp=51 \
    --set model.context=13 --set model.dropout=0.1 --set model.embed_norm=true
near 1e-3 odd odd-ref

for threads in 1 2 3 8 17; do
    trained threads cpu bf16 "${toy[@]}" --set backend.cpu.threads=$threads --set train.batch=32 \
        --set train.accumulate=2 --set model.dropout=0.2 --set train.checkpoint_every=3
    [ "${want:=$(sum threads)}" = "$(sum threads)" ] || fail "$threads threads: other bits"
done

# Killed by the clock, wherever it happens to be; then it goes on.
killed=0
for delay in 0.02 0.04 0.06 0.08 0.1 0.14; do
    rm -rf killed
    again=(--dir killed --set precision.use=bf16 --set backend.use=cpu "${toy[@]}"
        --set train.batch=32 --set train.accumulate=2 --set model.dropout=0.2
        --set train.checkpoint_every=3)
    timeout -s KILL $delay "$MICROGPT" train "${again[@]}" >out 2>err </dev/null ||
        killed=$((killed + 1))
    run 0 train --resume "${again[@]}"
    [ "$(sum killed)" = "$want" ] || fail "killed after $delay s and resumed: other bits"
done
[ $killed -gt 0 ] || fail 'no run was killed in time: the test says nothing'

# --- step fused_cpu walks in BF16, too ---
for recipe in toy odd names; do
    case $recipe in
    toy) options=("${toy[@]}") ;;
    odd) options=("${toy[@]}" --set model.embd=36 --set model.kv_heads=2 --set model.mlp=51
        --set model.context=13 --set model.dropout=0.1 --set model.embed_norm=true) ;;
    names) options=("${names_small[@]}") ;;
    esac
    trained walk cpu bf16 "${options[@]}" --set step.use=fused_cpu
    has err 'precision bf16, step fused_cpu'
    near 1e-3 walk $recipe
    near 1e-3 walk $recipe-ref
done
want=
for threads in 1 3 8; do
    trained walk cpu bf16 "${toy[@]}" --set backend.cpu.threads=$threads --set train.batch=64 \
        --set train.accumulate=2 --set model.dropout=0.2 --set step.use=fused_cpu
    [ "${want:=$(sum walk)}" = "$(sum walk)" ] || fail "fused_cpu, $threads threads: other bits"
done
run 4 train --dir refused --set backend.use=cpu --set precision.use=bf16 "${toy[@]}" \
    --set step.use=fused_cpu --set step.fused_cpu.isa=avx2
has err 'isa = avx2 has no BF16; isa = auto'

# --- what follows training ---
for folder in toy toy-ref; do
    run 0 eval --dir $folder --json
    grep -o '[0-9]\.[0-9]*' out | head -1 >"$folder.eval"
done
paste toy.eval toy-ref.eval |
    awk '{ exit !($1 > 0 && $1 / $2 - 1 < 1e-3 && 1 - $1 / $2 < 1e-3) }' ||
    fail "eval differs: $(paste toy.eval toy-ref.eval)"
run 0 generate --dir toy --samples 2 --set generate.max_tokens=40
for folder in names names-ref; do
    run 0 generate --dir $folder --samples 3 --set sampler.use=greedy
    grep '^sample' out >"$folder.samples"
done
diff names.samples names-ref.samples >&2 || fail 'cpu and ref do not choose the same letters'
echo "bf16: $checks checks"
