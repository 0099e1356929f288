# Makes the side-by-side page from doc/explain/: awk -f build.awk -v top=SOURCE-TREE ideas.txt
# The template's lines @STYLE@, @SCRIPT@ and @IDEAS@ are replaced; the code of each idea is taken from
# the sources, between the markers "--- idea: NAME ---" and the next marker. A file named in ideas.txt
# that has no such marker is an error: so the page cannot drift away from the program.

function fail(message) {
    print "build.awk: " message > "/dev/stderr"
    failed = 1
    exit 1
}

function escape(text) {
    gsub(/&/, "\\&amp;", text)
    gsub(/</, "\\&lt;", text)
    gsub(/>/, "\\&gt;", text)
    return text
}

# One figure a run of lines that belong to the idea; returns how many there were.
function excerpts(path, name, language,    line, number, inside, found, marker, blank) {
    number = inside = found = 0
    while ((marker = (getline line < (top "/" path))) > 0) {
        number++
        if (line ~ /--- (idea: [a-z]+|end of idea) ---/) {
            if (inside)
                print "</code></pre></figure>"
            inside = line ~ ("--- idea: " name " ---")
            blank = ""
            if (inside) {
                found++
                printf "<figure data-language=\"%s\"><figcaption>%s:%d</figcaption><pre><code>", \
                       language, path, number + 1
            }
        } else if (inside && line == "") {
            blank = blank "\n" # shown only where code follows
        } else if (inside) {
            print blank escape(line)
            blank = ""
        }
    }
    if (marker < 0)
        fail("cannot read " top "/" path)
    if (inside)
        print "</code></pre></figure>"
    close(top "/" path)
    if (!found)
        fail(path " has no marker \"--- idea: " name " ---\"")
    return found
}

function column(language, title,    paths, n, i) {
    printf "<div class=\"column\" data-language=\"%s\"><h3>%s</h3>\n", language, title
    n = split(files[language], paths, " ")
    for (i = 1; i <= n; i++)
        excerpts(paths[i], idea, language)
    if (!n)
        print "<p class=\"none\"><span lang=\"en\">" none_en "</span><span lang=\"zh\">" none_zh \
              "</span></p>"
    print "</div>"
}

function section() {
    if (idea == "")
        return
    printf "<section id=\"%s\">\n<h2><a href=\"#%s\"><span lang=\"en\">%s</span><span lang=\"zh\">%s</span></a></h2>\n", \
           idea, idea, text["en"], text["zh"]
    printf "<p><span lang=\"en\">%s</span><span lang=\"zh\">%s</span></p>\n", text["en-text"], text["zh-text"]
    printf "<p class=\"formula\">%s</p>\n<div class=\"columns\">\n", text["formula"]
    column("python", "Python")
    column("c", "C")
    column("cuda", "CUDA")
    print "</div>\n</section>"
}

function ideas(    line, key, value) {
    while ((getline line < list) > 0) {
        if (line ~ /^#/ || line == "")
            continue
        key = value = line
        sub(/ .*/, "", key)
        sub(/^[^ ]* +/, "", value)
        if (key == "idea") {
            section()
            idea = value
            files["python"] = files["c"] = files["cuda"] = ""
            delete text
        } else if (key in files) {
            files[key] = value
        } else {
            text[key] = value
        }
    }
    section()
}

function copy(path,    line, state) {
    while ((state = (getline line < path)) > 0)
        print line
    if (state < 0)
        fail("cannot read " path)
    close(path)
}

BEGIN {
    folder = top "/doc/explain/"
    list = folder "ideas.txt"
    none_en = "On a GPU this is made of the ideas above."
    none_zh = "在 GPU 上，它由以上各部分组成。"
    while ((state = (getline line < (folder "page.html"))) > 0) {
        if (line == "@STYLE@")
            copy(folder "page.css")
        else if (line == "@SCRIPT@")
            copy(folder "page.js")
        else if (line == "@IDEAS@")
            ideas()
        else
            print line
    }
    if (state < 0)
        fail("cannot read " folder "page.html")
    exit failed
}
