"use strict";
(() => {
    const root = document.documentElement;
    const one = (selector) => document.querySelector(selector);
    const all = (selector) => [...document.querySelectorAll(selector)];
    const sections = all("section");
    const search = one("#search");

    /* What the reader chose, kept where the browser allows it. */
    const remember = (key, value) => {
        try { localStorage.setItem("microgpt." + key, value); } catch { /* a private window */ }
    };
    const recall = (key) => {
        try { return localStorage.getItem("microgpt." + key); } catch { return null; }
    };

    /* ---- colours of code ---- */

    const words = {
        python: "and as assert break class continue def del elif else except False finally for from global if import in is lambda None not or pass raise return True try while with yield self",
        c: "break case char const continue default do double else enum extern float for goto if inline int int32_t int64_t long NULL return short signed sizeof size_t static struct switch typedef uint32_t uint64_t union unsigned void volatile while bool true false",
    };
    words.cuda = words.c + " template typename __global__ __device__ __shared__ __syncthreads threadIdx blockIdx blockDim gridDim float4 dim3 reinterpret_cast const_cast constexpr";
    const comment = { python: "#[^\\n]*|\"\"\"[^]*?\"\"\"", c: "\\/\\*[^]*?\\*\\/|\\/\\/[^\\n]*" };
    comment.cuda = comment.c;
    const escape = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

    function colour(text, language) {
        const keywords = new Set(words[language].split(" "));
        const token = new RegExp(`(${comment[language]})|("(?:\\\\.|[^"\\\\\\n])*"|'(?:\\\\.|[^'\\\\\\n])*')|\\b(\\d[\\w.]*(?:e[-+]?\\d+)?)|([A-Za-z_]\\w*)`, "g");
        let out = "", at = 0;
        for (const match of text.matchAll(token)) {
            const kind = match[1] ? "comment" : match[2] ? "string" : match[3] ? "number" : keywords.has(match[4]) ? "keyword" : "";
            out += escape(text.slice(at, match.index));
            out += kind ? `<span class="${kind}">${escape(match[0])}</span>` : escape(match[0]);
            at = match.index + match[0].length;
        }
        return out + escape(text.slice(at));
    }

    /* The lines of an excerpt that all are indented lose what they share. */
    function outdent(text) {
        const indents = text.split("\n").filter((line) => line.trim()).map((line) => line.match(/^ */)[0].length);
        return text.replace(new RegExp(`^ {${Math.min(...indents)}}`, "gm"), "");
    }

    for (const figure of all("figure")) {
        const code = figure.querySelector("code");
        code.innerHTML = colour(outdent(code.textContent), figure.dataset.language);
    }

    /* ---- languages, captions, theme ---- */

    function showLanguages(list) {
        root.dataset.languages = list.join(" ");
        for (const button of all("#languages button"))
            button.setAttribute("aria-pressed", list.includes(button.dataset.language));
        remember("languages", list.join(" "));
    }

    /* The last language that is shown stays. */
    function toggleLanguage(name) {
        const shown = root.dataset.languages.split(" ");
        const next = ["python", "c", "cuda"].filter((l) => (l === name) !== shown.includes(l));
        if (next.length)
            showLanguages(next);
        find();
    }

    function setCaptions(lang) {
        root.lang = lang;
        one("#captions").textContent = lang === "en" ? "中文" : "English";
        remember("captions", lang);
        find();
    }

    function setTheme(theme) {
        root.dataset.theme = theme;
        remember("theme", theme);
    }
    const toggleTheme = () => setTheme(root.dataset.theme === "dark" ? "light" : "dark");
    const toggleCaptions = () => setCaptions(root.lang === "en" ? "zh" : "en");

    /* ---- search: marks what is found, hides the ideas without it ---- */

    function unmark() {
        for (const mark of all("mark")) {
            const parent = mark.parentNode;
            mark.replaceWith(...mark.childNodes);
            parent.normalize();
        }
    }

    function markIn(section, wanted) {
        const walker = document.createTreeWalker(section, NodeFilter.SHOW_TEXT);
        const nodes = [];
        while (walker.nextNode())
            if (walker.currentNode.parentElement.offsetParent !== null)
                nodes.push(walker.currentNode);
        let count = 0;
        for (let node of nodes)
            for (let at; (at = node.data.toLowerCase().indexOf(wanted)) >= 0; count++) {
                const hit = node.splitText(at);
                node = hit.splitText(wanted.length);
                const mark = document.createElement("mark");
                hit.replaceWith(mark);
                mark.append(hit);
            }
        return count;
    }

    function find() {
        const wanted = search.value.trim().toLowerCase();
        let count = 0;
        unmark();
        for (const section of sections) {
            section.hidden = false;
            const here = wanted ? markIn(section, wanted) : 0;
            section.hidden = wanted !== "" && here === 0;
            count += here;
        }
        one("#found").textContent = wanted ? String(count) : "";
        follow();
    }

    /* ---- from idea to idea ---- */

    for (const section of sections) {
        const link = document.createElement("a");
        link.href = "#" + section.id;
        link.innerHTML = section.querySelector("h2 a").innerHTML;
        one("#ideas").append(link);
    }
    const links = all("#ideas a");
    const bar = one("#bar");
    const top = () => bar.offsetHeight + 30;
    const leaveRoom = () => { root.style.scrollPaddingTop = bar.offsetHeight + "px"; };

    /* The idea under the top of the window. */
    function current() {
        let here = -1;
        sections.forEach((section, i) => {
            if (!section.hidden && section.getBoundingClientRect().top <= top())
                here = i;
        });
        return here;
    }

    function follow() {
        const here = current();
        links.forEach((link, i) => link.classList.toggle("here", i === here));
    }

    function go(by) {
        let i = current() + by;
        while (sections[i] && sections[i].hidden)
            i += by;
        if (sections[i])
            sections[i].scrollIntoView();
    }

    /* ---- what the reader does ---- */

    const keys = {
        1: () => toggleLanguage("python"), 2: () => toggleLanguage("c"), 3: () => toggleLanguage("cuda"),
        j: () => go(1), k: () => go(-1), t: toggleTheme, l: toggleCaptions, "/": () => search.focus(),
    };
    document.addEventListener("keydown", (event) => {
        if (event.key === "Escape") {
            search.value = "";
            search.blur();
            find();
        } else if (event.target !== search && !event.ctrlKey && !event.metaKey && !event.altKey && keys[event.key]) {
            event.preventDefault();
            keys[event.key]();
        }
    });
    for (const button of all("#languages button"))
        button.addEventListener("click", () => toggleLanguage(button.dataset.language));
    one("#captions").addEventListener("click", toggleCaptions);
    one("#theme").addEventListener("click", toggleTheme);
    search.addEventListener("input", find);
    document.addEventListener("scroll", follow, { passive: true });
    addEventListener("resize", leaveRoom);

    setTheme(recall("theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
    setCaptions(recall("captions") || (navigator.language.startsWith("zh") ? "zh" : "en"));
    showLanguages((recall("languages") || (innerWidth < 700 ? "python" : "python c cuda")).split(" "));
    leaveRoom();
    if (location.hash)
        one(location.hash)?.scrollIntoView();
    follow();
})();
