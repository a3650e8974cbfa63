// A live page loads itself again, unless the reader has opened or filtered something: then a button does it.

function refreshWhileLive() {
  if (!data.refresh) return;
  let touched = false;
  for (const kind of ["input", "change"]) addEventListener(kind, () => { touched = true; });
  const paused = document.getElementById("paused");
  const again = () => {
    if (!touched && !document.querySelector("dialog[open]") && !String(getSelection())) { location.reload(); return; }
    paused.replaceChildren(element("button", { type: "button", onclick: () => location.reload() }, "Load again"));
    setTimeout(again, 1000 * data.refresh);
  };
  setTimeout(again, 1000 * data.refresh);
}

refreshWhileLive();
