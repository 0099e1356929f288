#!/bin/bash
# What plugins cost: tests/bench/linked.sh, from the build folder, on a quiet machine. The objects
# of backend cpu, optimizer adamw, precision fp32 and step fused_cpu are linked into one program,
# with the symbols of each kept to itself; in one process that program trains with them and with the
# plugins of the same objects, by turns. Printed: by how much a step takes longer with plugins, and
# by how much a second set of linked ones differs from the first, which is the machine's doing. Time
# is that of the processor.
# The environment may set: ROUNDS (100), THREADS (1), RECIPES (names toygpt).
set -euo pipefail
: "${ROUNDS:=100}" "${THREADS:=1}" "${RECIPES:=names toygpt}" \
    "${MICROGPT_PLUGIN_PATH:=$PWD/plugins/.libs}"
export ROUNDS MICROGPT_PLUGIN_PATH
src=$(cd "$(dirname "$0")/../.." && pwd)
out=tests/bench/linked.dir
[ -f Makefile ] || { echo "linked.sh: run it in the build folder" >&2; exit 2; }
mkdir -p "$out"

# The value of a variable of the Makefile.
value() {
    printf 'include Makefile\nvalue-of-%%:\n\t@echo $($*)\n' | make -s -f - "value-of-$1"
}

make -s
cc=$(value CC)
objects=()
for plugin in backend_cpu optimizer_adamw precision_fp32 step_fused_cpu; do
    one=$out/$plugin
    # shellcheck disable=SC2046
    ./libtool --quiet --tag=CC --mode=link $cc -o "$one.o" \
        $(value "plugins_${plugin}_la_OBJECTS") $(value "plugins_${plugin}_la_LIBADD" |
        tr ' ' '\n' | grep '\.la$' || true) 2>/dev/null
    objcopy --redefine-sym microgpt_plugin_v1="linked_$plugin" "$one.o" "$one.all.o"
    objcopy --keep-global-symbol="linked_$plugin" "$one.all.o" "$one.linked.o"
    objects+=("$one.linked.o")
done
# shellcheck disable=SC2046
$cc $(value DEFS) -I. -I"$src/core" $(value MGPT_CFLAGS) $(value CFLAGS) -std=gnu11 -c \
    -o "$out/linked.o" "$src/tests/bench/linked.c"
# shellcheck disable=SC2046
./libtool --quiet --tag=CC --mode=link $cc $(value LDFLAGS) -o "$out/linked" "$out/linked.o" \
    "${objects[@]}" libmicrogpt.la \
    $(value LIBS) -lpthread

for recipe in $RECIPES; do
    case $recipe in
    names) settings=() ;;
    toygpt)
        settings=(model.layers=4 model.heads=4 model.embd=128 model.mlp=512 model.context=64
            model.norm=layer
            model.activation=gelu train.batch=8) ;;
    *) echo "linked.sh: RECIPES: expected names or toygpt, found $recipe" >&2; exit 2 ;;
    esac
    for step in composed fused_cpu; do
        echo "== $recipe, $step, $THREADS threads"
        "$out/linked" backend.use=cpu precision.use=fp32 backend.cpu.threads="$THREADS" \
            step.use="$step" "${settings[@]}"
    done
done
