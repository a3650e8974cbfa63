dispatchEvent(new Event("beforeprint"));
// draws the images
const figure = document.querySelector("figure[data-images=errors]");
result.sprites = all("image").length;
result.items = all(".images li", figure).length;
result.box = figure.querySelector("svg").getAttribute("viewBox");
const [runsChoice, trueChoice, predictedChoice] = all("select", figure);
const [from, to] = all("input[type=number]", figure);
const set = (input, value) => {
  input.value = value;
  input.dispatchEvent(new Event("change"));
  return figure.querySelector("[role=status]").textContent;
};
result.true = set(trueChoice, "3");
result.predicted = set(predictedChoice, "5");
set(trueChoice, "");
set(predictedChoice, "");
result.confident = set(from, "101");
result.all = set(from, "0");
result.run = set(runsChoice, "r0");
result.captions = all(".images span", figure).map((one) => one.textContent);
figure.querySelector(".images button").click();
result.dialog = document.querySelector("dialog.image").textContent;
document.querySelector("dialog.image").close();
const confusion = document.querySelector("figure[data-plot=confusion]");
const cell = confusion.querySelector(".wrong button");
cell.click();
result.cell = cell.getAttribute("aria-label");
result.shown = all(".images li", confusion).length;
