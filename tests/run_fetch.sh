# microgpt fetch and dataset.path = fetch:NAME, against a server on this machine: resumed, checked,
# whole or not at all, by mirror and proxy.
. "$abs_top_srcdir/tests/run.sh"

unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY \
    MICROGPT_MIRROR
export XDG_CACHE_HOME=$scratch/cache
cache=$scratch/cache/microgpt
run 2 fetch
has err 'fetch: expected a name: names or tinyshakespeare'
run 2 fetch nmaes
has err 'nmaes: no such text to fetch; expected names or tinyshakespeare'
run 3 train -c "$ini" --set dataset.path=fetch:nmaes
has err '--set dataset.path=fetch:nmaes: \[dataset\] path = fetch:nmaes: nmaes: no such text'

run 5 train -c "$abs_top_srcdir/conf/toygpt.ini"
has err 'path = tinyshakespeare.txt: no such file; download it by --set dataset.path=fetch:tinyshakespeare, or'

if ! grep -q '^#define HAVE_LIBCURL 1' "$abs_top_builddir/config.h"; then
    run 4 fetch names
    has err 'was built without libcurl: install it \(Debian package libcurl4-openssl-dev\), then configure and make again; or load https://'
    ! grep -q fetching err || fail 'it says that it is fetching'
    echo "$checks checks; without libcurl nothing is downloaded"
    exit 0
fi
python=$(command -v python3) || skip 'no python3'

# The texts themselves, where the tests have them; what is refused can be anything of their size.
mkdir files
[ -r "$names" ] && cp "$names" files/names.txt || head -c 228145 /dev/zero >files/names.txt
"$python" "$abs_top_srcdir/tests/server.py" files port log &
server=$!
trap 'kill $server; rm -rf "$scratch"' EXIT
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ -s port ] || sleep 0.5; done
[ -s port ] || fail 'the server does not start'
at=http://127.0.0.1:$(cat port)

# What is not the text is not kept.
run 5 fetch names --set fetch.mirror=$at/longer
has err "$at/longer/names.txt: what came is not the text: it is longer"
run 5 fetch names --set fetch.mirror=$at/other
has err 'what came is not the text: its SHA-256 is [0-9a-f]{64}, expected 0a30b5557f19'
[ ! -e "$cache/names.txt" ] || fail 'a wrong text was kept'
[ ! -e "$cache/names.txt.part" ] || fail 'a part that cannot be gone on from was kept'
run 1 fetch tinyshakespeare --set fetch.mirror=$at/range
has err "$at/range/tinyshakespeare.txt: The requested URL returned error: 404"
run 1 fetch names --set fetch.mirror=file://$scratch/files
has err 'file:.*names.txt: Protocol "file" (not supported|disabled)'
run 1 fetch names --set fetch.mirror=http://127.0.0.1:1
has err 'http://127.0.0.1:1/names.txt: .* MICROGPT_MIRROR'

if [ -r "$names" ]; then
    # A dead line leaves a part, from which the next one goes on.
    run 1 fetch names --set fetch.mirror=$at/cut/
    [ "$(stat -c %s "$cache/names.txt.part")" = 114072 ] || fail 'no half is kept'
    : >log
    run 0 fetch names --set fetch.mirror=$at/range
    has log '^/range/names.txt bytes=114072-$'
    has out "^$cache/names.txt$"
    cmp "$cache/names.txt" "$names" || fail 'another text'
    [ ! -e "$cache/names.txt.part" ] || fail 'the part is still there'

    # It is there: nobody is asked. A damaged one is loaded anew.
    : >log
    run 0 fetch names --json --set fetch.mirror=$at/range
    has out '"bytes": 228145,'
    has out '"sha256": "0a30b.*",'
    has out '"path": ".*/names.txt"'
    [ ! -s log ] || fail 'it was loaded again'
    printf x | dd of="$cache/names.txt" bs=1 seek=1000 conv=notrunc 2>/dev/null
    MICROGPT_MIRROR=$at/moved/ run 0 fetch names
    has log '^/moved/names.txt -$'
    cmp "$cache/names.txt" "$names" || fail 'another text'

    # Two at once: the second waits, and then has what the first has loaded. It does not wait
    # forever.
    rm "$cache/names.txt"
    : >log
    "$MICROGPT" fetch names --set fetch.mirror=$at/slow >first 2>&1 &
    first=$!
    run 0 fetch names --set fetch.mirror=$at/slow
    wait $first || fail "the first of two: $(cat first)"
    [ "$(wc -l <log)" = 1 ] || fail "it was loaded twice: $(cat log)"
    rm "$cache/names.txt"
    exec 8<"$cache"
    if command -v flock >/dev/null && flock -n 8; then
        run 1 fetch names --set fetch.mirror=$at/range
        has err "$cache: another microgpt is fetching into this folder"
    fi
    exec 8<&-
    run 0 fetch names --set fetch.mirror=$at/range

    # Without a home there is no place, and none that others could write to is taken.
    XDG_CACHE_HOME='' HOME='' run 1 fetch names
    has err 'names.txt: there is no folder to keep it in; set HOME or XDG_CACHE_HOME'

    # The folder's name need not be UTF-8.
    odd=$scratch/$'odd\xff'
    mkdir -p "$odd/microgpt"
    ln "$cache/names.txt" "$odd/microgpt/names.txt"
    XDG_CACHE_HOME=$odd run 0 fetch names --json
    "$python" -c 'import json; json.load(open("out", encoding="utf-8"))' || fail 'no JSON'

    # A server without ranges sends all of it again.
    mv "$cache/names.txt" "$cache/names.txt.part"
    truncate -s 1000 "$cache/names.txt.part"
    run 0 fetch names --set fetch.mirror=$at/plain
    has log '^/plain/names.txt bytes=1000-$'
    cmp "$cache/names.txt" "$names" || fail 'another text'

    # A proxy is asked, and the mirror of the configuration comes before that of the environment.
    rm "$cache/names.txt"
    http_proxy=$at MICROGPT_MIRROR=$at/longer run 0 fetch names \
        --set fetch.mirror=http://mirror.invalid/x
    has log '^http://mirror.invalid/x/names.txt -$'

    # A killed one is gone on from.
    rm "$cache/names.txt"
    run 1 fetch names --set fetch.mirror=$at/cut
    printf '[fetch]\nmirror = %s/range\n' "$at" >fetch.ini
    run 0 train -q -c fetch.ini --set dataset.path=fetch:names --steps 2 --samples 0 --dir fetched
    has fetched/config.ini "^path = $cache/names.txt$"
    run 0 eval -q --dir fetched
else
    echo 'only refusals were tested: no names.txt here'
fi
echo "$checks checks"
