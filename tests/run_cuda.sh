# Backend cuda where there is no GPU: what the probe says, what auto and an explicit use make of it.
. "$abs_top_srcdir/tests/run.sh"

[ -e "$abs_top_builddir/plugins/.libs/backend_cuda.so" ] ||
    skip 'no CUDA toolkit: backend cuda was not built, since there is no nvcc'

mkdir fake
cp "$MICROGPT_TEST_PLUGINS/fake_libcuda.so" fake/libcuda.so.1 || exit 99
export LD_LIBRARY_PATH=$PWD/fake${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

small="--steps 2 --samples 1 --set dataset.path=$abs_top_srcdir/conf/data/given-names.txt"

# says FAKE TEXT: that is what the probe finds wrong, wherever one asks.
says()
{
    export FAKE_CUDA=$1
    run 0 plugins list --why
    has out "backend cuda cannot run here: .*$2"
    run 0 plugins inspect backend/cuda
    has out "runs .*$2"
    # shellcheck disable=SC2086
    run 0 train -c "$ini" --dir "auto.$1" $small --set backend.use=auto
    has err "backend = auto: not cuda \(.*$2.*\), so cpu"
    has err 'backend cpu'
    # shellcheck disable=SC2086
    run 4 train -c "$ini" --dir "cuda.$1" $small --set backend.use=cuda
    has err "error: .*$2"
}

says broken 'cuInit: unknown error \(999\)'
says old 'the driver is for CUDA 11.4, this build needs one for [0-9.]+ or later'
says empty 'there is a driver, but no CUDA device'
says weak 'Fake 1 has compute capability 7.0, expected 7.5 or more'

# No driver at all, where that is so.
rm fake/libcuda.so.1
ldconfig=$(PATH=$PATH:/sbin:/usr/sbin command -v ldconfig || true)
if [ -n "$ldconfig" ] && ! "$ldconfig" -p | grep -q 'libcuda\.so\.1 '; then
    says none 'libcuda.so.1 not found'
fi
# NVRTC and what it opens itself are found in the toolkit's folder where the loader knows neither.
program=$abs_top_builddir/tests/check_nvrtc
loader=$(readelf -l "$program" 2>/dev/null | sed -n 's/.*program interpreter: \(.*\)]/\1/p')
if [ -n "$loader" ] && "$loader" --help 2>/dev/null | grep -q -e --inhibit-cache; then
    "$loader" --inhibit-cache "$program" 'without a cache of libraries' >out 2>err
    status=$?
    [ $status = 77 ] || [ $status = 0 ] || fail "NVRTC in a folder of its own: exit $status"
    checks=$((checks + 1))
fi

# What a GPU alone can show is skipped without one, and never passes.
if ! command -v nvidia-smi >/dev/null; then
    bash "$abs_top_srcdir/tests/bench/gpu.sh" >out 2>err
    [ $? = 77 ] || fail 'tests/bench/gpu.sh: expected exit 77 without a GPU'
    has out '^SKIP: no NVIDIA GPU here \('
fi
echo "cuda: $checks checks"
