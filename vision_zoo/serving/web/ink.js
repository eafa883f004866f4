// Find ink on a photographed sheet, by its darkness relative to the paper; see images/ink.py.

const STROKES = [0.03, 0.05, 0.08, 0.12, 0.17, 0.22, 0.28]; // what a stroke is narrower than, of the shorter side

/** A picture that cannot be used, said as Python says it. */
class ImageError extends Error {}

const noDigit = () => new ImageError("there is no digit; expected one on a plain background");
const shorter = ({ width, height }) => Math.min(width, height);

/** Find the one figure in dark ink on lighter paper, and cut it out, 255 the darkest ink. */
function figureOnPaper(picture, stroke, inside) {
  const ink = inkOf(picture, Math.max(9, rounded((stroke || STROKES[6]) * shorter(picture))), inside);
  if (!ink) throw noDigit();
  return oneFigure(ink);
}

/** Upper limit of the stroke width on paper, as a fraction of the shorter side; null if none is found. */
function strokeLimit(picture, inside) {
  const small = Math.max(picture.width, picture.height) > 320 ? halved(picture) : picture;
  if (inside && small !== picture) {
    const whole = inside;
    inside = new Uint8Array(small.width * small.height);
    for (let y = 0; y < small.height; y++) {
      for (let x = 0; x < small.width; x++) inside[y * small.width + x] = whole[2 * y * picture.width + 2 * x];
    }
  }
  // Whole strokes stay as they are when wider ones are looked for; what was a stroke's or a shadow's corner grows.
  let before = null, best = null, leastGrowth = 0.8, longest = 0;
  for (const fraction of STROKES) {
    const size = Math.max(7, rounded(fraction * shorter(small))), ink = inkOf(small, size, inside);
    if (!ink) {
      before = null;
      continue;
    }
    const { parts } = ink, main = argmax(ink.masses);
    longest = Math.max(longest, parts.bottom[main] - parts.top[main], parts.right[main] - parts.left[main]);
    const mass = ink.masses[main];
    if (before) {
      const growth = Math.log(mass / before.mass);
      if (-0.25 < growth && growth < leastGrowth) [best, leastGrowth] = [before.fraction, growth];
      if (Math.abs(growth) < 0.25) return best;
    }
    before = isWhole(parts, main, size) ? { fraction, mass } : null;
  }
  if (longest < 0.1 * shorter(small)) throw noDigit();
  return best;
}

/** Whether strokes were found, rather than the corners of strokes that are wider than `size`. */
function isWhole(parts, main, size) {
  const width = parts.right[main] - parts.left[main], height = parts.bottom[main] - parts.top[main];
  const labels = { width: parts.width, channels: 1, data: parts.labels };
  const box = cropped(labels, parts.left[main], parts.top[main], width, height);
  const mask = maskOf(box.data, (label) => label === main);
  return Math.max(width, height) >= 2 * size && strokeWidth(mask, width, height) <= 0.8 * size;
}

/** How dark each pixel is, what of that is 0 and its factor to make the ink's own 255, and the parts; or null. */
function inkOf(gray, size, inside) {
  const { width, height } = gray, { darkness, spread } = darknessOf(gray, size);
  if (inside) for (let i = 0; i < darkness.length; i++) if (!inside[i]) darkness[i] = 0;
  withoutLines(darkness, width, height, Math.max(10, 3 * spread));
  const ink = inkLevel(darkness);
  if (ink < Math.max(20, 5 * spread)) return null;
  const low = Math.max(0.3 * ink, 3 * spread), high = Math.max(0.5 * ink, 4.5 * spread);
  const [from, seed] = [fround(low), fround(high)];
  const parts = components(maskOf(darkness, (value) => value > from), width, height);
  const seeded = new Uint8Array(parts.area.length);
  for (let i = 0; i < darkness.length; i++) if (darkness[i] > seed && parts.labels[i] >= 0) seeded[parts.labels[i]] = 1;
  const masses = sums(parts, darkness).map((mass, part) => (seeded[part] && !isAcross(parts, part) ? mass : 0));
  if (!masses.some(Boolean)) return null;
  const floor = fround(0.5 * low), stretch = fround(255 / (ink - 0.5 * low));
  return { darkness, floor, stretch, parts, masses };
}

/** Whether a part reaches from border to border along a third one: a strip of desk, not a digit. */
function isAcross(parts, part) {
  const { top, left, bottom, right, width, height } = parts;
  return (top[part] === 0) + (left[part] === 0) + (bottom[part] === height) + (right[part] === width) >= 3;
}

/** How much darker each pixel is than its paper, 0 to 255, and how far paper itself strays from that. */
function darknessOf(gray, size) {
  const { width, height } = gray;
  if (width > 1 && noiseOf(gray) > 2) gray = blurred(gray);
  const paper = closing(gray, size).data;
  const every = (step, values, make) => {
    const found = new make(Math.ceil(width / step) * Math.ceil(height / step));
    let at = 0;
    for (let y = 0; y < height; y += step) for (let x = 0; x < width; x += step) found[at++] = values[y * width + x];
    return found;
  };
  const lightest = Math.max(percentile(every(8, paper, Float32Array), 95), 1), least = fround(0.35 * lightest);
  const darkness = mapped(Float32Array, paper, (level, i) => {
    return (level - gray.data[i]) * fround(255 / Math.max(level, least));
  });
  const sample = every(4, darkness, Float32Array), usual = median(sample);
  const spread = 1.48 * median(sample.map((value) => Math.abs(fround(value - usual))));
  for (let i = 0; i < darkness.length; i++) darkness[i] = Math.max(fround(darkness[i] - usual), 0);
  return { darkness, spread };
}

