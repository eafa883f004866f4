// What Pillow and Python compute, to the bit: resizing, gray levels, transparency, rounding.
// A picture is { width, height, channels, data } with samples of 0 to 255 in a typed array, row by row.

const fround = Math.fround;

/** Round half to even, as Python does. */
function rounded(value) {
  const nearest = Math.round(value);
  return Math.abs(value % 1) === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

function cubic(x) {
  x = Math.abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

/** Each filter's support and its function. */
const FILTERS = {
  box: [0.5, (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)],
  bilinear: [1, (x) => Math.max(0, 1 - Math.abs(x))],
  bicubic: [2, cubic],
  lanczos: [3, (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0)],
};

/** For each sample of a resized line, the first sample that it is made of and the weights, times 2 ** 22. */
function weights(before, after, filter) {
  const [reach, weigh] = FILTERS[filter];
  const scale = before / after, stretch = Math.max(scale, 1), support = reach * stretch;
  return Array.from({ length: after }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const count = Math.min(Math.trunc(centre + support + 0.5), before) - first;
    const own = new Float64Array(count);
    let total = 0;
    for (let i = 0; i < count; i++) {
      own[i] = weigh((i + first - centre + 0.5) * (1 / stretch));
      total += own[i];
    }
    const whole = new Int32Array(count);
    for (let i = 0; i < count; i++) {
      const weight = (total === 0 ? own[i] : own[i] / total) * 2 ** 22;
      whole[i] = Math.trunc(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
    return [first, whole];
  });
}

/** Resize lines of `before` samples that are `step` apart; `place` says where a line begins, in and out. */
function resizedLines(data, out, before, after, filter, step, outStep, places) {
  const table = weights(before, after, filter);
  for (const [from, to] of places) {
    for (let i = 0; i < after; i++) {
      const [first, own] = table[i];
      let sum = 1 << 21;
      for (let k = 0, at = from + first * step; k < own.length; k++, at += step) sum += data[at] * own[k];
      out[to + i * outStep] = Math.min(Math.max(sum >> 22, 0), 255);
    }
  }
}

function* lineStarts(count, across, channels, outAcross) {
  for (let line = 0; line < count; line++) {
    for (let channel = 0; channel < channels; channel++) yield [line * across + channel, line * outAcross + channel];
  }
}

/** Pillow's `Image.resize`: across first, then down; of a very tall picture down first. */
function resized(picture, width, height, filter) {
  if (width !== picture.width && picture.height > 100 * picture.width && height < picture.height) {
    picture = resized(picture, picture.width, height, filter);
  }
  let { data } = picture;
  const { width: w, height: h, channels: c } = picture;
  if (width !== w) {
    const out = new Uint8Array(width * h * c);
    resizedLines(data, out, w, width, filter, c, c, lineStarts(h, w * c, c, width * c));
    data = out;
  }
  if (height !== h) {
    const out = new Uint8Array(width * height * c);
    resizedLines(data, out, h, height, filter, width * c, width * c, lineStarts(width, c, c, c));
    data = out;
  }
  return { width, height, channels: c, data };
}

/** Resizing to the nearest of the samples, of one channel. */
function resizedNearest(picture, width, height) {
  const places = (before, after) => {
    const found = new Int32Array(after);
    let place = (before / after) * 0.5;
    for (let i = 0; i < after; i++, place += before / after) found[i] = Math.trunc(place);
    return found;
  };
  const columns = places(picture.width, width), rows = places(picture.height, height);
  const data = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) data[y * width + x] = picture.data[rows[y] * picture.width + columns[x]];
  }
  return { width, height, channels: 1, data };
}

/** Pillow's `Image.reduce(2)`, of one channel. */
function halved({ width: w, height: h, data }) {
  const width = Math.ceil(w / 2), height = Math.ceil(h / 2), out = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const right = Math.min(2 * x + 1, w - 1), below = Math.min(2 * y + 1, h - 1);
      const sum = data[2 * y * w + 2 * x] + data[2 * y * w + right] + data[below * w + 2 * x] + data[below * w + right];
      out[y * width + x] = (sum + 2) >> 2;
    }
  }
  return { width, height, channels: 1, data: out };
}

