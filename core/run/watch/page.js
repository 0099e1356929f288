"use strict";
(() => {
    const data = JSON.parse(document.querySelector("#data").textContent);
    const root = document.documentElement;
    const one = (selector) => document.querySelector(selector);
    const W = 640, H = 260, LEFT = 56, RIGHT = 8, TOP = 8, BOTTOM = 24;

    /* What the reader set, kept over the reloads of a run that goes on. */
    const store = (() => {
        try { return window.sessionStorage; } catch { return null; }
    })();
    const remember = (key, value) => store?.setItem("microgpt." + key, value);
    const recall = (key) => store?.getItem("microgpt." + key) ?? null;

    const make = (name, attributes = {}, text = "") => {
        const element = document.createElement(name);
        for (const [key, value] of Object.entries(attributes))
            element.setAttribute(key, value);
        element.append(text);
        return element;
    };
    const draw = (name, attributes, text) => {
        const element = document.createElementNS("http://www.w3.org/2000/svg", name);
        for (const [key, value] of Object.entries(attributes))
            element.setAttribute(key, value);
        if (text !== undefined)
            element.textContent = text;
        return element;
    };
    const colour = (run) => `var(--run${data.runs.indexOf(run) % 6})`;
    const hidden = new Set(JSON.parse(recall("hidden") ?? "[]"));
    const shown = () => data.runs.filter((run) => !hidden.has(run.name));
    const short = (x) => x === 0 ? "0" : Math.abs(x) >= 1e5 || Math.abs(x) < 1e-3 ? x.toExponential(1) : String(+x.toPrecision(4));

    /* An exponential mean that starts at the first value (not at 0), so nothing has to be corrected;
     * what is null (not finite) leaves a gap and does not count. */
    function smooth(values, share) {
        let mean = null;
        return values.map((x) => {
            if (x === null)
                return null;
            mean = mean === null ? x : share * mean + (1 - share) * x;
            return mean;
        });
    }

    /* ---- charts ---- */

    const charts = [
        { title: "loss", of: (run) => [
            { x: run.step, y: run.loss, noisy: true, name: "training" },
            { x: run.val_step, y: run.val_loss, dots: true, name: "validation" },
            { x: run.val_step, y: run.train_loss, dots: true, faint: true, name: "training, as validated" }] },
        { title: "learning rate", of: (run) => [{ x: run.step, y: run.lr, name: "lr" }] },
        { title: "gradient norm", of: (run) => [{ x: run.step, y: run.grad_norm, noisy: true, name: "norm" }] },
        { title: "tokens a second", of: (run) => [{ x: run.step, y: run.tokens_per_s, noisy: true, name: "tok/s" }] },
    ];

    /* 1, 2 or 5 times a power of ten, about `n` of them. */
    function ticks(low, high, n) {
        const rough = (high - low) / n, power = 10 ** Math.floor(Math.log10(rough));
        const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
        const out = [];
        for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-9; t += step)
            out.push(Math.abs(t) < step * 1e-9 ? 0 : t);
        return out;
    }

    function range(values) {
        let low = Infinity, high = -Infinity;
        for (const v of values)
            if (v !== null && v < Infinity) {
                low = Math.min(low, v);
                high = Math.max(high, v);
            }
        if (low > high)
            return null;
        const room = (high - low) * 0.04 || Math.abs(high) * 0.1 || 1;
        return [low - room, high + room];
    }

    function render(chart) {
        const log = one("#log").checked, share = Number(one("#smooth").value);
        const value = (y) => y === null || y === undefined || (log && y <= 0) ? null : log ? Math.log10(y) : y;
        const series = shown().flatMap((run) => chart.of(run).map((s) => ({ ...s, run, y: s.y.map(value) })))
            .filter((s) => s.y.some((y) => y !== null));
        chart.svg.replaceChildren();
        chart.figure.hidden = series.length === 0;
        chart.series = series;
        const xs = range(series.flatMap((s) => s.x)), ys = range(series.flatMap((s) => s.y));
        if (!xs || !ys)
            return;
        const X = (x) => LEFT + (x - xs[0]) / (xs[1] - xs[0]) * (W - LEFT - RIGHT);
        const Y = (y) => H - BOTTOM - (y - ys[0]) / (ys[1] - ys[0]) * (H - TOP - BOTTOM);
        chart.toStep = (px) => xs[0] + (px - LEFT) / (W - LEFT - RIGHT) * (xs[1] - xs[0]);
        chart.X = X;
        for (const t of ticks(ys[0], ys[1], 5)) {
            chart.svg.append(draw("line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: Y(t), y2: Y(t) }));
            chart.svg.append(draw("text", { x: LEFT - 6, y: Y(t) + 4, "text-anchor": "end" }, short(log ? 10 ** t : t)));
        }
        for (const t of ticks(xs[0], xs[1], 6).filter((t) => t >= 0))
            chart.svg.append(draw("text", { x: X(t), y: H - 6, "text-anchor": "middle" }, short(t)));
        const path = (s, y) => {
            let pen = "M", out = "";
            s.x.forEach((x, i) => {
                if (y[i] === null) {
                    pen = "M";
                } else {
                    out += `${pen}${X(x).toFixed(1)} ${Y(y[i]).toFixed(1)}`;
                    pen = "L";
                }
            });
            return out;
        };
        for (const s of series) {
            const stroke = colour(s.run);
            if (s.noisy)
                chart.svg.append(draw("path", { class: "raw", stroke, d: path(s, s.y) }));
            chart.svg.append(draw("path", { class: "curve", stroke, d: path(s, s.noisy ? smooth(s.y, share) : s.y),
                "stroke-dasharray": s.dots ? "5 3" : "none", opacity: s.faint ? 0.5 : 1 }));
            if (s.dots)
                s.x.forEach((x, i) => s.y[i] !== null && chart.svg.append(
                    draw("circle", { cx: X(x), cy: Y(s.y[i]), r: 3, fill: stroke, opacity: s.faint ? 0.5 : 1 })));
        }
        chart.cross = draw("line", { class: "cross", y1: TOP, y2: H - BOTTOM, visibility: "hidden" });
        chart.svg.append(chart.cross);
    }

    /* The values of all curves near the step under the pointer, on every chart. */
    function point(step) {
        const log = one("#log").checked;
        for (const chart of charts) {
            if (chart.figure.hidden)
                continue;
            chart.cross.setAttribute("visibility", step === null ? "hidden" : "visible");
            chart.out.textContent = "";
            if (step === null)
                continue;
            chart.cross.setAttribute("x1", chart.X(step));
            chart.cross.setAttribute("x2", chart.X(step));
            const words = chart.series.map((s) => {
                let best = 0;
                s.x.forEach((x, i) => { if (Math.abs(x - step) < Math.abs(s.x[best] - step)) best = i; });
                const y = s.y[best];
                return y === null ? "" : `${shown().length > 1 ? s.run.name + " " : ""}${s.name} ${short(log ? 10 ** y : y)}`;
            });
            chart.out.textContent = `step ${Math.round(step)} | ${words.filter(Boolean).join(" | ")}`;
        }
    }

    for (const chart of charts) {
        chart.figure = make("figure");
        const caption = make("figcaption");
        chart.out = make("output");
        chart.svg = draw("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": chart.title });
        caption.append(make("h2", {}, chart.title), chart.out);
        chart.figure.append(caption, chart.svg);
        one("main").append(chart.figure);
        chart.svg.addEventListener("pointermove", (event) => {
            const box = chart.svg.getBoundingClientRect();
            point(chart.toStep((event.clientX - box.left) / box.width * W));
        });
        chart.svg.addEventListener("pointerleave", () => point(null));
    }
    const renderAll = () => charts.forEach(render);

    /* ---- facts and samples ---- */

    function facts() {
        const box = make("div", { class: "samples wide facts" }), table = make("table");
        table.append(make("tr"));
        for (const title of ["run", "step", "loss", "best validation", "state"])
            table.rows[0].append(make("th", {}, title));
        for (const run of data.runs) {
            const row = make("tr");
            const best = run.val_loss.reduce((b, v, i) => v !== null && (b < 0 || v < run.val_loss[b]) ? i : b, -1);
            const last = run.step.length - 1;
            row.append(make("td", {}, run.name), make("td", {}, `${run.last_step}${run.total ? " of " + run.total : ""}`),
                make("td", {}, last >= 0 && run.loss[last] !== null ? run.loss[last].toFixed(4) : ""),
                make("td", {}, best >= 0 ? `${run.val_loss[best].toFixed(4)} at step ${run.val_step[best]}` : ""),
                make("td", {}, run.live ? "going on" : "at rest"));
            table.append(row);
        }
        box.append(table);
        one("main").append(box);
    }

    /* Noise becomes words: the samples of the step that the slider says. */
    function samples(run) {
        const steps = [...new Set(run.samples.map((s) => s.step))];
        if (!steps.length)
            return;
        const box = make("div", { class: "samples wide" });
        const key = "sample." + run.name, kept = recall(key);
        const slider = make("input", { type: "range", min: 0, max: steps.length - 1, value: kept ?? steps.length - 1, "aria-label": "step of the samples" });
        const title = make("h2"), text = make("pre");
        const show = () => {
            const step = steps[slider.value];
            title.textContent = `samples of ${run.name} at step ${step}`;
            text.textContent = run.samples.filter((s) => s.step === step).map((s) => s.text).join("\n");
        };
        slider.addEventListener("input", () => {
            show();
            remember(key, slider.value);
        });
        show();
        box.append(title, text);
        if (steps.length > 1)
            title.after(slider);
        one("main").append(box);
    }

    /* ---- what the reader does ---- */

    for (const run of data.runs) {
        const button = make("button", { "aria-pressed": !hidden.has(run.name) });
        button.append(make("span", { class: "swatch", style: `background: ${colour(run)}` }), run.name);
        button.addEventListener("click", () => {
            hidden.has(run.name) ? hidden.delete(run.name) : hidden.add(run.name);
            button.setAttribute("aria-pressed", !hidden.has(run.name));
            remember("hidden", JSON.stringify([...hidden]));
            renderAll();
        });
        one("#runs").append(button, " ");
    }
    const setTheme = (theme) => {
        root.dataset.theme = theme;
        remember("theme", theme);
    };
    const toggleTheme = () => setTheme(root.dataset.theme === "dark" ? "light" : "dark");
    one("#theme").addEventListener("click", toggleTheme);
    document.addEventListener("keydown", (event) => {
        if (event.key === "t" && !event.ctrlKey && !event.metaKey && !event.altKey)
            toggleTheme();
    });
    for (const [id, kind] of [["smooth", "value"], ["log", "checked"]]) {
        const input = one("#" + id), kept = recall(id);
        if (kept !== null)
            input[kind] = kind === "checked" ? kept === "true" : kept;
        input.addEventListener("input", () => {
            remember(id, input[kind]);
            renderAll();
        });
    }

    setTheme(recall("theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
    renderAll();
    facts();
    data.runs.forEach(samples);
    one("footer").textContent = data.runs.filter((run) => run.stride > 1)
        .map((run) => `Each point of ${run.name} is the mean of ${run.stride} steps.`).join(" ");

    /* A run that goes on: the file is written anew every few seconds, so is the page. */
    if (data.refresh && data.runs.some((run) => run.live))
        setTimeout(() => {
            remember("scroll", scrollY);
            location.reload();
        }, data.refresh * 1000);
    if (recall("scroll"))
        scrollTo(0, Number(recall("scroll")));
})();
