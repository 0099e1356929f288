# The C program beside the Python reference: in double the same lines, in single the same to 1e-5.
. "$abs_top_srcdir/tests/run.sh"
command -v python3 >/dev/null || skip 'python3 is not here'
reference=$abs_top_srcdir/doc/reference/microgpt.py

# beside DATA OPTION...: both programs, the lines that both print.
beside()
{
    data=$1
    shift
    python3 "$reference" --data "$data" "$@" >python.out || fail 'the Python reference failed'
    rm -rf run
    run 0 train -c "$ini" --set backend.use=ref --set precision.use=fp64 \
        --set dataset.path="$data" --dir run "$@"
    sed 's/\( | loss [0-9.]*\) .*/\1/' out >c.out
    diff python.out c.out >diff.out ||
        { cat diff.out >&2; fail "not the lines of Python: $data $*"; }
    checks=$((checks + 1))
    rm -rf run32
    run 0 train -c "$ini" --set backend.use=cpu --set precision.use=fp32 \
        --set dataset.path="$data" --dir run32 "$@"
    python3 - run/metrics.jsonl run32/metrics.jsonl <<'END' || fail 'cpu in fp32 is not within its tolerances'
import json, sys
a, b = ([x for x in map(json.loads, open(path)) if "sample" not in x] for path in sys.argv[1:])
assert len(a) == len(b) > 0
for x, y in zip(a, b):
    key, limit = ("val_loss", 1e-4) if "val_loss" in x else ("loss", 1e-5 if x["step"] <= 10 else 1e-3)
    assert abs(x[key] - y[key]) <= limit, (x, y)
END
}

built_in=$abs_top_srcdir/conf/data/given-names.txt
beside "$built_in" --steps 12 --val-every 4 --val-docs 5 --samples 6 --seed 42
beside "$built_in" --steps 3 --val-every 0 --samples 3 --seed 18446744073709551615 --top-k 27 \
    --temperature 1.3
if [ -r "$names" ]; then
    beside "$names" --steps 6 --val-every 3 --val-docs 3 --samples 4 --seed 42
elif [ "${CI:-}" = true ]; then
    fail "../shared/data/names.txt is not here"
else
    echo "names.txt is not here ($names): compared on the built-in names alone"
fi
echo "reference: $checks checks"
