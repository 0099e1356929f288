# Both recipes at small size on the emulated CUDA device, in every precision, and the first in one
# launch too: the losses of ref, within 1e-5 each in fp32, within a thousandth in the others.
. "$abs_top_srcdir/tests/run.sh"
. "$abs_top_srcdir/tests/recipes.sh"

[ -e "$MICROGPT_TEST_PLUGINS/backend_cuda_emu.so" ] || skip 'no C++ compiler (Debian package g++)'

# with NAME BACKEND CONF OPTION...: trains; losses go to file NAME, one a line, in all digits
with()
{
    name=$1 backend=$2 conf=$3
    shift 3
    run 0 train -P "$MICROGPT_TEST_PLUGINS" -c "$conf" --dir "$name.run" --samples 1 \
        --set backend.use="$backend" --set backend.fallback=error --set logger.use=jsonl \
        --set step.use=composed "$@"
    numbers "$name.run" loss >"$name"
    [ "$(wc -l <"$name")" -ge 10 ] || fail "$name: $(wc -l <"$name") losses in metrics.jsonl"
}

# agree ONE OTHER MOST [RELATIVE]: losses differ by MOST at most, or by so much of the other
agree()
{
    paste "$1" "$2" | awk -v limit="$3" -v relative="${4:-}" '
        { d = $1 - $2; if (d < 0) d = -d; if (relative) d /= $2; if (d > most) most = d }
        END { printf "largest difference of %d losses: %.2g\n", NR, most; exit !(most <= limit) }' ||
        fail "$1 and $2 differ by more than $3"
    checks=$((checks + 1))
}

small="--steps 20 --set dataset.path=$abs_top_srcdir/conf/data/given-names.txt"
# shellcheck disable=SC2086
with names.ref ref "$ini" $small
# shellcheck disable=SC2086
with names.emu cuda_emu "$ini" $small
agree names.ref names.emu 1e-5
# shellcheck disable=SC2086
with names.micro cuda_emu "$ini" $small --set step.use=micro_cuda
agree names.ref names.micro 1e-5

head -c 20000 "$abs_top_srcdir/conf/data/given-names.txt" >text
toy="--steps 10 --set dataset.path=$PWD/text ${toy_model[*]} --set train.val_batches=2"
for dropout in 0 0.2; do
    # shellcheck disable=SC2086
    with toy$dropout.ref ref "$abs_top_srcdir/conf/toygpt.ini" $toy --set model.dropout=$dropout \
        --set precision.use=fp32
    # shellcheck disable=SC2086
    with toy$dropout.emu cuda_emu "$abs_top_srcdir/conf/toygpt.ini" $toy \
        --set model.dropout=$dropout \
        --set precision.use=fp32
    agree toy$dropout.ref toy$dropout.emu 1e-5
done

# Every precision: as ref in the same one, near fp32, and not the same as that.
for mode in tf32 bf16 fp16; do
    for run in names toy0.2; do
        conf=$ini options=$small
        [ $run = names ] ||
            conf=$abs_top_srcdir/conf/toygpt.ini options="$toy --set model.dropout=0.2"
        for backend in ref cuda_emu; do
            # shellcheck disable=SC2086
            with $run.$mode.$backend $backend "$conf" $options --samples 0 \
                --set precision.use=$mode
        done
        agree $run.$mode.cuda_emu $run.$mode.ref 1e-3 relative
        agree $run.$mode.cuda_emu $run.ref 0.02 relative
        ! cmp -s $run.$mode.cuda_emu $run.emu || fail "$run: $mode rounds nothing"
    done
done
# In one launch, too.
for mode in tf32 bf16 fp16; do
    # shellcheck disable=SC2086
    with names.$mode.micro cuda_emu "$ini" $small --samples 0 --set precision.use=$mode \
        --set step.use=micro_cuda --set step.micro_cuda.threads=64
    agree names.$mode.micro names.$mode.ref 1e-3 relative
done
# The scale of the loss is sought within a launch, told for each step, and the same after a
# checkpoint.
scaling="$small --samples 0 --set precision.use=fp16 --set step.use=micro_cuda
    --set step.micro_cuda.threads=64 --set precision.fp16.scale_initial=134217728
    --set precision.fp16.scale_interval=2 --set scheduler.use=constant"
scales() { sed -n 's/.*"loss_scale": *\([0-9.e+]*\).*/\1/p' "$1/metrics.jsonl"; }
# shellcheck disable=SC2086
with names.search cuda_emu "$ini" $scaling
[ "$(grep -c '"skipped": true' names.search.run/metrics.jsonl)" -ge 4 ] ||
    fail 'too little was skipped'
