// The forward pass of a network: one image, evaluation mode. mnist_zoo/inference/drawing/layers.py writes the steps.
//
// A value is {data: Float32Array, shape}, where shape is [channels, height, width] or [units]. Sums are added up in
// double precision.

function decodeBytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** Return the numbers of float16 bytes, little-endian. */
function decodeHalves(bytes) {
  const view = new DataView(bytes.buffer);
  return Float32Array.from({length: bytes.length / 2}, (_, index) => halfToNumber(view.getUint16(2 * index, true)));
}

function halfToNumber(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);  // Python writes neither infinity nor NaN
}

/** Return the numbers of float32 bytes, little-endian. */
function decodeFloats(bytes) {
  const view = new DataView(bytes.buffer);
  return Float32Array.from({length: bytes.length / 4}, (_, index) => view.getFloat32(4 * index, true));
}

/** Return a network that forward() runs, from what Python's trace() wrote. */
function loadNetwork(record) {
  const matrices = decodeHalves(decodeBytes(record.matrices));
  const vectors = decodeFloats(decodeBytes(record.vectors));
  const part = (block, place) => place && block.subarray(place[0], place[0] + place[1]);
  const steps = record.steps.map((step) => ({
    ...step,
    weight: part(matrices, step.weight),
    bias: part(vectors, step.bias),
    scale: step.op === "affine" ? part(vectors, step.scale) : step.scale,
    shift: part(vectors, step.shift),
  }));
  return {...record, matrices: null, vectors: null, steps};
}

/** Return the values of all steps for an image, a Float32Array of normalised pixels; value 0 is the image. */
function forward(network, image) {
  const values = [{data: image, shape: network.input}];
  for (const step of network.steps) {
    const inputs = step.inputs.map((number) => values[number]);
    values.push({data: OPERATIONS[step.op](step, ...inputs), shape: step.shape});
  }
  return values;
}

function softmax(logits) {
  const most = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - most));
  const sum = powers.reduce((one, other) => one + other);
  return powers.map((power) => power / sum);
}

function size(shape) {
  return shape.reduce((one, other) => one * other, 1);
}

// -- the operations: (step, input, ...) => Float32Array of the size of step.shape ------------------------------------

/** An operation on each number; one that works in place changes its input, and all values that share its memory. */
function each(makeFunction) {
  return (step, x) => {
    const change = makeFunction(step);
    const out = step.in_place ? x.data : new Float32Array(x.data.length);
    for (let i = 0; i < out.length; i++) out[i] = change(x.data[i]);
    return out;
  };
}

/** An operation on the numbers of two values of the same shape, or of a value and one number. */
function combine(change) {
  return (step, x, y) => {
    const out = step.in_place ? x.data : new Float32Array(x.data.length);
    for (let i = 0; i < out.length; i++) out[i] = change(x.data[i], y ? y.data[i] : step.number);
    return out;
  };
}

/** The error function to 2e-7 (Abramowitz and Stegun 1964, formula 7.1.26). */
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - sum * Math.exp(-x * x));
}

function conv2d(step, x) {
  const [channels, height, width] = x.shape;
  const [outputs, outHeight, outWidth] = step.shape;
  const [kernelHeight, kernelWidth] = step.kernel;
  const perGroup = channels / step.groups;
  const out = new Float32Array(size(step.shape));
  const sums = new Float64Array(outHeight * outWidth);
  for (let output = 0; output < outputs; output++) {
    const first = Math.floor(output / (outputs / step.groups)) * perGroup;
    sums.fill(step.bias ? step.bias[output] : 0);
    for (let channel = 0; channel < perGroup; channel++) {
      const plane = (first + channel) * height * width;
      for (let ky = 0; ky < kernelHeight; ky++) {
        for (let kx = 0; kx < kernelWidth; kx++) {
          const weight = step.weight[((output * perGroup + channel) * kernelHeight + ky) * kernelWidth + kx];
          const [startY, endY] = inside(outHeight, height, step.stride[0], ky * step.dilation[0] - step.padding[0]);
          const shift = kx * step.dilation[1] - step.padding[1];
          const [startX, endX] = inside(outWidth, width, step.stride[1], shift);
          for (let y = startY; y < endY; y++) {
            const row = plane + (y * step.stride[0] + ky * step.dilation[0] - step.padding[0]) * width + shift;
            for (let x1 = startX; x1 < endX; x1++) {
              sums[y * outWidth + x1] += weight * x.data[row + x1 * step.stride[1]];
            }
          }
        }
      }
    }
    out.set(sums, output * outHeight * outWidth);
  }
  return out;
}

/** Return from which output (and to which, exclusive) the input pixel output * stride + shift exists. */
function inside(outputs, inputs, stride, shift) {
  const start = Math.max(0, Math.ceil(-shift / stride));
  return [start, Math.min(outputs, Math.floor((inputs - 1 - shift) / stride) + 1)];
}

