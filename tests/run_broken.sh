#!/bin/bash
# Plugins with one fault each: `plugins check` names the fault of every one, and neither crashes nor
# hangs. A fault is a name in tests/plugins/broken.c or bad_*.c, or what is done to the file.
set -u
here=${abs_top_srcdir:?}/tests/plugins
[ -n "${CC:-}" ] || { echo "SKIP: no C compiler"; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
umask 022
export XDG_CONFIG_HOME=$scratch TMPDIR=$scratch
failed=0 tried=0

build() { # SOURCE NAME: $scratch/NAME.so
    $CC -shared -fPIC -O1 -fno-math-errno -w -I"$abs_top_srcdir/core" ${2:+-D$2} \
        "$here/$1.c" -o "$scratch/${2:-sound}.so" || { echo "cannot compile $1 $2"; exit 1; }
}

# FILE WORDS [OPTIONS]: the report of FILE says WORDS, and the exit code is 4.
reports() {
    local file=$1 words=$2 code begun=$SECONDS
    shift 2
    timeout 100 "${MICROGPT:?}" plugins check "$scratch/$file.so" "$@" >"$scratch/said" 2>&1
    code=$?
    tried=$((tried + 1))
    if [ $code -ne 4 ] || ! grep -qF -- "$words" "$scratch/said"; then
        echo "$file: exit code $code, expected 4 and \"$words\":"
        cat "$scratch/said"
        failed=$((failed + 1))
    else
        echo "$file: $(grep -F -m1 -- "$words" "$scratch/said" | cut -c1-180) ($((SECONDS - begun)) s)"
    fi
}

# What the others are made of is sound.
for source in broken bad_step bad_logger; do
    build $source ''
    "$MICROGPT" plugins check "$scratch/sound.so" >"$scratch/said" 2>&1 ||
        { echo "the sound $source is refused:"; cat "$scratch/said"; exit 1; }
done
build broken ''

# A folder of modules may be given relative to the working directory.
mkdir "$scratch/more"
(cd "$scratch" && "$MICROGPT" plugins check -P more sound.so) >"$scratch/said" 2>&1 ||
    { echo "with -P more the sound one is refused:"; cat "$scratch/said"; exit 1; }

# Each with the module it concerns, and what the report says.
while read -r source name kind words; do
    [ -n "$source" ] || continue
    limit=40
    case $name in
    *_LEAK*) # AddressSanitizer brings a heap that cannot be asked how full it is
        ! ldd "$MICROGPT" 2>/dev/null | grep -q libasan || continue
        limit=120 ;; # these take 5 s of a processor, of which there may be few
    esac
    build "$source" "$name"
    reports "$name" "$words" --kind "$kind" --limit $limit
