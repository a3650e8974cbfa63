// Tables: sort by a column, filter rows, hide columns, show more rows, and open the run or configuration of a row.

const ROWS_AT_ONCE = 100;
const HIDDEN_AT_FIRST = ["command"];
const LESS_IMPORTANT = ["MB", "MFLOP", "epochs", "to 98 %", "clean test", "to 99 %", "parameters", "train", "images/s",
  "p, two networks", "only second correct", "only first correct", "note"]; // in this order
const UNITS = { s: 1, min: 60, h: 3600 };

// Returns the number that a cell begins with, in seconds for durations; NaN for a text.
function numberOf(text) {
  if (text === "never") return Infinity;
  if (text === "one seed") return 1;
  const found = text.match(/^[<≥~ ]*([+-]?[\d,]*\.?\d+(?:e[+-]?\d+)?)\s*(s|min|h)?(?![\w])/i);
  return found ? Number(found[1].replaceAll(",", "")) * (UNITS[found[2]] || 1) : NaN;
}

// Orders two cells: numbers by value, before texts by the alphabet; cells without a value are last.
function compareCells(first, second) {
  const a = numberOf(first), b = numberOf(second);
  if (Number.isNaN(a) !== Number.isNaN(b)) return Number.isNaN(a) ? 1 : -1;
  return Number.isNaN(a) ? first.localeCompare(second, undefined, { numeric: true }) : a === b ? 0 : a - b;
}

// Returns whether a row matches every word of a filter: a text that it contains, or a condition such as test>98.5.
function matches(cells, header, filter) {
  return filter.toLowerCase().split(/\s+/).filter(Boolean).every((word) => {
    const condition = word.match(/^([^<>]+)([<>])([-\d.]+)$/);
    const column = condition ? header.findIndex((name) => name.toLowerCase().replaceAll(" ", "_") === condition[1]) : -1;
    if (column < 0) return cells.some((cell) => cell.toLowerCase().includes(word));
    const value = numberOf(cells[column]), limit = Number(condition[3]);
    return condition[2] === "<" ? value < limit : value > limit;
  });
}

class InteractiveTable {
  constructor(table) {
    this.table = table;
    this.body = table.tBodies[0];
    this.heads = [...table.tHead.rows[0].cells];
    this.header = this.heads.map((head) => head.textContent.trim());
    this.classes = this.heads.map((head) => head.className);
    this.rows = [...this.body.rows].map((row) => ({ cells: [...row.cells].map((cell) => cell.textContent), row }));
    for (const cells of data.tables[table.dataset.number] || []) this.rows.push({ cells, row: null });
    this.shown = ROWS_AT_ONCE;
    this.sorted = null;
    this.filter = "";
    this.hidden = new Set(this.header.flatMap((name, place) => (HIDDEN_AT_FIRST.includes(name) ? [place] : [])));
    for (const [place, head] of this.heads.entries()) {
      const button = element("button", { type: "button", class: "sort", onclick: () => this.sort(place) });
      button.append(...head.childNodes);
      head.append(button);
    }
    for (const { row } of this.rows) if (row) this.makeOpener(row);
    this.body.addEventListener("click", (event) => this.open(event));
    this.draw();
  }

  // Returns the columns to hide so that the table fits the page: those that matter less.
  tooMuch() {
    const frame = this.table.closest(".scroll"), found = [];
    let wider = frame.scrollWidth - frame.clientWidth;
    for (const name of LESS_IMPORTANT) {
      const place = this.header.indexOf(name);
      if (wider <= 0 || place < 1 || this.hidden.has(place)) continue;
      found.push(place);
      wider -= this.heads[place].offsetWidth;
    }
    return found;
  }

  hide(places) {
    for (const place of places) this.hidden.add(place);
    for (const { box, place } of this.boxes || []) box.checked = !this.hidden.has(place);
    if (places.length) this.draw();
  }

  // Returns what the reader has chosen, for `restore` after the page was loaded again.
  state() {
    const sorted = this.sorted && { name: this.header[this.sorted.place], falling: this.sorted.falling };
    return { filter: this.filter, shown: this.shown === Infinity ? null : this.shown, sorted,
      hidden: [...this.hidden].map((place) => this.header[place]) };
  }

  restore(state) {
    if (!state) return;
    this.filter = state.filter;
    if (this.input) this.input.value = state.filter;
    this.shown = state.shown ?? Infinity;
    this.hidden = new Set(state.hidden.map((name) => this.header.indexOf(name)));
    this.hide([]);
    const place = state.sorted ? this.header.indexOf(state.sorted.name) : -1;
    if (place < 0) this.draw();
    else this.sort(place, state.sorted.falling);
  }

