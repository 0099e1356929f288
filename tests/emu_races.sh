#!/bin/bash
# No races in shared memory: every op of conform_backend on backend cuda_emu, as it is built with a
# check of each access; and the program of step micro_cuda.
set -u
cd "${abs_top_builddir:-.}" || exit 1

plugins=tests/races/.libs
[ -e $plugins/backend_cuda_emu.so ] || {
    echo "SKIP: no C++ compiler that marks accesses (Debian package g++), or all is built with ASan"
    exit 77
}
unset MICROGPT_TEST_PLUGINS
said=$(MICROGPT_PLUGIN_PATH=$PWD/$plugins:$PWD/plugins/.libs MICROGPT_TEST_ONLY=cuda_emu \
    CK_FORK=no \
    tests/conform_backend 2>&1)
status=$?
echo "$said"
[ $status -eq 0 ] && grep -q '^100%: Checks: ' <<<"$said" &&
    ! grep -q '^no .* in format 1$' <<<"$said" || exit 1

for test in check_micro check_micro_modes; do
    said=$(MGPT_FEW=1 CK_FORK=no MICROGPT_PLUGIN_PATH=$PWD/plugins/.libs \
        MICROGPT_TEST_PLUGINS=$PWD/$plugins tests/$test 2>&1)
    status=$?
    echo "$said"
    [ $status -eq 0 ] && grep -q '^100%: Checks: ' <<<"$said" || exit 1
done
