# Number formats are one line of the INI: both recipes made small are learned on ref in each, near
# to fp32; fp16 finds its scale, skips what overflows, and goes on after a kill with the same bits;
# what a device lacks is refused or replaced, saying why.
. "$abs_top_srcdir/tests/run.sh"
. "$abs_top_srcdir/tests/recipes.sh"

used() { sed -n '/^.precision.$/,/^$/s/^use = //p' "$1/config.ini"; }

# --- each mode on both recipes ---
for recipe in toy names_small; do
    declare -n options=$recipe
    trained $recipe-fp32 ref fp32 "${options[@]}"
    for mode in tf32 bf16 fp16; do
        trained $recipe-$mode ref $mode "${options[@]}"
        near 2e-2 $recipe-$mode $recipe-fp32
        [ "$(sum $recipe-$mode)" != "$(sum $recipe-fp32)" ] || fail "$recipe: $mode rounds nothing"
        [ "$(used $recipe-$mode)" = $mode ] ||
            fail "$recipe: the run's config.ini does not say $mode"
    done
    has out 'scale 65536$'
    [ "$(numbers $recipe-fp16 loss_scale | sort -u)" = 65536.0000 ] ||
        fail "$recipe: the scale is not told"
    ! grep -q loss_scale $recipe-bf16/metrics.jsonl || fail 'a scale is told where there is none'
done
head -c 300 toy-fp16/latest/model.safetensors | grep -q '"F32"' ||
    fail 'weights are not kept in F32'
run 0 generate --dir toy-fp16 --samples 1 --set generate.max_tokens=20
run 0 eval --dir toy-fp16 --json

# --- the scale: too large at first, halved until nothing overflows, and doubled after every second
# good step ---
scaling=("${names_small[@]}" --set precision.fp16.scale_initial=134217728
    --set precision.fp16.scale_interval=2 --set train.checkpoint_every=1 --set train.keep=30
    --steps 40)
trained scaled ref fp16 "${scaling[@]}"
has out 'step    1/  40 .* skipped: NaN or Inf . scale 6.71089e\+07$'
awk '{
    if (!match($0, /"loss_scale": [0-9.e+]*/)) next
    now = substr($0, RSTART + 14, RLENGTH - 14) + 0
    if (NR == 1) was = 134217728
    if (/"skipped": true/) {
        if (now != was / 2) bad = 1
        good = 0; skipped++
    } else if (++good == 2) {
        if (now != was * 2) bad = 1
        good = 0; grown++
    } else if (now != was)
        bad = 1
    if (bad) { print NR ": from " was " to " now ": " $0; exit 1 }
    was = now
}
END { exit bad || skipped < 4 || grown < 4 }' scaled/metrics.jsonl >&2 ||
    fail 'the scale does not grow and back off as it should'

# A skipped step leaves the weights alone, bit for bit; a good one does not.
for step in $(seq 2 28); do
    before=scaled/checkpoints/step-$((step + 9)) after=scaled/checkpoints/step-$((step + 10))
    [ -d $before ] && [ -d $after ] || continue
    if grep "^{\"step\": $((step + 10)), .*loss_scale" scaled/metrics.jsonl | grep -q skipped; then
        cmp $before/model.safetensors $after/model.safetensors >&2 ||
            fail "skipped step $((step + 10)) changed weights"
        skipped=$((${skipped:-0} + 1))
    else
        ! cmp -s $before/model.safetensors $after/model.safetensors ||
            fail "good step $((step + 10)) changed nothing"
    fi
done
[ "${skipped:-0}" -gt 1 ] || fail 'no skipped step was compared: the test says nothing'

# Stopped at steps with any state of the scale, and resumed: the same bits.
want=$(sum scaled)
for at in 1 9 18 19 20 21; do
    trained again ref fp16 "${scaling[@]}" --steps $at
    run 0 train --resume --dir again --steps 40
    cmp <(numbers again loss_scale) <(numbers scaled loss_scale) >&2 ||
        fail "resumed after $at: another scale"
done
# A run that gets fp16 begins with the first scale, as a new one does, and says so; without fp16 it
# has none, and with fp16 once more begins anew; one that had a scale keeps it, 1 too.
trained switched ref fp32 "${names_small[@]}" --steps 6
scales() { numbers "$1" loss_scale | tail -n "$2" | awk '{ printf "%s%d", (NR > 1 ? " " : ""), $1 }'; }
run 0 train --resume --dir switched --steps 12 --set precision.use=fp16 \
    --set precision.fp16.scale_interval=4
has err 'precision = fp16: the loss was not scaled up to here; its scale begins at 65536$'
[ "$(scales switched 6)" = '65536 65536 65536 131072 131072 131072' ] ||
    fail "fp32 resumed in fp16: scales $(scales switched 6)"
