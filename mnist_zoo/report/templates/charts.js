// Charts as SVG: series of points or lines with intervals, values on hover and by arrow keys, a legend that switches
// series, and zoom by dragging, by the keys + - 0 and by buttons.

const NAMESPACE = (() => {
  const template = document.createElement("template");
  template.innerHTML = "<svg></svg>";
  return template.content.firstChild.namespaceURI;
})();

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// How a value becomes a place on an axis. The scale of accuracies is logarithmic in the errors.
const SCALES = {
  linear: { to: (value) => value, back: (place) => place, defined: () => true },
  log: { to: Math.log10, back: (place) => 10 ** place, defined: (value) => value > 0 },
  error: { to: (value) => -Math.log10(Math.max(100 - value, 0.005)), back: (place) => 100 - 10 ** -place,
    defined: (value) => value <= 100 },
};

function shortNumber(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  for (const [unit, factor] of [["G", 1e9], ["M", 1e6], ["k", 1e4]]) {
    if (size >= factor) return `${Number((value / (unit === "k" ? 1e3 : factor)).toPrecision(4))} ${unit}`;
  }
  return String(Number(value.toPrecision(5)));
}

// Returns ticks between two values of a scale: about `count` round ones.
function ticksOf(kind, low, high, count, whole) {
  const fine = (from, to) => {
    const rough = (to - from) / count, power = 10 ** Math.floor(Math.log10(rough));
    let step = [1, 2, 5, 10].map((digit) => digit * power).find((one) => one >= rough * 0.75);
    if (whole) step = Math.max(1, Math.round(step));
    const found = [];
    for (let tick = Math.ceil(from / step - 1e-9); tick * step <= to + step * 1e-9; tick++) found.push(Number((tick * step).toPrecision(12)));
    return found;
  };
  if (kind === "linear") return fine(low, high);
  const [from, to] = kind === "log" ? [low, high] : [100 - high, 100 - low];
  for (const digits of [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 7]]) {
    const found = [];
    for (let power = Math.floor(Math.log10(from)); power <= Math.log10(to); power++) {
      for (const digit of digits) {
        const tick = Number((digit * 10 ** power).toPrecision(6));
        if (tick >= from * 0.999 && tick <= to * 1.001) found.push(tick);
      }
    }
    if (found.length >= Math.min(4, count)) {
      return kind === "log" ? found : found.map((error) => Number((100 - error).toPrecision(8)));
    }
  }
  return fine(low, high);
}