/** The median difference of neighbours in every other row. */
function noiseOf({ width, height, data }) {
  const differences = new Uint8Array(Math.ceil(height / 2) * (width - 1));
  let at = 0;
  for (let y = 0; y < height; y += 2) {
    for (let x = 1; x < width; x++) differences[at++] = Math.abs(data[y * width + x] - data[y * width + x - 1]);
  }
  return median(differences);
}

/** The darkest level but for a few pixels: of the thinnest pen there are some hundred. */
function inkLevel(darkness) {
  const counts = new Uint32Array(256), wanted = Math.max(20, Math.floor(darkness.length / 4000));
  for (const value of darkness) counts[Math.trunc(value)]++;
  let sum = 0, level = 255;
  for (; level >= 0; level--) {
    sum += counts[level];
    if (sum >= wanted) break;
  }
  return level;
}

/** The darkness of the figure alone, cut out. */
function oneFigure({ darkness, floor, stretch, parts, masses }) {
  const own = new Set(figureOf(parts, masses)), { width: w, height: h } = parts;
  const mask = { width: w, height: h, channels: 1, data: maskOf(parts.labels, (label) => own.has(label)) };
  const { width, height } = boxOf(mask);
  // a shadow or a stain, or a dash
  if (strokeWidth(mask.data, w, h) > 0.33 * Math.max(height, width) || width > 2.5 * height) throw noDigit();
  // the faint rim of a stroke belongs to it
  const near = dilation(mask, 1).data;
  const shown = mapped(Uint8Array, darkness, (value, i) => {
    return near[i] ? Math.min(Math.max(fround(fround(value - floor) * stretch), 0), 255) : 0;
  });
  return cutOut({ width: w, height: h, channels: 1, data: shown });
}

function cutOut(picture) {
  const box = boxOf(picture);
  if (!box) throw noDigit();
  return cropped(picture, box.left, box.top, box.width, box.height);
}

const lightnessOf = (gray, ground) => mapped(Float32Array, gray.data, (level) => Math.max(fround(level - ground), 0));

/** Throw without a figure on the plain ground, and for several. */
function requireOneFigure(gray, ground) {
  const lightness = lightnessOf(gray, ground), least = fround(Math.max(16, 0.3 * largest(lightness)));
  const parts = components(maskOf(lightness, (value) => value > least), gray.width, gray.height);
  figureOf(parts, sums(parts, lightness));
}

/** Whether what stands out from a dark ground is as broad as a blot, and not strong: a shadow, inverted. */
function isStain(gray, ground) {
  const lightness = lightnessOf(gray, ground), strongest = largest(lightness), least = fround(0.5 * strongest);
  const mask = maskOf(lightness, (value) => value > least), box = boxOf({ ...gray, data: mask });
  if (!box || strongest > fround(0.65 * (255 - ground))) return false;
  return strokeWidth(mask, gray.width, gray.height) > 0.6 * 0.33 * Math.max(box.width, box.height);
}

/** The parts of the one figure that there is. */
function figureOf(parts, masses) {
  if (!masses.some(Boolean)) throw noDigit();
  const sides = parts.top.map((top, i) => Math.max(parts.bottom[i] - top, parts.right[i] - parts.left[i]));
  const main = argmax(masses), least = Math.max(5, 0.03 * shorter(parts));
  if (sides[main] < least) throw noDigit();
  const own = [...sides.keys()].filter((i) => masses[i] >= 0.02 * masses[main] && sides[i] >= 0.5 * least);
  const groups = groupsOf(parts, masses, own.sort((one, two) => masses[two] - masses[one]));
  if (groups.length > 1) throw new ImageError(`the image has ${groups.length} separate shapes; expected one digit`);
  return groups[0];
}

const side = (box) => Math.max(box.bottom - box.top, box.right - box.left);

/** The parts of each figure, the heaviest figure first. Small parts far from any figure belong to none. */
function groupsOf(parts, masses, own) {
  const groups = [], boxes = [];
  for (const part of own) {
    const box = { top: parts.top[part], left: parts.left[part], bottom: parts.bottom[part], right: parts.right[part] };
    const near = boxes.findIndex((other) => belongTogether(box, other));
    if (near >= 0) {
      groups[near].push(part);
      const other = boxes[near];
      other.top = Math.min(other.top, box.top);
      other.left = Math.min(other.left, box.left);
      other.bottom = Math.max(other.bottom, box.bottom);
      other.right = Math.max(other.right, box.right);
    } else if (
      !groups.length || (side(box) >= 0.45 * side(boxes[0]) && masses[part] >= 0.2 * masses[groups[0][0]])
    ) {
      groups.push([part]);
      boxes.push(box);
    }
  }
  return groups;
}

/** Whether two strokes are one figure's: near each other, and not two upright ones side by side. */
function belongTogether(box, other) {
  const across = Math.max(box.left, other.left) - Math.min(box.right, other.right);
  const along = Math.max(box.top, other.top) - Math.min(box.bottom, other.bottom);
  const larger = Math.max(side(box), side(other));
  const [low, high] = [box.bottom - box.top, other.bottom - other.top].sort((one, two) => one - two);
  if (across > 0.1 * larger && low > 0.6 * high && high > 0.6 * larger) return false;
  return Math.max(across, along) <= 0.25 * larger;
}
