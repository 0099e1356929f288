#!/bin/sh
# run.sh MODULE.so: microgpt takes the module, and trains with it when an INI names it.
set -eu
module=$(realpath "$1")
PKG_CONFIG=${PKG_CONFIG:-pkg-config}
microgpt=${MICROGPT:-$($PKG_CONFIG --variable=program microgpt)}
MICROGPT_PLUGIN_PATH=$($PKG_CONFIG --variable=plugindir microgpt)
export MICROGPT_PLUGIN_PATH
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

for name in anna otto emil maria clara bruno nina hugo ella paul greta oskar ida felix lena; do
    echo "$name"
done >names.txt
cat >microgpt.ini <<END
[plugins]
load = $module
[backend]
use = blocked
END

"$microgpt" plugins inspect "$module"
"$microgpt" plugins check "$module"
set -- --set dataset.path=names.txt --set dataset.split=0.8 --set backend.fallback=silent
# A program for whole steps would leave out the ops of a backend.
[ backend != backend ] || set -- "$@" --set step.use=composed
"$microgpt" train --steps 20 --samples 2 "$@"
"$microgpt" eval --set backend.fallback=silent
echo "run.sh: trained with backend blocked"