const MARKERS = {
  o: (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`,
  s: (x, y, r) => `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
  "^": (x, y, r) => `M${x} ${y - r * 1.2}L${x + r * 1.1} ${y + r}H${x - r * 1.1}z`,
  D: (x, y, r) => `M${x} ${y - r * 1.3}L${x + r * 1.3} ${y}L${x} ${y + r * 1.3}L${x - r * 1.3} ${y}z`,
};

// A chart in `host`. `spec` has title, x and y ({title, scale, whole, labels}) and series ({name, look, line, hollow,
// hidden, points}); a point is {x, y, half, along, low, high, text}, where `along` is the axis
// of its interval, and `low` and `high` are the ends of a shade.
class Chart {
  constructor(host, spec) {
    this.host = host;
    this.spec = spec;
    this.off = new Set(spec.series.filter((one) => one.hidden).map((one) => one.name));
    this.zoom = null;
    this.picture = svg("svg", { class: "chart", tabindex: "0", role: "img", "aria-label": `${spec.title}. Arrow keys read the values.` });
    this.tip = element("div", { class: "tip", role: "status", hidden: true });
    const button = (text, label, act) => element("button", { type: "button", "aria-label": label, title: label, onclick: act }, text);
    this.reset = button("Reset zoom", "Show the whole chart", () => { this.zoom = null; this.draw(); });
    this.buttons = element("div", { class: "zoom" }, button("+", "Zoom in", () => this.scale(0.6)),
      button("−", "Zoom out", () => this.scale(1 / 0.6)), this.reset);
    this.legend = element("div", { class: "legend", role: "group", "aria-label": "Series" });
    host.replaceChildren(this.buttons, element("div", { class: "canvas" }, this.picture, this.tip), this.legend);
    this.picture.addEventListener("pointermove", (event) => this.hover(event));
    this.picture.addEventListener("pointerleave", () => { if (!this.drag) this.point(null); });
    this.picture.addEventListener("pointerdown", (event) => this.press(event));
    this.picture.addEventListener("pointerup", (event) => this.release(event));
    this.picture.addEventListener("pointercancel", () => { this.drag = null; this.draw(); });
    this.picture.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => { if (host.clientWidth && host.clientWidth !== this.width) this.draw(); }).observe(host);
    this.makeLegend();
    this.draw();
  }

  makeLegend() {
    const names = [...new Set(this.spec.series.map((one) => one.name))];
    this.legend.hidden = names.length < 2;
    for (const name of names) {
      const one = this.spec.series.find((each) => each.name === name);
      const sample = svg("svg", { width: 26, height: 12, "aria-hidden": "true" });
      if (one.line) sample.append(svg("path", { d: "M0 6H26", fill: "none", ...this.stroke(one) }));
      else sample.append(svg("path", { d: MARKERS[one.look[2]](13, 6, 4), ...this.fill(one) }));
      const button = element("button", { type: "button", "aria-pressed": String(!this.off.has(name)), onclick: () => {
        this.off[this.off.has(name) ? "delete" : "add"](name);
        button.setAttribute("aria-pressed", String(!this.off.has(name)));
        this.draw();
      } }, sample, ` ${name}`);
      this.legend.append(button);
    }
  }

  colour(one) { return one.look[0] === "#000000" ? "currentColor" : one.look[0]; }
  stroke(one) { return { stroke: this.colour(one), "stroke-width": one.thin ? 1 : 2, "stroke-dasharray": one.look[1], opacity: one.thin ? 0.45 : 1 }; }
  fill(one) { return { fill: one.hollow ? "var(--page)" : this.colour(one), stroke: this.colour(one), "stroke-width": 1.5 }; }

  // Returns the points of the series that are shown and have a place on both axes.
  visible() {
    const [sx, sy] = [SCALES[this.spec.x.scale || "linear"], SCALES[this.spec.y.scale || "linear"]];
    return this.spec.series.filter((one) => !this.off.has(one.name)).map((one) => ({ one,
      points: one.points.filter((p) => Number.isFinite(p.x) && Number.isFinite(p.y) && sx.defined(p.x) && sy.defined(p.y)) }));
  }

  // Returns the ends of an axis in places of its scale.
  range(name, series) {
    const axis = this.spec[name], scale = SCALES[axis.scale || "linear"], places = [];
    if (axis.labels) return [-0.6, axis.labels.length - 0.4];
    for (const { points } of series) for (const p of points) {
      const half = p.along === name && p.half ? p.half : 0;
      for (const value of [p[name] - half, p[name] + half]) {
        const kept = axis.percent ? Math.min(100, Math.max(0, value)) : value;
        if (scale.defined(kept)) places.push(scale.to(kept));
      }
    }
    if (!places.length) return [0, 1];
    const low = places.reduce((a, b) => Math.min(a, b)), high = places.reduce((a, b) => Math.max(a, b));
    const room = high > low ? (high - low) * 0.05 : axis.scale === "log" ? 0.3 : Math.max(Math.abs(low) * 0.05, 0.1);
    const within = axis.percent && scale === SCALES.linear; // no tick beyond 0 and 100 %
    return within ? [Math.max(low - room, Math.min(low, 0)), Math.min(high + room, Math.max(high, 100))] : [low - room, high + room];
  }

  draw() {
    this.width = this.host.clientWidth || 900;
    const { x, y } = this.spec, series = this.visible(), height = this.spec.height || 340;
    const longest = y.labels ? Math.max(...y.labels.map((label) => label.length)) : 8;
    const left = y.labels ? Math.min(longest * 6.7 + 16, this.width * 0.38) : 66;
    const box = { left, right: this.width - 14, top: 8, bottom: height - 44 };
    const ends = this.zoom || { x: this.range("x", series), y: this.range("y", series) };
    this.box = box;
    this.ends = ends;
    this.reset.hidden = !this.zoom;
    const picture = this.picture;
    picture.setAttribute("viewBox", `0 0 ${this.width} ${height}`);
    picture.setAttribute("height", height);
    const clip = `clip${Chart.count = (Chart.count || 0) + 1}`;
    picture.replaceChildren(svg("clipPath", { id: clip }, svg("rect", { x: box.left - 6, y: box.top - 6,
      width: Math.max(1, box.right - box.left + 12), height: box.bottom - box.top + 12 })));
    this.drawAxes();
    const inside = svg("g", { "clip-path": `url(#${clip})` });
    picture.append(inside);
    this.places = [];
    for (const { one, points } of series) this.drawSeries(inside, one, points);
    this.cross = svg("g", { class: "cross" });
    picture.append(this.cross);
    this.picked = -1;
  }

  // Returns the pixel of a value.
  at(name, value) {
    const [low, high] = this.ends[name], share = (SCALES[this.spec[name].scale || "linear"].to(value) - low) / (high - low);
    if (name === "x") return this.box.left + share * (this.box.right - this.box.left);
    return this.spec.y.labels ? this.box.top + share * (this.box.bottom - this.box.top) : this.box.bottom - share * (this.box.bottom - this.box.top);
  }

  drawAxes() {
    const { box, picture, spec } = this;
    for (const name of ["x", "y"]) {
      const axis = spec[name], scale = SCALES[axis.scale || "linear"], ends = this.ends[name];
      const count = name === "x" ? Math.max(3, Math.floor((box.right - box.left) / 90)) : 6;
      const ticks = axis.labels ? axis.labels.map((_, place) => place).filter((place) => place >= ends[0] && place <= ends[1])
        : ticksOf(axis.scale || "linear", scale.back(ends[0]), scale.back(ends[1]), count, axis.whole);
      for (const tick of ticks) {
        const place = this.at(name, tick), text = axis.labels ? axis.labels[tick] : shortNumber(tick);
        if (name === "x") {
          picture.append(svg("path", { class: "grid", d: `M${place} ${box.top}V${box.bottom}` }),
            svg("text", { x: place, y: box.bottom + 17, "text-anchor": "middle" }, text));
        } else {
          const room = Math.max(5, Math.floor((box.left - 14) / 6.7)), kept = Math.floor((room - 1) / 2);
          const cut = text.length > room ? `${text.slice(0, room - 1 - kept)}…${text.slice(-kept)}` : text;
          picture.append(svg("path", { class: "grid", d: `M${box.left} ${place}H${box.right}` }),
            svg("text", { x: box.left - 8, y: place + 4, "text-anchor": "end" }, cut));
        }
      }
    }
    const title = svg("text", { y: box.bottom + 36, "text-anchor": "middle" }, spec.x.title);
    picture.append(svg("path", { class: "axis", d: `M${box.left} ${box.top}V${box.bottom}H${box.right}` }), title);
    const long = Math.min(title.getComputedTextLength(), this.width - 4);
    if (long === this.width - 4) title.setAttribute("textLength", long); // squeezed, not cut
    title.setAttribute("x", Math.min((box.left + box.right) / 2, this.width - 2 - long / 2));
    if (spec.y.title) {
      const middle = (box.top + box.bottom) / 2;
      picture.append(svg("text", { x: 13, y: middle, "text-anchor": "middle", transform: `rotate(-90 13 ${middle})` }, spec.y.title));
    }
  }

  drawSeries(inside, one, points) {
    const pixels = points.map((p) => [this.at("x", p.x), this.at("y", p.y)]);
    const ranged = points.filter((p) => p.high > p.low && SCALES[this.spec.y.scale || "linear"].defined(p.low));
    if (ranged.length > 1) {
      const edge = (name) => ranged.map((p) => `${this.at("x", p.x).toFixed(1)} ${this.at("y", p[name]).toFixed(1)}`);
      inside.append(svg("path", { d: `M${edge("low").join("L")}L${edge("high").reverse().join("L")}z`, fill: this.colour(one), stroke: "none", opacity: 0.15 }));
    }
    if (one.line && pixels.length > 1) {
      inside.append(svg("path", { d: `M${pixels.map((pair) => pair.map((n) => n.toFixed(1)).join(" ")).join("L")}`, fill: "none", ...this.stroke(one) }));
    }
    const bars = [], marks = [];
    for (const [place, p] of points.entries()) {
      const [px, py] = pixels[place];
      this.places.push({ px, py, one, p });
      if (p.half) {
        const axis = this.spec[p.along], scale = SCALES[axis.scale || "linear"];
        const [from, to] = [p[p.along] - p.half, p[p.along] + p.half].map((value) => this.at(p.along,
          axis.percent ? Math.min(100, Math.max(0, value)) : scale.defined(value) ? value : p[p.along]));
        bars.push(p.along === "x" ? `M${from} ${py}H${to}M${from} ${py - 4}v8M${to} ${py - 4}v8` : `M${px} ${from}V${to}M${px - 4} ${from}h8M${px - 4} ${to}h8`);
      }
      if (!one.line || points.length < 40 && !one.thin) marks.push(MARKERS[one.look[2]](px, py, one.line ? 2.6 : 5));
    }
    if (bars.length) inside.append(svg("path", { d: bars.join(""), fill: "none", stroke: this.colour(one), "stroke-width": 1.5 }));
    if (marks.length) inside.append(svg("path", { d: marks.join(""), ...this.fill(one) }));
  }

  pixel(event) {
    const box = this.picture.getBoundingClientRect();
    return [(event.clientX - box.left) * this.width / box.width, event.clientY - box.top];
  }

  hover(event) {
    const [x, y] = this.pixel(event);
    if (this.drag) {
      this.drag.to = [x, y];
      const [fx, fy] = this.drag.from;
      this.cross.replaceChildren(svg("rect", { x: Math.min(x, fx), y: Math.min(y, fy), width: Math.abs(x - fx), height: Math.abs(y - fy) }));
      return;
    }
    let best = null, distance = 40 ** 2;
    for (const place of this.places) {
      const own = (place.px - x) ** 2 + (place.py - y) ** 2;
      if (own < distance && this.inBox(place)) { best = place; distance = own; }
    }
    this.point(best);
  }

  inBox({ px, py }) {
    return px >= this.box.left - 1 && px <= this.box.right + 1 && py >= this.box.top - 1 && py <= this.box.bottom + 1;
  }

  // Shows the values of a point, or of none.
  point(place) {
    this.tip.hidden = !place;
    this.cross.replaceChildren();
    if (!place) return;
    const { px, py, one, p } = place;
    this.cross.append(svg("circle", { cx: px, cy: py, r: 8 }));
    this.tip.textContent = p.text || `${one.name}: ${this.spec.x.title} ${shortNumber(p.x)}, ${this.spec.y.title} ${shortNumber(p.y)}${p.half ? ` ± ${shortNumber(p.half)}` : ""}`;
    this.tip.style.left = `${Math.min(Math.max(px, 90), this.width - 90)}px`;
    this.tip.style.top = `${py + 14}px`;
  }

  press(event) {
    if (event.pointerType === "touch") { this.hover(event); return; }
    this.drag = { from: this.pixel(event), to: this.pixel(event) };
    this.picture.setPointerCapture(event.pointerId);
  }

  release() {
    const drag = this.drag;
    this.drag = null;
    if (!drag) return;
    const [dx, dy] = [0, 1].map((axis) => Math.abs(drag.to[axis] - drag.from[axis]));
    if (Math.max(dx, dy) < 8) { this.cross.replaceChildren(); return; }
    const zoom = { x: [...this.ends.x], y: [...this.ends.y] };
    if (dx >= 8) zoom.x = [drag.from[0], drag.to[0]].sort((a, b) => a - b).map((pixel) => this.placeAt("x", pixel));
    if (dy >= 8 && !this.spec.y.labels) zoom.y = [drag.from[1], drag.to[1]].sort((a, b) => b - a).map((pixel) => this.placeAt("y", pixel));
    this.zoom = zoom;
    this.draw();
  }

  placeAt(name, pixel) {
    const [low, high] = this.ends[name], { left, right, top, bottom } = this.box;
    const share = name === "x" ? (pixel - left) / (right - left) : (bottom - pixel) / (bottom - top);
    return low + Math.min(1, Math.max(0, share)) * (high - low);
  }

  // Zooms around the middle; `factor` below 1 shows less.
  scale(factor) {
    const around = ([low, high]) => [(low + high) / 2 - factor * (high - low) / 2, (low + high) / 2 + factor * (high - low) / 2];
    this.zoom = { x: around(this.ends.x), y: this.spec.y.labels ? this.ends.y : around(this.ends.y) };
    this.draw();
  }

  key(event) {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    const shown = this.places.filter((place) => this.inBox(place));
    if (steps[event.key] && shown.length) {
      this.picked = (this.picked + steps[event.key] + shown.length) % shown.length;
      this.point(shown[this.picked]);
    } else if (event.key === "+") this.scale(0.6);
    else if (event.key === "-") this.scale(1 / 0.6);
    else if (event.key === "0") { this.zoom = null; this.draw(); }
    else return;
    event.preventDefault();
  }
}