function linear(step, x) {
  const out = new Float32Array(step.shape[0]);
  const inputs = x.data.length;
  for (let unit = 0; unit < out.length; unit++) {
    let sum = step.bias ? step.bias[unit] : 0;
    const row = unit * inputs;
    for (let i = 0; i < inputs; i++) sum += step.weight[row + i] * x.data[i];
    out[unit] = sum;
  }
  return out;
}

/** Batch norm: each channel, or unit, has its scale and shift. */
function affine(step, x) {
  const out = new Float32Array(x.data.length);
  const plane = x.data.length / step.scale.length;
  for (let i = 0; i < out.length; i++) {
    const channel = Math.floor(i / plane);
    out[i] = x.data[i] * step.scale[channel] + step.shift[channel];
  }
  return out;
}

/** Return an operation that reduces a window of the image to one number, for each place of the result. */
function overWindows(windowOf, reduce) {
  return (step, x) => {
    const [channels, height, width] = x.shape;
    const [, outHeight, outWidth] = step.shape.length === 3 ? step.shape : [channels, 1, 1];
    const out = new Float32Array(channels * outHeight * outWidth);
    for (let channel = 0, i = 0; channel < channels; channel++) {
      const plane = x.data.subarray(channel * height * width, (channel + 1) * height * width);
      for (let y = 0; y < outHeight; y++) {
        for (let x1 = 0; x1 < outWidth; x1++, i++) {
          const rows = windowOf(step, 0, y, outHeight, height);
          const columns = windowOf(step, 1, x1, outWidth, width);
          out[i] = reduce(plane, width, rows, columns, step);
        }
      }
    }
    return out;
  };
}

/** Where a window of a pooling layer begins and ends, and how many of its pixels count, those of the padding too. */
function poolWindow(step, axis, index, outputs, side) {
  const begin = index * step.stride[axis] - step.padding[axis];
  const gap = step.dilation ? step.dilation[axis] : 1;
  const last = begin + (step.kernel[axis] - 1) * gap + 1;
  const counted = Math.min(last, side + step.padding[axis]) - begin;
  const start = begin < 0 ? begin + gap * Math.ceil(-begin / gap) : begin;
  return {start, end: Math.min(last, side), gap, counted};
}

/** Where a window of adaptive pooling begins and ends. */
function adaptiveWindow(step, axis, index, outputs, side) {
  return {start: Math.floor((index * side) / outputs), end: Math.ceil(((index + 1) * side) / outputs), gap: 1};
}

function largest(plane, width, rows, columns) {
  let most = -Infinity;
  for (let y = rows.start; y < rows.end; y += rows.gap) {
    for (let x = columns.start; x < columns.end; x += columns.gap) most = Math.max(most, plane[y * width + x]);
  }
  return most;
}

function average(plane, width, rows, columns, step) {
  let sum = 0;
  for (let y = rows.start; y < rows.end; y++) {
    for (let x = columns.start; x < columns.end; x++) sum += plane[y * width + x];
  }
  const pixels = (rows.end - rows.start) * (columns.end - columns.start);
  return sum / (step.count_padding ? rows.counted * columns.counted : pixels);
}

function padImage(step, x) {
  const [channels, height, width] = x.shape;
  const [, outHeight, outWidth] = step.shape;
  const out = new Float32Array(size(step.shape)).fill(step.value);
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < height; y++) {
      const from = (channel * height + y) * width;
      const to = (channel * outHeight + y + step.padding[0]) * outWidth + step.padding[1];
      out.set(x.data.subarray(from, from + width), to);
    }
  }
  return out;
}

function concatenate(step, ...inputs) {
  const out = new Float32Array(size(step.shape));
  let position = 0;
  for (const input of inputs) {
    out.set(input.data, position);
    position += input.data.length;
  }
  return out;
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const GELU = {
  none: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  tanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};
const OPERATIONS = {
  conv2d,
  linear,
  affine,
  pad: padImage,
  cat: concatenate,
  same: (step, x) => x.data,
  max_pool: overWindows(poolWindow, largest),
  avg_pool: overWindows(poolWindow, average),
  average: overWindows(adaptiveWindow, average),
  add: combine((x, y) => x + y),
  sub: combine((x, y) => x - y),
  mul: combine((x, y) => x * y),
  div: combine((x, y) => x / y),
  relu: each(() => (x) => Math.max(x, 0)),
  leaky_relu: each((step) => (x) => (x > 0 ? x : step.negative_slope * x)),
  elu: each((step) => (x) => step.scale * (x > 0 ? x : step.alpha * Math.expm1(step.input_scale * x))),
  gelu: each((step) => GELU[step.approximate]),
  silu: each(() => (x) => x * sigmoid(x)),
  tanh: each(() => Math.tanh),
  sigmoid: each(() => sigmoid),
};