done <<'TABLE'
broken      CONSTRUCTOR_CRASHES           scheduler loading it crashed: signal 11
broken      CONSTRUCTOR_EXITS             scheduler loading it ended the process
broken      DESCRIPTOR_IS_NULL            scheduler microgpt_plugin_v1() returned NULL
broken      KIND_OF_THE_FUTURE            scheduler but one of kind scheduler/2
broken      PROBE_CRASHES                 scheduler probe() crashed: signal 6
broken      TABLE_TOO_SHORT               scheduler too few for lr, which every scheduler/1 has
broken      NULL_FUNCTION                 scheduler lr is NULL, every scheduler/1 has it
broken      OPTIONS_TWICE                 scheduler options 0 and 1 are both called rise
broken      DEFAULT_OUT_OF_RANGE          scheduler option floor has the default 1.5
broken      SCHEDULER_IS_IMPURE           scheduler a second call gives another rate
broken      SCHEDULER_GIVES_NAN           scheduler lr nan of
broken      SCHEDULER_EXITS               scheduler the check ended the process (exit code 0)
broken ASKS_FOR_NO_OPTION scheduler asks for option slope of [broken], which is not in its table
broken      SCHEDULER_LEAKS               scheduler bytes, again and again
broken      RULE_CALLS_A_FUNCTION         optimizer "square_of" is called, which no device can
broken      RULE_HAS_A_NAKED_LITERAL      optimizer "1.0" is a literal without its cast
broken      SCALARS_REMEMBER              optimizer a second call gives other scalars
broken      SCALARS_OVERFLOW              optimizer wrote scalar 2 of 2
broken      SAMPLER_OUT_OF_RANGE          sampler   id 1 of 1
broken STEP_LIES step covers UPDATE, and parameters and state are what they were
bad_step    STEP_COVERS_NOTHING           step      covers 0, which is no set of stages
bad_step    STEP_COVERS_TOO_MUCH          step      covers 5, which is no set of stages
bad_step    STEP_TALKS_ON                 step      its reason does not end
bad_step    STEP_GROWS_THE_BID            step      it changed the bid's size to
bad_step    STEP_TAKES_ANY_SPEC           step      on a step with a field that it does not know
bad_step STEP_TAKES_ANY_PLAN step on a precision with a field that it does not know
bad_step STEP_IGNORES_SCALING step with loss scaling, step 1: loss scale 1, composed has 2
bad_step    STEP_KNOWS_TWO_RULES          step      with a rule of its own, step
bad_logger  LOGGER_GOES_ON                logger    it must be cut back to there
bad_logger  LOGGER_FORGETS                logger    it must be cut back to there
bad_logger  LOGGER_HOLDS_BACK             logger    bytes were not on disk after flush
bad_backend BACKEND_WRITES_OUT_OF_BOUNDS  backend   wrote out of bounds, byte 1 past the end
bad_backend BACKEND_FAILS_HALFWAY         backend   the op failed and has written
bad_backend BACKEND_IS_WRONG              backend   expected -1.5
bad_backend BACKEND_LEAKS                 backend   bytes, again and again
TABLE

# When a module cannot even be made, that is told once, and the checks that need one are not tried;
# what several checks find is told once; and a run ends with one error, not as a crash.
"$MICROGPT" plugins check "$scratch/ASKS_FOR_NO_OPTION.so" --kind scheduler >"$scratch/said" 2>&1
[ "$(grep -c 'asks for option slope' "$scratch/said")" = 1 ] &&
    [ "$(grep -c '^  FAIL ' "$scratch/said")" = 1 ] &&
    grep -q '^  FAIL  is_made_with_its_defaults ' "$scratch/said" &&
    grep -qx '  skip  3 more checks, not tried, for want of an instance: gives_finite_rates, .*' \
        "$scratch/said" &&
    grep -q '^2 passed, 1 failed, 3 skipped; ' "$scratch/said" &&
    grep -q ': 1 of 3 checks failed$' "$scratch/said" ||
    { echo "a module that cannot be made:"; cat "$scratch/said"; failed=$((failed + 1)); }
"$MICROGPT" plugins check "$scratch/ASKS_FOR_NO_OPTION.so" --kind scheduler --json 2>&1 \
    >"$scratch/said" |
    grep -q '1 of 3 checks failed' &&
    [ "$(grep -c '"outcome": "untried"' "$scratch/said")" = 3 ] ||
    { echo "the same as JSON:"; cat "$scratch/said"; failed=$((failed + 1)); }
"$MICROGPT" plugins check "$scratch/SCHEDULER_EXITS.so" --kind scheduler >"$scratch/said" 2>&1
[ "$(grep -c 'ended the process' "$scratch/said")" = 1 ] &&
    grep -qx '  CRASH 1 more check, for the same cause: leaves_nothing_behind' "$scratch/said" &&
    grep -q ': 2 of 6 checks failed$' "$scratch/said" ||
    { echo "one cause is told several times:"; cat "$scratch/said"; failed=$((failed + 1)); }
mkdir "$scratch/asks"
cp "$scratch/ASKS_FOR_NO_OPTION.so" "$scratch/asks/scheduler_broken.so"
printf 'anna\nbob\ncarla\ndora\nemil\nfrida\ngustav\nhanna\nida\njonas\n' >"$scratch/few.txt"
"$MICROGPT" train -q -c "$abs_top_srcdir/conf/microgpt.ini" -P "$scratch/asks" \
    --set scheduler.use=broken \
    --steps 2 --dir "$scratch/run" --set dataset.path="$scratch/few.txt" >"$scratch/said" 2>&1
