#!/bin/bash
# doc/add-a-plugin.md as a reader would follow it: its commands, in one shell and in order, and its
# C put in the place of what has the same names in the file that its first line tells.
set -u
doc=$abs_top_srcdir/doc/add-a-plugin.md
command -v python3 >/dev/null && command -v pkg-config >/dev/null ||
    { echo 'SKIP: python3 or pkg-config is missing'; exit 77; }
umask 022
scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 99
mkdir bin data
ln -s "$MICROGPT" bin/microgpt
ln -s "$abs_top_srcdir/conf/data/given-names.txt" data/
if [ -n "${CC:-}" ]; then
    printf '#!/bin/sh\nexec %s "$@"\n' "$CC" >bin/cc && chmod +x bin/cc || exit 99
fi
export PATH=$PWD/bin:$PATH PKG_CONFIG_PATH=$abs_top_builddir XDG_CONFIG_HOME=/nonexistent
unset MAKEFLAGS MFLAGS MAKELEVEL MICROGPT CC

cat >replace.py <<'END'
"""replace.py BLOCK: puts the definitions of a block in the place of those with the same names."""
import re, sys

def name_of(chunk):
    code = re.sub(r"/\*.*?\*/", "", chunk, flags=re.S).strip()
    found = (re.match(r"MGPT_RULE\(", code) and "MGPT_RULE") or None
    for pattern in (r"struct (\w+) \{", r"[^=;{]*?(\w+)\[\] =", r"[^=;{]*?(\w+)\("):
        match = re.match(pattern, code)
        found = found or (match and match.group(1))
    return found

def chunks(text):
    """Top-level definitions: they end with a line that is or begins with }, or with ;)."""
    parts, here = [], []
    for line in text.splitlines(keepends=True):
        here.append(line)
        if re.match(r"}|.*;\)$|#|$", line) and not (line.strip() == "" and any(x.strip() for x in here)
                                                  and "{" in "".join(here)):
            parts.append("".join(here))
            here = []
    return parts + ["".join(here)]

head, _, block = open(sys.argv[1]).read().partition("\n")
path = re.match(r"/\* in (\S+) \*/$", head).group(1)
parts = chunks(open(path).read())
for new in chunks(block):
    if not new.strip():
        continue
    places = [i for i, old in enumerate(parts) if old.strip() and name_of(old) == name_of(new)]
    assert len(places) == 1, f"{path}: {name_of(new)} is there {len(places)} times"
    parts[places[0]] = new
open(path, "w").write("".join(parts))
END
# Each block becomes a file; steps.sh runs them in order.
awk '/^```/ { if (file) { close(file); file = ""; next } n++
              kind = substr($0, 4); if (kind == "") kind = "text"
              file = "block" n "." kind
              if (kind == "sh") print ". \"$scratch/" file "\""
              if (kind == "c") print "python3 \"$scratch/replace.py\" \"$scratch/" file "\""
              next }
     file { print > file }' "$doc" >steps.sh
n=$(wc -l <steps.sh)
[ "$n" -ge 10 ] || { echo "found only $n blocks in $doc"; exit 1; }
export scratch
bash -eu -o pipefail -x steps.sh >said 2>&1 </dev/null || {
    echo "FAIL: $doc, after:"
    tail -n 30 said
    exit 1
}
for line in 'check: scheduler warm is sound' 'run.sh: trained with scheduler warm' \
    'check: optimizer tame is sound' 'run.sh: trained with optimizer tame' 'sample  3: '; do
    grep -q "^$line" said || { echo "FAIL: $doc: nobody said \"$line\""; exit 1; }
done
# It learns: the loss of the last steps is below that of the first.
awk '/^step +[0-9]+\/ *200 / { split($0, part, "loss "); split(part[2], loss, " ")
                               if (NR && ++n <= 20) first += loss[1]; if (n > 180) last += loss[1] }
     END { exit !(n == 200 && last < 0.95 * first) }' said ||
    { echo "FAIL: $doc: the run of 200 steps did not learn"; grep '^step' said |
    tail -n 3; exit 1; }
echo "tutorial: $n blocks of $doc"
