# A public header as Doxygen wants it: a comment of ours belongs to what follows it or, behind code, to
# all that stands before it on the line. Sizes and reserved fields, which all structs share, are told
# here, once.
function field(type, name, comment) { printf "%s%s; /**< %s */ ", type, name, comment }
FNR == 1 && /^\/\* / { sub(/^\/\*/, "/** @file\n *"); print; next }
/^#include|^#if|^#endif|^#else|^extern "C"|^}$/ { print; next }
/^[ \t]*\/\* ---/ { print; next } # a heading
/^[ \t]*\/\*/ { sub(/\/\*/, "/**"); print; next }
/^ +uint32_t size(, [a-z0-9_, ]+)?;/ {
    field("    uint32_t ", "size", "bytes of this struct, as its maker knows it")
    if (!sub(/size, /, "")) { print ""; next }
}
/^ +uint32_t ([a-z0-9_, ]+, )?reserved;/ {
    field("    uint32_t ", "reserved", "0")
    if (!sub(/, reserved/, "")) { print ""; next }
}
# Several of one type, with one comment: each gets it, the first by name of the last where it is long.
/^ +[a-z0-9_ ]+ [a-z0-9_]+(\[[A-Z_]+\])?(, [a-z0-9_]+(\[[A-Z_]+\])?)+;.*\/\* / {
    match($0, /;/)
    names = substr($0, 1, RSTART - 1)
    rest = substr($0, RSTART + 1)
    sub(/^ +\/\* /, "", rest)
    whole = rest
    count = split(names, part, /, /)
    type = part[1]
    sub(/[a-z0-9_]+(\[[A-Z_]+\])?$/, "", type)
    part[1] = substr(part[1], length(type) + 1)
    for (i = 1; i < count; i++)
        field(type, part[i], sub(/ *\*\/.*/, "", whole) || whole != rest ? whole : "with " part[count])
    print type part[count] "; /**< " rest
    next
}
/[^ \t].*[ \t]\/\* / && !/^[ \t]*\*/ { sub(/\/\* /, "/**< "); print; next }
{ print }