code=$?
[ $code -eq 4 ] && [ "$(grep -c 'error: ' "$scratch/said")" = 1 ] &&
    grep -q "error: module $scratch/asks/scheduler_broken.so asks for option slope of" \
    "$scratch/said" ||
    { echo "train with a module that asks for no option of its own: exit code $code"
        cat "$scratch/said"
      failed=$((failed + 1)); }

# Inspect says of the text of a rule what check says of it.
for json in '' --json; do
    # shellcheck disable=SC2086
    "$MICROGPT" plugins inspect "$scratch/RULE_HAS_A_NAKED_LITERAL.so" $json \
        >"$scratch/said" 2>&1 &&
        grep -qE 'devices(  no|_why_not": "?).*at character [0-9]+: .*1.0.* is a literal without its cast' "$scratch/said" ||
        { echo "inspect $json of a naked literal:"; cat "$scratch/said"; failed=$((failed + 1)); }
done
"$MICROGPT" plugins inspect optimizer/adamw >"$scratch/said" 2>&1 &&
    grep -q 'devices  any' "$scratch/said" ||
    { echo "inspect adamw:"; cat "$scratch/said"; failed=$((failed + 1)); }

# What waits for ever, with a limit of three seconds.
for name in CONSTRUCTOR_HANGS PROBE_HANGS; do
    build broken $name
done
reports CONSTRUCTOR_HANGS 'loading it did not end within 3 seconds' --limit 3
reports PROBE_HANGS 'probe() did not end within 3 seconds' --kind scheduler --limit 3

# What a module has started ends with the process that asked it.
build broken CONSTRUCTOR_FORKS
mkdir "$scratch/forks"
cp "$scratch/CONSTRUCTOR_FORKS.so" "$scratch/forks/scheduler_broken.so"
for how in "check $scratch/CONSTRUCTOR_FORKS.so" "list --why -P $scratch/forks"; do
    rm -f "$scratch/forked"
    # shellcheck disable=SC2086 # a list of words
    FORKED=$scratch/forked timeout 100 "$MICROGPT" plugins $how >"$scratch/said" 2>&1
    left=$(cat "$scratch/forked")
    sleep 0.2
    if [ -z "$left" ] ||
            grep -qE '^State:[[:space:]]+[^ZX[:space:]]' "/proc/$left/status" 2>/dev/null; then
        echo "plugins ${how%% *}: process ${left:-none} that a constructor started is still there:"
        tail -5 "$scratch/said"
        failed=$((failed + 1))
    fi
    [ -z "$left" ] || kill -KILL "$left" 2>/dev/null
done

# One that cannot run here is no failure: it is skipped, and says why.
build broken PROBE_REFUSES
"$MICROGPT" plugins check "$scratch/PROBE_REFUSES.so" --kind scheduler >"$scratch/said" 2>&1 &&
    grep -qF 'the device is at the menders' "$scratch/said" ||
    { echo "PROBE_REFUSES:"; cat "$scratch/said"; failed=$((failed + 1)); }

# Files that are none.
size=$(stat -c %s "$scratch/sound.so")
head -c $((size / 2)) "$scratch/sound.so" >"$scratch/cut.so"
reports cut 'truncated'
cp "$scratch/sound.so" "$scratch/machine.so"
printf '\x14\x00' | dd of="$scratch/machine.so" bs=1 seek=18 conv=notrunc status=none # PowerPC
reports machine 'built for machine 20, expected'
cp "$scratch/sound.so" "$scratch/open.so"
chmod 666 "$scratch/open.so"
reports open 'lets others write it'
printf '#!/bin/sh\n# longer than the header of an ELF file, which has sixty-four bytes\n' \
    >"$scratch/script.so"
reports script 'expected'
for name in bad_abi:'built for ABI 99.3' bad_symbol:'does not export microgpt_plugin_v1' \
    bad_undefined:'undefined symbol: mgpt_test_nobody_defines_this' \
    bad_magic:'starts with 0x12345678' bad_size:'too few for api'; do
    cp "${MICROGPT_TEST_PLUGINS:?}/${name%%:*}.so" "$scratch/"
    reports "${name%%:*}" "${name#*:}"
