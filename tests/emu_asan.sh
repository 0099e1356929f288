#!/bin/bash
# The kernels of the cuda backend under AddressSanitizer: every op of conform_backend, on backend
# cuda_emu as it is built with it; copies of weights; and the program of step micro_cuda.
set -u
cd "${abs_top_builddir:-.}" || exit 1

plugins=tests/asan/.libs
[ -e $plugins/backend_cuda_emu.so ] || {
    echo "SKIP: no C++ compiler with AddressSanitizer (Debian package g++), or all is built with it"
    exit 77
}
runtime=$(ldd $plugins/backend_cuda_emu.so | awk '/libasan/ { print $3 }')
[ -n "$runtime" ] ||
    { echo "emu_asan: $plugins/backend_cuda_emu.so is not linked with libasan"; exit 1; }

unset MICROGPT_TEST_PLUGINS
said=$(LD_PRELOAD=$runtime ASAN_OPTIONS=detect_leaks=0:abort_on_error=0 \
    MICROGPT_PLUGIN_PATH=$PWD/$plugins:$PWD/plugins/.libs MICROGPT_TEST_ONLY=cuda_emu CK_FORK=no \
    tests/conform_backend 2>&1)
status=$?
echo "$said"
[ $status -eq 0 ] && grep -q '^100%: Checks: ' <<<"$said" &&
    ! grep -q '^no .* in format 1$' <<<"$said" || exit 1

for test in check_copies check_copied_graphs check_micro check_micro_modes; do
    said=$(LD_PRELOAD=$runtime ASAN_OPTIONS=detect_leaks=0:abort_on_error=0 MGPT_FEW=1 CK_FORK=no \
        MICROGPT_PLUGIN_PATH=$PWD/plugins/.libs MICROGPT_TEST_PLUGINS=$PWD/$plugins \
        tests/$test 2>&1)
    status=$?
    echo "$said"
    [ $status -eq 0 ] && grep -q '^100%: Checks: ' <<<"$said" || exit 1
done