  addTools() {
    const filter = this.input = element("input", { type: "search", placeholder: "Filter: cnn test>98", "aria-label": "Filter rows",
      oninput: () => { this.filter = filter.value; this.shown = ROWS_AT_ONCE; this.draw(); } });
    this.count = element("span", { role: "status" });
    this.boxes = [];
    const labels = this.header.map((name, place) => {
      const box = element("input", { type: "checkbox", onchange: () => {
        this.hidden[box.checked ? "delete" : "add"](place);
        this.draw();
      } });
      box.checked = !this.hidden.has(place);
      this.boxes.push({ box, place });
      return place ? element("label", {}, box, ` ${name}`) : null;
    });
    this.more = element("button", { type: "button", onclick: () => { this.shown = Infinity; this.draw(); } }, "Show all");
    const columns = element("details", { class: "columns" }, element("summary", {}, "Columns"), element("div", {}, ...labels));
    this.table.closest(".scroll").before(element("div", { class: "tools" }, filter, columns, this.count, this.more));
  }

  sort(place, falling = Boolean(this.sorted) && this.sorted.place === place && !this.sorted.falling) {
    this.sorted = { place, falling };
    this.rows.sort((a, b) => (falling ? -1 : 1) * compareCells(a.cells[place], b.cells[place]) || 0);
    for (const [other, head] of this.heads.entries()) {
      if (other === place) head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    this.draw();
  }

  rowOf(entry) {
    if (!entry.row) {
      entry.row = element("tr", {}, ...entry.cells.map((text, place) => element("td", { class: this.classes[place] }, text)));
      this.makeOpener(entry.row);
    }
    return entry.row;
  }

  draw() {
    const found = this.rows.filter(({ cells }) => matches(cells, this.header, this.filter));
    const shown = found.slice(0, this.shown).map((entry) => this.rowOf(entry));
    this.body.replaceChildren(...shown);
    for (const [place, head] of this.heads.entries()) {
      head.hidden = this.hidden.has(place);
      for (const row of shown) if (row.cells[place].hidden !== head.hidden) row.cells[place].hidden = head.hidden;
    }
    if (!this.count) return;
    this.count.textContent = found.length === this.rows.length && shown.length === found.length
      ? `${found.length} rows` : `${shown.length} of ${found.length} rows`;
    this.more.hidden = shown.length === found.length;
  }

  // Makes the name of the run or configuration in a row a button.
  makeOpener(row) {
    const place = this.header.findIndex((name) => openers[name]);
    if (place < 0) return;
    const cell = row.cells[place], text = cell.textContent;
    if (openers[this.header[place]](text) === undefined) return;
    row.classList.add("opens");
    const parts = text.split(/(?<=,)/).flatMap((part) => [part, element("wbr")]);  // lines break after a comma
    cell.replaceChildren(element("button", { type: "button", class: "open", "data-opens": text }, ...parts));
  }

  open(event) {
    const button = event.target.closest("tr") && event.target.closest("tr").querySelector("button.open");
    if (!button || String(getSelection())) return;
    showRun(openers[this.header.find((name) => openers[name])](button.dataset.opens));
  }
}

// Makes the tables of the page interactive. Their widths are read together: each reading after a change is a layout.
function makeTables() {
  const made = [...document.querySelectorAll("table[data-number]")].map((table) => new InteractiveTable(table));
  const long = made.filter((one) => one.rows.length > 3), folded = new Set(long.filter((one) => !one.table.offsetWidth));
  for (const [place, much] of long.map((one) => one.tooMuch()).entries()) {
    long[place].hide(much);
    long[place].addTools();
    long[place].draw();
  }
  for (const one of folded) {
    one.table.closest("details").addEventListener("toggle", () => one.hide(one.tooMuch()), { once: true });
  }
  return made;
}

// Returns the number of a run by its name, and that of the first run of a configuration by its label.
const openers = {
  run: (name) => runsByName.get(name),
  configuration: (label) => runsByLabel.get(label),
};
const runs = data.runs || [], configurations = data.configurations || [];
const runsByName = new Map(), runsByLabel = new Map();
for (const [number, run] of runs.entries()) {
  runsByName.set(run.name, number);
  const label = configurations[run.c].label;
  if (!runsByLabel.has(label)) runsByLabel.set(label, number);
}
