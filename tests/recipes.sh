# Both recipes made small, and how their runs are held against each other; sourced after run.sh.

text=$scratch/text.txt
awk 'BEGIN {
    n = split("the king shall not come to this house of sorrow ere night is done and all men sleep", word, " ")
    for (i = 1; i <= 9000; i++) {
        seed = (seed * 1103 + 12345) % 65536
        printf "%s%s", word[seed % n + 1], i % 9 ? " " : ",\n"
    }
}' >"$text"
toy_model=(--set model.layers=2 --set model.heads=4 --set model.embd=32 --set model.mlp=128
    --set model.context=16 --set train.batch=4)
toy=(-c "$abs_top_srcdir/conf/toygpt.ini" --set "dataset.path=$text" "${toy_model[@]}" --steps 10
    --val-every 4 --set train.val_batches=5 --samples 0)
names_small=(-c "$ini" --set "dataset.path=$abs_top_srcdir/conf/data/given-names.txt" --steps 20
    --val-every 8 --val-docs 5 --samples 0)

# trained FOLDER BACKEND PRECISION OPTION...
trained()
{
    folder=$1 backend=$2 precision=$3
    shift 3
    rm -rf "$folder"
    run 0 train --dir "$folder" --set backend.use="$backend" --set precision.use="$precision" "$@"
}

# numbers FOLDER KEY: its values in metrics.jsonl, one a line.
numbers() { sed -n "s/.*\"$2\": \([-+.0-9e]*\).*/\1/p" "$1/metrics.jsonl"; }

# near TOLERANCE FOLDER FOLDER: losses are as many, and as near relative to their size.
near()
{
    for key in loss val_loss; do
        paste <(numbers "$2" $key) <(numbers "$3" $key) | awk -v most="$1" '
            NF != 2 || $1 / $2 - 1 > most || 1 - $1 / $2 > most { print "line " NR ": " $0; bad = 1 }
            END { exit bad || !NR }' >&2 || fail "$key of $2 and $3 differ by more than $1"
    done
    checks=$((checks + 1))
}
