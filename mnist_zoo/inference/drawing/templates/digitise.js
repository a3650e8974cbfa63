// Converting a drawing to the format of MNIST: mnist_zoo/inference/digitise.py, ink.py and regions.py for a sheet of even
// paper, with the same numbers. (The pad keeps a margin of paper, so that its border always has one colour.)

const FIELD = 28, BOX = 20;
const CONTRAST = 24, MARGIN = 1.25;
const EDGE = 26, STRONG = 128, MOST = 50;
const SPECK = 0.02, NEAR = 0.25, SMALL = 0.5, BESIDE = 0.06, ABOVE = 0.5, SIMILAR = 0.5;
const CROWDED = 0.5;

/**
 * Return {pixels, warning, box} of the digit with the most ink, or null for a blank sheet.
 *
 * grey: Uint8Array of height * width. pixels: Uint8Array of 28 * 28, ink 255 on 0. box: [left, top, right, bottom] in
 * pixels of the drawing.
 */
function digitise(grey, width, height) {
  const ink = measureInk(grey, width, height);
  if (ink === null) return null;
  const {regions, labels} = findRegions(ink, width, height);
  const main = regions.reduce((best, region) => (region.ink > best.ink ? region : best));
  const others = regions.filter((region) => region !== main && high(region) >= SIMILAR * high(main));
  let warning = null;
  if (ink.reduce((count, value) => count + (value >= STRONG), 0) > CROWDED * ink.length) {
    warning = "more than half of the picture is ink";
  } else if (others.length) {
    warning = `${others.length + 1} things of similar size; the one with the most ink is read`;
  }
  const box = [main.left, main.top, main.right, main.bottom];
  return {pixels: convert(ink, width, labels, main), warning, box};
}

