#!/bin/bash
# The pages in a real browser: tests/page.py and tests/watch.py drive Chromium by its WebDriver.
# MGPT_SHOTS=FOLDER keeps the screenshots, to be looked at.
. "$abs_top_srcdir/tests/run.sh"

for python in python3 /usr/bin/python3; do
    "$python" -c 'import selenium' 2>/dev/null && break
    python=
done
[ -n "$python" ] || skip 'no selenium (Debian: python3-selenium)'
for program in chromium chromedriver; do
    command -v $program >/dev/null || skip "no $program (Debian: chromium, chromium-driver)"
done
export PYTHONDONTWRITEBYTECODE=1
"$python" "$abs_top_srcdir/tests/page.py" "$abs_top_builddir/doc/microgpt.html" \
    "${MGPT_SHOTS:-.}" ||
    fail 'doc/microgpt.html'

for name in short long; do
    steps=30
    [ $name = short ] || steps=60
    run 0 train -c "$ini" --dir $name --steps $steps --val-every 10 --val-docs 2 --samples 2 \
        --set train.sample_every=10 --set logger.use=jsonl
done
run 0 watch short long --export watch.html
"$python" "$abs_top_srcdir/tests/watch.py" watch.html "${MGPT_SHOTS:-.}" || fail 'the page of watch'
