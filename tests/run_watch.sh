#!/bin/bash
# microgpt watch, without a browser: what is on the page, what it refuses, and that it follows a run
# that goes on until it ends.
. "$abs_top_srcdir/tests/run.sh"

train()
{
    run 0 train -c "$ini" --val-every 10 --val-docs 2 --samples 1 --set logger.use=jsonl "$@"
}

# data FILE EXPRESSION: what Python says of the data within the page.
data()
{
    python3 -c '
import json, re, sys
page = open(sys.argv[1], encoding="utf-8").read()
assert not re.search(r"(src|href)=|https?://(?!www\.w3\.org)", page), "the page refers to the network"
data = json.loads(re.search(r"<script id=\"data\"[^>]*>\n(.*?)</script>", page, re.S).group(1))
print(eval(sys.argv[2], {"d": data, "r": data["runs"][0]}))' "$1" "$2" 2>&1
}

is()
{
    [ "$1" = "$2" ] || fail "$3: $1, expected $2"
    checks=$((checks + 1))
}

command -v python3 >/dev/null || skip 'no python3'
train --dir a --steps 40
run 0 watch a --export page.html
has err 'wrote page.html$'
is "$(data page.html 'len(d["runs"]), d["refresh"], r["name"], r["live"], r["total"], r["last_step"]')" \
    "(1, 0, 'a', False, 40, 40)" 'the run'
is "$(data page.html 'r["step"] == list(range(1, 41)), r["val_step"], r["stride"]')" \
    '(True, [10, 20, 30, 40], 1)' 'the steps'
is "$(data page.html '[round(x, 5) for x in r["loss"][:2]]')" \
    "$(sed -nE 's/.*"loss": ([0-9.]+).*/\1/p' a/metrics.jsonl | head -2 |
        python3 -c 'print([round(float(x), 5) for x in __import__("sys").stdin])')" 'the losses'

# Samples on the way change nothing of the run, and are on the page; so are those at the end.
train --dir peeked --steps 40 --set train.sample_every=15
is "$(sum peeked)" "$(sum a)" 'a run that was looked at'
run 0 watch peeked --export page.html
is "$(data page.html '[s["step"] for s in r["samples"]]')" '[15, 30, 40]' 'the samples'
grep -v '"sample"' a/metrics.jsonl | sed 's/, "tokens_per_s.*//' >a.lines
grep -v '"sample"' peeked/metrics.jsonl | sed 's/, "tokens_per_s.*//' | cmp - a.lines ||
    fail 'the metrics of a run that was looked at are others'
[ "$(grep '"step": 40, "index"' peeked/metrics.jsonl)" = \
    "$(grep '"step": 40, "index"' a/metrics.jsonl)" ] ||
    fail 'the samples at the end are others'
train --dir 'strange' --steps 20 --set tokenizer.use=byte --set train.sample_every=1
python3 -c 'import json; [json.loads(line) for line in open("strange/metrics.jsonl")]' ||
    fail 'metrics.jsonl is not JSON where bytes are no text'

# A long run is thinned out, and says so.
train --dir 'b<c' --steps 4100 --val-every 0
run 0 watch a 'b<c' --export page.html
is "$(data page.html 'len(d["runs"][1]["loss"]), d["runs"][1]["stride"], d["runs"][1]["name"]')" \
    "(1367, 3, 'b<c')" 'the long run'

# Half a line at the end belongs to a run that goes on; a line in the middle does not.
printf '{"step": 41, "lo' >>a/metrics.jsonl
run 0 watch a --export page.html
is "$(data page.html 'r["last_step"]')" 40 'half a line'
printf 'ss": }\n' >>a/metrics.jsonl
run 5 watch a --export page.html
has err 'a/metrics.jsonl: line 46: '
sed -i '$d' a/metrics.jsonl
echo '{"loss": 1.5}' >>a/metrics.jsonl
run 5 watch a --export page.html
has err 'a/metrics.jsonl: line 46: has no step'

run 5 watch nothing --export page.html
has err 'nothing/metrics.jsonl'
run 2 watch
has err 'expected the folder of a run'
run 1 watch 'b<c' --export no/such/folder/page.html

# It follows a run, and ends with it.
"$MICROGPT" train -c "$ini" --dir live --steps 30000000 --val-every 0 --set logger.use=jsonl \
    --set train.checkpoint_every=50 >/dev/null 2>&1 &
training=$!
trap 'kill -KILL $training ${watching:-} 2>/dev/null; rm -rf "$scratch"' EXIT
for _ in $(seq 600); do
    [ -d live/latest ] && [ -s live/metrics.jsonl ] && break
    sleep 0.1
done
[ -d live/latest ] || fail 'no checkpoint within a minute'
"$MICROGPT" watch live >out 2>err &
watching=$!
for _ in $(seq 600); do
    [ -s live/watch.html ] && break
    sleep 0.1
done
is "$(data live/watch.html 'r["live"], d["refresh"]')" '(True, 2)' 'a run that goes on'
kill -INT $training
wait $training
wait $watching || fail 'watch ended badly'
training='' watching=''
is "$(data live/watch.html 'r["live"]')" False 'a run that has ended'
is "$(cat out)" "$PWD/live/watch.html" 'the path'
has err "the page, to open in a browser: $PWD/live/watch.html; following the run, Ctrl-C ends\$"
run 0 watch live
has err "the page, to open in a browser: $PWD/live/watch.html\$"

# A folder that cannot have the page: it can be elsewhere.
rm live/watch.html
mkdir live/watch.html
run 1 watch live
has err 'live/watch.html: .*; --export FILE puts the page elsewhere$'
rmdir live/watch.html

# A browser in the foreground is not waited for.
mkdir bin
printf '#!/bin/sh\necho $$ >%s/browser\nexec sleep 60\n' "$PWD" >bin/xdg-open
chmod +x bin/xdg-open
began=$SECONDS
PATH=$PWD/bin:$PATH DISPLAY=:none timeout 50 python3 -c 'import pty, sys
sys.exit(pty.spawn(sys.argv[1:]) != 0)' "$MICROGPT" watch live </dev/null >out 2>err || fail 'watch with a browser ended badly'
[ $((SECONDS - began)) -lt 30 ] || fail 'watch waited for the browser'
[ -s browser ] || fail 'the browser was not asked for'
kill "$(cat browser)" 2>/dev/null
checks=$((checks + 1))
echo "watch: $checks checks"
