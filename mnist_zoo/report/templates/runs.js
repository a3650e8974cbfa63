// One run in a dialog: numbers, curves, settings beside those of the others, confusions, errors, and the command.

function openDialog() {
  let dialog = document.getElementById("run");
  if (!dialog) {
    dialog = element("dialog", { id: "run", "aria-labelledby": "run-title", onclose: () => {
      if (location.hash.startsWith("#run=")) history.replaceState(null, "", location.pathname + location.search);
    } });
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    document.body.append(dialog);
  }
  if (!dialog.open) dialog.showModal();
  return dialog;
}

// Shows the run with this number.
function showRun(number) {
  const run = runs[number], own = configurations[run.c], dialog = openDialog();
  const seeds = runs.map((other, place) => [other, place]).filter(([other]) => other.c === run.c);
  const plot = element("div", { class: "plot" });
  const facts = [...data.facts.map((name, place) => [name, run.facts[place]]), ["folder", run.name]];
  dialog.replaceChildren(
    element("div", { class: "tools" }, element("h2", { id: "run-title" }, `${own.label}, seed ${run.seed}`),
      element("button", { type: "button", onclick: () => dialog.close() }, "Close")),
    seeds.length > 1 ? element("div", { class: "tools", role: "group", "aria-label": "Seeds" }, "Seed ", ...seeds.map(([other, place]) =>
      element("button", { type: "button", "aria-pressed": String(place === number), onclick: () => showRun(place) }, String(other.seed)))) : null,
    element("dl", { class: "numbers" }, ...facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)))),
    element("h3", {}, "Command"), commandOf(run),
    run.curves[0].length ? element("h3", {}, "Curves") : null, plot,
    element("h3", {}, "Settings"), settingsOf(own),
    element("h3", {}, "Confusion matrix"), confusionOf(run, own, true),
  );
  if (run.curves[0].length) curves(plot, [{ name: own.label, look: own.look, members: [run] }], "loss");
  dialog.scrollTop = 0;
  history.replaceState(null, "", `#${new URLSearchParams({ run: run.name })}`);
}

function commandOf(run) {
  const copy = element("button", { type: "button", onclick: async () => {
    try { await navigator.clipboard.writeText(run.command); copy.textContent = "Copied"; }
    catch { getSelection().selectAllChildren(line); copy.textContent = "Selected: press Ctrl+C"; }
  } }, "Copy");
  const line = element("pre", {}, run.command);
  return element("div", {}, line, copy);
}

// The settings that differ between configurations, with how often the others have which value, and those all share.
function settingsOf(own) {
  const cells = (row, tag) => row.map((text) => element(tag, { class: "word" }, text));
  const table = (head, body) => element("div", { class: "scroll" }, element("table", {}, element("thead", {}, element("tr", {}, ...cells(head, "th"))),
    element("tbody", {}, ...body.map((row) => element("tr", {}, ...cells(row, "td"))))));
  const shared = Object.entries(data.shared);
  return element("div", {},
    own.settings.length ? table(["setting", "this configuration", "the others (how many)"], own.settings)
      : element("p", {}, "All configurations have the same settings."),
    element("details", {}, element("summary", {}, `${shared.length} settings that all configurations share`), table(["setting", "value"], shared)));
}

// The confusion matrix of a run, with its errors: all of them `atOnce`, or those of a cell after a click.
function confusionOf(run, own, atOnce) {
  const set = data.sets[own.set], classes = set.counts.length, errors = errorsOf(run);
  const counts = Array.from({ length: classes }, () => new Array(classes).fill(0));
  for (const error of errors) counts[set.images[1][error.image]][error.predicted]++;
  for (let c = 0; c < classes; c++) counts[c][c] = set.counts[c] - counts[c].reduce((sum, count) => sum + count, 0);
  const names = classNames(set), most = Math.max(1, ...errors.map((e) => counts[set.images[1][e.image]][e.predicted]));
  const host = element("div", {});
  let gallery = atOnce ? new Gallery(host, own.set, [run]) : null;
  const cell = (count, y, x) => {
    if (!count) return element("td", {}, "");
    if (x === y) return element("td", { class: "right" }, String(count));
    const button = element("button", { type: "button", "aria-label": `${count} images of ${names[y]} predicted as ${names[x]}`, onclick: () => {
      gallery = gallery || new Gallery(host, own.set, [run]);
      gallery.choose({ true: y, predicted: x });
    } }, String(count));
    const made = element("td", { class: "wrong" }, button);
    made.style.setProperty("--share", `${Math.round(15 + 75 * count / most)}%`);
    return made;
  };
  return element("div", {}, element("p", { class: "caption" }, "Rows: true class. Columns: predicted class. A click on a number shows its images."),
    element("div", { class: "scroll" }, element("table", { class: "confusion" },
      element("thead", {}, element("tr", {}, element("th", {}, ""), ...names.map((name) => element("th", { scope: "col" }, name)))),
      element("tbody", {}, ...counts.map((row, y) => element("tr", {}, element("th", { scope: "row" }, names[y]), ...row.map((count, x) => cell(count, y, x))))))),
    atOnce ? element("h3", {}, "Errors") : null, host);
}

function openFromAddress() {
  const number = runsByName.get(new URLSearchParams(location.hash.slice(1)).get("run"));
  if (number !== undefined) showRun(number);
}

const tables = makeTables();
drawPlots();
openGalleries();
openFromAddress();
addEventListener("hashchange", openFromAddress);
