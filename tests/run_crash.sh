#!/bin/bash
# Kills a save at every system call it makes, and fails every one with ENOSPC, EIO and EINTR:
# `latest` must load afterwards, the checkpoint from before or the new one, and the next save must
# clean up.
set -u

save_once=$(realpath "${abs_top_builddir:-.}/tests/save_once")
[ -x "$save_once" ] || { echo "save_once was not built"; exit 99; }
command -v strace >/dev/null || { echo "SKIP: strace is missing (Debian package strace)"; exit 77; }
# An absolute path: strace -P and relative ones inject nothing, silently.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/mgpt-crash-XXXXXX") || exit 99
trap 'rm -rf "$scratch"' EXIT
# The leak check of a sanitized build cannot work under a tracer.
export ASAN_OPTIONS="detect_leaks=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
strace -f -o "$scratch/log" true 2>/dev/null ||
    { echo "SKIP: strace may not trace here (ptrace is refused)"; exit 77; }

run=$scratch/run
calls=openat,mkdir,write,fsync,close,rename,renameat2,symlink,unlink,unlinkat,rmdir
calls=$calls,readlink,getdents64
cases=0
failed=0

complain() { # TEXT
    echo "FAIL: $what: $1"
    sed 's/^/    /' "$scratch/err"
    failed=$((failed + 1))
}

# A run at step 10, to which the traced process adds the steps 20, 20 again and 30.
prepare() {
    rm -rf "$run"
    "$save_once" save "$run" 10 >"$scratch/out" 2>"$scratch/err" || complain "cannot prepare"
}

inject() { # EXPRESSION...
    local options=() expression
    for expression; do options+=(-e "inject=$expression"); done
    prepare
    what=$*
    cases=$((cases + 1))
    { # bash's own word on a killed child goes to its stderr
        strace -f -qq -o "$scratch/log" -e "trace=$calls" "${options[@]}" \
            "$save_once" save "$run" 20 20 30 >"$scratch/out" 2>"$scratch/err"
        code=$?
    } 2>/dev/null
}

# Into the array `list`: "CALL N" for each call of a save, from its first look at the run on.
list_calls() { # INJECTION...
    inject "$@"
    [ $code -eq 0 ] || complain "exit $code before anything was injected"
    mapfile -t list < <(awk -v run="$run" '
        match($0, /[a-z_0-9]+\(/) {
            call = substr($0, RSTART, RLENGTH - 1)
            count[call]++
            if (index($0, run)) begun = 1
            if (begun) print call, count[call]
        }' "$scratch/log")
    [ ${#list[@]} -gt 100 ] || complain "only ${#list[@]} calls were traced"
}

# What loads is what the output promised, or the one that was being saved.
check_latest() {
    local found expected
    case $(tail -n 1 "$scratch/out") in
    'saved 30') expected=30 ;;
    'saved 20') expected='20 30' ;;
    *) expected='10 20' ;;
    esac
    found=$("$save_once" check "$run" 2>"$scratch/err") || complain "latest does not load"
    [[ " $expected " = *" $found "* ]] || complain "latest is ${found:-missing}, not $expected"
}

# The next save must find its way, and leave nothing behind.
check_next() {
    "$save_once" save "$run" 40 >/dev/null 2>"$scratch/err" || complain "the next save fails"
    found=$("$save_once" check "$run" 2>"$scratch/err")
    [ "$found" = 40 ] || complain "after the next save latest is ${found:-missing}"
    left=$(cd "$run" && find . -mindepth 1 -maxdepth 2 | sort | tr '\n' ' ')
    [ "$left" = './best ./checkpoints ./checkpoints/step-40 ./latest ' ] || complain "left: $left"
}

kill_everywhere() { # INJECTION... that goes with each kill
    local call n entry
    list_calls "$@"
    for entry in "${list[@]}"; do
        read -r call n <<<"$entry"
        inject "$@" "$call:signal=SIGKILL:when=$n"
        [ $code -eq 137 ] || complain "exit $code, not killed"
        check_latest
        check_next
    done
}

fail_everywhere() { # ERROR TEXT
    local call n entry
    list_calls
    for entry in "${list[@]}"; do
        read -r call n <<<"$entry"
        case $call in close | readlink | getdents64) continue ;; esac # readers, mostly
        inject "$call:error=$1:when=$n"
        case $code in
        0) [ "$(tail -n 1 "$scratch/out")" = 'saved 30' ] || complain "exit 0 without all three" ;;
        1) # the program's own line cannot be written either
            grep -q "$2" "$scratch/err" && grep -q "$run" "$scratch/err" ||
                grep -q '"saved .*INJECTED' "$scratch/log" || complain "no path and cause" ;;
        *) complain "exit $code" ;;
        esac
        [ $code -eq 1 ] || case $call in
        write | fsync | mkdir | symlink) complain "an error went unnoticed" ;;
        esac
        check_latest
        check_next
    done
}

# Interrupted calls are repeated: the save does not notice.
interrupt_everywhere() {
    local call n entry
    list_calls
    for entry in "${list[@]}"; do
        read -r call n <<<"$entry"
        case $call in write | fsync | openat) ;; *) continue ;; esac
        inject "$call:error=EINTR:when=$n"
        [ $code -eq 0 ] || grep -q '"saved .*INJECTED' "$scratch/log" || complain "exit $code"
        check_latest
    done
}

kill_everywhere
echo "crash: $cases runs, killed at every call"
# A file system that cannot swap folders: the other way to replace one.
kill_everywhere renameat2:error=EINVAL
echo "crash: $cases runs, and without RENAME_EXCHANGE"
fail_everywhere ENOSPC 'No space left on device'
fail_everywhere EIO 'Input/output error'
echo "crash: $cases runs, and with ENOSPC and EIO"
interrupt_everywhere
echo "crash: $cases runs, and with EINTR"
[ $failed -eq 0 ] || { echo "crash: $failed failures"; exit 1; }
