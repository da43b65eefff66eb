// Replaces the pictures of curves by ones that can be explored. Without it the page is whole, only still.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const choice = { axis: "step", log: "auto", smooth: 0, off: new Set() };
  const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#6a3d9a"];
  const [WIDTH, LEFT, RIGHT, PLOT, BELOW, ROW] = [640, 62, 16, 250, 46, 17];
  const views = [];

  // --- Numbers -------------------------------------------------------------------------------------------------------

  const number = (v) => (typeof v === "number" ? v : NaN);

  function trimmed(text) {
    return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
  }

  function short(v) {
    const size = Math.abs(v);
    if (v === 0) return "0";
    if (!Number.isFinite(v)) return String(v);
    if (size < 1e-4 || size >= 1e6) {
      const [digits, power] = v.toExponential(3).split("e");
      return `${trimmed(digits)}e${Number(power)}`;
    }
    return trimmed(v.toFixed(Math.min(7, Math.max(0, 3 - Math.floor(Math.log10(size))))));
  }

  function label(value, step) {
    const size = Math.abs(value);
    if (size < step * 1e-6) return "0";
    if (size < 1e-4 || size >= 1e6) {
      const digits = Math.min(6, Math.max(0, Math.floor(Math.log10(size)) - Math.floor(Math.log10(step))));
      const [head, power] = value.toExponential(digits).split("e");
      return `${head}e${Number(power)}`;
    }
    return value.toFixed(Math.min(8, Math.max(0, -Math.floor(Math.log10(step * 1.000001)))));
  }

  // The same axes as in the still pictures.
  class Axis {
    constructor(min, max, log) {
      Object.assign(this, { min, max: max > min ? max : min + 1, log });
    }

    static fit(values, log) {
      const used = values.filter((v) => Number.isFinite(v) && (!log || v > 0));
      if (used.length === 0) return new Axis(log ? 0.1 : 0, 1, log);
      let min = used.reduce((a, b) => Math.min(a, b));
      let max = used.reduce((a, b) => Math.max(a, b));
      if (log) {
        const air = Math.max(Math.log10(max / min) * 0.05, 0.02);
        return new Axis(min / 10 ** air, max * 10 ** air, true);
      }
      // What differs by rounding only is one value.
      const one = max - min <= 1e-9 * Math.max(Math.abs(min), Math.abs(max));
      const air = one ? Math.max(Math.abs(min) * 0.1, 1e-9) : (max - min) * 0.05;
      return new Axis(min >= 0 ? Math.max(0, min - air) : min - air, max + air, false);
    }

    place(v) {
      return this.log ? Math.log(v / this.min) / Math.log(this.max / this.min) : (v - this.min) / (this.max - this.min);
    }

    at(part) {
      return this.log ? this.min * (this.max / this.min) ** part : this.min + part * (this.max - this.min);
    }

    // No two ticks of a linear axis are nearer to each other than `least`.
    ticks(count, least = 0) {
      const out = [];
      const decades = this.log ? Math.log10(this.max / this.min) : 0;
      if (decades >= 1) {
        const stride = Math.max(1, Math.ceil(decades / count));
        for (let k = Math.floor(Math.log10(this.min)); k <= Math.ceil(Math.log10(this.max)); k++) {
          if (((k % stride) + stride) % stride !== 0) continue;
          for (const f of decades < 2.5 ? [1, 2, 5] : [1]) {
            const v = Number(`${f}e${k}`);
            if (v >= this.min * 0.999999 && v <= this.max * 1.000001) out.push([v, label(v, 10 ** k)]);
          }
        }
        return out;
      }
      const rough = (this.max - this.min) / count;
      // Also where neighbouring numbers are further apart than ticks: counting would never end.
      if (!(rough > 1e-12 * Math.max(Math.abs(this.min), Math.abs(this.max))) || !Number.isFinite(rough)) return out;
      const power = 10 ** Math.floor(Math.log10(rough));
      const step = Math.max(least, power * [1, 2, 5, 10].find((f) => f * power >= rough * 0.999));
      const first = Math.ceil(this.min / step - 1e-9);
      for (let k = first; k <= Math.min(first + 100, Math.floor(this.max / step + 1e-9)); k++) out.push([k * step, label(k * step, step)]);
      return out;
    }
  }

  // An exponential mean that starts without a bias; gaps stay gaps.
  function smooth(points, weight) {
    if (weight === 0) return points;
    let [sum, total] = [0, 0];
    return points.map(([x, y]) => {
      if (!Number.isFinite(y)) return [x, NaN];
      sum = weight * sum + (1 - weight) * y;
      total = weight * total + (1 - weight);
      return [x, sum / total];
    });
  }

  // --- Pictures ------------------------------------------------------------------------------------------------------

  function make(parent, name, attributes, text) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    parent.append(element);
    return element;
  }

  const stroke = (line) => line.shade ?? colours[line.colour % colours.length];
  const kind = (line) => (line.shade ? "shade" : `c${line.colour % colours.length}`);
  const dash = (line) => (line.dashed ? { "stroke-dasharray": "5 3" } : {});
  const wide = (text) => [...text].reduce((sum, c) => sum + (/[A-Z]|[^\x00-\x7f]/.test(c) ? 0.68 : 0.55) * 11.5, 0);

  function path(points, place) {
    let [out, pen] = ["", "M"];
    for (const [x, y] of points) {
      const [px, py] = place(x, y);
      if (Number.isFinite(px) && Number.isFinite(py)) {
        out += `${pen}${px.toFixed(1)} ${py.toFixed(1)}`;
        pen = "L";
      } else pen = "M";
    }
    return out;
  }

  class View {
    constructor(figure, chart) {
      Object.assign(this, { figure, chart, zoom: null });
      for (const line of chart.lines) line.points = line.points.map(([x, y]) => [x, number(y)]);
      this.tip = document.createElement("div");
      this.tip.className = "tip";
      this.save = document.createElement("button");
      Object.assign(this.save, { className: "save", type: "button", textContent: "save svg" });
      this.save.addEventListener("click", () => this.download());
      this.draw();
      figure.addEventListener("pointermove", (e) => this.point(e));
      figure.addEventListener("pointerleave", () => this.leave());
      figure.addEventListener("pointerdown", (e) => this.press(e));
      figure.addEventListener("pointerup", (e) => this.release(e));
      figure.addEventListener("dblclick", () => { this.zoom = null; this.draw(); });
    }

    scaled(x) {
      if (this.chart.x) return x;
      return choice.axis === "epoch" && data.per_epoch ? x / data.per_epoch : x;
    }

    draw() {
      const { chart } = this;
      const log = choice.log === "auto" ? chart.log : choice.log === "log";
      this.shown = chart.lines.filter((l) => !choice.off.has(l.label)).map((line) => ({
        line,
        raw: line.points.map(([x, y]) => [this.scaled(x), y]),
      }));
      for (const s of this.shown) s.points = smooth(s.raw, choice.smooth);
      const entries = this.entries();
      const rows = entries.length ? entries[entries.length - 1].row + 1 : 0;
      const top = 32 + ROW * rows + (rows ? 6 : 0);
      const bottom = top + PLOT;
      Object.assign(this, { top, bottom, height: bottom + BELOW });
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      for (const [k, v] of Object.entries({ viewBox: `0 0 ${WIDTH} ${this.height}`, role: "img", "aria-label": chart.title, "font-family": "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif" })) svg.setAttribute(k, v);
      make(svg, "rect", { class: "paper", width: "100%", height: "100%", fill: "#ffffff" });
      make(svg, "text", { class: "title", x: LEFT, y: 20, "font-size": 14, fill: "#333333" }, chart.title);
      const xs = this.shown.flatMap((s) => s.raw.map((p) => p[0])).filter(Number.isFinite);
      const [low, high] = xs.length ? [xs.reduce((a, b) => Math.min(a, b)), xs.reduce((a, b) => Math.max(a, b))] : [0, 1];
      const logX = Boolean(chart.x);
      this.x = this.zoom ? new Axis(...this.zoom, logX) : new Axis(!logX && low < 0.25 * high ? 0 : low, high, logX);
      const inside = (p) => p[0] >= this.x.min && p[0] <= this.x.max;
      this.y = Axis.fit(this.shown.flatMap((s) => s.points.filter(inside).map((p) => p[1])), log);
      this.place = (x, y) => [LEFT + this.x.place(x) * (WIDTH - LEFT - RIGHT), bottom - this.y.place(y) * PLOT];
      for (const [value, text] of this.y.ticks(7)) {
        const [, y] = this.place(0, value);
        make(svg, "line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y, stroke: "#dddddd" });
        make(svg, "text", { class: "tick", x: LEFT - 7, y: y + 4, "font-size": 11, "text-anchor": "end", fill: "#333333" }, text);
      }
      for (const [value, text] of logX ? this.x.ticks(8) : this.x.ticks(6, 1)) {
        const [x] = this.place(value, 1);
        make(svg, "line", { class: "axis", x1: x, x2: x, y1: bottom, y2: bottom + 4, stroke: "#333333" });
        make(svg, "text", { class: "tick", x, y: bottom + 17, "font-size": 11, "text-anchor": "middle", fill: "#333333" }, text);
      }
      make(svg, "line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: bottom, y2: bottom, stroke: "#333333" });
      make(svg, "text", { class: "label", x: (LEFT + WIDTH - RIGHT) / 2, y: bottom + 37, "font-size": 12, "text-anchor": "middle", fill: "#333333" }, chart.x ?? `${choice.axis} ${chart.note}`.trim());
      this.legend(svg, entries);
      const clip = `clip-${views.indexOf(this)}`;
      make(make(svg, "clipPath", { id: clip }), "rect", { x: LEFT - 2, y: top - 2, width: WIDTH - LEFT - RIGHT + 4, height: PLOT + 4 });
      const ink = make(svg, "g", { "clip-path": `url(#${clip})` });
      for (const [value, text] of chart.marks) this.mark(svg, value, text);
      for (const s of this.shown) this.curve(ink, s);
      this.svg = svg;
      this.overlay = make(svg, "g", {});
      this.figure.replaceChildren(svg, this.save, this.tip);
    }

    // A line at a place that has a name.
    mark(svg, value, text) {
      const [x] = this.place(value, 1);
      if (!(x >= LEFT && x <= WIDTH - RIGHT)) return;
      make(svg, "line", { class: "mark", x1: x, x2: x, y1: this.top, y2: this.bottom, stroke: "#333333" });
      const left = x > WIDTH * 0.7;
      make(svg, "text", { class: "label halo", x: x + (left ? -5 : 5), y: this.top + 12, "font-size": 12, "text-anchor": left ? "end" : "start", fill: "#333333" }, text);
    }

    curve(parent, { line, raw, points }) {
      const common = { class: `line ${kind(line)}`, fill: "none", stroke: stroke(line), "stroke-linejoin": "round", ...dash(line) };
      if (choice.smooth > 0) make(parent, "path", { ...common, d: path(raw, this.place), "stroke-width": 1, opacity: 0.22 });
      make(parent, "path", { ...common, d: path(points, this.place), "stroke-width": line.faint ? 1 : 1.8, ...(line.faint ? { opacity: 0.45 } : {}) });
      points.forEach(([x, y], k) => {
        const alone = [points[k - 1], points[k + 1]].every((p) => !p || !Number.isFinite(p[1]));
        const [cx, cy] = this.place(x, y);
        if (alone && Number.isFinite(cx) && Number.isFinite(cy)) make(parent, "circle", { class: `dot ${kind(line)}`, cx, cy, r: 3, fill: stroke(line) });
      });
    }

    entries() {
      const out = [];
      let [row, x] = [0, LEFT];
      for (const line of this.chart.lines) {
        if (!line.listed || !line.label || out.length === 14 || out.some((e) => e.line.label === line.label)) continue;
        const text = line.label.length > 60 ? `${line.label.slice(0, 59)}…` : line.label;
        const size = 23 + wide(text) + 18;
        if (x > LEFT && x + size > WIDTH) [row, x] = [row + 1, LEFT];
        // The legend shows the solid line of a label, if it has one.
        const solid = this.chart.lines.find((l) => l.label === line.label && !l.dashed) ?? line;
        out.push({ row, x, text, line: solid });
        x += size;
      }
      return out;
    }

    legend(svg, entries) {
      for (const { row, x, text, line } of entries) {
        const y = 38 + ROW * row;
        const group = make(svg, "g", { class: choice.off.has(line.label) ? "entry off" : "entry", tabindex: 0, role: "button" });
        make(group, "rect", { x, y: y - 13, width: 23 + wide(text), height: ROW, fill: "transparent" });
        make(group, "line", { class: `line ${kind(line)}`, x1: x, x2: x + 18, y1: y - 4, y2: y - 4, stroke: stroke(line), "stroke-width": 2, ...dash(line) });
        make(group, "text", { class: "legend", x: x + 23, y, "font-size": 11.5, fill: "#333333" }, text);
        const toggle = () => {
          if (!choice.off.delete(line.label)) choice.off.add(line.label);
          redraw();
        };
        group.addEventListener("click", toggle);
        group.addEventListener("keydown", (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); toggle(); } });
      }
    }

    // Where the pointer is, in the picture's own units; nothing outside the axes.
    where(event) {
      const box = this.svg.getBoundingClientRect();
      const scale = WIDTH / box.width;
      const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
      return x >= LEFT - 4 && x <= WIDTH - RIGHT + 4 && y >= this.top && y <= this.bottom ? { x, y, scale } : null;
    }

    point(event) {
      const at = this.where(event);
      this.overlay.replaceChildren();
      if (!at) return this.leave();
      const value = this.x.at((at.x - LEFT) / (WIDTH - LEFT - RIGHT));
      // A curve says nothing far from where it ends.
      const far = (n) => Math.abs(this.x.place(n.s.points[n.k][0]) - this.x.place(value)) > 0.04;
      const over = (n) => value < n.s.points[0][0] || value > n.s.points[n.s.points.length - 1][0];
      const near = this.shown.map((s) => ({ s, k: nearest(s.points, value) })).filter((n) => n.k >= 0 && !(far(n) && over(n)));
      if (near.length === 0) return this.leave();
      const gap = (n) => Math.abs(n.s.points[n.k][0] - value);
      const x = near.reduce((a, b) => (gap(b) < gap(a) ? b : a));
      const [cx] = this.place(x.s.points[x.k][0], 1);
      make(this.overlay, "line", { class: "cross", x1: cx, x2: cx, y1: this.top, y2: this.bottom, stroke: "#333333", opacity: 0.5 });
      if (this.from !== undefined) {
        const [a, b] = [Math.min(this.from, at.x), Math.max(this.from, at.x)];
        make(this.overlay, "rect", { class: "band", x: a, y: this.top, width: b - a, height: PLOT });
      }
      let rows = near.map(({ s, k }) => ({ line: s.line, point: s.points[k], raw: s.raw[k][1] }));
      if (rows.length > 12) {
        // Of many curves, those around the pointer.
        const far = (row) => Math.abs(this.place(...row.point)[1] - at.y);
        rows = rows.filter((row) => Number.isFinite(far(row))).sort((a, b) => far(a) - far(b)).slice(0, 8);
      }
      rows.sort((a, b) => b.point[1] - a.point[1]);
      for (const { line, point } of rows) {
        const [px, py] = this.place(...point);
        if (Number.isFinite(py)) make(this.overlay, "circle", { class: `dot ${kind(line)}`, cx: px, cy: py, r: 3.2, fill: stroke(line) });
      }
      this.tell(at, x.s.points[x.k][0], rows);
    }

    tell(at, value, rows) {
      const head = document.createElement("div");
      head.textContent = this.chart.x ? `${this.chart.x} ${short(value)}` : `${choice.axis} ${choice.axis === "step" ? value : short(value)}`;
      const lines = rows.map(({ line, point, raw }) => {
        const row = document.createElement("div");
        const mark = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        mark.setAttribute("viewBox", "0 0 18 8");
        make(mark, "line", { class: `line ${kind(line)}`, x1: 0, x2: 18, y1: 4, y2: 4, stroke: stroke(line), "stroke-width": 2.5, ...dash(line) });
        const [name, result] = [document.createElement("span"), document.createElement("b")];
        name.textContent = line.split && line.label !== line.split ? `${line.label} ${line.split}` : line.label;
        result.textContent = choice.smooth > 0 ? `${short(point[1])} (${short(raw)})` : short(point[1]);
        row.append(mark, name, result);
        return row;
      });
      this.tip.replaceChildren(head, ...lines);
      this.tip.style.display = "block";
      const [w, whole] = [this.tip.offsetWidth, this.figure.clientWidth];
      const px = at.x / at.scale + 14;
      this.tip.style.left = `${px + 18 + w < whole ? px + 18 : Math.max(4, px - w - 18)}px`;
      this.tip.style.top = `${Math.max(4, at.y / at.scale - this.tip.offsetHeight / 3)}px`;
    }

    leave() {
      this.tip.style.display = "none";
      this.overlay.replaceChildren();
      this.from = undefined;
    }

    press(event) {
      const at = event.button === 0 ? this.where(event) : null;
      if (at) {
        this.from = at.x;
        event.preventDefault();
      }
    }

    release(event) {
      const at = this.where(event);
      const from = this.from;
      this.from = undefined;
      if (!at || from === undefined || Math.abs(at.x - from) < 8) return;
      const value = (x) => this.x.at(Math.min(1, Math.max(0, (x - LEFT) / (WIDTH - LEFT - RIGHT))));
      this.zoom = [value(Math.min(from, at.x)), value(Math.max(from, at.x))];
      this.draw();
    }

    download() {
      const copy = this.svg.cloneNode(true);
      copy.lastElementChild.remove();
      copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([copy.outerHTML], { type: "image/svg+xml" }));
      link.download = `${this.chart.title.replace(/[^\w.-]+/g, "-")}.svg`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    }
  }

  // The finite point nearest to x, in points sorted by x.
  function nearest(points, x) {
    let best = -1;
    for (let k = 0; k < points.length; k++) {
      if (Number.isFinite(points[k][1]) && (best < 0 || Math.abs(points[k][0] - x) < Math.abs(points[best][0] - x))) best = k;
    }
    return best;
  }

  function redraw() {
    for (const view of views) view.draw();
  }

  // --- The page ------------------------------------------------------------------------------------------------------

  for (const figure of document.querySelectorAll("[data-chart]")) {
    views.push(new View(figure, data.charts[figure.dataset.chart]));
  }
  const tool = (id) => document.getElementById(id);
  tool("tools").hidden = views.length === 0;
  tool("axis").closest("label").hidden = !(data.per_epoch > 1);
  const on = (id, event, work) => tool(id).addEventListener(event, (e) => { work(e.target.value); redraw(); });
  on("axis", "change", (v) => { choice.axis = v; for (const view of views) view.zoom = null; });
  on("log", "change", (v) => { choice.log = v; });
  on("smooth", "input", (v) => { choice.smooth = Number(v); tool("smoothed").value = v; });

  for (const time of document.querySelectorAll("[data-time]")) {
    time.textContent = new Date(time.dataset.time * 1000).toLocaleString();
  }

  // The theme: the system's, or one that was chosen here. Files opened from a disk may have no storage.
  const theme = tool("theme");
  const stored = { get: () => { try { return localStorage.getItem("optc-theme"); } catch { return null; } }, set: (v) => { try { localStorage.setItem("optc-theme", v); } catch { /* not kept */ } } };
  const dark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const tell = () => { theme.textContent = dark() ? "light page" : "dark page"; };
  if (["dark", "light"].includes(stored.get())) document.documentElement.dataset.theme = stored.get();
  theme.hidden = false;
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    stored.set(document.documentElement.dataset.theme);
    tell();
  });
  tell();
})();