/** Round to the nearest whole number, halves to the even one, as Python does. */
function roundEven(x) {
  const rounded = Math.round(x);
  return Math.abs(x % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

const clip = (x) => Math.min(Math.max(x, 0), 255);

/** Return how much ink each pixel has, 0-255, by its difference from the border; null for a blank sheet. */
function measureInk(grey, width, height) {
  const border = [
    ...grey.subarray(0, width), ...grey.subarray((height - 1) * width),
    ...Array.from({length: height}, (_, y) => grey[y * width]),
    ...Array.from({length: height}, (_, y) => grey[(y + 1) * width - 1]),
  ].sort((one, other) => one - other);
  const paper = border[Math.floor(border.length / 2)];
  const extreme = Math.max(paper - border[0], border[border.length - 1] - paper);
  const distance = grey.map((value) => Math.abs(value - paper));
  const farthest = distance.reduce((one, other) => Math.max(one, other));
  if (farthest < CONTRAST) return null;
  const floor = Math.min(MARGIN * extreme, farthest / 2);
  const shades = Array.from({length: 256}, (_, value) => roundEven(clip((value - floor) * (255 / (farthest - floor)))));
  return distance.map((value) => shades[value]);
}

// -- regions ----------------------------------------------------------------------------------------------------------

const high = (region) => region.bottom - region.top;
const wide = (region) => region.right - region.left;
const long = (region) => Math.max(high(region), wide(region));

/** Return the digits in a picture of ink, from left to right, and the number of each pixel's part. */
function findRegions(ink, width, height) {
  const {labels, parts} = connectedParts(ink, width, height);
  if (parts.length === 1) return {regions: parts, labels};
  const strong = parts.filter((part) => part.most >= STRONG);
  strong.sort((one, other) => other.ink - one.ink);
  const regions = joined(withoutDirt(strong.slice(0, MOST)));
  return {regions: regions.sort((one, other) => one.left - other.left), labels};
}

/** Label connected pixels with enough ink; pixels that touch at a corner are connected. */
function connectedParts(ink, width, height) {
  const labels = new Int32Array(ink.length);
  const parts = [];
  for (let seed = 0; seed < ink.length; seed++) {
    if (ink[seed] < EDGE || labels[seed]) continue;
    const number = parts.length + 1;
    const part = {parts: [number], left: width, top: height, right: 0, bottom: 0, ink: 0, most: 0};
    const waiting = [seed];
    labels[seed] = number;
    while (waiting.length) {
      const pixel = waiting.pop();
      const x = pixel % width, y = (pixel - x) / width;
      part.left = Math.min(part.left, x);
      part.right = Math.max(part.right, x + 1);
      part.top = Math.min(part.top, y);
      part.bottom = Math.max(part.bottom, y + 1);
      part.ink += 1;
      part.most = Math.max(part.most, ink[pixel]);
      for (let y1 = Math.max(y - 1, 0); y1 <= Math.min(y + 1, height - 1); y1++) {
        for (let x1 = Math.max(x - 1, 0); x1 <= Math.min(x + 1, width - 1); x1++) {
          const near = y1 * width + x1;
          if (ink[near] >= EDGE && !labels[near]) {
            labels[near] = number;
            waiting.push(near);
          }
        }
      }
    }
    parts.push(part);
  }
  return {labels, parts};
}

function withoutDirt(regions) {
  const main = regions[0];  // they are sorted
  return regions.filter((region) => region.ink >= SPECK * main.ink || gap(main, region) < NEAR * long(main));
}

/** Return the distance between two boxes, in pixels: 0 if they touch or overlap. */
function gap(one, other) {
  const across = Math.max(one.left, other.left) - Math.min(one.right, other.right);
  const down = Math.max(one.top, other.top) - Math.min(one.bottom, other.bottom);
  return Math.max(across, down, 0);
}

/** Return regions in which all parts of a digit are together. */
function joined(regions) {
  const sorted = [...regions].sort((one, other) => other.ink - one.ink);
  const done = [];
  for (const region of sorted) {
    const index = done.findIndex((other) => isOneDigit(other, region));
    if (index < 0) done.push(region);
    else done[index] = union(done[index], region);
  }
  return done.length === regions.length ? done : joined(done);
}

function union(one, other) {
  return {
    parts: [...one.parts, ...other.parts],
    left: Math.min(one.left, other.left), top: Math.min(one.top, other.top),
    right: Math.max(one.right, other.right), bottom: Math.max(one.bottom, other.bottom),
    ink: one.ink + other.ink,
  };
}

function isOneDigit(one, other) {
  const shared = Math.min(one.right, other.right) - Math.max(one.left, other.left);
  const narrower = Math.min(wide(one), wide(other));
  const length = Math.max(long(one), long(other));
  const small = Math.min(long(one), long(other)) < SMALL * length;
  const above = shared >= ABOVE * narrower;
  return gap(one, other) < length * (small ? NEAR : above ? 2 * NEAR : BESIDE);
}

// -- 28x28 pixels -----------------------------------------------------------------------------------------------------

/** Return the ink of one region, Uint8Array of 28 * 28. */
function convert(ink, width, labels, region) {
  const sides = [wide(region), high(region)];
  const cut = new Float64Array(sides[0] * sides[1]);
  for (let y = 0; y < sides[1]; y++) {
    for (let x = 0; x < sides[0]; x++) {
      const pixel = (region.top + y) * width + region.left + x;
      if (labels[pixel] === 0 || region.parts.includes(labels[pixel])) cut[y * sides[0] + x] = ink[pixel];
    }
  }
  const scale = BOX / Math.max(...sides);
  const [columns, rows] = sides.map((side) => Math.max(1, roundEven(side * scale)));
  let digit = resize(cut, sides[0], sides[1], columns, rows, true);
  // A few scattered pixels: their average in the smaller image is less than 1.
  if (!digit.some((value) => value > 0)) digit = resize(cut, sides[0], sides[1], columns, rows, false);
  const most = digit.reduce((one, other) => Math.max(one, other));
  const factor = Math.fround(255 / most);  // scaling down makes thin strokes paler
  return centred(digit.map((value) => roundEven(Math.fround(value * factor))), columns, rows);
}

/** Scale an image with Pillow's bilinear filter, which averages all the pixels that a smaller pixel covers. */
function resize(pixels, width, height, columns, rows, whole) {
  const across = columns === width ? pixels : resample(pixels, width, height, columns, whole);
  if (rows === height) return across;
  const turned = resample(transpose(across, columns, height), height, columns, rows, whole);
  return transpose(turned, rows, columns);
}

function transpose(pixels, width, height) {
  return pixels.map((_, index) => pixels[(index % height) * width + Math.floor(index / height)]);
}

/** Scale the rows of an image. With `whole`, as Pillow does with bytes: in fixed point, with rounding. */
function resample(pixels, width, height, columns, whole) {
  const out = new Float64Array(columns * height);
  const scale = width / columns;
  const support = Math.max(scale, 1);
  const unit = whole ? 2 ** 22 : 1;
  for (let column = 0; column < columns; column++) {
    const centre = (column + 0.5) * scale;
    const start = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), width);
    let weights = Array.from({length: end - start}, (_, index) =>
      Math.max(0, 1 - Math.abs((start + index - centre + 0.5) * (1 / support))));
    const sum = weights.reduce((one, other) => one + other);
    weights = weights.map((weight) => (whole ? Math.trunc(0.5 + (weight / sum) * unit) : weight / sum));
    for (let row = 0; row < height; row++) {
      let value = whole ? unit / 2 : 0;
      for (let index = 0; index < weights.length; index++) value += weights[index] * pixels[row * width + start + index];
      out[row * columns + column] = whole ? clip(Math.floor(value / unit)) : Math.fround(value);
    }
  }
  return out;
}

/** Place a digit in an image of 28x28, its centre of mass as near to the middle as it fits. */
function centred(digit, columns, rows) {
  let sum = 0, across = 0, down = 0;
  digit.forEach((value, index) => {
    sum += value;
    across += value * (index % columns);
    down += value * Math.floor(index / columns);
  });
  const start = (mass, side) => Math.min(Math.max(roundEven(FIELD / 2 - mass / sum), 0), FIELD - side);
  const left = start(across, columns), top = start(down, rows);
  const field = new Uint8Array(FIELD * FIELD);
  digit.forEach((value, index) => {
    field[(top + Math.floor(index / columns)) * FIELD + left + (index % columns)] = value;
  });
  return field;
}
