// The plots of the page: each replaces the picture of a figure by a chart of the embedded data.

const SERIES_AT_FIRST = 12;
const ROWS_OF_DOTS = 40;

const plain = ["#0072B2", "", "o"];
const columnOf = (key) => data.columns.findIndex((column) => column.key === key);
const titleOf = (column) => column.title + (column.unit ? ` (${column.unit})` : "");
const inSet = (set) => configurations.filter((one) => set < 0 || one.set === set);

// Returns the axis of a column of configurations; accuracies on the scale of errors if `fine`.
function axisOf(column, log, fine) {
  const accuracy = column.unit === "%" && column.title.includes("accuracy");
  return { title: titleOf(column) + (accuracy && fine ? ", errors on a log scale" : ""), percent: column.unit === "%",
    scale: accuracy && fine ? "error" : log ? "log" : "linear", whole: ["seeds"].includes(column.title) };
}

function withUnit(value, column) { return `${shortNumber(value)}${column.unit ? ` ${column.unit}` : ""}`; }

function valueText(one, place) {
  const half = one.halves[place], value = one.values[place];
  return `${data.columns[place].title} ${shortNumber(value)}${half ? ` ± ${shortNumber(half)}` : ""} ${data.columns[place].unit}`.trim();
}

// Returns a labelled choice of columns that have values.
function chooser(label, rows, key, act) {
  const select = element("select", { onchange: () => act(Number(select.value)) },
    ...data.columns.map((column, place) => (rows.some((one) => one.values[place] !== null)
      ? element("option", { value: place }, titleOf(column)) : null)));
  select.value = columnOf(key);
  return element("label", {}, `${label} `, select);
}

function checkbox(text, checked, act) {
  const box = element("input", { type: "checkbox", onchange: () => act(box.checked) });
  box.checked = checked;
  return element("label", {}, box, ` ${text}`);
}

// A column of every configuration as dots with intervals, the best on validation first.
function dots(host, set, keys) {
  const rows = inSet(set), state = { place: columnOf(keys[0]), all: false };
  const chart = element("div", {}), tools = element("div", { class: "tools" });
  const draw = () => {
    const shown = state.all ? rows : rows.slice(0, ROWS_OF_DOTS), column = data.columns[state.place];
    const places = state.place === columnOf(keys[0]) ? keys.map(columnOf) : [state.place];
    const series = places.map((place, number) => shown.map((one, row) => ({ name: data.columns[place].title, look: one.look,
      hollow: places.length > 1 && number === 0, points: one.values[place] === null ? [] : [{ x: one.values[place],
        y: row + (places.length > 1 ? (number ? 0.15 : -0.15) : 0), half: one.halves[place], along: "x",
        text: `${one.label}: ${valueText(one, place)}` }] }))).flat();
    new Chart(chart, { title: `${column.title} of configurations`, height: 23 * shown.length + 64,
      x: { ...axisOf(column, false, false), title: places.length > 1 ? "accuracy (%); hollow: validation, filled: test" : titleOf(column) },
      y: { title: "", labels: shown.map((one) => one.label) }, series });
  };
  tools.append(chooser("Show", rows, keys[0], (place) => { state.place = place; draw(); }));
  if (rows.length > ROWS_OF_DOTS) tools.append(checkbox(`all ${rows.length}`, false, (on) => { state.all = on; draw(); }));
  host.replaceChildren(tools, chart);
  draw();
}

// Any column against any other.
const COSTS = ["num_params", "flops", "fit_seconds"];

// Returns the points that no other one beats in both: less cost and a higher accuracy.
function paretoFront(points) {
  let best = -Infinity;
  return [...points].sort((a, b) => a.x - b.x || b.y - a.y).filter((p) => p.y > best && ((best = p.y), true));
}

function scatter(host, set, xKey, yKey) {
  const rows = inSet(set), state = { x: columnOf(xKey), y: columnOf(yKey), log: true, fine: true };
  if (rows.every((one) => one.values[state.x] === null)) state.x = columnOf("fit_seconds");
  const chart = element("div", {});
  const draw = () => {
    const [x, y] = [data.columns[state.x], data.columns[state.y]];
    const series = rows.map((one, place) => ({ name: one.label, look: one.look, hidden: false, points:
      one.values[state.x] === null || one.values[state.y] === null ? [] : [{ x: one.values[state.x], y: one.values[state.y],
        half: one.halves[state.y], along: "y", text: `${one.label}: ${valueText(one, state.x)}, ${valueText(one, state.y)}` }] }));
    if (COSTS.includes(x.key) && y.key.endsWith("_acc")) {
      const front = paretoFront(series.flatMap((one) => one.points)).map((p) => ({ x: p.x, y: p.y, text: p.text }));
      series.push({ name: "Pareto front", look: ["#808080", "6 4", series[0].look[2]], line: true, thin: true, points: front });
    }
    new Chart(chart, { title: `${y.title} against ${x.title}`, height: 420, x: axisOf(x, state.log && x.log, state.fine),
      y: axisOf(y, state.log && y.log, state.fine), series });
  };
  host.replaceChildren(element("div", { class: "tools" },
    chooser("Across", rows, data.columns[state.x].key, (place) => { state.x = place; draw(); }),
    chooser("Up", rows, yKey, (place) => { state.y = place; draw(); }),
    checkbox("log scales", true, (on) => { state.log = on; state.fine = on; draw(); })), chart);
  draw();
}

