// Whether an image is like those that a model knows; see artifact/familiarity.py.

const STATISTICS = 8;

/** The Gaussians of a model's file: means, lower-triangular factors and the threshold; null without them. */
function gaussiansOf(text, classes) {
  if (text === null) return null;
  const { gaussians, threshold, values } = JSON.parse(text), width = classes + STATISTICS;
  const view = new DataView(Uint8Array.from(atob(values), (letter) => letter.charCodeAt(0)).buffer);
  const numbers = Array.from({ length: view.byteLength / 4 }, (_, i) => view.getFloat32(4 * i, true));
  const size = width + (width * (width + 1)) / 2;
  const parts = Array.from({ length: gaussians }, (_, i) => numbers.slice(i * size, (i + 1) * size));
  return { threshold, parts: parts.map((part) => ({ mean: part.slice(0, width), factor: part.slice(width) })) };
}

/** `Gaussians.are_familiar` of one image. */
function isFamiliar({ threshold, parts }, pixels, input, logits) {
  const vector = [...logits, ...statisticsOf(pixels, input)];
  return Math.max(...parts.map((part) => density(part, vector))) >= threshold;
}

function density({ mean, factor }, vector) {
  let determinant = 0, distance = 0, at = 0;
  for (let row = 0; row < vector.length; row++) {
    let sum = 0;
    for (let column = 0; column <= row; column++) sum += factor[at++] * (vector[column] - mean[column]);
    determinant += Math.log(Math.abs(factor[at - 1]));
    distance += sum * sum;
  }
  return determinant - distance / 2;
}

/** The brightness of the quarters, and logarithms of how much pixels differ: across, down, from neighbours, at all. */
function statisticsOf(pixels, { width, height, channels }) {
  const gray = new Float64Array(width * height);
  for (let i = 0; i < gray.length; i++) {
    for (let c = 0; c < channels; c++) gray[i] += pixels[i * channels + c] / (255 * channels);
  }
  const at = (x, y) => gray[y * width + x];
  const mean = (fromX, toX, fromY, toY, value) => {
    let sum = 0;
    for (let y = fromY; y < toY; y++) for (let x = fromX; x < toX; x++) sum += value(x, y);
    return sum / ((toX - fromX) * (toY - fromY));
  };
  const [halfX, halfY] = [width >> 1, height >> 1];
  const quarters = [[0, 0], [1, 0], [0, 1], [1, 1]].map(([x, y]) => mean(x * halfX, (x + 1) * halfX, y * halfY, (y + 1) * halfY, at));
  const middle = mean(0, width, 0, height, at);
  const spreads = [
    mean(1, width, 0, height, (x, y) => Math.abs(at(x, y) - at(x - 1, y))),
    mean(0, width, 1, height, (x, y) => Math.abs(at(x, y) - at(x, y - 1))),
    mean(1, width - 1, 1, height - 1, (x, y) => Math.abs(at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1) - 4 * at(x, y))),
    Math.sqrt(mean(0, width, 0, height, (x, y) => (at(x, y) - middle) ** 2)),
  ];
  return [...quarters, ...spreads.map((spread) => Math.log(spread + 1e-3))];
}
