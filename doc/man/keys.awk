# conf/microgpt.ini as a part of microgpt.ini.5: a heading for each section, and for each key its
# default and the comment above it.
function text(line) { gsub(/\\/, "\\e", line); return "\\&" line }
/^# ----/ || /^#$/ || (!section && !/^\[/) { comment = ""; next }
/^# +\[[a-z._]+\]$/ || /^\[/ { # what needs CUDA is commented out
    sub(/^# +/, "")
    section = $0
    print ".SS \"" section "\""
    comment = ""
    next
}
/^(# )?[a-z_0-9]+ =/ {
    sub(/^# /, "")
    key = $1
    value = $0
    sub(/^[^=]*= */, "", value)
    print ".TP\n.B \"" key " = " (value == "" ? "" : value) "\""
    print comment == "" ? text("See above.") : comment
    comment = ""
    next
}
/^#/ { sub(/^# ?/, ""); comment = comment (comment == "" ? "" : "\n") text($0) }
/^$/ { comment = "" }
