// What the whole page shares: making elements, the embedded data, light and dark, and where the reader is.

// Returns an element. Texts become text nodes, so that nothing in the data is taken for markup.
function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const data = JSON.parse(document.getElementById("data").textContent);
document.documentElement.classList.add("scripted");

function chooseTheme() {
  const root = document.documentElement;
  const dark = () => root.dataset.theme === "dark" ||
    (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  try { if (["light", "dark"].includes(localStorage.getItem("theme"))) root.dataset.theme = localStorage.getItem("theme"); }
  catch { /* storage may be switched off */ }
  const button = element("button", { type: "button", id: "theme", onclick: () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* as above */ }
    label();
  } });
  const label = () => { button.textContent = dark() ? "Light" : "Dark"; };
  label();
  document.querySelector("nav").append(button);
}

function markCurrentSection() {
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const link of links.values()) link.removeAttribute("aria-current");
      const link = links.get(entry.target.id);
      link.setAttribute("aria-current", "true");
      link.parentElement.parentElement.scrollTo({ left: link.offsetLeft - 80 });
    }
  }, { rootMargin: "-10% 0px -80% 0px" });
  for (const id of links.keys()) {
    const target = document.getElementById(id);
    if (target) seen.observe(target);
  }
}

// Draws what the reader comes near to, and everything before printing.
const waiting = new Map();

function drawNow(figure) {
  const draw = waiting.get(figure);
  near.unobserve(figure);
  if (waiting.delete(figure)) draw();
}

const near = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) drawNow(entry.target);
}, { rootMargin: "600px" });
addEventListener("beforeprint", () => { for (const figure of [...waiting.keys()]) drawNow(figure); });

function whenNear(figure, draw) {
  waiting.set(figure, draw);
  near.observe(figure);
}

chooseTheme();
markCurrentSection();