done

# Mistakes of the caller, and results for programs.
asks() { # CODE WORDS ARGUMENTS...
    local code=$1 words=$2
    shift 2
    "$MICROGPT" plugins check "$@" >"$scratch/said" 2>&1
    [ $? -eq "$code" ] && grep -qF -- "$words" "$scratch/said" ||
        {
            echo "plugins check $*: expected $code and \"$words\":"
            cat "$scratch/said"
            failed=$((failed + 1))
        }
}
asks 2 'expected one file'
asks 4 'No such file' "$scratch/absent.so"
asks 2 'expected a whole number' "$scratch/sound.so" --seed x
asks 2 'expected seconds' "$scratch/sound.so" --limit -1
asks 2 'no such kind' "$scratch/sound.so" --kind quantum
asks 4 'holds no module absent that' "$scratch/sound.so" --name absent
asks 0 '"outcome": "pass"' "$scratch/sound.so" --kind scheduler --json
asks 4 '"outcome": "fail"' "$scratch/SCHEDULER_IS_IMPURE.so" --kind scheduler --json
asks 0 'seed 7' "$scratch/sound.so" --kind sampler --seed 7

# In a run, with MICROGPT_VALIDATE=1: the plugin, the function and the rule; a sound run stays what
# it is, bit for bit.
run() { # FOLDER SETTING...
    local folder=$1 settings=() s
    shift
    for s; do settings+=(--set "$s"); done
    rm -rf "$scratch/$folder"
    timeout 100 "$MICROGPT" train -P "$scratch/modules" --dir "$scratch/$folder" \
        --set dataset.path="$abs_top_srcdir/conf/data/given-names.txt" --set model.embd=8 \
        --set generate.samples=2 --set train.val_docs=2 --steps 4 "${settings[@]}" \
        >"$scratch/said" 2>&1
}
mkdir "$scratch/modules"
for on in '' 1; do
    for backend in ref cpu; do
        MICROGPT_VALIDATE=$on run "$backend$on" backend.use=$backend optimizer.use=muon ||
            { echo "a sound run fails:"; cat "$scratch/said"; failed=$((failed + 1)); }
    done
done
grep -q 'validate: backend cpu is held to its contract' "$scratch/said" ||
    { echo "nothing is validated:"; cat "$scratch/said"; failed=$((failed + 1)); }
for backend in ref cpu; do
    cmp "$scratch/$backend"{,1}/checkpoints/step-4/model.safetensors || failed=$((failed + 1))
done
while read -r source name kind module words; do
    [ -n "$source" ] || continue
    build "$source" "$name"
    cp "$scratch/$name.so" "$scratch/modules/${kind}_$module.so"
    MICROGPT_VALIDATE=1 run v "$kind.use=$module" backend.fallback=silent
    code=$?
    tried=$((tried + 1))
    # The plugin, and then the function and the rule.
    if [ $code -ne 4 ] ||
        ! grep -F "validate: $kind $module: " "$scratch/said" | grep -qF -- "$words"; then
        echo "$name in a run: exit code $code, expected 4 and \"$words\" of $kind $module:"
        tail -5 "$scratch/said"
        failed=$((failed + 1))
    fi
done <<'TABLE'
broken      SCHEDULER_IS_IMPURE          scheduler broken lr: 0.01 at step 0, then
broken      SCALARS_REMEMBER             optimizer broken scalars: two calls for step 0 differ
broken      SCALARS_OVERFLOW             optimizer broken scalars: wrote scalar 2 of 2
broken      SAMPLER_OUT_OF_RANGE         sampler   broken next: gave id
bad_backend BACKEND_WRITES_OUT_OF_BOUNDS backend wrong wrote out of bounds: byte 1 past the end
bad_backend BACKEND_FAILS_HALFWAY        backend wrong status -4 and has written output 0
bad_backend UPDATE_MAKES_NAN             backend wrong made 1 NaN of finite numbers
bad_backend UPDATE_WRITES_GRADIENTS      backend wrong changed the gradients
TABLE

echo "$tried broken plugins, $failed not reported as they should be"
[ $failed -eq 0 ] && [ $tried -ge 20 ]
