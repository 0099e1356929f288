#!/bin/bash
# Arrows point down only: which folder may include which. Prints file:line of every #include that
# points up, sideways, or from a plugin into the core.
set -u
cd "${abs_top_srcdir:-$(dirname "$0")/..}" || exit 1

# Folder of core/, and the folders of core/ that it may include. Itself goes without saying.
rules='
microgpt
base      microgpt
ref       base microgpt
plugin    ref base microgpt
conf      plugin base microgpt
model     conf plugin ref base microgpt
run       model conf plugin ref base microgpt
check     run model conf plugin ref base microgpt
cli       check run model conf plugin ref base microgpt
'

# file:line:form:name of each #include in the files given; form is < or ".
includes() {
    awk 'match($0, /^[ \t]*#[ \t]*include[ \t]*[<"][^>"]+/) {
        text = substr($0, RSTART, RLENGTH)
        sub(/^[ \t]*#[ \t]*include[ \t]*/, "", text)
        print FILENAME ":" FNR ":" substr(text, 1, 1) ":" substr(text, 2)
    }' "$@" /dev/null
}

offences=0
offend() {
    printf '%s:%s: %s\n' "$1" "$2" "$3"
    offences=$((offences + 1))
}

is_core_folder() {
    grep -q "^$1\( \|\$\)" <<<"$rules"
}

may_include() { # FROM TO
    [ "$1" = "$2" ] || grep -q "^$1 .*\b$2\b" <<<"$rules"
}

check_core() { # FILE LINE FORM NAME
    local from to=${4%%/*}
    from=${1#core/}
    from=${from%%/*}
    case $3$4 in
    *../*) offend "$1" "$2" "write \"$4\" from core/ down, as \"folder/file.h\"" ;;
    '"'*/* | '<'*/*)
        if is_core_folder "$to"; then
            may_include "$from" "$to" || offend "$1" "$2" "$from/ may not include $to/ (\"$4\")"
        elif [ "$3" = '"' ]; then
            offend "$1" "$2" "no such folder in core/: \"$4\""
        fi ;;
    '<config.h' | '"config.h')
        [ "$from" != microgpt ] ||
            offend "$1" "$2" "a public header may not include config.h, which is not installed" ;;
    '"'*)
        if [ "$from" = microgpt ]; then
            offend "$1" "$2" "a public header includes others as <microgpt/$4>"
        elif [ ! -e "$(dirname "$1")/$4" ]; then
            offend "$1" "$2" "\"$4\" is not in this folder"
        fi ;;
    esac
}

# Step fused_cpu walks with the kernels of backend cpu: both are ours, and link the same libraries.
shares_kernels() { # FILE NAME
    [[ $1 = plugins/step/fused_cpu/* && $2 = backend/cpu/ops.h ]]
}

# In a project that is made from the templates, the tests lie in one folder.
is_template_test() { # FILE NAME
    [[ $1 = plugins/template/*/check.c && $2 = host.h ]]
}

check_plugin() { # FILE LINE FORM NAME
    ! shares_kernels "$1" "$4" && ! is_template_test "$1" "$4" || return 0
    case $3$4 in
    *../*) offend "$1" "$2" "a plugin does not reach out of its folder (\"$4\")" ;;
    '<microgpt/'*) ;;
    '<config.h' | '"config.h')
        offend "$1" "$2" "a plugin includes no config.h: strangers' plugins have none" ;;
    '<'*)
        ! is_core_folder "${4%%/*}" ||
            offend "$1" "$2" "a plugin includes <microgpt/...> alone from the core (<$4>)" ;;
    '"'*)
        [ -e "$(dirname "$1")/$4" ] ||
            offend "$1" "$2" "\"$4\" is not in the plugin's own folder" ;;
    esac
}

check_tree() { # FUNCTION FOLDER...
    local check=$1 files file line form name
    shift
    mapfile -t files < <(find "$@" -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' | sort)
    if [ ${#files[@]} -eq 0 ]; then
        offend "$1" 0 "no sources found"
        return
    fi
    while IFS=: read -r file line form name; do
        "$check" "$file" "$line" "$form" "$name"
    done < <(includes "${files[@]}")
    echo "layering: ${#files[@]} files under $*"
}

for folder in core/*/; do
    folder=$(basename "$folder")
    is_core_folder "$folder" ||
        offend "core/$folder" 0 "has no place in the rules of tests/layering.sh"
done
check_tree check_core core
check_tree check_plugin plugins

[ "$offences" -eq 0 ] || { echo "layering: $offences offences"; exit 1; }