[ "$(scales names.search.run | wc -l)" -eq 20 ] || fail 'the scale is not told for each step'
# shellcheck disable=SC2086
with names.resumed cuda_emu "$ini" $scaling --steps 11
run 0 train -P "$MICROGPT_TEST_PLUGINS" --resume --dir names.resumed.run --steps 20
[ "$(scales names.resumed.run)" = "$(scales names.search.run)" ] || fail 'resumed: another scale'
[ "$(sum names.resumed.run)" = "$(sum names.search.run)" ] || fail 'resumed: other bits'

# Turing has F16 alone; what it lacks it says.
# shellcheck disable=SC2086
with turing cuda_emu "$ini" $small --samples 0 --set precision.use=fp16 \
    --set backend.cuda_emu.capability=75
agree turing names.fp16.ref 1e-3 relative
# shellcheck disable=SC2086
run 4 train -P "$MICROGPT_TEST_PLUGINS" -c "$ini" --dir refused $small --set precision.use=bf16 \
    --set backend.use=cuda_emu --set backend.cuda_emu.capability=75
has err 'bf16 needs a device with BF16'

# The same bits in any order of threads.
# shellcheck disable=SC2086
with toy.back cuda_emu "$abs_top_srcdir/conf/toygpt.ini" $toy --set model.dropout=0.2 \
    --set backend.cuda_emu.order=backward --set precision.use=fp32
[ "$(sum toy.back.run)" = "$(sum toy0.2.emu.run)" ] || fail 'bits depend on the order of threads'
# shellcheck disable=SC2086
with toy.back16 cuda_emu "$abs_top_srcdir/conf/toygpt.ini" $toy --set model.dropout=0.2 \
    --samples 0 --set backend.cuda_emu.order=backward --set precision.use=fp16
[ "$(sum toy.back16.run)" = "$(sum toy0.2.fp16.cuda_emu.run)" ] ||
    fail 'bits of fp16 depend on the order of threads'
# A stranger's optimizer, built from the public headers alone, updates on the device as well.
cat >mine.c <<'END'
#include <stdlib.h>
#include <microgpt/optimizer.h>

/* Sign of a mean of gradients, limited near 0. */
MGPT_RULE(mine, (mean), (lr, keep, decay),
    mean = keep * mean + ((real)1 - keep) * g;
    const real size = fabs(mean);
    p -= lr * (copysign(size / (size + (real)1e-3), mean) + decay * p);)

struct mgpt_optimizer { int unused; };
static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_optimizer **optimizer, struct mgpt_error *error)
{
    (void)host;
    (void)config;
    *optimizer = calloc(1, sizeof **optimizer);
    return *optimizer ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "out of memory");
}
static void destroy(struct mgpt_optimizer *optimizer)
{
    free(optimizer);
}
static void scalars(const struct mgpt_optimizer *optimizer, const struct mgpt_tick *tick, double *h)
{
    (void)optimizer;
    h[0] = tick->lr;
    h[1] = 0.9;
    h[2] = tick->weight_decay;
}
static const struct mgpt_optimizer_api api = {.size = sizeof api,
                                              .rule = &mine,
                                              .create = create,
                                              .destroy = destroy,
                                              .scalars = scalars};
static const struct mgpt_component component = {
    sizeof component, MGPT_NO_OPTIONS, 0, MGPT_KIND_OPTIMIZER, "mine", "a test's own", 0, 0, &api};
MGPT_PLUGIN_DEFINE("org.example.mine", "1.0", "MIT", "A. Author", 0, &component)
END
read -ra compiler <<<"${CC:-cc}"
umask 022 # the loader refuses what others may write
mkdir strangers
"${compiler[@]}" -std=c11 -Wall -Wextra -Werror -fPIC -shared -fvisibility=hidden -O2 \
    -ftree-vectorize \
    -fno-math-errno -ffp-contract=off -I"$abs_top_srcdir/core" mine.c \
    -o strangers/optimizer_mine.so \
    -lm || fail 'the optimizer does not compile'
# shellcheck disable=SC2086
with mine.ref ref "$ini" $small -P "$PWD/strangers" --set optimizer.use=mine
# shellcheck disable=SC2086
with mine.emu cuda_emu "$ini" $small -P "$PWD/strangers" --set optimizer.use=mine \
    --set step.use=composed
# shellcheck disable=SC2086
with mine.graph cuda_emu "$ini" $small -P "$PWD/strangers" --set optimizer.use=mine \
    --set step.use=graph_cuda
[ "$(sum mine.graph.run)" = "$(sum mine.emu.run)" ] || fail 'step graph_cuda has other bits'
agree mine.ref mine.emu 1e-5
# shellcheck disable=SC2086
with mine.micro cuda_emu "$ini" $small -P "$PWD/strangers" --set optimizer.use=mine \
    --set step.use=micro_cuda --set step.micro_cuda.threads=64 --set step.micro_cuda.steps=1
agree mine.ref mine.micro 1e-5
[ "$(sum mine.emu.run)" != "$(sum names.emu.run)" ] || fail 'optimizer mine trained as adamw does'
echo "emu: $checks checks"
