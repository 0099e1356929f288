#!/bin/bash
# The side-by-side page, without a browser: it is made of the sources as they are, a marker that is
# gone is an error that names it, and the program says where the page is.
. "$abs_top_srcdir/tests/run.sh"

page=$abs_top_builddir/doc/microgpt.html
build=$abs_top_srcdir/doc/explain/build.awk
ideas=$abs_top_srcdir/doc/explain/ideas.txt

[ -s "$page" ] || fail "$page was not made"
for idea in embedding norm attention mlp loss backward clip optimizer sampling; do
    has "$page" "<section id=\"$idea\">"
done
! grep -qE '(src|href)="(https?:)?//' "$page" || fail 'the page refers to the network'
! grep -q '@[A-Z]*@' "$page" || fail 'a placeholder of the template is left'

# Every source that ideas.txt names makes the page anew, and its text is in the page.
for file in $(sed -nE 's/^(python|c|cuda) +//p' "$ideas"); do
    grep -qF "$file" "$abs_top_srcdir/doc/local.mk" ||
        { [ "$file" = doc/reference/microgpt.py ] || fail "doc/local.mk does not know $file"; }
    has "$page" "<figcaption>$file:[0-9]+</figcaption>"
done
has "$page" 'def attention\(params, layer, x, keys, values\):$'

# A tree of its own, where markers can be lost.
mkdir tree
(cd "$abs_top_srcdir" &&
    tar -cf - doc/explain $(sed -nE 's/^(python|c|cuda) +//p' "$ideas" | tr ' ' '\n' | sort -u)) |
    tar -xf - -C tree || fail 'cannot copy the sources'
chmod -R u+w tree
LC_ALL=C awk -f "$build" -v top=tree >out 2>err || fail 'the page cannot be made of a copy'
cmp -s out "$page" || fail 'doc/microgpt.html is not that of the sources: make'
sed -i 's/--- idea: clip ---/clip/' tree/core/ref/clip.c
! LC_ALL=C awk -f "$build" -v top=tree >out 2>err || fail 'nobody missed the marker'
has err '^build.awk: core/ref/clip.c has no marker "--- idea: clip ---"$'
rm tree/core/ref/norm.c
! LC_ALL=C awk -f "$build" -v top=tree >out 2>err || fail 'nobody missed the file'
has err 'cannot read tree/core/ref/norm.c'

run 0 explain --print
[ "$(cat out)" = "$page" ] || fail "explain printed $(cat out), expected $page"
run 0 explain </dev/null
[ "$(cat out)" = "$page" ] || fail 'explain prints the path when nobody can look'
run 2 explain loudly
echo "page: $((checks)) checks"
