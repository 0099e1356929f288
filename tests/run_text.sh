# microgpt train TEXT: no configuration at all.
. "$abs_top_srcdir/tests/run.sh"

export XDG_CONFIG_HOME=$scratch/none
for i in $(seq 400); do echo "It was the best of times, it was the worst of times: $i."; done \
        >book.txt
echo '[train' >microgpt.ini # is not read
few='--steps 20 --set generate.max_tokens=20 --set train.val_every=10 --set backend.use=cpu'
run 0 train book.txt $few
has err './microgpt.ini is not read when a text is named; -c microgpt.ini reads it'
has err 'text: [0-9]+ characters, [0-9]+ different ones: tokenizer char$'
has err 'picked: 3 layers, width 48, context 64, 20 steps of 8 windows; .*--set'
has err 'all settings are in book/config.ini; microgpt config show -c .book/config.ini.'
has out '^sample +1:'
n=$(wc -m <book.txt) # a part of n tokens has n - 1 to predict
has out "^num tokens: train $((n * 9 / 10 - 1)), val $((n - n * 9 / 10 - 1))$"
has err "kept in book. To write: microgpt generate --dir 'book'; to train on: microgpt train --resume --dir 'book' --steps N\$"
has book/config.ini "^path = $scratch/book.txt$"
has book/config.ini '^use = text$'
rm microgpt.ini
run 0 config show -c book/config.ini
has out '^patience = 5'
run 0 train --resume --dir book
has err 'all 20 steps are done'
! grep -q 'plan:' err || fail 'a finished run is planned again'
run 0 train --resume --dir book --steps 24
has err 'plan: [0-9]+ parameters; 4 steps of '
has err "kept in book. To write: microgpt generate --dir 'book';"
run 0 train --resume --dir book --steps 25 -q
! grep -q 'kept in' err || fail '-q says where the run is kept'
run 0 generate -q --dir book --prompt It --max-tokens 10
has out '^It'

# What is typed wins; with -c the text is only the data.
run 0 train book.txt $few --dir mine --set model.layers=1 -q
has mine/config.ini '^layers = 1$'
run 0 train book.txt -c "$ini" $few --dir lines -q --samples 1
has lines/config.ini '^use = lines$'
has lines/config.ini "^path = $scratch/book.txt$"

# What other systems make of a text: a mark of the byte order is none of it, lines that end in CR LF
# are learned and told, other encodings refused with what changes them.
{ printf '\357\273\277' && sed 's/$/\r/' book.txt; } >windows.txt
run 0 train windows.txt $few
has err "lines end in CR LF, which the model learns; tr -d '\\\\r'"
sed -n 's/.*text: \([0-9]* characters, [0-9]*\) .*/\1/p' err >windows.count
characters=$(wc -m <book.txt) lines=$(wc -l <book.txt)
[ "$(cut -d' ' -f1 windows.count)" = $((characters + lines)) ] ||
    fail "counted $(cat windows.count)"
printf 'caf\351 %s' "$(cat book.txt)" >latin.txt
run 5 train latin.txt
has err 'latin.txt:1: byte 3 \(0xe9\) is not UTF-8; iconv -f WINDOWS-1252 -t UTF-8 FILE >NEW'
printf '\377\376a\0b\0' >wide.txt
run 5 train wide.txt
has err 'wide.txt:1: byte 0 \(0xff\) is not UTF-8; iconv -f UTF-16 '
{ cat book.txt && printf 'a\0b'; } >nul.txt
run 5 train nul.txt
has err 'nul.txt:401: byte [0-9]+ \(0x00\) is NUL, expected UTF-8; iconv -f UTF-16 '

run 0 train book.txt $few --dir "it's mine"
has err "generate --dir 'it'\\\\''s mine'; to"

# Refusals.
run 3 train book.txt
has err 'book already holds a run'
! grep -q 'all settings' err || fail 'a refused run has settings'
run 0 train book.txt --explain --dir explained
! grep -q 'all settings' err || fail '--explain keeps settings'

# A copy of a run's settings begins another run when that has a folder of its own.
cp book/config.ini copy.ini
run 3 train -c copy.ini
has err 'book already holds a run \(config.ini\); .*: --dir NAME, which goes before that of copy.ini:[0-9]+$'
run 0 train -c copy.ini --dir copied --steps 3 -q
run 3 train -c copy.ini --dir copied --steps 3
has err 'copied already holds a run .*--dir NAME$'
run 2 train book.txt more.txt
has err 'train: more.txt: expected one text at most'
run 2 train book.txt --resume
has err 'train: book.txt: --resume goes on with a run.s own text'
run 5 train nowhere.txt
has err 'nowhere.txt: '
head -c 100 book.txt >short.txt
run 5 train short.txt
has err 'short.txt: has 100 characters, expected at least 1000'
[ ! -e short ] || fail 'a refused text left a folder'
echo "$checks checks"
