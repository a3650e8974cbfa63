// Plots whose values come with the page: charts, and tables of colours. A choice switches between their panels.

function drawPanels(host, panels) {
  const place = element("div", {});
  const show = (panel) => (panel.cells ? colours(place, panel) : new Chart(place, { ...panel, series: panel.series.map(seriesOf) }));
  const select = element("select", { onchange: () => show(panels[Number(select.value)]) },
    ...panels.map((panel, number) => element("option", { value: number }, panel.title)));
  host.replaceChildren(panels.length > 1 ? element("div", { class: "tools" }, element("label", {}, "Show ", select)) : "", place);
  show(panels[0]);
}

function seriesOf(one) {
  return { ...one, points: one.points.map(([x, y, half]) => ({ x, y: y === null ? NaN : y, half, along: "y" })) };
}

// A table of colours. A line below it says what the cell under the pointer is; arrow keys move between cells.
function colours(host, { title, rows, columns, cells }) {
  const said = element("p", { class: "caption hint", role: "status" }, "Point at a cell, or move with the arrow keys.");
  const numbered = columns.every((name, number) => name === String(number + 1)) && columns.length === rows.length;
  const nameOf = (x) => (numbered ? rows[x].replace(/\s+\d+$/, "") : columns[x]);
  const made = cells.map((row, y) => row.map(([value, colour, text, white], x) => {
    const cell = element("td", { tabindex: x || y ? -1 : 0, class: white ? "white" : "black" }, value === null ? "" : text || shortNumber(Number(value.toPrecision(3))));
    if (colour) cell.style.setProperty("--cell", colour);
    const what = `${numbered ? nameOf(y) : rows[y]} and ${nameOf(x)}: ${value === null ? "-" : shortNumber(value)}`;
    const say = () => { said.textContent = what; };
    cell.addEventListener("pointerenter", say);
    cell.addEventListener("focus", say);
    return cell;
  }));
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  const move = (event) => {
    if (!steps[event.key]) return;
    const y = made.findIndex((row) => row.includes(event.target));
    if (y < 0) return;
    const next = (made[y + steps[event.key][0]] || [])[made[y].indexOf(event.target) + steps[event.key][1]];
    event.preventDefault();
    if (!next) return;
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  };
  host.replaceChildren(element("div", { class: "scroll" }, element("table", { class: "colours", onkeydown: move },
    element("caption", {}, title),
    element("thead", {}, element("tr", {}, element("td", {}), ...columns.map((name, x) => element("th", { scope: "col", title: nameOf(x) }, name)))),
    element("tbody", {}, ...made.map((row, y) => element("tr", {}, element("th", { scope: "row", class: "word" }, numbered ? `${y + 1}\u2003${nameOf(y)}` : rows[y]), ...row))))), said);
}
