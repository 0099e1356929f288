#!/bin/bash
# Every plugin of this build exports microgpt_plugin_v1 and nothing else: neither helpers nor the
# resolvers that target_clones makes.
set -u
shopt -s nullglob
cd "${abs_top_builddir:-.}" || exit 1

command -v nm >/dev/null || { echo "SKIP: nm is missing (Debian package binutils)"; exit 77; }

failed=0
plugins=(plugins/.libs/*.so)
[ ${#plugins[@]} -gt 0 ] || { echo "exports: no plugins in $PWD/plugins/.libs"; exit 1; }
for plugin in "${plugins[@]}"; do
    symbols=$(nm -D --defined-only "$plugin" | awk '{ print $NF }' | sort | paste -sd ' ')
    if [ "$symbols" != microgpt_plugin_v1 ]; then
        echo "$plugin: exports ${symbols:-nothing}, expected microgpt_plugin_v1 alone"
        failed=1
    fi
done
echo "exports: ${#plugins[@]} plugins"
exit $failed
