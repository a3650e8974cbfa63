// The page: the pad, what the networks see, and a card for each network.

const SIDE = 280;  // pixels of the pad
const PAPER_MARGIN = 4;  // pixels of the pad that no stroke reaches
const WINDOW = 5, STRIDE = 2;  // pixels; the square that hides a part of the digit
const SLICE = 12;  // milliseconds of work between two frames
const MAP_GAP = 1;  // pixels between two feature maps

const pad = document.getElementById("pad");
const pen = pad.getContext("2d", {willReadFrequently: true});
const strokes = [];  // {width, points: [[x, y], ...]}
let waiting = false;  // a frame that reads the pad is requested
let turn = 0;  // counts changes of the drawing; slow work for an older one stops

const cards = JSON.parse(document.getElementById("data").textContent).map(makeCard);

// -- drawing ----------------------------------------------------------------------------------------------------------

function drawFrom(stroke, first) {
  pen.lineWidth = stroke.width;
  pen.lineCap = pen.lineJoin = "round";
  pen.strokeStyle = "#000";
  pen.beginPath();
  pen.moveTo(...stroke.points[first]);
  for (const point of stroke.points.slice(first)) pen.lineTo(...point);
  pen.stroke();
}

function drawAll() {
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, SIDE, SIDE);
  for (const stroke of strokes) drawFrom(stroke, 0);
  changed();
}

/** Return where a pointer is on the pad, so far inside that the stroke leaves a margin of paper. */
function place(event, width) {
  const box = pad.getBoundingClientRect();
  const least = width / 2 + PAPER_MARGIN;
  const inside = (part, side) => Math.min(Math.max((part / side) * SIDE, least), SIDE - least);
  return [inside(event.clientX - box.left, box.width), inside(event.clientY - box.top, box.height)];
}

let drawing = null;  // the stroke of the pressed pointer
pad.addEventListener("pointerdown", (event) => {
  if (drawing || event.button !== 0) return;
  event.preventDefault();
  pad.setPointerCapture(event.pointerId);
  const width = Number(document.getElementById("width").value);
  drawing = {width, pointer: event.pointerId, points: [place(event, width)]};
  strokes.push(drawing);
  drawFrom(drawing, 0);
  changed();
});
pad.addEventListener("pointermove", (event) => {
  if (!drawing || event.pointerId !== drawing.pointer) return;
  const events = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
  const last = drawing.points.length - 1;
  for (const each of events.length ? events : [event]) drawing.points.push(place(each, drawing.width));
  drawFrom(drawing, last);
  changed();
});
for (const kind of ["pointerup", "pointercancel"]) {
  pad.addEventListener(kind, (event) => {
    if (drawing && event.pointerId === drawing.pointer) drawing = null;
    changed();
  });
}
document.getElementById("undo").addEventListener("click", () => {
  strokes.pop();
  drawAll();
});
document.getElementById("clear").addEventListener("click", () => {
  strokes.length = 0;
  drawAll();
});
document.getElementById("save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.download = "digit.png";
  link.href = pad.toDataURL("image/png");
  link.click();
});

// -- from the drawing to the answers ----------------------------------------------------------------------------------

function changed() {
  turn += 1;
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    answer();
  });
}

/** Return the grey values of the pad. */
function readPad() {
  const colours = pen.getImageData(0, 0, SIDE, SIDE).data;
  return Uint8Array.from({length: SIDE * SIDE}, (_, index) => colours[4 * index]);
}

function answer() {
  const digit = digitise(readPad(), SIDE, SIDE);
  showSeen(digit);
  document.getElementById("undo").disabled = document.getElementById("clear").disabled = !strokes.length;
  for (const card of cards) showAnswer(card, digit);
  if (digit && !drawing) {
    const said = cards.map((card) => `${card.name}: ${card.said}`).join("; ");
    document.getElementById("spoken").textContent = said;
    explainAll(digit, turn);
  }
}

function showSeen(digit) {
  const image = new ImageData(FIELD, FIELD);
  for (let i = 0; i < FIELD * FIELD; i++) setPixel(image, i, new Array(3).fill(digit ? digit.pixels[i] : 0));
  document.getElementById("seen").getContext("2d").putImageData(image, 0, 0);
  document.getElementById("note").textContent = (digit && digit.warning) || "";
}

function setPixel(image, index, colour) {
  image.data.set([...colour, 255], 4 * index);
}

/** Return a network's input: normalised pixels. */
function normalised(network, pixels) {
  return Float32Array.from(pixels, (value) => (Math.fround(value / 255) - network.mean) / network.std);
}

// -- a card for each network ------------------------------------------------------------------------------------------

function makeCard(record) {
  const element = copyOf("card");
  const find = (name) => element.querySelector(`.${name}`);
  const addRow = (template, list, label) => {
    const row = copyOf(template);
    row.querySelector(".label").textContent = label;
    list.append(row);
    return row;
  };
  find("name").textContent = record.name;
  find("about").textContent = record.about;
  find("stage").textContent = `First stage: ${stageWords(record.maps ? record.steps[record.maps - 1].shape : record.input)}`;
  const rows = record.classes.map((label) => addRow("row", find("bars"), label));
  const summary = addRow("line", document.getElementById("summary"), record.name);
  document.getElementById("cards").append(element);
  return {
    name: record.name, network: loadNetwork(record), element, find, rows, summary,
    said: "",  // the answer in words
    label: null,  // the number of the answer
  };
}

function copyOf(template) {
  return document.getElementById(template).content.firstElementChild.cloneNode(true);
}

