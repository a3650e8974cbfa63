// A live page loads itself again and keeps what the reader sees: the place, the filters, orders and columns of tables,
// and what is unfolded. It waits while a run is open or something is selected or typed. Changed plots would be lost:
// a button loads the page then.

const KEPT = `live ${location.pathname}`;
const foldable = () => [...document.querySelectorAll("section > details")];
const headings = () => [...document.querySelectorAll("h1, section > h2")];

// Returns what an element is called after the next load, too: its section, and its number there.
function placeOf(one, kind) {
  const section = one.closest("section");
  return [section.querySelector("h1, h2").textContent, [...section.querySelectorAll(kind)].indexOf(one)].join(" ");
}

function keepView() {
  const top = (heading) => heading.getBoundingClientRect().top;
  const heading = headings().findLast((one) => top(one) < innerHeight / 2) || headings()[0];
  sessionStorage.setItem(KEPT, JSON.stringify({ heading: heading.textContent, top: top(heading),
    tables: tables.map((one) => [placeOf(one.table, "table[data-number]"), one.state()]),
    open: foldable().map((one) => [placeOf(one, "details"), one.open]) }));
  history.scrollRestoration = "manual";
}

function restoreView() {
  const kept = JSON.parse(sessionStorage.getItem(KEPT));
  sessionStorage.removeItem(KEPT);
  if (!kept) return;
  const states = new Map(kept.tables), open = new Map(kept.open);
  for (const one of tables) one.restore(states.get(placeOf(one.table, "table[data-number]")));
  for (const one of foldable()) one.open = open.get(placeOf(one, "details")) ?? one.open;
  const heading = headings().find((one) => one.textContent === kept.heading);
  if (heading) scrollBy({ top: heading.getBoundingClientRect().top - kept.top, behavior: "instant" });
}

function refreshWhileLive() {
  let changed = false;
  const change = (event) => { changed = changed || Boolean(event.target.closest("figure")); };
  addEventListener("change", change);
  addEventListener("click", (event) => { if (event.target.closest(".legend button")) change(event); });
  const zoomed = () => document.querySelector("figure .zoom button:last-child:not([hidden])");
  const busy = () => document.querySelector("dialog[open]") || String(getSelection()) || document.activeElement.matches("input, select");
  const load = () => {
    try { keepView(); } catch { /* storage may be switched off */ }
    location.reload();
  };
  setInterval(() => {
    if (changed || zoomed()) {
      document.getElementById("paused").replaceChildren(element("button", { type: "button", onclick: load }, "Load again"));
    } else if (!busy()) load();
  }, 1000 * data.refresh);
}

try { restoreView(); } catch { /* storage may be switched off */ }
if (data.refresh) refreshWhileLive();