/** Pillow's `ImageFilter.BoxBlur(1)`, of one channel. */
function blurred({ width, height, data }) {
  const pass = (from, step, count, across, lines) => {
    const out = new Uint8Array(from.length);
    for (let line = 0; line < lines; line++) {
      for (let i = 0; i < count; i++) {
        const at = line * across + i * step;
        const sum = from[i ? at - step : at] + from[at] + from[i < count - 1 ? at + step : at];
        out[at] = Math.floor((sum * 5592405 + 2 ** 23) / 2 ** 24);
      }
    }
    return out;
  };
  const across = pass(data, 1, width, width, height);
  return { width, height, channels: 1, data: pass(across, width, height, 1, width) };
}

function cropped({ width: w, channels: c, data }, left, top, width, height) {
  const out = new data.constructor(width * height * c);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * w + left) * c;
    out.set(data.subarray(from, from + width * c), y * width * c);
  }
  return { width, height, channels: c, data: out };
}

/** A picture of canvas pixels, RGBA, as gray levels or RGB on an opaque ground. */
function onGround({ width, height, data }, channels, lightOnDark) {
  let ground = 255;
  if (lightOnDark) {
    // Transparent pictures are meant for a page: white, unless white is what they are drawn in.
    let opacity = 0, light = 0;
    for (let i = 0; i < data.length; i += 4) {
      opacity += data[i + 3];
      light += (data[i] + data[i + 1] + data[i + 2]) * data[i + 3];
    }
    const clear = opacity < 255 * width * height;
    if (clear && light > 3 * 127 * opacity) ground = 0;
  }
  const out = new Uint8Array(width * height * channels);
  const over = (value, alpha) => {
    if (alpha === 255) return value;
    const sum = value * alpha * 128 + ground * (255 - alpha) * 128 + 16384;
    return (((sum >> 8) + sum) >> 8) >> 7;
  };
  for (let i = 0, to = 0; i < data.length; i += 4) {
    const alpha = data[i + 3];
    const r = over(data[i], alpha), g = over(data[i + 1], alpha), b = over(data[i + 2], alpha);
    if (channels === 1) {
      out[to++] = (r * 19595 + g * 38470 + b * 7471 + 32768) >> 16;
      continue;
    }
    out[to++] = r;
    out[to++] = g;
    out[to++] = b;
  }
  return { width, height, channels, data: out };
}

/** numpy's `median` of a typed array, with the precision of its values. */
function median(values) {
  const exact = values instanceof Float32Array ? fround : (value) => value;
  const sorted = values.slice().sort(), middle = sorted.length >> 1;
  return exact(exact(sorted[middle] + sorted[sorted.length - 1 - middle]) / 2);
}

/** numpy's `percentile` of a typed array, with the precision of its values. */
function percentile(values, percent) {
  const exact = values instanceof Float32Array ? fround : (value) => value;
  const sorted = values.slice().sort();
  const place = exact((sorted.length - 1) * exact(exact(percent) / 100));
  const before = Math.floor(place), part = exact(place - before);
  const low = sorted[before], high = sorted[Math.min(before + 1, sorted.length - 1)];
  const gap = exact(high - low);
  return part >= 0.5 ? exact(high - exact(gap * exact(1 - part))) : exact(low + exact(gap * part));
}

function largest(values) {
  let found = 0;
  for (let i = 0; i < values.length; i++) if (values[i] > found) found = values[i];
  return found;
}

/** A typed array of `make(value, place)` of each value; `Type.from` takes ten times as long. */
function mapped(Type, values, make) {
  const found = new Type(values.length);
  for (let i = 0; i < values.length; i++) found[i] = make(values[i], i);
  return found;
}

/** `yes(value)` of each value, as 0 or 1. */
function maskOf(values, yes) {
  const mask = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) mask[i] = yes(values[i]) ? 1 : 0;
  return mask;
}

function sumOf(values) {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum;
}