function stageWords(shape) {
  return shape.length === 3 ? `${shape[0]} maps of ${shape[1]}x${shape[2]}` : `${shape[0]} units`;
}

function showAnswer(card, digit) {
  card.element.classList.toggle("empty", !digit);
  if (!digit) {
    card.find("answer").textContent = "-";
    card.find("doubt").textContent = "";
    for (const row of card.rows) showBar(row, 0, "");
    showSummary(card, "-", "");
    for (const name of ["maps", "where"]) clearCanvas(card.find(name));
    return;
  }
  const values = forward(card.network, normalised(card.network, digit.pixels));
  const logits = values[card.network.output].data;
  const shares = softmax(logits);
  card.label = shares.indexOf(Math.max(...shares));
  const label = card.network.classes[card.label];
  const doubt = card.network.threshold !== null && logits[card.label] < card.network.threshold;
  card.said = `${label}, ${percent(shares[card.label])}${doubt ? ", not a digit?" : ""}`;
  card.find("answer").textContent = label;
  card.find("doubt").textContent = doubt ? "not a digit?" : "";
  showSummary(card, doubt ? `${label}?` : label, percent(shares[card.label]));
  card.rows.forEach((row, index) => {
    showBar(row, shares[index], percent(shares[index]));
    row.classList.toggle("best", index === card.label);
  });
  showMaps(card.find("maps"), values[card.network.maps]);
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

function showBar(row, share, text) {
  row.querySelector(".fill").style.width = `${100 * share}%`;
  row.querySelector(".value").textContent = text;
}

function showSummary(card, answer, text) {
  card.summary.querySelector(".answer-again").textContent = answer;
  card.summary.querySelector(".value").textContent = text;
}

function clearCanvas(canvas) {
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
}

/** Draw feature maps side by side, or the units of a layer as a grid: black is the smallest value, white the largest. */
function showMaps(canvas, value) {
  const [channels, height, width] = value.shape.length === 3 ? value.shape : [value.data.length, 1, 1];
  const gap = height > 1 ? MAP_GAP : 0;
  const columns = Math.ceil(Math.sqrt(channels * 2));
  canvas.width = columns * (width + gap) - gap;
  canvas.height = Math.ceil(channels / columns) * (height + gap) - gap;
  const least = value.data.reduce((one, other) => Math.min(one, other));
  const range = value.data.reduce((one, other) => Math.max(one, other)) - least || 1;
  const image = new ImageData(canvas.width, canvas.height);
  value.data.forEach((number, index) => {
    const channel = Math.floor(index / (height * width));
    const y = Math.floor(index / width) % height + Math.floor(channel / columns) * (height + gap);
    const x = index % width + (channel % columns) * (width + gap);
    const grey = (255 * (number - least)) / range;
    setPixel(image, y * canvas.width + x, new Array(3).fill(grey));
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// -- where a network looks --------------------------------------------------------------------------------------------

/** Draw the maps of all cards, in slices between frames; a change of the drawing ends it. */
async function explainAll(digit, started) {
  for (const card of cards) {
    const map = await occlusion(card.network, digit.pixels, card.label, () => turn !== started);
    if (map === null) return;
    showWhere(card.find("where"), map, digit.pixels);
  }
}

/**
 * Return how much the logit of a class falls when a black square covers a pixel, the mean of all squares that cover it
 * (Zeiler and Fergus 2014), as Float64Array of 28 * 28; null if `stopped()` becomes true.
 */
async function occlusion(network, pixels, label, stopped) {
  const image = normalised(network, pixels);
  const logit = (values) => values[network.output].data[label];
  const full = logit(forward(network, image.slice()));
  const sums = new Float64Array(image.length), counts = new Float64Array(image.length);
  let slice = performance.now();
  for (let top = 0; top < FIELD; top += STRIDE) {
    for (let left = 0; left < FIELD; left += STRIDE) {
      if (top - STRIDE + WINDOW >= FIELD || left - STRIDE + WINDOW >= FIELD) continue;  // the square before reached the edge
      const covered = [];
      for (let y = top; y < Math.min(top + WINDOW, FIELD); y++) {
        for (let x = left; x < Math.min(left + WINDOW, FIELD); x++) covered.push(y * FIELD + x);
      }
      const hidden = image.slice();
      for (const index of covered) hidden[index] = -network.mean / network.std;
      const fall = covered.some((index) => pixels[index]) ? full - logit(forward(network, hidden)) : 0;
      for (const index of covered) {
        sums[index] += fall;
        counts[index] += 1;
      }
      if (performance.now() - slice > SLICE) {
        await new Promise((resume) => setTimeout(resume));
        if (stopped()) return null;
        slice = performance.now();
      }
    }
  }
  return sums.map((sum, index) => sum / counts[index]);
}

const FOR = [213, 94, 0], AGAINST = [0, 114, 178];  // orange and blue of Okabe and Ito

/** Draw a map over the digit: orange where hiding lowers the logit, blue where it raises it. */
function showWhere(canvas, map, pixels) {
  const most = map.reduce((one, other) => Math.max(one, Math.abs(other)), 0) || 1;
  const image = new ImageData(FIELD, FIELD);
  map.forEach((value, index) => {
    const strength = Math.abs(value) / most;
    const ground = 255 - 0.55 * pixels[index];
    setPixel(image, index, (value > 0 ? FOR : AGAINST).map((colour) => strength * colour + (1 - strength) * ground));
  });
  canvas.width = canvas.height = FIELD;
  canvas.getContext("2d").putImageData(image, 0, 0);
}

drawAll();
