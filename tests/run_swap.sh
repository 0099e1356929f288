# Every module is a line of the INI: swapped there, with nothing rebuilt, it runs and changes what
# it should.
. "$abs_top_srcdir/tests/run.sh"

# with NAME LINE...: trains with an INI of these lines alone; the run is in folder NAME.
with()
{
    name=$1
    shift
    {
        printf '[dataset]\npath = %s\n[train]\nsteps = 8\nval_every = 4\n[generate]\nsamples = 2\n' \
            "$abs_top_srcdir/conf/data/given-names.txt"
        printf '%s\n' "$@"
    } >"$name.ini"
    run 0 train -P "$MICROGPT_TEST_PLUGINS" -c "$name.ini" --dir "$name"
    mv out "$name.out"
    mv err "$name.err"
}

losses() { grep -o 'loss [0-9.]*' "$1.out"; }

with plain
with ref '[backend]' 'use = ref'
with slow '[backend]' 'use = slow'
with ref64 '[backend]' 'use = ref' '[precision]' 'use = fp64'
with sgd '[optimizer]' 'use = sgd'
with linear '[scheduler]' 'use = linear'
with constant '[scheduler]' 'use = constant'
with byte '[tokenizer]' 'use = byte'
with greedy '[sampler]' 'use = greedy'
with quiet '[logger]' 'use = jsonl'

[ "$(sum slow)" = "$(sum ref)" ] || fail 'slow (seven functions) does not give the bits of ref'
has slow.err 'runs on the host, through copies'
[ "$(sum plain)" != "$(sum sgd)" ] || fail 'sgd trained as adamw does'
[ "$(sum plain)" != "$(sum linear)" ] || fail 'linear trained as cosine does'
[ "$(sum linear)" != "$(sum constant)" ] || fail 'constant trained as linear does'
[ "$(sum plain)" = "$(sum greedy)" ] || fail 'the sampler changed the training'
grep '^sample' greedy.out | cut -d: -f2 | sort -u | wc -l | grep -qx 1 ||
    fail 'greedy samples differ'
has byte.out '^vocab size: 257$'
has byte.out '^num params: '
[ ! -s quiet.out ] || fail 'logger = jsonl printed'
[ "$(grep -c loss quiet/metrics.jsonl)" -ge 8 ] || fail 'logger = jsonl kept nothing'
head -c 200 ref64/latest/model.safetensors | grep -q F64 || fail 'fp64 did not keep F64'
[ "$(losses ref | head -5)" = "$(losses ref64 | head -5)" ] ||
    fail 'ref and ref in fp64 differ in 4 decimals'
[ "$(losses ref | head -5)" = "$(losses plain | head -5)" ] ||
    fail 'cpu and ref differ in 4 decimals'

# A run knows the folders of -P: what goes on with it needs none.
run 0 train -P "$MICROGPT_TEST_PLUGINS" -c slow.ini --dir far --steps 4
run 0 train --resume --dir far --steps 8 --samples 1
run 0 generate --dir far --samples 1

# Sections of modules that are not in use are checked, not obeyed.
with idle '[optimizer.sgd]' 'momentum = 0.5'
[ "$(sum plain)" = "$(sum idle)" ] || fail 'options of a module that is not in use had an effect'

# fallback = error refuses what slow would stage.
run 4 train -P "$MICROGPT_TEST_PLUGINS" -c slow.ini --dir refused --set backend.fallback=error
has err 'fallback = error'
echo "swap: $checks checks"