// Test accuracy against the learning rate, a line for each model with its other settings.
function rates(host, set) {
  const lr = columnOf("lr"), test = columnOf("test_acc"), lines = new Map();
  for (const one of inSet(set)) {
    const name = one.label.split(" ").filter((word) => !word.startsWith("lr=")).join(" ");
    if (one.values[lr] !== null) lines.set(name, [...(lines.get(name) || []), one]);
  }
  const series = [...lines].filter(([, rows]) => rows.length > 1).map(([name, rows]) => ({ name, look: [rows[0].look[0], "", rows[0].look[2]],
    line: true, points: rows.map((one) => ({ x: one.values[lr], y: one.values[test], half: one.halves[test], along: "y",
      text: `${one.label}: ${valueText(one, test)}` })).sort((a, b) => a.x - b.x) }));
  new Chart(host, { title: "Test accuracy against learning rate", x: axisOf(data.columns[lr], true, false),
    y: axisOf(data.columns[test], false, true), series });
}

const METRICS = [["val_acc", "validation accuracy"], ["val_loss", "validation loss"], ["acc", "training and validation accuracy"],
  ["loss", "training and validation loss"], ["lr", "learning rate"]];

// Returns the curve of a run, as points over epochs; accuracies in per cent.
function curveOf(run, column) {
  const factor = column.endsWith("acc") ? 100 : 1;
  return run.curves[data.curves.indexOf(column)].map((value, epoch) => ({ x: epoch + 1, y: value === null ? NaN : factor * value }));
}

function meanCurve(members, column) {
  const own = members.map((run) => curveOf(run, column)), longest = Math.max(...own.map((curve) => curve.length));
  return Array.from({ length: longest }, (_, epoch) => {
    const values = own.map((curve) => curve[epoch]).filter((point) => point && Number.isFinite(point.y)).map((point) => point.y);
    return { x: epoch + 1, y: values.reduce((sum, value) => sum + value, 0) / values.length,
      low: Math.min(...values), high: Math.max(...values) };
  });
}

// Curves over epochs: mean and range over seeds of each configuration, dashed for training, or each seed.
function curves(host, groups, metric) {
  const state = { metric, seeds: false }, chart = element("div", {});
  const draw = () => {
    const split = !state.metric.includes("_") && state.metric !== "lr";
    const columns = split ? [`val_${state.metric}`, `train_${state.metric}`] : [state.metric];
    const accuracy = state.metric.endsWith("acc"), unit = accuracy ? " %" : state.metric === "lr" ? "" : " nats", series = [];
    for (const [number, { name, look, members }] of groups.entries()) {
      for (const [place, column] of columns.entries()) {
        const [drawn, hidden] = [split ? [look[0], place ? "5 4" : "", look[2]] : look, number >= SERIES_AT_FIRST];
        const what = split ? (place ? ", training" : ", validation") : "";
        const describe = (points, who) => points.map((p) => ({ ...p, text: `${who}${what}, epoch ${p.x}: ${shortNumber(p.y)}${unit}${p.high > p.low ? ` (${shortNumber(p.low)} to ${shortNumber(p.high)})` : ""}` }));
        if (state.seeds) for (const run of members) series.push({ name, look: drawn, hidden, line: true, thin: members.length > 1, points: describe(curveOf(run, column), `${name} seed ${run.seed}`) });
        else series.push({ name, look: drawn, hidden, line: true, points: describe(meanCurve(members, column), name) });
      }
    }
    const title = METRICS.find(([key]) => key === state.metric)[1];
    new Chart(chart, { title: `${title} over epochs`, x: { title: "epoch", whole: true },
      y: { title: `${title}${accuracy ? " (%)" : state.metric === "lr" ? "" : " (nats)"}`, scale: accuracy ? "error" : "log", percent: accuracy }, series });
  };
  const select = element("select", { onchange: () => { state.metric = select.value; draw(); } },
    ...METRICS.map(([value, title]) => element("option", { value }, title)));
  select.value = metric;
  const several = groups.some((group) => group.members.length > 1);
  host.replaceChildren(element("div", { class: "tools" }, element("label", {}, "Show ", select),
    several ? checkbox("each seed", false, (on) => { state.seeds = on; draw(); }) : null,
    element("span", { class: "hint" }, state.metric.includes("_") ? "" : "solid: validation, dashed: training")), chart);
  draw();
}

function groupsOf(set) {
  const members = new Map();
  for (const run of runs) members.set(run.c, [...(members.get(run.c) || []), run]);
  return configurations.flatMap((one, number) => {
    const own = (members.get(number) || []).filter((run) => run.curves[0].length);
    return (set < 0 || one.set === set) && own.length ? [{ name: one.label, look: one.look, members: own }] : [];
  });
}

const PLOTS = {
  accuracies: (host, set) => dots(host, set, ["val_acc", "test_acc"]),
  times: (host, set) => dots(host, set, ["fit_seconds"]),
  rates,
  costs: (host, set) => scatter(host, set, "num_params", "test_acc"),
  validation: (host, set) => curves(host, groupsOf(set), "val_acc"),
  loss: (host, set) => curves(host, groupsOf(set), "loss"),
  accuracy: (host, set) => curves(host, groupsOf(set), "acc"),
  confusion: (host, set) => {
    const best = configurations.findIndex((one) => one.set === set);
    host.append(confusionOf(runs.find((run) => run.c === best), configurations[best], false));
  },
};

// Returns the function that draws a plot into a host; none for a picture that stays one.
function drawing({ dataset: { plot, set, number } }) {
  if (PLOTS[plot] && configurations.length) return (host) => PLOTS[plot](host, Number(set));
  return data.drawn[number] && ((host) => drawPanels(host, data.drawn[number]));
}

function drawPlots() {
  for (const figure of document.querySelectorAll("figure[data-plot]")) {
    const draw = drawing(figure);
    if (draw) whenNear(figure, () => {
      const host = element("div", { class: "plot" });
      figure.querySelector("img").replaceWith(host);
      draw(host);
    });
  }
}
