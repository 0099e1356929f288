#!/bin/bash
# The manual pages name every command, option, key and kind that the program has, and format without
# a warning; the completion for bash offers the same.
# shellcheck disable=SC2154 # set by run.sh and the makefile
. "$abs_top_srcdir/tests/run.sh"

pages=$abs_top_builddir/doc/man
[ -e "$pages/microgpt.1" ] || fail "$pages has no pages: make builds them"
plain() { sed -e 's/\\-/-/g' -e 's/\\&//g' -e 's/\\e/\\/g' "$1"; }
for page in microgpt.1 microgpt.ini.5 microgpt-plugins.7; do
    plain "$pages/$page" >"$page"
    grep -q '@[A-Z]*@' "$page" && fail "$page: $(grep -m 1 '@[A-Z]*@' "$page") was not filled in"
    if command -v man >/dev/null && command -v groff >/dev/null; then
        LC_ALL=C.UTF-8 man --warnings -l "$pages/$page" 2>warnings >/dev/null
        [ ! -s warnings ] || fail "$page: $(head -n 1 warnings)"
    fi
done

run 0 --help
commands=$(awk '/^Commands:$/ { on = 1; next } on && /^$/ { exit } on { print $1 }' out)
[ "$(wc -w <<<"$commands")" -ge 6 ] || fail "found only the commands $commands"
for command in $commands; do
    has microgpt.1 "^\\.SS \"${command}[ \"]"
    run 0 "$command" --help
    sed -n 's/^ *\(-., \)\{0,1\}\(--[a-z-]*\).*/\2/p' out >options
    [ -s options ] || fail "$command --help names no option"
    for option in $(cat options); do
        awk -v heading="^\\\\.SS \"${command}[ \"]" \
            '$0 ~ heading { on = 1; next } /^\.SS/ { on = 0 }
            /^\.SH OPTIONS/ { on = 1 } on' microgpt.1 | grep -qE -- "^\.B \".*$option( |\"|$)" ||
            fail "microgpt.1: nothing about $command $option"
        checks=$((checks + 1))
    done
done

run 0 config show -c "$ini"
awk '/^\[/ { section = $1; next } / =/ { print section, $1 }' out >keys
[ "$(wc -l <keys)" -ge 60 ] || fail 'config show: found no keys'
while read -r section key; do
    awk -v section=".SS \"$section\"" -v key=".B \"$key = " '$0 == section { on = 1; next }
        /^\.SS/ { on = 0 }
        on && index($0, key) == 1 { found = 1 }
        END { exit !found }' microgpt.ini.5 ||
        fail "microgpt.ini.5: nothing about $section $key"
    checks=$((checks + 1))
done <keys
sed -n 's/^#define MGPT_KIND_[A-Z]* "\([a-z]*\)\/[0-9]*"$/\1/p' \
    "$abs_top_srcdir"/core/microgpt/*.h >kinds
[ "$(wc -l <kinds)" -ge 9 ] || fail 'found no kinds in the headers'
while read -r kind; do has microgpt-plugins.7 "^\\.B $kind\$"; done <kinds

# ---- completion ----

# shellcheck source=/dev/null
. "$abs_top_srcdir/doc/completion/microgpt"

# offers LINE WORD: WORD is among what completes the line.
offers()
{
    COMP_LINE=$1
    COMP_POINT=${#1}
    read -ra COMP_WORDS <<<"$MICROGPT ${1#microgpt}"
    COMPREPLY=()
    _microgpt
    printf '%s\n' "${COMPREPLY[@]}" | grep -qxF -- "$2" ||
        fail "completion of \"$1\" offers ${COMPREPLY[*]:-nothing}, not $2"
    checks=$((checks + 1))
}
mkdir empty && cd empty || exit 99
offers 'microgpt tr' train
offers 'microgpt he' help
offers 'microgpt help tr' train
offers 'microgpt train --st' --steps
offers 'microgpt train --set optimizer.u' optimizer.use=
offers 'microgpt train --set optimizer.use=ad' adamw
offers 'microgpt train --set optimizer.adamw.b' optimizer.adamw.beta1=
offers 'microgpt plugins ' list
offers 'microgpt plugins in' inspect
offers 'microgpt plugins inspect mu' muon
offers 'microgpt plugins ch' check
touch optimizer_mine.so
offers 'microgpt plugins check opt' optimizer_mine.so
offers 'microgpt plugins new sch' scheduler
offers 'microgpt plugins new scheduler x --lang ' c++
offers 'microgpt config sh' show
echo "manual: $checks checks"
