# Makes watch_page.h, the page of `microgpt watch` as an array of C strings, a line each:
# awk -f embed.awk -v folder=core/run/watch. The template's line @SCRIPT@ becomes the script; @DATA@
# stays, for the program.
function add(line) {
    gsub(/\\/, "&&", line)
    gsub(/"/, "\\\\&", line)
    print "    \"" line "\\n\","
}
function copy(path,    line, state) {
    while ((state = (getline line < path)) > 0)
        if (line == "@SCRIPT@")
            copy(folder "/page.js")
        else
            add(line)
    if (state < 0) {
        print "embed.awk: cannot read " path > "/dev/stderr"
        exit 1
    }
    close(path)
}
BEGIN {
    print "/* Made of core/run/watch/ by embed.awk. */"
    print "static const char *const watch_page[] = {"
    copy(folder "/page.html")
    print "    (const char *)0};"
}
