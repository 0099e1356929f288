#!/bin/sh
# commands.sh MICROGPT commands|options: from what the program says of itself, a part of microgpt.1.
set -eu
program=$1

# The options of a help text, from its heading to the next empty line.
options() { # HEADING
    awk -v heading="$1" '
        $0 == heading { on = 1; next }
        !on { next }
        /^$/ { exit }
        {
            sub(/^ +/, "")
            at = match($0, /  +/)
            name = at ? substr($0, 1, at - 1) : $0
            help = at ? substr($0, at + RLENGTH) : ""
            if (!at && match($0, /^--[a-z-]+ [A-Z.=]+ /)) {
                name = substr($0, 1, RLENGTH - 1)
                help = substr($0, RLENGTH + 1)
            }
            gsub(/\\/, "\\e", help)
            gsub(/-/, "\\-", name)
            print ".TP\n.B \"" name "\""
            print "\\&" help "."
        }'
}

if [ "$2" = options ]; then
    "$program" --help | options 'Options of every command:'
    exit
fi
"$program" --help | awk '/^Commands:$/ { on = 1; next } on && /^$/ { exit } on { print $1 }' |
    while read -r command; do
        "$program" "$command" --help >"$3"
        words=$(sed -n "1s/^Usage: microgpt $command \[OPTION\]\.\.\. *//p" "$3")
        echo ".SS \"$command${words:+ $words}\""
        sed -n "s/^microgpt $command: \(.\)/\1/p" "$3" |
            awk '{ print toupper(substr($0, 1, 1)) substr($0, 2) }'
        options 'Options:' <"$3"
    done
rm -f "$3"
