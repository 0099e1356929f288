# What the whole-program tests share; they source it. Each works in a folder of its own.
set -u

scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 99

ini=$abs_top_srcdir/conf/microgpt.ini
names=${MGPT_TEST_DATA:-$abs_top_srcdir/../shared/data}/names.txt
checks=0

fail()
{
    echo "FAIL: $*" >&2
    [ -s out ] && sed 's/^/  out: /' out | tail -5 >&2
    [ -s err ] && sed 's/^/  err: /' err | tail -5 >&2
    exit 1
}

# run WANTED_EXIT ARGUMENT...: the program, its output in files out and err.
run()
{
    wanted=$1
    shift
    "$MICROGPT" "$@" >out 2>err </dev/null
    got=$?
    [ "$got" = "$wanted" ] || fail "microgpt $*: exit $got, expected $wanted"
    checks=$((checks + 1))
}

# has FILE REGEX: some line of the file matches.
has()
{
    grep -qE -- "$2" "$1" || fail "$1: no line matches: $2"
    checks=$((checks + 1))
}

# sum RUN: digests of the last checkpoint's parameters and state.
sum()
{
    (cd "$1/latest" && sha256sum model.safetensors state.safetensors) || fail "$1: no checkpoint"
}

# skip REASON: what is missing here. In CI .ci/run takes it for a failure, but for a few reasons.
skip()
{
    echo "SKIP: $*"
    exit 77
}
