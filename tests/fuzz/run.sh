#!/bin/sh
# Builds the fuzz targets with clang's libFuzzer and sanitizers, and runs each: `make fuzz` calls it
# in the build folder.
#
#   RUNS=1000000 SECONDS_EACH=0 TARGETS="ini config" tests/fuzz/run.sh SRCDIR FLAGS...
#
# SRCDIR is the source tree, FLAGS what the compiler and the linker need for our libraries. Inputs
# that were found go to tests/fuzz/found/NAME; what crashes, to tests/fuzz/crash-NAME-*.
set -eu
: "${CLANG:=clang}" "${RUNS:=1000000}" "${SECONDS_EACH:=0}"
: "${TARGETS:=safetensors config tokenizer ini manifest$(grep -q 'define HAVE_UTF8PROC' config.h && echo ' bpe')}"
src=$1
shift
command -v "$CLANG" >/dev/null ||
    { echo "fuzz: no $CLANG; install clang, or set CLANG" >&2; exit 1; }
checks="-fsanitize=address,undefined -Wno-unused-command-line-argument"
mkdir -p tests/fuzz/objects tests/fuzz/found
compile()
{
    [ "$2" -nt "$1" ] || "$CLANG" -std=gnu11 -g -O1 $checks -fno-sanitize-recover=all \
        -fsanitize=fuzzer-no-link -DHAVE_CONFIG_H -DFUZZ_ALONE -DMGPT_PLUGINDIR='"/none"' \
        -DMGPT_SYSCONFDIR='"/none"' -DMGPT_DATADIR='"/none"' -I. -Icore -I"$src" -I"$src/core" \
        -c "$1" -o "$2" $flags
}
flags=$*
core=
for file in "$src"/core/base/*.c "$src"/core/conf/*.c "$src"/core/plugin/*.c "$src"/core/ref/*.c \
    "$src"/core/model/*.c "$src"/core/run/*.c; do
    object=tests/fuzz/objects/$(echo "${file#"$src"/core/}" | tr / -).o
    compile "$file" "$object"
    core="$core $object"
done
rm -f tests/fuzz/libcore.a
ar -cr tests/fuzz/libcore.a $core
bpe=
for file in "$src"/plugins/tokenizer/bpe/*.c; do
    case " $TARGETS " in
    *' bpe '*)
        object=tests/fuzz/objects/bpe-$(basename "${file%.c}").o
        compile "$file" "$object"
        bpe="$bpe $object" ;;
    esac
done
for name in $TARGETS; do
    [ "$name" = bpe ] && module=$bpe || module=
    rm -f tests/fuzz/objects/$name.o
    compile "$src/tests/fuzz/$name.c" tests/fuzz/objects/$name.o
    "$CLANG" -g $checks -fsanitize=fuzzer tests/fuzz/objects/$name.o $module tests/fuzz/libcore.a \
        $flags \
        -o tests/fuzz/$name
    mkdir -p tests/fuzz/found/$name
    echo "fuzz: $name, $RUNS runs"
    dictionary=$src/tests/fuzz/$name.dict
    [ -f "$dictionary" ] && dictionary=-dict=$dictionary || dictionary=
    tests/fuzz/$name -runs="$RUNS" -max_total_time="$SECONDS_EACH" -max_len=4096 -timeout=10 \
        -rss_limit_mb=512 -print_final_stats=1 -artifact_prefix=tests/fuzz/crash-$name- \
        $dictionary \
        tests/fuzz/found/$name "$src/tests/fuzz/corpus/$name" 2>tests/fuzz/$name.log || {
        tail -30 tests/fuzz/$name.log >&2
        exit 1
    }
    grep -E 'number_of_executed_units|average_exec_per_sec' tests/fuzz/$name.log
done
echo 'fuzz: nothing found'
