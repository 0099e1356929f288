# The files of the program as two tables of lines in C: micro_kernel_head has the first, device.cu,
# and micro_kernel_body the others. Each starts by telling the compiler its name.
function table(name)
{
    printf "%sconst char *const %s[] = {\n", (files > 1 ? "    0};\n" : ""), name
}
function add(line) { # as core/run/watch/embed.awk does
    gsub(/\\/, "&&", line)
    gsub(/"/, "\\\\&", line)
    print "    \"" line "\\n\","
}
BEGIN {
    print "/* Made by embed.awk from the files that it names. */"
    print "extern const char *const micro_kernel_head[], *const micro_kernel_body[];"
}
FNR == 1 {
    files++
    if (files <= 2)
        table(files == 1 ? "micro_kernel_head" : "micro_kernel_body")
    name = FILENAME
    sub(/.*\//, "", name)
    add("#line 1 \"" name "\"")
}
{
    add($0)
}
END {
    print "    0};"
}
