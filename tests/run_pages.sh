#!/bin/bash
# The side-by-side page in a real browser: tests/page.py drives Chromium by its WebDriver.
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
"$python" "$abs_top_srcdir/tests/page.py" "$abs_top_builddir/doc/microgpt.html" "${MGPT_SHOTS:-.}" ||
    fail 'doc/microgpt.html'