run 0 train --resume --dir switched --steps 14
! grep -q 'not scaled' err || fail 'fp16 resumed in fp16 begins with another scale'
[ "$(scales switched 2)" = '131072 262144' ] ||
    fail "fp16 resumed in fp16: scales $(scales switched 2)"
run 0 train --resume --dir switched --steps 16 --set precision.use=fp32
[ "$(grep -c loss_scale switched/metrics.jsonl)" = 8 ] || fail 'a scale is told after fp16'
run 0 train --resume --dir switched --steps 18 --set precision.use=fp16
has err 'its scale begins at 65536$'
[ "$(scales switched 2)" = '65536 65536' ] || fail "fp16, fp32, fp16: scales $(scales switched 2)"
trained one ref fp16 "${names_small[@]}" --set precision.fp16.scale_initial=1 --steps 4
run 0 train --resume --dir one --steps 6 --set precision.fp16.scale_initial=65536
has err 'precision = fp16: the checkpoint has a scale of 1 for the loss, and keeps it;'
[ "$(scales one 6)" = "1 1 1 1 1 1" ] || fail 'a run in fp16 does not keep a scale of 1'
again=(--dir killed --set backend.use=ref --set precision.use=fp16 "${scaling[@]}")
run 0 train "${again[@]}"
[ "$(sum killed)" = "$want" ] || fail 'a second run has other bits'
killed=0
for delay in 0.05 0.1 0.15 0.2 0.3; do
    rm -rf killed
    timeout -s KILL $delay "$MICROGPT" train "${again[@]}" >out 2>err </dev/null ||
        killed=$((killed + 1))
    run 0 train --resume "${again[@]}"
    [ "$(sum killed)" = "$want" ] || fail "killed after $delay s and resumed: other bits"
done
[ $killed -gt 0 ] || fail 'no run was killed in time: the test says nothing'

# More skipped steps than max_skipped are normal while the scale is sought, and an end when it is 1.
trained search ref fp16 "${names_small[@]}" --set precision.fp16.scale_initial=1152921504606846976 \
    --set train.max_skipped=3
[ "$(grep -c skipped search/metrics.jsonl)" -gt 15 ] ||
    fail 'fewer steps were skipped than the test needs'
run 1 train --dir lost --set backend.use=ref --set precision.use=fp16 "${names_small[@]}" \
    --set precision.fp16.scale_initial=8 --set train.max_skipped=3 --set train.lr=1000
has err 'NaN or Inf .* 4 steps in a row .*loss scale 1,'
run 4 train --dir odd --set backend.use=ref --set precision.use=fp16 "${names_small[@]}" \
    --set precision.fp16.scale_initial=1000
has err 'scale_initial = 1000: expected a power of two'

# --- what a device lacks ---
run 4 train --dir refused --set backend.use=cpu --set precision.use=fp16 "${names_small[@]}"
has err 'precision. use = fp16 with backend cpu: fp16 needs a device with F16, and cpu has none .*use precision = '
run 4 train --dir refused --set backend.use=cpu --set precision.use=fp64 "${names_small[@]}"
has err 'use backend = ref'
run 4 train --dir refused --set backend.use=ref --set precision.use=int4 "${names_small[@]}"
[ ! -e refused ] || fail 'a refused run left a folder'
trained cpu32 cpu fp32 "${names_small[@]}"
trained cpu-tf32 cpu tf32 "${names_small[@]}"
has err 'precision = tf32: cpu multiplies F32 as it is, without TF32, so fp32$'
trained cpu-auto cpu auto "${names_small[@]}"
has err 'precision = auto: cpu computes on the processor, so fp32$'
for folder in cpu-tf32 cpu-auto; do
    [ "$(used $folder)" = fp32 ] || fail "$folder: config.ini does not say what was taken"
    [ "$(sum $folder)" = "$(sum cpu32)" ] || fail "$folder is not fp32"
done
run 0 train --resume --dir cpu-auto --steps 24
! grep -q 'precision = auto' err || fail 'what auto chose is asked anew on resume'

# Where the device is open too, a mode that it lacks becomes fp32, with a warning; not fp64.
run 0 train --dir open --set backend.use=auto --set precision.use=fp16 "${names_small[@]}"
if grep -q 'backend cpu' err; then
    has err 'warning: precision = fp16: backend = auto found no device for it: cpu has no F16, so fp32$'
    [ "$(used open)" = fp32 ] || fail 'config.ini does not say fp32'
    run 4 train --dir refused --set backend.use=auto --set precision.use=fp64 "${names_small[@]}"
fi

# fused_cpu leaves other formats to others, and says so.
run 4 train --dir refused --set backend.use=ref --set precision.use=fp16 --set step.use=fused_cpu \
    "${names_small[@]}"
has err 'step. use = fused_cpu, but it cannot run this: needs '
echo "amp: $checks checks"
